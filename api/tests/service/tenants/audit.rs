//! The audit log: every change once, by whom, to what, from where; every refusal where it belongs.

use serde_json::{Value, json};

use super::people::{Engine, Tenant, everything, on_both_engines};
use crate::client::{Api, reply};
use crate::harness::{eventually, unique};

on_both_engines!(
    every_change_is_written_down_once,
    refusals_stand_with_the_caller,
    events_are_filtered_and_paged,
    reads_and_records_are_no_events,
    the_log_is_for_owners_and_admins,
);

/// All events that a query finds, newest first.
async fn events(api: &Api, tenant: &Tenant, query: &str) -> Vec<Value> {
    let path = tenant.path(&format!("/audit-events?page_size=1000{query}"));
    let found = api.see(&path).await;
    found["events"].as_array().expect("events").clone()
}

/// Sends a call under a request id and returns the id and the status.
async fn under_an_id(api: &Api, method: &str, path: &str, body: Value) -> (String, u16) {
    let id = unique("audited-request");
    let request = api.managing(method, path, body).header("x-request-id", &id);
    (id, reply(request).await.status)
}

async fn every_change_is_written_down_once(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let api = &tenant.owner.api;
    let developer = tenant.person("developer").await;
    let project = unique("audited");
    let invited = format!("{}@example.com", unique("audited"));
    let scopes = json!({"scopes": everything()});
    let issuer = json!({"issuer": "https://issuer.example.com", "audience": "x", "rules": []});
    let in_new = |rest: &str| format!("/projects/{project}{rest}");
    let member = tenant.path(&format!("/members/{}", developer.email));
    let mut made = Vec::new();
    // What each is about must be recognizable in `target`.
    for (method, path, body, about) in [
        (
            "PATCH",
            tenant.path(""),
            json!({"name": "Audited"}),
            tenant.organization.as_str(),
        ),
        (
            "POST",
            tenant.path("/projects"),
            json!({"id": project}),
            project.as_str(),
        ),
        ("PATCH", in_new(""), json!({"name": "New"}), &project),
        ("PUT", in_new("/keys/written"), scopes.clone(), "written"),
        (
            "PUT",
            in_new("/keys/written"),
            json!({"scopes": [{"operations": ["fetch"], "topic": "*"}]}),
            "written",
        ),
        (
            "POST",
            in_new("/keys/written/rotate"),
            Value::Null,
            "written",
        ),
        (
            "PUT",
            in_new("/topics/noted"),
            json!({"partitions": 1}),
            "noted",
        ),
        (
            "PATCH",
            in_new("/topics/noted"),
            json!({"partitions": 2}),
            "noted",
        ),
        ("DELETE", in_new("/topics/noted"), Value::Null, "noted"),
        ("DELETE", in_new("/keys/written"), Value::Null, "written"),
        (
            "PUT",
            member.clone(),
            json!({"role": "viewer"}),
            &developer.email,
        ),
        (
            "PUT",
            tenant.path(&format!("/members/{invited}")),
            json!({"role": "viewer"}),
            &invited,
        ),
        (
            "DELETE",
            tenant.path(&format!("/members/{invited}")),
            Value::Null,
            &invited,
        ),
        ("PUT", tenant.path("/issuers/audited"), issuer, "audited"),
        (
            "DELETE",
            tenant.path("/issuers/audited"),
            Value::Null,
            "audited",
        ),
        (
            "PATCH",
            tenant.path("/quotas"),
            json!({"tails": 100}),
            &tenant.organization,
        ),
        ("PATCH", in_new("/quotas"), json!({"tails": 50}), &project),
        ("DELETE", in_new(""), Value::Null, &project),
        ("DELETE", member, Value::Null, &developer.email),
    ] {
        let (id, status) = under_an_id(api, method, &path, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status}");
        made.push((id, format!("{method} {path}"), about.to_owned()));
    }
    let seen = events(api, &tenant, "").await;
    let mut actions = Vec::new();
    for (id, what, about) in &made {
        let found: Vec<_> = seen
            .iter()
            .filter(|event| event["request_id"] == **id)
            .collect();
        assert_eq!(found.len(), 1, "{what}: {found:?}");
        let event = found[0];
        assert_eq!(
            (&event["actor"], &event["outcome"]),
            (&json!(tenant.owner.email), &json!("allowed")),
            "{what}"
        );
        assert!(
            event["target"]
                .as_str()
                .is_some_and(|target| target.contains(about)),
            "{what}: {event}"
        );
        assert!(
            event["source_ip"]
                .as_str()
                .is_some_and(|ip| ip.starts_with("127.")),
            "{event}"
        );
        let _: jiff::Timestamp = event["time"].as_str().unwrap().parse().expect("RFC 3339");
        actions.push(event["action"].as_str().unwrap().to_owned());
    }
    // The same call has the same action, another call another.
    assert_eq!(
        (&actions[3], &actions[6]),
        (&actions[4], &"ensureTopic".to_owned())
    );
    actions.sort();
    actions.dedup();
    assert!(actions.len() >= 15, "{actions:?}");
    // Changes by a key are the key's.
    let (id, status) = under_an_id(
        &tenant.key,
        "PUT",
        &tenant.in_project("/topics/by-key"),
        json!({}),
    )
    .await;
    assert_eq!(status, 201);
    let seen = events(api, &tenant, "").await;
    let event = seen
        .iter()
        .find(|event| event["request_id"] == *id)
        .expect("the key's event");
    assert!(
        event["actor"].as_str().unwrap().starts_with("key:"),
        "{event}"
    );
    // A dry run and a call that failed changed nothing.
    let (dry, _) = under_an_id(
        api,
        "PATCH",
        &tenant.path("?dry_run=true"),
        json!({"name": "Dry"}),
    )
    .await;
    let (bad, status) = under_an_id(api, "PATCH", &tenant.path(""), json!({"name": 7})).await;
    assert_eq!(status, 400);
    let seen = events(api, &tenant, "&outcome=allowed").await;
    assert!(
        !seen
            .iter()
            .any(|event| event["request_id"] == *dry || event["request_id"] == *bad)
    );
}

async fn refusals_stand_with_the_caller(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let other = Tenant::new(engine).await;
    let viewer = tenant.person("viewer").await;
    let key = tenant.key_for("describe").await;
    let mut refused = Vec::new();
    for (api, path, status) in [
        (&viewer.api, tenant.in_project(""), 403),
        (&viewer.api, other.in_project(""), 404),
        (&viewer.api, other.path(""), 404),
        (&key, tenant.in_project("/topics/mine"), 403),
        (&key, other.in_project("/topics/theirs"), 404),
    ] {
        let (id, got) = under_an_id(api, "DELETE", &path, Value::Null).await;
        assert_eq!(got, status, "{path}");
        refused.push(id);
    }
    eventually("all refusals are written down", async || {
        let seen = events(&tenant.owner.api, &tenant, "&outcome=denied").await;
        let known = |id: &String| {
            seen.iter()
                .filter(|event| event["request_id"] == **id)
                .count()
                == 1
        };
        refused.iter().all(known)
    })
    .await;
    for event in events(&tenant.owner.api, &tenant, "&outcome=denied").await {
        assert_eq!(event["outcome"], "denied");
        let actor = event["actor"].as_str().unwrap();
        assert!(
            actor == viewer.email || actor.starts_with("key:"),
            "{event}"
        );
    }
    let theirs = events(&other.owner.api, &other, "").await;
    let theirs = json!(theirs).to_string();
    assert!(
        !theirs.contains(&viewer.email) && !theirs.contains("audited-request"),
        "{theirs}"
    );
}

async fn events_are_filtered_and_paged(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let admin = tenant.person("admin").await;
    for n in 0..6 {
        tenant.owner.api.topic(&format!("by-owner-{n}"), 1).await;
        admin.api.topic(&format!("by-admin-{n}"), 1).await;
    }
    let api = &tenant.owner.api;
    let by = events(api, &tenant, &format!("&actor={}", admin.email)).await;
    assert!(
        by.iter().all(|event| event["actor"] == admin.email),
        "{by:?}"
    );
    let topics = events(
        api,
        &tenant,
        &format!("&actor={}&action=ensureTopic", admin.email),
    )
    .await;
    assert_eq!(topics.len(), 6);
    let all = events(api, &tenant, "&action=ensureTopic").await;
    assert_eq!(all.len(), 12);
    let times: Vec<_> = all
        .iter()
        .map(|event| event["time"].as_str().unwrap().to_owned())
        .collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "newest first: {times:?}");

    let mut paged = Vec::new();
    let mut token = String::new();
    loop {
        let path = tenant.path(&format!(
            "/audit-events?action=ensureTopic&page_size=5{token}"
        ));
        let page = api.see(&path).await;
        let events = page["events"].as_array().expect("events");
        assert!(events.len() <= 5);
        paged.extend(events.clone());
        // Newer events do not move a page that was begun.
        tenant.owner.api.topic(&unique("between"), 1).await;
        match page["next_page_token"].as_str() {
            Some(next) => token = format!("&page_token={next}"),
            None => break,
        }
    }
    assert_eq!(paged, all);

    let middle = &times[5];
    let since = events(api, &tenant, &format!("&action=ensureTopic&from={middle}")).await;
    assert!(
        since.len() >= 6
            && since
                .iter()
                .all(|event| event["time"].as_str().unwrap() >= middle.as_str())
    );
    let until = events(api, &tenant, &format!("&action=ensureTopic&to={middle}")).await;
    assert!(
        until
            .iter()
            .all(|event| event["time"].as_str().unwrap() <= middle.as_str())
    );
    assert!(until.len() >= 5);
    for bad in [
        "outcome=perhaps",
        "from=x",
        "page_size=0",
        "page_size=1001",
        "page_token=x",
        "unknown=1",
    ] {
        let path = tenant.path(&format!("/audit-events?{bad}"));
        api.manage("GET", &path, Value::Null)
            .await
            .any_problem_of(400);
    }
    // A token is for its organization.
    let other = Tenant::new(engine).await;
    let page = api.see(&tenant.path("/audit-events?page_size=1")).await;
    let token = page["next_page_token"].as_str().expect("more");
    let path = other.path(&format!("/audit-events?page_size=1000&page_token={token}"));
    let answer = other.owner.api.manage("GET", &path, Value::Null).await;
    assert!(!answer.text.contains(&admin.email), "{}", answer.text);
}

async fn reads_and_records_are_no_events(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let path = tenant.key.topic("quiet", 1).await;
    let before = events(&tenant.owner.api, &tenant, "").await.len();
    tenant
        .key
        .produce(&path, r#"{"records":[{"value":"the-payload-itself"}]}"#)
        .await;
    tenant.key.get(&format!("{path}/records")).await.expect(200);
    tenant.owner.api.see(&tenant.in_project("/keys")).await;
    let after = events(&tenant.owner.api, &tenant, "").await;
    assert_eq!(after.len(), before, "{after:?}");
    assert!(!json!(after).to_string().contains("the-payload-itself"));
}

async fn the_log_is_for_owners_and_admins(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let path = tenant.path("/audit-events");
    for (role, status) in [
        ("owner", 200),
        ("admin", 200),
        ("developer", 403),
        ("viewer", 403),
    ] {
        let person = tenant.person(role).await;
        let answer = person.api.manage("GET", &path, Value::Null).await;
        assert_eq!(answer.status, status, "{role}: {}", answer.text);
    }
    let other = Tenant::new(engine).await;
    other
        .owner
        .api
        .manage("GET", &path, Value::Null)
        .await
        .problem(404, "not_found");
    for (method, body) in [
        ("DELETE", Value::Null),
        ("POST", json!({})),
        ("PUT", json!({})),
    ] {
        let answer = tenant.owner.api.manage(method, &path, body).await;
        answer.problem(405, "method_not_allowed");
    }
}
