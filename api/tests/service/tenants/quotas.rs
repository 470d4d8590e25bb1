//! Quotas: who is over one is told which and when to come back, and nobody else notices.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::people::{Engine, Tenant, on_both_engines, takes_effect};
use crate::client::{Api, Reply, reply};
use crate::harness::{eventually, soon};
use crate::lines::Lines;

on_both_engines!(
    topics_and_partitions_are_counted,
    storage_is_counted,
    tails_come_back_when_they_close,
    connections_come_back_when_they_close,
    an_organization_limits_its_projects,
    an_operators_ceiling_holds,
    quotas_are_read_and_changed,
    quotas_change_under_etags,
);

/// A body with one record.
pub const RECORD: &str = r#"{"records":[{"value":1}]}"#;

/// Sets quotas of the tenant's project.
pub async fn limit(tenant: &Tenant, quotas: Value) {
    let path = tenant.in_project("/quotas");
    let answer = tenant.owner.api.manage("PATCH", &path, quotas).await;
    answer.expect(200);
}

/// Asserts a refusal of a rate: retryable, with when and how much.
#[track_caller]
pub fn is_rate_refusal(answer: &Reply, quota: &str, whose: &str) {
    let problem = answer.problem(429, "quota_exceeded");
    assert_eq!(
        (&problem["retryable"], &problem["outcome"]),
        (&json!(true), &json!("not_applied")),
        "{problem}"
    );
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(quota) && detail.contains(whose), "{detail}");
    assert!(problem["retry_after_ms"].as_u64().is_some(), "{problem}");
    for name in [
        "retry-after",
        "ratelimit-limit",
        "ratelimit-remaining",
        "ratelimit-reset",
    ] {
        let value = answer.header(name).unwrap_or_else(|| panic!("no {name}"));
        assert!(value.parse::<u64>().is_ok(), "{name}: {value}");
    }
}

/// Asserts a refusal of a count: no use to try again.
#[track_caller]
pub fn is_count_refusal(answer: &Reply, quota: &str, whose: &str) {
    let problem = answer.problem(403, "quota_exceeded");
    assert_eq!(
        (&problem["retryable"], &problem["outcome"]),
        (&json!(false), &json!("not_applied")),
        "{problem}"
    );
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(quota) && detail.contains(whose), "{detail}");
}

/// Calls until one is refused.
pub async fn until_refused(call: impl AsyncFn() -> Reply) -> Reply {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = call().await;
        if answer.status >= 400 {
            return answer;
        }
        assert!(Instant::now() < deadline, "never refused");
    }
}

async fn quotas_change_under_etags(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let api = &tenant.owner.api;
    for path in [tenant.path("/quotas"), tenant.in_project("/quotas")] {
        let read = async || api.manage("GET", &path, Value::Null).await.expect(200);
        let tag = read().await.header("etag").expect("an ETag").to_owned();
        assert_eq!(read().await.header("etag"), Some(&*tag), "nothing changed");
        let patch = async |tag: &str, query: &str, tails: u64| {
            let path = format!("{path}{query}");
            let request = api.managing("PATCH", &path, json!({ "tails": tails }));
            reply(request.header("if-match", tag)).await
        };
        patch(&tag, "?dry_run=true", 6).await.expect(200);
        assert_eq!(read().await.header("etag"), Some(&*tag), "a dry run");
        let changed = patch(&tag, "", 7).await.expect(200);
        let next = read().await;
        assert_eq!(changed.header("etag"), next.header("etag"));
        for query in ["", "?dry_run=true"] {
            let stale = patch(&tag, query, 8).await;
            stale.problem(412, "precondition_failed");
        }
        assert_eq!(read().await.json()["tails"], 7);
        patch(changed.header("etag").unwrap(), "", 9)
            .await
            .expect(200);
        patch("*", "", 10).await.expect(200);
        assert_eq!(read().await.json()["tails"], 10);
    }
}

async fn topics_and_partitions_are_counted(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    tenant.key.topic("one", 2).await;
    limit(&tenant, json!({"topics": 2, "partitions": 5})).await;
    tenant.key.topic("two", 3).await;
    let more = async || {
        tenant
            .key
            .send("PUT", "/topics/three", r#"{"partitions":1}"#)
            .await
    };
    takes_effect("a quota of topics", async || more().await.status == 403).await;
    is_count_refusal(&more().await, "topics", &tenant.project);
    let grown = tenant
        .key
        .send("PATCH", "/topics/two", r#"{"partitions":4}"#)
        .await;
    is_count_refusal(&grown, "partitions", &tenant.project);
    // What is there already stays usable.
    tenant
        .key
        .send("PUT", "/topics/two", r#"{"partitions":3}"#)
        .await
        .expect(200);
    tenant.key.produce("/topics/two", RECORD).await;
    let path = tenant.in_project("/quotas");
    let seen = tenant.owner.api.see(&path).await;
    assert_eq!(
        (&seen["use"]["topics"], &seen["use"]["partitions"]),
        (&json!(2), &json!(5)),
        "{seen}"
    );
    tenant
        .key
        .send("DELETE", "/topics/one", "")
        .await
        .expect(204);
    tenant.key.topic("three", 2).await;
    let other = Tenant::new(engine).await;
    other.key.topic("many", 20).await;
    // Two at once do not slip through one gap.
    tenant
        .key
        .send("DELETE", "/topics/three", "")
        .await
        .expect(204);
    let create = async |name: &str| {
        let path = format!("/topics/{name}");
        tenant
            .key
            .send("PUT", &path, r#"{"partitions":1}"#)
            .await
            .status
    };
    let (a, b) = tokio::join!(create("left"), create("right"));
    let mut statuses = [a, b];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 403]);
}

async fn storage_is_counted(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let path = tenant.key.topic("stored", 1).await;
    limit(&tenant, json!({"storage_bytes": 100_000})).await;
    let body = json!({"records": [{"value": "x".repeat(20_000)}]}).to_string();
    let records = format!("{path}/records");
    let refused =
        until_refused(async || tenant.key.send("POST", &records, body.clone()).await).await;
    is_count_refusal(&refused, "storage", &tenant.project);
    tenant.key.get(&records).await.expect(200);
    let seen = tenant.owner.api.see(&tenant.in_project("/quotas")).await;
    assert!(
        seen["use"]["storage_bytes"]
            .as_u64()
            .is_some_and(|used| used > 0),
        "{seen}"
    );
    limit(&tenant, json!({"storage_bytes": null})).await;
    takes_effect("a quota of storage that was lifted", async || {
        tenant.key.send("POST", &records, RECORD).await.status == 200
    })
    .await;
}

async fn open_tail(api: &Api, path: &str) -> Result<Lines, Reply> {
    let response = api
        .request("GET", &format!("{path}/tail.ndjson"))
        .send()
        .await
        .expect("an answer");
    if response.status() == 200 {
        return Ok(Lines::new(response));
    }
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.expect("a body");
    Err(Reply {
        status,
        headers,
        text,
    })
}

async fn tails_come_back_when_they_close(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let other = Tenant::new(engine).await;
    let path = tenant.key.topic("tailed", 1).await;
    other.key.topic("tailed", 1).await;
    limit(&tenant, json!({"tails": 2})).await;
    for _ in 0..3 {
        let mut open = Vec::new();
        eventually("two tails are open", async || {
            open.extend(open_tail(&tenant.key, &path).await);
            open.len() == 2
        })
        .await;
        let refused = open_tail(&tenant.key, &path)
            .await
            .err()
            .expect("no third tail");
        is_rate_refusal(&refused, "tails", &tenant.project);
        let theirs = open_tail(&other.key, &path).await;
        assert!(theirs.is_ok(), "another organization's tails are its own");
        let seen = tenant.owner.api.see(&tenant.in_project("/quotas")).await;
        assert_eq!(seen["use"]["tails"], 2, "{seen}");
        drop(open);
        takes_effect("the tails that closed are free", async || {
            let seen = tenant.owner.api.see(&tenant.in_project("/quotas")).await;
            seen["use"]["tails"] == 0
        })
        .await;
    }
}

async fn connections_come_back_when_they_close(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    tenant.key.topic("held", 1).await;
    limit(&tenant, json!({"connections": 3})).await;
    let connected = || tenant.stranger().with_key(&tenant.key.key);
    for _ in 0..2 {
        // Each keeps its connection; only the project's own clients count.
        let mut held = Vec::new();
        let refused = soon("a connection too many", async {
            loop {
                let client = connected();
                let answer = client.get("/topics").await;
                if answer.status != 200 {
                    return answer;
                }
                held.push(client);
                assert!(held.len() < 20, "never refused");
            }
        })
        .await;
        is_rate_refusal(&refused, "connections", &tenant.project);
        assert!(held.len() <= 3, "{}", held.len());
        drop(held);
        takes_effect("connections that closed are free", async || {
            connected().get("/topics").await.status == 200
        })
        .await;
    }
}

async fn an_organization_limits_its_projects(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let second = tenant.another_project().await;
    let path = tenant.path("/quotas");
    tenant
        .owner
        .api
        .manage("PATCH", &path, json!({"topics": 2}))
        .await
        .expect(200);
    let owner = &tenant.owner.api;
    owner.topic("one", 1).await;
    owner.in_project(&second).topic("two", 1).await;
    for api in [owner.clone(), owner.in_project(&second)] {
        let more = async || api.send("PUT", "/topics/three", "{}").await;
        takes_effect("an organization's quota", async || {
            more().await.status == 403
        })
        .await;
        is_count_refusal(&more().await, "topics", &tenant.organization);
    }
    assert_eq!(owner.see(&path).await["use"]["topics"], 2);
    owner
        .manage(
            "PATCH",
            &path,
            json!({"topics": null, "requests_per_second": 3}),
        )
        .await
        .expect(200);
    let key = &tenant.key;
    let refused = until_refused(async || key.get("/topics").await).await;
    is_rate_refusal(&refused, "requests", &tenant.organization);
}

async fn an_operators_ceiling_holds(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    // The bootstrap user is an operator; an owner who was invited is none.
    let owner = tenant.person("owner").await;
    let path = tenant.path("/quotas");
    tenant
        .owner
        .api
        .manage("PATCH", &path, json!({"partitions": 10}))
        .await
        .expect(200);
    for more in [json!(11), Value::Null] {
        let answer = owner
            .api
            .manage("PATCH", &path, json!({"partitions": more}))
            .await;
        answer.problem(403, "forbidden");
    }
    owner
        .api
        .manage("PATCH", &path, json!({"partitions": 7}))
        .await
        .expect(200);
    owner
        .api
        .manage("PATCH", &path, json!({"partitions": 10}))
        .await
        .expect(200);
    let answer = tenant
        .key
        .send("PUT", "/topics/wide", r#"{"partitions":11}"#)
        .await;
    is_count_refusal(&answer, "partitions", &tenant.organization);
    tenant.key.topic("wide", 10).await;
}

async fn quotas_are_read_and_changed(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let names = [
        "requests_per_second",
        "ingress_bytes_per_second",
        "egress_bytes_per_second",
        "partitions",
        "topics",
        "storage_bytes",
        "connections",
        "tails",
    ];
    for path in [tenant.path("/quotas"), tenant.in_project("/quotas")] {
        let api = &tenant.owner.api;
        let before = api.see(&path).await;
        for name in names {
            assert!(
                before.get(name).is_some() && before["use"].get(name).is_some(),
                "{name}: {before}"
            );
        }
        api.manage("PATCH", &path, json!({"tails": 9}))
            .await
            .expect(200);
        let dry = api
            .manage(
                "PATCH",
                &format!("{path}?dry_run=true"),
                json!({"tails": 1}),
            )
            .await;
        assert_eq!(dry.expect(200).json()["tails"], 1);
        let after = api.see(&path).await;
        assert_eq!(
            (&after["tails"], &after["topics"]),
            (&json!(9), &before["topics"])
        );
        for bad in [
            json!({"tails": -1}),
            json!({"tails": "9"}),
            json!({"tails": 1.5}),
            json!({"use": {}}),
            json!({"unknown": 1}),
            json!({"storage_bytes": 1e30}),
            json!([]),
        ] {
            let problem = api
                .manage("PATCH", &path, bad.clone())
                .await
                .any_problem_of(400);
            assert!(
                !problem["errors"].as_array().expect("errors").is_empty(),
                "{bad}: {problem}"
            );
        }
        assert_eq!(api.see(&path).await["tails"], 9);
    }
}
