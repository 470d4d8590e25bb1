//! Who may use a group: keys by its name, and who makes one by its topics.

use serde_json::{Value, json};

use super::worker::{Worker, ensure, fill};
use crate::client::Api;
use crate::tenants::people::{Engine, Tenant, on_both_engines};

on_both_engines!(keys_name_groups_and_who_makes_one_reads_its_topics);

async fn status(api: &Api, method: &str, path: &str, body: Value) -> u16 {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    api.send(method, path, body).await.status
}

async fn keys_name_groups_and_who_makes_one_reads_its_topics(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    for topic in ["orders", "secrets"] {
        tenant.key.topic(topic, 1).await;
        fill(&tenant.key, topic, 0, 0..2).await;
    }
    ensure(&tenant.key, "billing", json!({"topics": ["orders"]})).await;
    ensure(&tenant.key, "audit", json!({"topics": ["secrets"]})).await;
    let consume = |group: &str| json!({"operations": ["consume"], "group": group});
    let reader = tenant.key_with(json!([consume("billing")])).await;
    let mut worker = Worker::join(&reader, "billing", "w").await;
    assert_eq!(
        worker.poll(json!({})).await["records"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    worker.go_on(json!({})).await;
    for (method, rest, body) in [
        ("GET", "", Value::Null),
        ("GET", "/offsets", Value::Null),
        ("POST", "/offsets", json!({"to": "latest"})),
        ("PUT", "/members/w", json!({})),
        ("POST", "/members/w/poll", json!({"epoch": 1})),
        ("DELETE", "/members/w", Value::Null),
        ("DELETE", "", Value::Null),
        ("PUT", "", json!({"topics": ["orders"]})),
    ] {
        for group in ["audit", "not-there"] {
            let path = format!("/groups/{group}{rest}");
            assert_eq!(
                status(&reader, method, &path, body.clone()).await,
                403,
                "{method} {path}"
            );
        }
    }
    let listed = reader.get("/groups").await.expect(200).json();
    let names: Vec<_> = listed["groups"]
        .as_array()
        .expect("groups")
        .iter()
        .map(|g| &g["group"])
        .collect();
    assert_eq!(names, ["billing"]);
    // A group over a topic is a way to read it.
    let both = json!([consume("*"), {"operations": ["fetch"], "topic": "orders"}]);
    let maker = tenant.key_with(both).await;
    let put = async |name: &str, topic: &str| {
        status(
            &maker,
            "PUT",
            &format!("/groups/{name}"),
            json!({"topics": [topic]}),
        )
        .await
    };
    assert_eq!(put("mine", "orders").await, 201);
    assert_eq!(
        (
            put("theirs", "secrets").await,
            put("theirs", "not-there").await
        ),
        (403, 403)
    );
    let by_consume = json!([consume("*"), {"operations": ["consume"], "topic": "secrets"}]);
    let by_consume = tenant.key_with(by_consume).await;
    let spec = json!({"topics": ["secrets"]});
    assert_eq!(status(&by_consume, "PUT", "/groups/also", spec).await, 201);
    // A viewer looks, and changes nothing.
    let viewer = tenant
        .person("viewer")
        .await
        .api
        .in_project(&tenant.project);
    assert_eq!(
        status(&viewer, "GET", "/groups/billing", Value::Null).await,
        200
    );
    assert_eq!(
        status(&viewer, "PUT", "/groups/billing/members/v", json!({})).await,
        403
    );
    // Of another project nothing is known.
    let stranger = Tenant::new(engine).await;
    let stranger = stranger.key.in_project(&tenant.project);
    for path in ["/groups", "/groups/billing", "/groups/not-there"] {
        stranger.get(path).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_waiting_poll_ends_with_its_key() {
    let tenant = Tenant::new(Engine::Sqlite).await;
    tenant.key.topic("orders", 1).await;
    ensure(&tenant.key, "billing", json!({"topics": ["orders"]})).await;
    let scopes = json!({"scopes": [{"operations": ["consume"], "group": "billing"}]});
    let path = tenant.in_project("/keys/short");
    let made = tenant
        .owner
        .api
        .manage("PUT", &path, scopes)
        .await
        .expect(201)
        .json();
    let key = tenant
        .key
        .with_key(made["secret"].as_str().expect("a secret"));
    let worker = Worker::join(&key, "billing", "w").await;
    let waiting = tokio::spawn(async move { worker.try_poll(json!({"wait_ms": 60_000})).await });
    tenant
        .owner
        .api
        .manage("DELETE", &path, Value::Null)
        .await
        .expect(204);
    let told = crate::harness::soon("the poll ends", waiting)
        .await
        .expect("no panic");
    told.problem(401, "unauthenticated");
}

#[tokio::test]
async fn what_is_read_is_metered() {
    let tenant = Tenant::new(Engine::Sqlite).await;
    tenant.key.topic("orders", 1).await;
    ensure(&tenant.key, "billing", json!({"topics": ["orders"]})).await;
    let big = json!({"records": [{"value": "x".repeat(200_000)}]}).to_string();
    tenant.key.produce("/topics/orders", big).await;
    let quotas = json!({"egress_bytes_per_second": 10_000});
    let path = tenant.in_project("/quotas");
    tenant
        .owner
        .api
        .manage("PATCH", &path, quotas)
        .await
        .expect(200);
    let worker = Worker::join(&tenant.key, "billing", "w").await;
    let mut refused = None;
    crate::harness::eventually("the quota is used up", async || {
        let told = worker.try_poll(json!({})).await;
        refused = (told.status != 200).then_some(told);
        refused.is_some()
    })
    .await;
    refused.expect("refused").problem(429, "quota_exceeded");
}
