//! Migrations: both engines end alike, and what was there before stays.

use std::path::Path;

use super::Database;
use crate::harness::{Server, bootstrap_on, repository};
use crate::postgres::Postgres;

/// Every table and column but sqlx's own.
async fn columns(database: &Database, sqlite: bool) -> Vec<String> {
    let sql = if sqlite {
        "SELECT m.name || '.' || c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c \
         WHERE m.type = 'table' AND m.name NOT LIKE '\\_sqlx%' ESCAPE '\\' \
         AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY 1"
    } else {
        "SELECT CAST(table_name || '.' || column_name AS TEXT) FROM information_schema.columns \
         WHERE table_schema = 'public' AND table_name NOT LIKE '\\_sqlx%' ORDER BY 1"
    };
    let mut columns = database.text(sql).await;
    columns.sort();
    columns
}

#[tokio::test]
async fn both_engines_end_with_the_same_tables() {
    let directory = tempfile::tempdir().expect("a directory");
    let sqlite = format!("sqlite://{}", directory.path().join("m.db").display());
    bootstrap_on(&sqlite, "acme", "acme-main", "ada@example.com").await;
    let on_sqlite = columns(&Database::open(&sqlite).await, true).await;
    let postgres = Postgres::shared().database();
    let on_postgres = columns(&Database::open(&postgres).await, false).await;
    assert_eq!(on_sqlite, on_postgres);
    for expected in [
        "api_keys.scopes",
        "memberships.role",
        "changes.number",
        "topics.config",
    ] {
        assert!(
            on_sqlite.iter().any(|column| column == expected),
            "{expected}"
        );
    }
}

#[test]
fn migrations_are_paired_by_number_and_name() {
    let names = |engine: &str| {
        let folder = repository().join("migrations").join(engine);
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("sqlite"), names("postgres"));
}

/// The schema as the first release had it, with sqlx's note of it.
async fn first_release(database: &Database, engine: &str) {
    let file = repository()
        .join("migrations")
        .join(engine)
        .join("0001_tenants_and_topics.sql");
    let directory = tempfile::tempdir().expect("a directory");
    let name = Path::new(&file).file_name().expect("a name");
    std::fs::copy(&file, directory.path().join(name)).expect("a copy");
    let migrator = sqlx::migrate::Migrator::new(directory.path()).await;
    let migrated = migrator.expect("a migration").run(&database.0).await;
    migrated.expect("it migrates");
}

#[tokio::test]
async fn an_upgrade_keeps_tenants_keys_and_topics() {
    let directory = tempfile::tempdir().expect("a directory");
    let sqlite = format!(
        "sqlite://{}?mode=rwc",
        directory.path().join("m.db").display()
    );
    let postgres = Postgres::shared().empty_database("first_release");
    for (engine, url) in [("sqlite", sqlite), ("postgres", postgres)] {
        let database = Database::open(&url).await;
        first_release(&database, engine).await;
        let (id, secret) = ("0123456789abcdef", "5".repeat(64));
        use sha2::Digest;
        let digest: String = sha2::Sha256::digest(secret.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        for sql in [
            "INSERT INTO organizations VALUES ('acme', 'Acme', 1)".to_owned(),
            format!("INSERT INTO projects VALUES ('acme-main', 'acme', 'Main', '{digest}', 2)"),
            "INSERT INTO users VALUES ('ada@example.com', 'x', 3)".to_owned(),
            format!(
                "INSERT INTO api_keys VALUES \
                 ('{id}', 'acme-main', 'k', '{digest}', 'ada@example.com', 4, NULL)"
            ),
            format!(
                "INSERT INTO topics VALUES \
                 ('{}', 'acme-main', 'orders', 2, 1, '{{}}', 'Old', 7, 5, NULL)",
                "a".repeat(32)
            ),
        ] {
            database.run(&sql).await;
        }
        database.0.close().await;
        let server = Server::start_on(&url).await;
        let key = format!("hw_{id}_{secret}");
        let base = format!("{}/v1/projects/acme-main", server.root());
        let api = crate::client::Api::new(server.root(), base, key);
        let topic = api.get("/topics/orders").await.expect(200).json();
        assert_eq!(topic["description"], "Old");
        assert_eq!(topic["partitions"], 2);
        api.produce("/topics/orders", r#"{"records":[{"value":1}]}"#)
            .await;
        let roles = Database::of(&server)
            .await
            .text("SELECT role FROM memberships")
            .await;
        assert_eq!(roles, ["owner"]);
    }
}
