//! Usage: what was written and read, to the byte, by topic and time, seen by its owners alone.

use std::time::Duration;

use serde_json::{Value, json};

use super::people::{Engine, Tenant, on_both_engines};
use crate::client::Api;
use crate::harness::eventually;
use crate::lines::Lines;

on_both_engines!(
    what_was_sent_and_read_is_counted,
    a_clean_restart_loses_nothing,
    steps_add_up,
    usage_is_its_owners,
);

/// A record whose payload (key, value, headers) is known: 4 + 10 + 6 + 5 bytes.
pub const RECORD: &str = r#"{"key":"key1","value":"12345678","headers":{"header":"12345"}}"#;
pub const RECORD_BYTES: u64 = 25;
/// How far usage may be behind.
const BEHIND: Duration = Duration::from_secs(10);

/// Writes so many of them.
pub async fn send(api: &Api, path: &str, records: u64) {
    let many: Vec<_> = (0..records).map(|_| RECORD).collect();
    api.produce(path, format!("{{\"records\":[{}]}}", many.join(",")))
        .await;
}

/// The sum of one column over a series.
pub fn sum(usage: &Value, column: &str) -> u64 {
    let series = usage["series"].as_array().expect("a series");
    series
        .iter()
        .map(|point| point[column].as_u64().expect("a number"))
        .sum()
}

/// What the tenant's project used.
pub async fn usage(tenant: &Tenant, query: &str) -> Value {
    tenant
        .owner
        .api
        .see(&tenant.in_project(&format!("/usage{query}")))
        .await
}

/// Waits for a sum, and asserts that it is not passed.
pub async fn reaches(tenant: &Tenant, query: &str, column: &str, expected: u64) {
    let started = std::time::Instant::now();
    eventually(&format!("{column} of {query} is {expected}"), async || {
        let seen = usage(tenant, query).await;
        assert!(
            sum(&seen, column) <= expected,
            "{column} of {query}: {seen}"
        );
        sum(&seen, column) == expected
    })
    .await;
    println!("{column} after {:?}", started.elapsed());
    assert!(
        started.elapsed() < BEHIND * 2,
        "at most {BEHIND:?} behind, on a busy machine"
    );
}

async fn what_was_sent_and_read_is_counted(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let first = tenant.key.topic("first", 1).await;
    let second = tenant.key.topic("second", 3).await;
    send(&tenant.key, &first, 10).await;
    send(&tenant.key, &second, 100).await;
    send(&tenant.key, &second, 1).await;
    // What is refused is not counted.
    tenant
        .key
        .send(
            "POST",
            &format!("{first}/records"),
            r#"{"records":[{"value":1,"partition":9}]}"#,
        )
        .await
        .any_problem();
    for _ in 0..3 {
        tenant
            .key
            .get(&format!(
                "{first}/partitions/0/records?offset=0&max_records=4"
            ))
            .await
            .expect(200);
    }
    assert_eq!(tenant.key.read_by_cursor(&second).await.len(), 101);
    reaches(&tenant, "?topic=first", "records_in", 10).await;
    reaches(&tenant, "?topic=second", "records_in", 101).await;
    reaches(&tenant, "?topic=first", "records_out", 12).await;
    reaches(&tenant, "?topic=second", "records_out", 101).await;
    for (query, records_in, records_out) in [
        ("?topic=first", 10, 12),
        ("?topic=second", 101, 101),
        ("", 111, 113),
    ] {
        let seen = usage(&tenant, query).await;
        assert_eq!(
            sum(&seen, "ingress_bytes"),
            records_in * RECORD_BYTES,
            "{query}: {seen}"
        );
        assert_eq!(
            sum(&seen, "egress_bytes"),
            records_out * RECORD_BYTES,
            "{query}: {seen}"
        );
        assert_eq!(
            (sum(&seen, "records_in"), sum(&seen, "records_out")),
            (records_in, records_out)
        );
        assert!(sum(&seen, "requests") > 0, "{seen}");
    }
    let seen = usage(&tenant, "").await;
    let last = seen["series"].as_array().unwrap().last().expect("a point");
    assert!(
        last["stored_bytes_hot"]
            .as_u64()
            .is_some_and(|bytes| bytes > 0),
        "{seen}"
    );
    assert!(last["stored_bytes_cold"].is_u64(), "{seen}");
    // The organization is the sum of its projects.
    let other = tenant.another_project().await;
    let elsewhere = tenant.owner.api.in_project(&other);
    let path = elsewhere.topic("third", 1).await;
    send(&elsewhere, &path, 5).await;
    eventually("the organization's usage is all of it", async || {
        let seen = tenant.owner.api.see(&tenant.path("/usage")).await;
        sum(&seen, "records_in") == 116 && sum(&seen, "ingress_bytes") == 116 * RECORD_BYTES
    })
    .await;
    // A tail counts what it delivers.
    let tail = format!("{first}/tail.ndjson?from=earliest");
    let mut tail = Lines::open(&tenant.key, &tail).await;
    for _ in 0..10 {
        assert!(tail.next().await.expect("a line").contains("key1"));
    }
    drop(tail);
    reaches(&tenant, "?topic=first", "records_out", 22).await;
}

async fn a_clean_restart_loses_nothing(engine: Engine) {
    let mut server = engine.own().await;
    let tenant = Tenant::on(&server).await;
    let path = tenant.key.topic("kept", 1).await;
    let mut expected = 0;
    for round in 1..4 {
        // Nothing has had time to be written down when the server is told to stop.
        send(&tenant.key, &path, 100 * round).await;
        expected += 100 * round;
        server.stop().await;
        server.restart().await;
        let owner = super::people::sign_in(
            &tenant.owner.api,
            &tenant.owner.email,
            &tenant.owner.password,
        )
        .await;
        let seen = owner.api.see(&tenant.in_project("/usage?topic=kept")).await;
        assert_eq!(sum(&seen, "records_in"), expected, "{seen}");
        assert_eq!(
            sum(&seen, "ingress_bytes"),
            expected * RECORD_BYTES,
            "{seen}"
        );
    }
}

#[tokio::test]
async fn a_kill_loses_the_last_moment_only() {
    let mut server = Engine::Postgres.own().await;
    let tenant = Tenant::on(&server).await;
    let path = tenant.key.topic("killed", 1).await;
    send(&tenant.key, &path, 200).await;
    reaches(&tenant, "?topic=killed", "records_in", 200).await;
    // What can be seen in memory may not be stored yet: one more interval makes sure.
    tokio::time::sleep(BEHIND).await;
    send(&tenant.key, &path, 50).await;
    server.kill9();
    server.restart().await;
    let owner = super::people::sign_in(
        &tenant.owner.api,
        &tenant.owner.email,
        &tenant.owner.password,
    )
    .await;
    let seen = owner
        .api
        .see(&tenant.in_project("/usage?topic=killed"))
        .await;
    let counted = sum(&seen, "records_in");
    assert!((200..=250).contains(&counted), "{seen}");
    assert_eq!(
        sum(&seen, "ingress_bytes"),
        counted * RECORD_BYTES,
        "{seen}"
    );
    // It goes on from there.
    send(&tenant.key, &path, 7).await;
    eventually("usage goes on", async || {
        let seen = owner
            .api
            .see(&tenant.in_project("/usage?topic=killed"))
            .await;
        sum(&seen, "records_in") == counted + 7
    })
    .await;
}

async fn steps_add_up(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let path = tenant.key.topic("stepped", 1).await;
    send(&tenant.key, &path, 20).await;
    reaches(&tenant, "", "records_in", 20).await;
    for (step, seconds) in [("minute", 60), ("hour", 3_600), ("day", 86_400)] {
        let seen = usage(&tenant, &format!("?step={step}&from=2020-01-01T00:00:00Z")).await;
        assert_eq!(sum(&seen, "records_in"), 20, "{step}: {seen}");
        for point in seen["series"].as_array().unwrap() {
            let time: jiff::Timestamp = point["time"]
                .as_str()
                .expect("a time")
                .parse()
                .expect("RFC 3339");
            assert_eq!(time.as_second() % seconds, 0, "a step's start: {point}");
        }
    }
    let now = jiff::Timestamp::now().as_millisecond();
    for (query, expected) in [
        (format!("?from={}", now - 3_600_000), 20),
        (
            "?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z".to_owned(),
            0,
        ),
        (format!("?from={}", now + 3_600_000), 0),
    ] {
        let path = tenant.in_project(&format!("/usage{query}"));
        let answer = tenant.owner.api.manage("GET", &path, Value::Null).await;
        if answer.status == 400 && expected == 0 {
            continue; // a start after the end may be refused
        }
        assert_eq!(
            sum(&answer.expect(200).json(), "records_in"),
            expected,
            "{query}"
        );
    }
    for bad in [
        "?step=week",
        "?from=yesterday",
        "?to=x",
        "?topic=",
        "?unknown=1",
        "?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
    ] {
        let path = tenant.in_project(&format!("/usage{bad}"));
        tenant
            .owner
            .api
            .manage("GET", &path, Value::Null)
            .await
            .any_problem_of(400);
    }
    let path = tenant.path("/usage?topic=stepped");
    tenant
        .owner
        .api
        .manage("GET", &path, Value::Null)
        .await
        .any_problem_of(400);
    let unknown = usage(&tenant, "?topic=never-was").await;
    assert_eq!(unknown["series"], json!([]));
}

async fn usage_is_its_owners(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let other = Tenant::new(engine).await;
    for one in [&tenant, &other] {
        one.key.topic("same-name", 1).await;
    }
    send(&tenant.key, "/topics/same-name", 30).await;
    send(&other.key, "/topics/same-name", 4).await;
    reaches(&tenant, "?topic=same-name", "records_in", 30).await;
    reaches(&other, "?topic=same-name", "records_in", 4).await;
    for path in [tenant.path("/usage"), tenant.in_project("/usage")] {
        other
            .owner
            .api
            .manage("GET", &path, Value::Null)
            .await
            .problem(404, "not_found");
        other
            .key
            .manage("GET", &path, Value::Null)
            .await
            .problem(404, "not_found");
    }
    // Usage stays when the topic goes.
    tenant
        .key
        .send("DELETE", "/topics/same-name", "")
        .await
        .expect(204);
    let seen = usage(&tenant, "?topic=same-name").await;
    assert_eq!(sum(&seen, "records_in"), 30);
}
