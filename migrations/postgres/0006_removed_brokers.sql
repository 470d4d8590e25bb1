-- 1 once an operator has removed the broker for good. The row stays: its number may be used again, a
-- life of it never.
ALTER TABLE brokers ADD COLUMN removed BIGINT NOT NULL DEFAULT 0;
