-- Segments of partitions in the object store. Rows outlive their topic, until their objects are deleted.

CREATE TABLE segments (
    object_key    TEXT COLLATE "C" PRIMARY KEY,
    topic_id      TEXT COLLATE "C" NOT NULL,
    partition     BIGINT NOT NULL,
    base_offset   BIGINT NOT NULL,
    -- One past the last offset.
    end_offset    BIGINT NOT NULL CHECK (end_offset > base_offset),
    -- Of the leader that uploads it.
    leader_epoch  BIGINT NOT NULL,
    state         TEXT COLLATE "C" NOT NULL CHECK (state IN ('uploading', 'live', 'doomed')),
    -- When it took this state, by the clock of this database.
    since         BIGINT NOT NULL,
    -- The rest is known once the object was read back.
    data_bytes    BIGINT,
    max_timestamp BIGINT,
    -- All that readers need, as JSON.
    detail        TEXT COLLATE "C",
    CHECK (state <> 'live'
        OR (data_bytes IS NOT NULL AND max_timestamp IS NOT NULL AND detail IS NOT NULL))
);
-- With all that is asked of many rows at once.
CREATE INDEX segments_by_partition
    ON segments (topic_id, partition, state, end_offset, base_offset, max_timestamp, data_bytes);
CREATE INDEX segments_doomed ON segments (since) WHERE state = 'doomed';
-- A second guard: publishing refuses it before.
CREATE UNIQUE INDEX segments_live ON segments (topic_id, partition, base_offset)
    WHERE state = 'live';

-- Where the last segment that was ever live ends. It changes without the feed: no node follows it.
ALTER TABLE partitions ADD COLUMN cold_end BIGINT NOT NULL DEFAULT 0;
