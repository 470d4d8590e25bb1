-- Who is what in an organization, what keys may do, and the feed that tells every node what changed.

-- A JSON list of {"operations", "topic" | "group"}; keys made before there were scopes may do all.
ALTER TABLE api_keys ADD COLUMN scopes TEXT NOT NULL DEFAULT '[{"operations":["describe","produce","fetch","consume","manage"],"topic":"*"},{"operations":["consume"],"group":"*"}]';

CREATE TABLE memberships (
    organization_id TEXT   NOT NULL REFERENCES organizations (id),
    email           TEXT   NOT NULL REFERENCES users (email),
    -- owner, admin, developer or viewer
    role            TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, email)
);

-- Until now a user had made keys of an organization only by being its first owner.
INSERT INTO memberships (organization_id, email, role, created_at)
SELECT projects.organization_id, api_keys.created_by, 'owner', MIN(api_keys.created_at)
FROM api_keys JOIN projects ON projects.id = api_keys.project_id
GROUP BY projects.organization_id, api_keys.created_by;

-- The feed. Every change takes the next number by updating the one row here, and keeps it locked
-- until it commits: numbers come in the order of commits, and changes do not overlap.
CREATE TABLE change_counter (
    only_row BIGINT PRIMARY KEY CHECK (only_row = 1),
    number   BIGINT NOT NULL
);
INSERT INTO change_counter (only_row, number) VALUES (1, 0);

CREATE TABLE changes (
    number BIGINT NOT NULL,
    -- What to read again: organization, project, key or topic.
    kind   TEXT   NOT NULL,
    id     TEXT   NOT NULL,
    at     BIGINT NOT NULL,
    PRIMARY KEY (number, kind, id)
);
