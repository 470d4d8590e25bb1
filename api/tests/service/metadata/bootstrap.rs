//! `headwater admin bootstrap`

use std::process::Command;

use super::{Database, both, client};
use crate::harness::BINARY;
use crate::postgres::{Postgres, dump};

#[tokio::test]
async fn bootstrap_beside_a_running_service_makes_a_tenant_that_works_at_once() {
    for server in both().await {
        let made = server
            .bootstrap("acme", "acme-main", "ada@example.com")
            .await;
        assert!(
            made["password"]
                .as_str()
                .is_some_and(|text| text.len() >= 20)
        );
        let api = client(&server, &made).await;
        api.topic("orders", 2).await;
        api.produce("/topics/orders", r#"{"records":[{"value":1}]}"#)
            .await;

        let again = server
            .bootstrap("acme", "acme-main", "ada@example.com")
            .await;
        assert!(
            again["password"].is_null(),
            "a known user keeps their password"
        );
        assert_ne!(again["api_key"], made["api_key"]);
        client(&server, &again)
            .await
            .get("/topics/orders")
            .await
            .expect(200);
        api.get("/topics/orders").await.expect(200);

        let other = server
            .bootstrap("acme", "acme-main", "Grace@Example.com")
            .await;
        assert_eq!(other["email"], "grace@example.com");
        assert!(other["password"].is_string());
        let database = Database::of(&server).await;
        let owners = database
            .text("SELECT email FROM memberships WHERE organization_id = 'acme' AND role = 'owner' ORDER BY email")
            .await;
        assert_eq!(owners, ["ada@example.com", "grace@example.com"]);
    }
}

#[tokio::test]
async fn a_project_of_another_organization_is_not_handed_over() {
    let server = crate::harness::Server::start().await;
    let output = Command::new(BINARY)
        .args(["admin", "bootstrap", "--database", &server.database()])
        .args([
            "--org",
            "thief",
            "--project",
            "demo",
            "--email",
            "thief@example.com",
        ])
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another organization"));
    let database = Database::of(&server).await;
    let organizations = database.text("SELECT id FROM organizations").await;
    assert_eq!(organizations, ["demo"], "nothing is left of it");
}

#[test]
fn bad_arguments_end_with_one_clear_line() {
    let good = [
        ("--database", "sqlite:///tmp/never-made.db"),
        ("--org", "acme"),
        ("--project", "acme-main"),
        ("--email", "ada@example.com"),
    ];
    for (name, bad) in [
        ("--database", "mysql://localhost/x"),
        ("--org", "A"),
        ("--org", "-acme"),
        ("--project", "a b"),
        ("--project", ""),
        ("--email", "nobody"),
        ("--email", "a b@example.com"),
        ("--email", "@example.com"),
    ] {
        let mut command = Command::new(BINARY);
        command.args(["admin", "bootstrap"]);
        for (flag, value) in good {
            command.args([flag, if flag == name { bad } else { value }]);
        }
        let output = command.output().expect("it starts");
        let expected = if name == "--database" { 4 } else { 2 };
        assert_eq!(output.status.code(), Some(expected), "{name} {bad}");
        assert!(!output.stderr.is_empty() && output.stdout.is_empty());
    }
}

#[tokio::test]
async fn four_processes_migrate_one_fresh_database_at_once() {
    let database = Postgres::shared().empty_database("fresh_for_four");
    let children: Vec<_> = (0..4)
        .map(|n| {
            Command::new(BINARY)
                .args(["admin", "bootstrap", "--database", &database])
                .args(["--org", "acme", "--project", "acme-main"])
                .args(["--email", &format!("user{n}@example.com")])
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .expect("it starts")
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{output:?}");
    }
    let owners = Database::open(&database)
        .await
        .text("SELECT email FROM memberships")
        .await;
    assert_eq!(owners.len(), 4);
}

#[tokio::test]
async fn a_copy_of_the_database_opens_nothing() {
    for server in both().await {
        let made = server
            .bootstrap("acme", "acme-main", "ada@example.com")
            .await;
        client(&server, &made).await;
        let mut copy = if server.database().starts_with("postgres:") {
            dump(&server.database())
        } else {
            let mut bytes = Vec::new();
            for name in ["metadata.db", "metadata.db-wal"] {
                bytes.extend(std::fs::read(server.data_dir().join(name)).unwrap_or_default());
            }
            bytes
        };
        copy.extend(server.log().bytes());
        let copy = String::from_utf8_lossy(&copy);
        assert!(
            copy.contains("acme-main"),
            "it is a copy of the right database"
        );
        let key = made["api_key"].as_str().expect("a key");
        let secret = key.rsplit('_').next().expect("a secret");
        let password = made["password"].as_str().expect("a password");
        assert!(!copy.contains(secret) && !copy.contains(password));
    }
}
