//! Projects: what is in one ends with it, at once, also for those who are reading.

use std::time::Instant;

use serde_json::{Value, json};

use super::people::{Engine, Tenant, everything, in_time, make_key, on_both_engines, takes_effect};
use crate::client::reply;
use crate::harness::{soon, unique};
use crate::lines::Lines;

on_both_engines!(
    a_project_is_made_named_and_listed,
    an_id_is_unique_in_the_service,
    deletion_ends_the_tails_that_are_open,
    the_id_of_a_deleted_project_brings_nothing_back,
);

async fn a_project_is_made_named_and_listed(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let api = &tenant.owner.api;
    let id = unique("named");
    let body = json!({"id": id, "name": "Named"});
    let made = api
        .manage("POST", &tenant.path("/projects"), body)
        .await
        .expect(201)
        .json();
    assert_eq!(
        (&made["id"], &made["name"], &made["organization"]),
        (&json!(id), &json!("Named"), &json!(tenant.organization))
    );
    let path = format!("/projects/{id}");
    let read = api.manage("GET", &path, Value::Null).await.expect(200);
    assert_eq!(read.json(), made);
    let tag = read.header("etag").expect("an ETag").to_owned();
    let renamed = api
        .managing("PATCH", &path, json!({"name": "New"}))
        .header("if-match", &tag);
    assert_eq!(reply(renamed).await.expect(200).json()["name"], "New");
    let stale = api
        .managing("DELETE", &path, Value::Null)
        .header("if-match", &tag);
    reply(stale).await.problem(412, "precondition_failed");
    let listed = api.see(&tenant.path("/projects")).await;
    let ids: Vec<_> = listed["projects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].clone())
        .collect();
    let mut expected = vec![json!(id), json!(tenant.project)];
    expected.sort_by_key(|id| id.as_str().unwrap().to_owned());
    assert_eq!(ids, expected);
    // Members of every role work in it at once.
    let developer = tenant.person("developer").await;
    developer.api.in_project(&id).topic("t", 1).await;
    api.manage("DELETE", &format!("{path}?dry_run=true"), Value::Null)
        .await
        .expect(204);
    developer
        .api
        .in_project(&id)
        .get("/topics/t")
        .await
        .expect(200);
}

async fn an_id_is_unique_in_the_service(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let other = Tenant::new(engine).await;
    let body = json!({"id": tenant.project});
    let taken = other
        .owner
        .api
        .manage("POST", &other.path("/projects"), body.clone())
        .await;
    let problem = taken.problem(409, "already_exists");
    assert!(
        !problem.to_string().contains(&tenant.organization),
        "whose it is stays unsaid: {problem}"
    );
    let dry = other.path("/projects?dry_run=true");
    other
        .owner
        .api
        .manage("POST", &dry, body)
        .await
        .problem(409, "already_exists");
}

async fn deletion_ends_the_tails_that_are_open(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let project = tenant.another_project().await;
    let owner = tenant.owner.api.in_project(&project);
    let key = make_key(&owner, &format!("/projects/{project}/keys/k"), everything()).await;
    let path = key.topic("followed", 1).await;
    let mut tails = Vec::new();
    for api in [&owner, &key] {
        for call in ["tail", "tail.ndjson"] {
            tails.push(Lines::open(api, &format!("{path}/{call}?from=earliest")).await);
        }
    }
    key.produce(&path, r#"{"records":[{"value":"seen"}]}"#)
        .await;
    for tail in &mut tails {
        while !tail.next().await.expect("it goes on").contains("seen") {}
    }
    let poll = tokio::spawn({
        let (key, url) = (
            key.clone(),
            format!("{path}/records?from=latest&wait_ms=60000"),
        );
        async move { key.get(&url).await }
    });
    let started = Instant::now();
    owner
        .manage("DELETE", &format!("/projects/{project}"), Value::Null)
        .await
        .expect(204);
    for tail in &mut tails {
        soon("the tail ends", async {
            while let Ok(Some(_)) = tail.try_next().await {}
        })
        .await;
    }
    in_time("four tails of a deleted project", started);
    let answer = soon("the waiting poll is answered", poll).await.unwrap();
    in_time("a waiting poll of a deleted project", started);
    assert!(
        answer.status >= 400 || answer.rows().is_empty(),
        "{}",
        answer.text
    );
    takes_effect("the deleted project's key", async || {
        key.get("/topics").await.status == 401
    })
    .await;
    takes_effect("the deleted project", async || {
        owner.get("/topics").await.status == 404
    })
    .await;
}

async fn the_id_of_a_deleted_project_brings_nothing_back(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let other = Tenant::new(engine).await;
    let project = tenant.another_project().await;
    let owner = tenant.owner.api.in_project(&project);
    let keys = format!("/projects/{project}/keys/k");
    let old_key = make_key(&owner, &keys, everything()).await;
    let path = old_key.topic("same", 1).await;
    old_key
        .produce(&path, r#"{"records":[{"value":"of the first"}]}"#)
        .await;
    let cursor = old_key
        .get(&format!("{path}/records"))
        .await
        .json_member("cursor");
    owner
        .manage("DELETE", &format!("/projects/{project}"), Value::Null)
        .await
        .expect(204);

    // A deleted id stays taken, or starts empty; it never hands on what was there.
    let body = json!({"id": project});
    let again = other
        .owner
        .api
        .manage("POST", &other.path("/projects"), body)
        .await;
    if again.status == 409 {
        again.problem(409, "already_exists");
        other
            .owner
            .api
            .in_project(&project)
            .get("/topics")
            .await
            .problem(404, "not_found");
        takes_effect("the old owner sees it gone", async || {
            owner.get("/topics").await.status == 404
        })
        .await;
        return;
    }
    again.expect(201);
    let new_owner = other.owner.api.in_project(&project);
    takes_effect("the new owner is in", async || {
        new_owner.get("/topics").await.status == 200
    })
    .await;
    assert_eq!(new_owner.get("/topics").await.json()["topics"], json!([]));
    assert_eq!(
        new_owner.see(&format!("/projects/{project}/keys")).await["keys"],
        json!([])
    );
    new_owner.topic("same", 1).await;
    assert!(new_owner.read_by_cursor(&path).await.is_empty());
    let stale = new_owner
        .get(&format!("{path}/records?cursor={cursor}"))
        .await;
    stale.problem(400, "invalid_cursor");
    old_key.get("/topics").await.problem(401, "unauthenticated");
    owner.get("/topics").await.problem(404, "not_found");
    let usage = new_owner.see(&format!("/projects/{project}/usage")).await;
    assert!(!usage.to_string().contains("\"records_in\":1"), "{usage}");
}
