//! Quotas of bytes on what goes on for long, which waits instead of being refused; and ceilings that
//! operators set where they are no members.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::bootstrap::is_refused;
use super::people::{Engine, Tenant, on_both_engines, takes_effect};
use super::quotas::{is_count_refusal, limit};
use crate::client::reply;
use crate::harness::{admin, soon};
use crate::lines::Lines;

on_both_engines!(
    a_tail_in_debt_waits_and_goes_on,
    a_bulk_load_in_debt_is_slowed,
    operators_set_ceilings_at_the_database,
);

/// Bytes a second, and of each record; there is one second's worth to begin with.
const RATE: u64 = 200_000;
const RECORD_BYTES: usize = 50_000;
const RECORDS: usize = 16;

async fn next(lines: &mut Lines) -> Option<Value> {
    let line = lines.next().await?;
    Some(serde_json::from_str(&line).expect("JSON"))
}

/// Asserts that so much came at the rate, beyond one second's worth and what one step may borrow.
fn came_at_the_rate(bytes: usize, took: Duration, step: usize) {
    let least = (bytes as f64 - step as f64) / RATE as f64 - 1.0;
    let most = bytes as f64 / RATE as f64 + 8.0;
    println!("{bytes} bytes took {took:?}, expected {least:.1} to {most:.1} s");
    assert!((least..most).contains(&took.as_secs_f64()), "{took:?}");
}

async fn a_tail_in_debt_waits_and_goes_on(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let path = tenant.key.topic("tailed", 1).await;
    let records = vec![json!({"value": "x".repeat(RECORD_BYTES)}); RECORDS];
    let body = json!({ "records": records }).to_string();
    tenant.key.produce(&path, body).await;
    limit(&tenant, json!({"egress_bytes_per_second": RATE})).await;
    let started = Instant::now();
    let tail = format!("{path}/tail.ndjson?from=earliest");
    let mut lines = Lines::open(&tenant.key, &tail).await;
    let mut seen = 0;
    while seen < RECORDS {
        let line = next(&mut lines).await.expect("no end");
        assert!(line.get("error").is_none(), "{line}");
        seen += usize::from(line.get("value").is_some());
    }
    // The last step is sent on credit.
    came_at_the_rate(RECORDS * RECORD_BYTES, started.elapsed(), 131_072);
    // A fetch is told instead.
    let refused = tenant.key.get(&format!("{path}/records")).await;
    if refused.status != 200 {
        let problem = refused.problem(429, "quota_exceeded");
        let quota = format!("egress_bytes_per_second of project {}", tenant.project);
        let detail = problem["detail"].as_str().expect("text");
        assert!(detail.contains(&quota), "{detail}");
    }
    // Waiting for the quota, it still hears that it is over.
    limit(&tenant, json!({"egress_bytes_per_second": 0})).await;
    let deleted = tenant.in_project("/topics/tailed");
    let owner = &tenant.owner.api;
    owner
        .manage("DELETE", &deleted, Value::Null)
        .await
        .expect(204);
    let ended = soon("the tail's end", async {
        while let Some(line) = next(&mut lines).await {
            if let Some(error) = line.get("error") {
                return error["code"].clone();
            }
        }
        Value::Null
    });
    assert_eq!(ended.await, "topic_not_found");
}

async fn a_bulk_load_in_debt_is_slowed(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let path = tenant.key.topic("loaded", 1).await;
    limit(&tenant, json!({"ingress_bytes_per_second": RATE})).await;
    let line = format!("{{\"value_text\":\"{}\"}}\n", "x".repeat(RECORD_BYTES));
    let bulk = async || {
        let request = tenant
            .key
            .request("POST", &format!("{path}/records/bulk"))
            .header("content-type", "application/x-ndjson")
            .body(line.repeat(2 * RECORDS));
        reply(request).await
    };
    let started = Instant::now();
    let answer = bulk().await.expect(200);
    let last = answer.text.lines().last().expect("a line").to_owned();
    let done: Value = serde_json::from_str(&last).expect("JSON");
    assert_eq!(
        done,
        json!({"done": true, "accepted": 2 * RECORDS, "rejected": 0})
    );
    // A run is half a mebibyte, and the last is appended on credit.
    came_at_the_rate(2 * RECORDS * RECORD_BYTES, started.elapsed(), 650_000);
    // Where nothing may be written at all there is nothing to wait for.
    limit(&tenant, json!({"ingress_bytes_per_second": 0})).await;
    let refused = bulk().await;
    refused.problem(429, "quota_exceeded");
    assert_eq!(refused.header("ratelimit-limit"), Some("0"));
}

async fn operators_set_ceilings_at_the_database(engine: Engine) {
    let database = engine.shared().await.database();
    let tenant = Tenant::new(engine).await;
    let ceilings = |organization: &str, set: &[&str]| {
        let mut arguments = vec!["ceilings", "--database", &database, "--org", organization];
        arguments.extend(set.iter().flat_map(|value| ["--set", value]));
        admin(&arguments)
    };
    let printed = |set: &[&str]| -> Value {
        let output = ceilings(&tenant.organization, set);
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    assert_eq!(printed(&[])["topics"], Value::Null);
    assert_eq!(printed(&["topics=1", "tails=null"])["topics"], 1);
    tenant.key.topic("one", 1).await;
    let second = async || {
        let path = "/topics/two?dry_run=true";
        tenant.key.send("PUT", path, "{}").await
    };
    takes_effect("a ceiling", async || second().await.status == 403).await;
    is_count_refusal(&second().await, "topics", &tenant.organization);
    let read = tenant.owner.api.see(&tenant.path("/quotas")).await;
    assert_eq!(read["topics"], 1);
    is_refused(&ceilings("no-such-organization", &[]), "no organization");
    for bad in ["topics", "topics=-1", "colours=3"] {
        is_refused(&ceilings(&tenant.organization, &[bad]), bad);
    }
}
