//! Organizations: made by people, found by their members alone, gone with all they held.

use serde_json::{Value, json};

use super::people::{Engine, Tenant, on_both_engines, takes_effect};
use crate::client::reply;
use crate::harness::unique;

on_both_engines!(
    whoever_creates_one_owns_it,
    an_id_is_taken_for_ever,
    names_change_under_etags,
    deletion_takes_everything,
    bad_ids_are_refused,
    issuers_are_kept_and_changed,
);

async fn whoever_creates_one_owns_it(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let person = tenant.person("viewer").await;
    let id = unique("founded");
    let body = json!({"id": id, "name": "Founded"});
    let made = person
        .api
        .manage("POST", "/organizations", body)
        .await
        .expect(201);
    assert!(made.header("etag").is_some());
    let made = made.json();
    assert_eq!(
        (&made["id"], &made["name"], &made["role"]),
        (&json!(id), &json!("Founded"), &json!("owner"))
    );
    let _: jiff::Timestamp = made["created_at"]
        .as_str()
        .unwrap()
        .parse()
        .expect("RFC 3339");
    assert_eq!(person.api.see(&format!("/organizations/{id}")).await, made);
    let listed = person.api.see("/organizations").await;
    assert_eq!(listed["organizations"].as_array().map(Vec::len), Some(2));
    // The owner of the other organization has no part in it.
    let answer = tenant
        .owner
        .api
        .manage("GET", &format!("/organizations/{id}"), Value::Null)
        .await;
    answer.problem(404, "not_found");
    let theirs = tenant.owner.api.see("/organizations").await;
    assert!(!theirs.to_string().contains(&id), "{theirs}");
    let key = tenant
        .key
        .manage("POST", "/organizations", json!({"id": unique("by-key")}))
        .await;
    key.problem(403, "forbidden");
}

async fn an_id_is_taken_for_ever(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let other = Tenant::new(engine).await;
    let again = async || {
        let body = json!({"id": tenant.organization, "name": "Mine now"});
        other
            .owner
            .api
            .manage("POST", "/organizations", body)
            .await
            .problem(409, "already_exists")
    };
    again().await;
    tenant
        .owner
        .api
        .manage("DELETE", &tenant.path(""), Value::Null)
        .await
        .expect(204);
    again().await;
    let body = json!({"id": unique("raced")});
    let (a, b) = tokio::join!(
        tenant
            .owner
            .api
            .manage("POST", "/organizations", body.clone()),
        other.owner.api.manage("POST", "/organizations", body),
    );
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
}

async fn names_change_under_etags(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let path = tenant.path("");
    let api = &tenant.owner.api;
    let read = api.manage("GET", &path, Value::Null).await.expect(200);
    let tag = read.header("etag").expect("an ETag").to_owned();
    let patch = async |tag: &str, body: Value| {
        reply(api.managing("PATCH", &path, body).header("if-match", tag)).await
    };
    let changed = patch(&tag, json!({"name": "First"})).await.expect(200);
    assert_eq!(changed.json()["name"], "First");
    patch(&tag, json!({"name": "Second"}))
        .await
        .problem(412, "precondition_failed");
    patch("*", json!({"name": "Third"})).await.expect(200);
    assert_eq!(api.see(&path).await["name"], "Third");
    let dry = api
        .manage(
            "PATCH",
            &format!("{path}?dry_run=true"),
            json!({"name": "Fourth"}),
        )
        .await
        .expect(200);
    assert_eq!(dry.json()["name"], "Fourth");
    assert_eq!(api.see(&path).await["name"], "Third");
    for body in [
        json!({"name": 1}),
        json!({"id": "other"}),
        json!({"name": "x".repeat(10_000)}),
    ] {
        let answer = api.manage("PATCH", &path, body).await;
        assert!([400, 422].contains(&answer.status), "{}", answer.text);
        answer.any_problem();
    }
    let too_large = json!({"name": "x".repeat(80 * 1024)});
    api.manage("PATCH", &path, too_large)
        .await
        .any_problem_of(413);
}

async fn deletion_takes_everything(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let person = tenant.person("developer").await;
    let path = tenant.key.topic("gone", 1).await;
    tenant
        .key
        .produce(&path, r#"{"records":[{"value":1}]}"#)
        .await;
    let dry = tenant.path("?dry_run=true");
    tenant
        .owner
        .api
        .manage("DELETE", &dry, Value::Null)
        .await
        .expect(204);
    tenant.key.get(&path).await.expect(200);
    tenant
        .owner
        .api
        .manage("DELETE", &tenant.path(""), Value::Null)
        .await
        .expect(204);
    takes_effect("a deleted organization's key", async || {
        tenant.key.get(&path).await.status == 401
    })
    .await;
    takes_effect("a deleted organization's project", async || {
        person.api.get(&path).await.status == 404
    })
    .await;
    for api in [&tenant.owner.api, &person.api] {
        for path in [
            tenant.path(""),
            tenant.path("/members"),
            tenant.path("/projects"),
            tenant.in_project(""),
        ] {
            api.manage("GET", &path, Value::Null)
                .await
                .problem(404, "not_found");
        }
        assert_eq!(api.see("/organizations").await["organizations"], json!([]));
    }
}

async fn bad_ids_are_refused(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let long = "a".repeat(64);
    for id in [
        "", "ab", "1abc", "Abc", "a_b", "a b", "ä-org", "-abc", &long, "a/b", "a.b",
    ] {
        let body = json!({"id": id, "name": "X"});
        let answer = tenant
            .owner
            .api
            .manage("POST", "/organizations", body.clone())
            .await;
        let problem = answer.any_problem_of(400);
        assert_eq!(problem["errors"][0]["pointer"], "/id", "{id}");
        let answer = tenant
            .owner
            .api
            .manage("POST", &tenant.path("/projects"), body)
            .await;
        assert_eq!(
            answer.any_problem_of(400)["errors"][0]["pointer"],
            "/id",
            "{id}"
        );
    }
    for body in [
        json!({}),
        json!([]),
        json!({"id": 1}),
        json!({"id": "good-id", "role": "owner"}),
    ] {
        tenant
            .owner
            .api
            .manage("POST", "/organizations", body)
            .await
            .any_problem_of(400);
    }
}

async fn issuers_are_kept_and_changed(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let api = &tenant.owner.api;
    let path = tenant.path("/issuers/provider");
    let issuer = |role: &str| {
        json!({
            "issuer": "https://login.example.com", "audience": "headwater",
            "rules": [{"claim": "groups", "value": "data", "role": role}],
        })
    };
    let made = api.manage("PUT", &path, issuer("viewer")).await.expect(201);
    assert_eq!(made.json()["rules"], issuer("viewer")["rules"]);
    api.manage("PUT", &path, issuer("viewer")).await.expect(200);
    let changed = api
        .manage("PUT", &path, issuer("developer"))
        .await
        .expect(200);
    assert_eq!(changed.json()["rules"][0]["role"], "developer");
    let tag = made.header("etag").expect("an ETag");
    let stale = reply(
        api.managing("PUT", &path, issuer("admin"))
            .header("if-match", tag),
    )
    .await;
    stale.problem(412, "precondition_failed");
    let listed = api.see(&tenant.path("/issuers")).await;
    assert_eq!(listed["issuers"].as_array().map(Vec::len), Some(1));
    for bad in [
        json!({}),
        json!({"issuer": "not a url", "audience": "x", "rules": []}),
    ] {
        let answer = api.manage("PUT", &path, bad).await;
        assert!([400, 422].contains(&answer.status), "{}", answer.text);
    }
    if engine == Engine::Postgres {
        for url in [
            "http://login.example.com",
            "https://127.0.0.1",
            "https://10.0.0.1",
            "https://localhost",
            "https://[::1]",
        ] {
            let mut body = issuer("viewer");
            body["issuer"] = json!(url);
            let answer = api
                .manage("PUT", &tenant.path("/issuers/private"), body)
                .await;
            assert_eq!(answer.status, 422, "{url}: {}", answer.text);
            answer.any_problem();
        }
    }
    api.manage("DELETE", &path, Value::Null).await.expect(204);
    api.manage("GET", &path, Value::Null)
        .await
        .problem(404, "not_found");
}
