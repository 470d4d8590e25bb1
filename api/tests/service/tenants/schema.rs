//! Migrations: both engines end alike, and what was there before stays.

use sha2::Digest;
use sqlx::AnyPool;

use crate::client::Api;
use crate::harness::{Server, bootstrap_on, repository};
use crate::postgres::Postgres;

use super::people::sign_in;

/// The database itself, for what no call shows.
pub struct Database(AnyPool);

impl Database {
    pub async fn open(url: &str) -> Self {
        sqlx::any::install_default_drivers();
        Self(AnyPool::connect(url).await.expect("the database opens"))
    }

    pub async fn run(&self, sql: &str) {
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .execute(&self.0)
            .await
            .expect(sql);
    }

    pub async fn text(&self, sql: &str) -> Vec<String> {
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_all(&self.0)
            .await
            .expect(sql)
    }

    /// Has servers read again what a query names, as the service itself does after a change.
    pub(super) async fn tell(&self, kind: &str, ids: &str) {
        self.run("UPDATE change_counter SET number = number + 1")
            .await;
        let now_ms = jiff::Timestamp::now().as_millisecond();
        self.run(&format!(
            "INSERT INTO changes (number, kind, id, at) \
             SELECT change_counter.number, '{kind}', named.id, {now_ms} \
             FROM change_counter, ({ids}) AS named"
        ))
        .await;
    }

    /// Every table and column but sqlx's own.
    pub(super) async fn columns(&self, sqlite: bool) -> Vec<String> {
        let sql = if sqlite {
            "SELECT m.name || '.' || c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c \
             WHERE m.type = 'table' AND m.name NOT LIKE '\\_sqlx%' ESCAPE '\\' \
             AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY 1"
        } else {
            "SELECT CAST(table_name || '.' || column_name AS TEXT) \
             FROM information_schema.columns \
             WHERE table_schema = 'public' AND table_name NOT LIKE '\\_sqlx%' ORDER BY 1"
        };
        let mut columns = self.text(sql).await;
        columns.sort();
        columns
    }
}

#[tokio::test]
async fn both_engines_end_with_the_same_tables() {
    let directory = tempfile::tempdir().expect("a directory");
    let sqlite = format!("sqlite://{}", directory.path().join("m.db").display());
    bootstrap_on(&sqlite, "acme", "acme-main", "ada@example.com").await;
    let on_sqlite = Database::open(&sqlite).await.columns(true).await;
    let postgres = Postgres::shared().database();
    let on_postgres = Database::open(&postgres).await.columns(false).await;
    assert_eq!(on_sqlite, on_postgres);
    for expected in [
        "api_keys.scopes",
        "memberships.role",
        "changes.number",
        "topics.config",
        "audit_events.request_id",
        "quotas.amount",
        "usage_minutes.records_in",
        "projects.quotas_version",
        "organizations.created_by",
        "refresh_tokens.used_at",
        "brokers.lease_until",
        "partitions.partition_epoch",
        "partitions.cold_end",
        "segments.detail",
    ] {
        assert!(
            on_sqlite.iter().any(|column| column == expected),
            "{expected}"
        );
    }
}

fn migrations(engine: &str) -> Vec<std::path::PathBuf> {
    let folder = repository().join("migrations").join(engine);
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
}

#[test]
fn migrations_are_paired_by_number_and_name() {
    let names = |engine: &str| -> Vec<_> {
        let paths = migrations(engine);
        paths
            .iter()
            .map(|path| path.file_name().expect("a name").to_owned())
            .collect()
    };
    assert_eq!(names("sqlite"), names("postgres"));
}

/// Brings a database to where the `count`th migration left it, with sqlx's note of it.
async fn migrate(database: &Database, engine: &str, count: usize) {
    let directory = tempfile::tempdir().expect("a directory");
    for path in &migrations(engine)[..count] {
        let name = path.file_name().expect("a name");
        std::fs::copy(path, directory.path().join(name)).expect("a copy");
    }
    let migrator = sqlx::migrate::Migrator::new(directory.path()).await;
    let migrated = migrator.expect("migrations").run(&database.0).await;
    migrated.expect("it migrates");
}

#[tokio::test]
async fn an_upgrade_from_every_earlier_schema_keeps_tenants_keys_and_topics() {
    let last = migrations("sqlite").len();
    for count in 1..last {
        for engine in ["sqlite", "postgres"] {
            upgrade_from(engine, count).await;
        }
    }
}

async fn upgrade_from(engine: &str, count: usize) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("m.db");
    let url = match engine {
        "sqlite" => format!("sqlite://{}?mode=rwc", file.display()),
        _ => Postgres::shared().empty_database(&format!("upgrade_from_{count}")),
    };
    let database = Database::open(&url).await;
    migrate(&database, engine, count).await;
    let (id, secret) = ("0123456789abcdef", "5".repeat(64));
    let digest: String = sha2::Sha256::digest(secret.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    // Of "the first password", with parameters that are quick to check.
    let password =
        "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0$06Gv9V3LJbQ3P/R0L5tPNTVD6pzeSDPAJbvfr4iJ504";
    for sql in [
        "INSERT INTO organizations (id, name, created_at) VALUES ('acme', 'Acme', 1)".to_owned(),
        format!(
            "INSERT INTO projects (id, organization_id, name, cursor_secret, created_at) \
             VALUES ('acme-main', 'acme', 'Main', '{digest}', 2)"
        ),
        format!(
            "INSERT INTO users (email, password_hash, created_at) \
             VALUES ('ada@example.com', '{password}', 3)"
        ),
        format!(
            "INSERT INTO api_keys (id, project_id, name, secret_sha256, created_by, created_at) \
             VALUES ('{id}', 'acme-main', 'k', '{digest}', 'ada@example.com', 4)"
        ),
        format!(
            "INSERT INTO topics (id, project_id, name, partitions, replication_factor, config, \
             description, version, created_at) \
             VALUES ('{}', 'acme-main', 'orders', 2, 1, '{{}}', 'Old', 7, 5)",
            "a".repeat(32)
        ),
        format!(
            "INSERT INTO topics (id, project_id, name, partitions, replication_factor, config, \
             description, version, created_at, deleted_at) \
             VALUES ('{}', 'acme-main', 'dead', 2, 1, '{{}}', 'Old', 7, 5, 6)",
            "d".repeat(32)
        ),
    ] {
        database.run(&sql).await;
    }
    if count >= 2 {
        let sql = "INSERT INTO memberships (organization_id, email, role, created_at) \
                   VALUES ('acme', 'ada@example.com', 'owner', 4)";
        database.run(sql).await;
    }
    if count >= 3 {
        // Until then every user was one.
        database.run("UPDATE users SET operator = 1").await;
    }
    database.0.close().await;
    let server = Server::start_on(&url).await;
    let key = format!("hw_{id}_{secret}");
    let base = format!("{}/v1/projects/acme-main", server.root());
    let api = Api::new(server.root(), base, key);
    let topic = api.get("/topics/orders").await.expect(200).json();
    assert_eq!(topic["description"], "Old");
    assert_eq!(topic["partitions"], 2);
    api.produce("/topics/orders", r#"{"records":[{"value":1}]}"#)
        .await;
    // Whoever had the data all the time has the partitions.
    let partitions = api.get("/topics/orders/partitions").await.expect(200);
    for partition in partitions.json()["partitions"].as_array().expect("some") {
        assert_eq!(partition["leader"], 1, "{partition}");
        assert_eq!(partition["epoch"], 1, "{partition}");
        assert_eq!(partition["replicas"], serde_json::json!([1]), "{partition}");
        assert_eq!(partition["in_sync"], serde_json::json!([1]), "{partition}");
    }
    let database = Database::open(&url).await;
    assert_eq!(database.text("SELECT name FROM topics").await, ["orders"]);
    let rows = "SELECT CAST(COUNT(*) AS TEXT) FROM partitions";
    assert_eq!(database.text(rows).await, ["2"]);
    let ada = sign_in(&api, "ada@example.com", "the first password").await;
    let me = ada.api.see("/me").await;
    assert_eq!(me["organizations"][0]["role"], "owner", "{me}");
    assert_eq!(me["operator"], true, "{me}");
}
