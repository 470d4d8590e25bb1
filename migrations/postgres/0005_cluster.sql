-- The cluster: its brokers, where partitions are, and who decides about that.

CREATE TABLE cluster (
    only_row   BIGINT PRIMARY KEY CHECK (only_row = 1),
    -- Made when the first broker registers.
    cluster_id TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE brokers (
    id            BIGINT PRIMARY KEY,
    -- Grows with every start: one life.
    incarnation   BIGINT NOT NULL,
    -- The name of its data directory, 32 hexadecimal digits.
    data_dir      TEXT COLLATE "C" NOT NULL,
    -- How often its lease was renewed, as its disk remembers it: an older copy remembers fewer.
    renewals      BIGINT NOT NULL,
    -- By the clock of this database, as all times here.
    lease_until   BIGINT NOT NULL,
    -- 1 once it was found to have let its lease expire.
    fenced        BIGINT NOT NULL,
    -- 1 while it is to be given nothing more.
    draining      BIGINT NOT NULL,
    -- Where others reach it: host:port.
    address       TEXT COLLATE "C" NOT NULL,
    rack          TEXT COLLATE "C",
    registered_at BIGINT NOT NULL,
    last_seen     BIGINT NOT NULL
);

CREATE TABLE partitions (
    topic_id           TEXT COLLATE "C" NOT NULL REFERENCES topics (id),
    partition          BIGINT NOT NULL,
    -- Brokers as '1,2,3', the one that leads by preference first; with those that a copy moves to.
    replicas           TEXT COLLATE "C" NOT NULL,
    -- The brokers that are to hold a copy, while copies move.
    target             TEXT COLLATE "C",
    leader             BIGINT,
    leader_incarnation BIGINT,
    -- Grows with every election.
    leader_epoch       BIGINT NOT NULL,
    -- The copies that have everything that was acknowledged.
    in_sync            TEXT COLLATE "C" NOT NULL,
    -- Grows with every change of the row, which is a compare-and-set on it.
    partition_epoch    BIGINT NOT NULL,
    -- The number of the change that wrote the row last.
    changed            BIGINT NOT NULL,
    PRIMARY KEY (topic_id, partition)
);
CREATE INDEX partitions_by_change ON partitions (changed);

-- Who elects leaders. A lease: two that think they hold it do no harm.
CREATE TABLE controller (
    only_row    BIGINT PRIMARY KEY CHECK (only_row = 1),
    broker      BIGINT,
    incarnation BIGINT,
    lease_until BIGINT NOT NULL
);
INSERT INTO controller (only_row, lease_until) VALUES (1, 0);
