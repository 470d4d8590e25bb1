-- The system's own organization and project, which has the log of consumer groups. They are tombstones to
-- everybody else: nobody lists them, is in them, or gets their ids.
INSERT INTO organizations (id, name, created_at, deleted_at) VALUES ('__system', 'the system', 0, 0);
INSERT INTO projects (id, organization_id, name, cursor_secret, created_at, deleted_at)
VALUES ('__system', '__system', 'the system', '', 0, 0);
