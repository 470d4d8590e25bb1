-- What is made of the bucket alone, and what is in it that nothing refers to.

-- Of a partition that was made from objects, until it has its first leader: where that one begins, as JSON.
-- Nobody else may begin a log anywhere but at its own end.
ALTER TABLE partitions ADD COLUMN beginning TEXT;

-- 1 while the rows are made: no broker starts on a part of them.
ALTER TABLE cluster ADD COLUMN rebuilding BIGINT NOT NULL DEFAULT 0;

-- Objects without a row, as sweeps saw them.
CREATE TABLE strays (
    object_key    TEXT PRIMARY KEY,
    size_bytes    BIGINT NOT NULL,
    -- By the clock of the store.
    last_modified BIGINT NOT NULL,
    -- When it was first seen as it is, and when last, by the clock of this database.
    first_seen    BIGINT NOT NULL,
    last_seen     BIGINT NOT NULL
);
