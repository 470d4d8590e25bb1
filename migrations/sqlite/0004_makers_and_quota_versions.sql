-- Who made an organization, so that nobody uses up ids without end; unknown of those from before, and
-- of those that operators made at the database.
ALTER TABLE organizations ADD COLUMN created_by TEXT;
CREATE INDEX organizations_by_maker ON organizations (created_by, created_at);

-- The ETag of quotas: it grows with every change of them.
ALTER TABLE organizations ADD COLUMN quotas_version BIGINT NOT NULL DEFAULT 1;
ALTER TABLE projects ADD COLUMN quotas_version BIGINT NOT NULL DEFAULT 1;
