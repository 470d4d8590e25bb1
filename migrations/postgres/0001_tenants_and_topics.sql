-- Tenants, what they own, and who may use it. Times are milliseconds since the epoch, ids are text.

CREATE TABLE organizations (
    id         TEXT   PRIMARY KEY,
    name       TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE projects (
    id              TEXT   PRIMARY KEY,
    organization_id TEXT   NOT NULL REFERENCES organizations (id),
    name            TEXT   NOT NULL,
    -- Signs the project's cursors; 64 hexadecimal digits.
    cursor_secret   TEXT   NOT NULL,
    created_at      BIGINT NOT NULL
);

CREATE TABLE users (
    email         TEXT   PRIMARY KEY,
    -- argon2id, in the PHC string format.
    password_hash TEXT   NOT NULL,
    created_at    BIGINT NOT NULL
);

CREATE TABLE api_keys (
    -- The public half of the key: it is in the key's text and may be shown and logged.
    id            TEXT   PRIMARY KEY,
    project_id    TEXT   NOT NULL REFERENCES projects (id),
    name          TEXT   NOT NULL,
    -- SHA-256 of the secret half, 64 hexadecimal digits: the secret has 256 random bits.
    secret_sha256 TEXT   NOT NULL,
    created_by    TEXT   NOT NULL REFERENCES users (email),
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT,
    UNIQUE (project_id, name)
);

CREATE TABLE topics (
    -- 32 hexadecimal digits, never reused: data is found by it, a name is a label.
    id                 TEXT   PRIMARY KEY,
    project_id         TEXT   NOT NULL REFERENCES projects (id),
    name               TEXT   NOT NULL,
    partitions         BIGINT NOT NULL,
    replication_factor BIGINT NOT NULL,
    -- The settings that were given, as a JSON object; all others have their default.
    config             TEXT   NOT NULL,
    description        TEXT   NOT NULL,
    -- Grows with every change: the ETag.
    version            BIGINT NOT NULL,
    created_at         BIGINT NOT NULL,
    -- The tombstone: brokers remove the data of topics that have one, then the row goes.
    deleted_at         BIGINT
);

CREATE UNIQUE INDEX topics_by_name ON topics (project_id, name) WHERE deleted_at IS NULL;
