//! Quotas of so much a second: requests, bytes in, bytes out; of a project and of a key.

use std::time::{Duration, Instant};

use serde_json::json;

use super::people::{Engine, Tenant, everything, on_both_engines, takes_effect};
use super::quotas::{RECORD, is_rate_refusal, limit, until_refused};
use crate::harness::{eventually, unique};

on_both_engines!(
    requests_are_limited,
    ingress_is_limited_to_its_rate,
    egress_is_limited,
    a_key_has_limits_of_its_own,
);

async fn requests_are_limited(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let other = Tenant::new(engine).await;
    tenant.key.get("/topics").await.expect(200);
    limit(&tenant, json!({"requests_per_second": 5})).await;
    let refused = until_refused(async || tenant.key.get("/topics").await).await;
    is_rate_refusal(&refused, "requests", &tenant.project);
    for _ in 0..50 {
        other.key.get("/topics").await.expect(200);
    }
    // The way out is not closed with it.
    limit(&tenant, json!({"requests_per_second": null})).await;
    takes_effect("a quota that was lifted", async || {
        for _ in 0..40 {
            if tenant.key.get("/topics").await.status != 200 {
                return false;
            }
        }
        true
    })
    .await;
    limit(&tenant, json!({"requests_per_second": 0})).await;
    takes_effect("a quota of nothing", async || {
        tenant.key.get("/topics").await.status == 429
    })
    .await;
}

async fn ingress_is_limited_to_its_rate(engine: Engine) {
    const RATE: u64 = 1 << 20;
    let tenant = Tenant::new(engine).await;
    let path = tenant.key.topic("flooded", 1).await;
    limit(&tenant, json!({"ingress_bytes_per_second": RATE})).await;
    let value = "x".repeat(64 * 1024);
    let body = json!({"records": [{"value": value}]}).to_string();
    let records = format!("{path}/records");
    let send = async || tenant.key.send("POST", &records, body.clone()).await;
    let refused = until_refused(send).await;
    is_rate_refusal(&refused, "ingress_bytes", &tenant.project);
    // What is refused from here on is not a saved-up burst.
    let started = Instant::now();
    let mut accepted = 0_u64;
    while started.elapsed() < Duration::from_secs(5) {
        let answer = send().await;
        match answer.status {
            200 => accepted += value.len() as u64,
            _ => _ = answer.problem(429, "quota_exceeded"),
        }
    }
    let expected = RATE as f64 * started.elapsed().as_secs_f64();
    let share = accepted as f64 / expected;
    println!(
        "accepted {accepted} bytes, {:.0} % of the rate",
        share * 100.0
    );
    assert!((0.7..1.3).contains(&share), "{accepted} of {expected}");
    let stored = tenant.key.high_watermarks(&path).await[0];
    assert!(
        stored >= accepted / value.len() as u64,
        "what was accepted is there"
    );
}

async fn egress_is_limited(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let other = Tenant::new(engine).await;
    let body = json!({"records": [{"value": "x".repeat(100_000)}]}).to_string();
    for one in [&tenant, &other] {
        let path = one.key.topic("read", 1).await;
        one.key.produce(&path, body.clone()).await;
    }
    limit(&tenant, json!({"egress_bytes_per_second": 150_000})).await;
    let read = async || tenant.key.get("/topics/read/records").await;
    is_rate_refusal(&until_refused(read).await, "egress_bytes", &tenant.project);
    // Writing is not reading.
    tenant.key.produce("/topics/read", RECORD).await;
    for _ in 0..10 {
        other.key.get("/topics/read/records").await.expect(200);
    }
    eventually("there is some again", async || read().await.status == 200).await;
}

async fn a_key_has_limits_of_its_own(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let name = unique("limited");
    let path = tenant.in_project(&format!("/keys/{name}"));
    let body = json!({"scopes": everything(), "quotas": {"requests_per_second": 3}});
    let made = tenant
        .owner
        .api
        .manage("PUT", &path, body)
        .await
        .expect(201)
        .json();
    assert_eq!(made["quotas"]["requests_per_second"], 3);
    let key = tenant.key.with_key(made["secret"].as_str().unwrap());
    let refused = until_refused(async || key.get("/topics").await).await;
    is_rate_refusal(&refused, "requests", &name);
    for _ in 0..20 {
        tenant.key.get("/topics").await.expect(200);
    }
}
