//! `headwater admin bootstrap`: the way in, as often as one likes, on either engine.

use std::process::Output;

use serde_json::{Value, json};

use super::people::{Engine, Tenant, on_both_engines, sign_in, takes_effect};
use crate::client::Api;
use crate::harness::{Server, admin, unique};
use crate::postgres::Postgres;

on_both_engines!(
    a_tenant_is_made_beside_the_running_server,
    a_second_run_changes_nothing,
    another_address_becomes_an_owner,
    one_address_may_own_several,
);

/// The client that a bootstrap's answer makes.
fn client(server: &Server, made: &Value) -> Api {
    let key = made["api_key"].as_str().expect("a key");
    let base = made["base_path"].as_str().expect("base_path");
    let mut api = Api::stranger(server.root()).with_key(key);
    api.base = format!("{}{base}", server.root());
    api
}

async fn a_tenant_is_made_beside_the_running_server(engine: Engine) {
    let server = engine.shared().await;
    let (organization, project) = (unique("beside"), unique("beside-project"));
    let email = format!("{organization}@example.com");
    let made = server.bootstrap(&organization, &project, &email).await;
    assert_eq!(
        (&made["organization"], &made["project"], &made["email"]),
        (&json!(organization), &json!(project), &json!(email))
    );
    let api = client(server, &made);
    assert!(
        api.base.ends_with(&format!("/v1/projects/{project}")),
        "{}",
        api.base
    );
    takes_effect("a tenant made beside the server", async || {
        api.get("/topics").await.status == 200
    })
    .await;
    let path = api.topic("first", 1).await;
    api.produce(&path, r#"{"records":[{"value":1}]}"#).await;
    let person = sign_in(&api, &email, made["password"].as_str().expect("a password")).await;
    let me = person.api.see("/me").await;
    assert_eq!(me["operator"], true);
    assert_eq!(me["organizations"][0]["role"], "owner");
}

async fn a_second_run_changes_nothing(engine: Engine) {
    let server = engine.shared().await;
    let (organization, project) = (unique("twice"), unique("twice-project"));
    let email = format!("{organization}@example.com");
    let first = server.bootstrap(&organization, &project, &email).await;
    let api = client(server, &first);
    takes_effect("the first run", async || {
        api.get("/topics").await.status == 200
    })
    .await;
    let person = sign_in(
        &api,
        &email,
        first["password"].as_str().expect("a password"),
    )
    .await;
    let second = server.bootstrap(&organization, &project, &email).await;
    assert_eq!(
        second["password"],
        Value::Null,
        "an account keeps its password"
    );
    assert_eq!(second["organization"], first["organization"]);
    api.get("/topics").await.expect(200);
    person.api.get("/topics").await.expect(200);
    sign_in(&api, &email, &person.password).await;
    let projects = person
        .api
        .see(&format!("/organizations/{organization}/projects"))
        .await;
    assert_eq!(projects["projects"].as_array().map(Vec::len), Some(1));
    if second["api_key"].is_string() {
        let again = client(server, &second);
        takes_effect("the second key", async || {
            again.get("/topics").await.status == 200
        })
        .await;
    }
}

async fn another_address_becomes_an_owner(engine: Engine) {
    let server = engine.shared().await;
    let tenant = Tenant::on(server).await;
    let email = format!("{}@example.com", unique("second-owner"));
    let made = server
        .bootstrap(&tenant.organization, &tenant.project, &email)
        .await;
    let person = sign_in(
        &tenant.key,
        &email,
        made["password"].as_str().expect("a password"),
    )
    .await;
    takes_effect("the second owner", async || {
        let path = tenant.path("");
        person.api.manage("GET", &path, Value::Null).await.status == 200
    })
    .await;
    assert_eq!(person.api.see(&tenant.path("")).await["role"], "owner");
    let members = tenant.owner.api.see(&tenant.path("/members")).await;
    assert_eq!(members["members"].as_array().map(Vec::len), Some(2));
}

async fn one_address_may_own_several(engine: Engine) {
    let server = engine.shared().await;
    let tenant = Tenant::on(server).await;
    let second = unique("several");
    let made = server
        .bootstrap(&second, &unique("several-project"), &tenant.owner.email)
        .await;
    assert_eq!(made["password"], Value::Null);
    let api = client(server, &made);
    takes_effect("the second organization", async || {
        api.get("/topics").await.status == 200
    })
    .await;
    let mine = tenant.owner.api.see("/organizations").await;
    assert_eq!(
        mine["organizations"].as_array().map(Vec::len),
        Some(2),
        "{mine}"
    );
    // A project of another organization is not taken over.
    let database = server.database();
    let output = admin(&[
        "bootstrap",
        "--database",
        &database,
        "--org",
        &second,
        "--project",
        &tenant.project,
        "--email",
        &tenant.owner.email,
    ]);
    is_refused(&output, "a project of another organization");
    tenant.key.get("/topics").await.expect(200);
}

/// Exit code 2 and one line that says why (and where the help is), without a word on standard
/// output.
#[track_caller]
pub fn is_refused(output: &Output, what: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.replace("For more information, try '--help'.", "");
    assert_eq!(output.status.code(), Some(2), "{what}: {said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{what}: {said}");
    assert!(
        said.trim().len() > 10 && !said.contains("panicked"),
        "{what}: {said}"
    );
    assert!(output.stdout.is_empty(), "{what}");
}

#[test]
fn bad_input_is_refused_in_one_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let good = format!(
        "sqlite://{}",
        directory.path().join("metadata.db").display()
    );
    let run = |database: &str, organization: &str, project: &str, email: &str| {
        admin(&[
            "bootstrap",
            "--database",
            database,
            "--org",
            organization,
            "--project",
            project,
            "--email",
            email,
        ])
    };
    is_refused(
        &run(&good, "Bad Org", "project", "a@example.com"),
        "an organization's id",
    );
    is_refused(&run(&good, "or", "project", "a@example.com"), "a short id");
    is_refused(
        &run(&good, "org", "1project", "a@example.com"),
        "a project's id",
    );
    is_refused(&run(&good, "org", "project", "no address"), "an address");
    is_refused(&run(&good, "org", "project", ""), "no address");
    is_refused(
        &run("mysql://127.0.0.1/x", "org", "project", "a@example.com"),
        "another engine",
    );
    is_refused(
        &run("nonsense", "org", "project", "a@example.com"),
        "no URL",
    );
    assert!(
        !directory.path().join("metadata.db").exists(),
        "nothing was made"
    );
    assert!(
        run(&good, "org", "project", "a@example.com")
            .status
            .success()
    );
}

#[test]
fn a_database_that_cannot_be_reached_is_said_so() {
    let started = std::time::Instant::now();
    let output = admin(&[
        "bootstrap",
        "--database",
        "postgres://nobody@127.0.0.1:1/none",
        "--org",
        "org",
        "--project",
        "project",
        "--email",
        "a@example.com",
    ]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(started.elapsed().as_secs() < 60, "in bounded time");
}

/// Several nodes of a new cluster may be set up at once.
#[test]
fn an_empty_database_is_migrated_by_whoever_comes_first() {
    let url = Postgres::shared().empty_database("bootstrapped_by_many");
    let runs: Vec<_> = (0..4)
        .map(|n| {
            let url = url.clone();
            std::thread::spawn(move || {
                admin(&[
                    "bootstrap",
                    "--database",
                    &url,
                    "--org",
                    "together",
                    "--project",
                    "together",
                    "--email",
                    &format!("person-{n}@example.com"),
                ])
            })
        })
        .collect();
    for run in runs {
        let output = run.join().expect("a run");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
