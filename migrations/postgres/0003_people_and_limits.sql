-- Sessions of people, invitations, issuers that are trusted, limits, usage and audit.

-- A version grows with every change: the ETag. A tombstone keeps an id from being taken again: its
-- usage and audit events stay readable to those they belong to, and to nobody else.
ALTER TABLE organizations ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
ALTER TABLE organizations ADD COLUMN deleted_at BIGINT;
ALTER TABLE projects ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
ALTER TABLE projects ADD COLUMN deleted_at BIGINT;

-- 1 for those who may see and change the cluster.
ALTER TABLE users ADD COLUMN operator BIGINT NOT NULL DEFAULT 0;
-- When an identity provider vouched for the address. Before that, the account is whoever holds its
-- password; the first proof ends that.
ALTER TABLE users ADD COLUMN verified_at BIGINT;

-- A JSON object of rates.
ALTER TABLE api_keys ADD COLUMN quotas TEXT NOT NULL DEFAULT '{}';
ALTER TABLE api_keys ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
ALTER TABLE api_keys ADD COLUMN last_used_at BIGINT;

ALTER TABLE memberships ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
CREATE INDEX memberships_by_email ON memberships (email);

-- Until now users were made by operators for themselves.
UPDATE users SET operator = 1;

CREATE TABLE invitations (
    organization_id TEXT   NOT NULL REFERENCES organizations (id),
    email           TEXT   NOT NULL,
    role            TEXT   NOT NULL,
    -- SHA-256 of the token, 64 hexadecimal digits.
    token_sha256    TEXT   NOT NULL UNIQUE,
    invited_by      TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, email)
);
CREATE INDEX invitations_by_email ON invitations (email);

-- Issuers of tokens that an organization trusts.
CREATE TABLE issuers (
    organization_id TEXT   NOT NULL REFERENCES organizations (id),
    name            TEXT   NOT NULL,
    issuer          TEXT   NOT NULL,
    audience        TEXT   NOT NULL,
    -- A JSON list of {"claim", "value", "role"}.
    rules           TEXT   NOT NULL,
    version         BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, name)
);

-- Whom an identity provider knows as which user.
CREATE TABLE identities (
    issuer     TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    email      TEXT   NOT NULL REFERENCES users (email),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject)
);

CREATE TABLE sessions (
    id         TEXT   PRIMARY KEY,
    email      TEXT   NOT NULL REFERENCES users (email),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at   BIGINT
);
CREATE INDEX sessions_by_email ON sessions (email);

-- Every refresh token that a session has had: one that comes back used was stolen.
CREATE TABLE refresh_tokens (
    token_sha256 TEXT   PRIMARY KEY,
    session_id   TEXT   NOT NULL REFERENCES sessions (id),
    created_at   BIGINT NOT NULL,
    used_at      BIGINT
);
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);

-- Public halves of the keys that gateways sign access tokens with. The private halves never leave
-- the memory of the gateway that made them.
CREATE TABLE signing_keys (
    id         TEXT   PRIMARY KEY,
    public_key TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    -- Nothing that it signed is good any more after that.
    expires_at BIGINT NOT NULL
);

-- Limits. `layer` is `service` (an organization's ceiling, set by operators), `organization` or
-- `project`; what has no row is unlimited.
CREATE TABLE quotas (
    layer  TEXT   NOT NULL,
    id     TEXT   NOT NULL,
    name   TEXT   NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (layer, id, name)
);

-- What was used, by minute. Stored bytes are those at the end of the minute; a minute without a row
-- has no traffic and the stored bytes of the one before. Calls about no topic have the topic ''.
CREATE TABLE usage_minutes (
    organization_id   TEXT   NOT NULL,
    project_id        TEXT   NOT NULL,
    topic             TEXT   NOT NULL,
    minute            BIGINT NOT NULL,
    -- The node that counted: several add up.
    node              BIGINT NOT NULL,
    ingress_bytes     BIGINT NOT NULL,
    egress_bytes      BIGINT NOT NULL,
    records_in        BIGINT NOT NULL,
    records_out       BIGINT NOT NULL,
    requests          BIGINT NOT NULL,
    stored_bytes_hot  BIGINT NOT NULL,
    stored_bytes_cold BIGINT NOT NULL,
    PRIMARY KEY (project_id, topic, minute, node)
);
CREATE INDEX usage_minutes_by_organization ON usage_minutes (organization_id, minute);

CREATE TABLE audit_events (
    -- Sorts by time.
    id              TEXT   PRIMARY KEY,
    organization_id TEXT   NOT NULL,
    at              BIGINT NOT NULL,
    actor           TEXT   NOT NULL,
    action          TEXT   NOT NULL,
    target          TEXT   NOT NULL,
    -- allowed or denied
    outcome         TEXT   NOT NULL,
    source_ip       TEXT   NOT NULL,
    request_id      TEXT   NOT NULL
);
CREATE INDEX audit_events_by_organization ON audit_events (organization_id, id);

-- Pages of lists go on after a text, so texts must sort by their bytes, whatever the database's locale.
DO $$
DECLARE
    known RECORD;
BEGIN
    FOR known IN
        SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = current_schema() AND data_type = 'text'
        AND table_name <> '_sqlx_migrations'
    LOOP
        EXECUTE format(
            'ALTER TABLE %I ALTER COLUMN %I TYPE TEXT COLLATE "C"',
            known.table_name, known.column_name
        );
    END LOOP;
END $$;
