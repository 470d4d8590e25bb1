//! What is counted as usage, beside plain records: repeats, partial answers, other ways in, requests,
//! and what is stored.

use std::time::Duration;

use serde_json::{Value, json};

use super::people::{Engine, Tenant, on_both_engines};
use super::schema::Database;
use super::usage::{RECORD, RECORD_BYTES, reaches, send, sum, usage};
use crate::client::reply;
use crate::harness::eventually;

on_both_engines!(
    records_count_once_however_they_come,
    what_is_stored_lasts_as_long_as_its_topic,
    requests_count_for_the_topic_they_name,
    old_usage_is_forgotten_but_not_what_holds,
);

/// Longer than what was counted waits to be written down.
const FLUSH: Duration = Duration::from_secs(4);

/// Waits until a topic has so many records, then asserts that it stays so.
async fn settles_at(tenant: &Tenant, topic: &str, records: u64) {
    let query = format!("?topic={topic}");
    reaches(tenant, &query, "records_in", records).await;
    tokio::time::sleep(FLUSH).await;
    let seen = usage(tenant, &query).await;
    assert_eq!(
        (sum(&seen, "records_in"), sum(&seen, "ingress_bytes")),
        (records, records * RECORD_BYTES),
        "{seen}"
    );
}

/// What was stored at the end of the last step.
fn stored(usage: &Value) -> u64 {
    let last = usage["series"].as_array().expect("a series").last();
    let bytes = last.map(|point| &point["stored_bytes_hot"]);
    bytes.map_or(0, |bytes| bytes.as_u64().expect("a number"))
}

async fn records_count_once_however_they_come(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let key = &tenant.key;
    let body = |count: usize| format!("{{\"records\":[{}]}}", vec![RECORD; count].join(","));
    let path = key.topic("repeated", 1).await;
    for _ in 0..3 {
        let sent = key.produce_once(&path, "once", body(5)).await;
        sent.expect(200);
    }
    // Another body under the same key is refused whole.
    let reused = key.produce_once(&path, "once", body(6)).await;
    reused.problem(422, "idempotency_key_reused");
    let path = key.topic("bulk", 3).await;
    let lines = format!("{RECORD}\nnot a record\n{RECORD}\n");
    let load = key.request("POST", &format!("{path}/records/bulk"));
    let load = load.header("content-type", "application/x-ndjson");
    reply(load.body(lines)).await.expect(200);
    let path = key.topic("raw", 1).await;
    let raw = key.request("POST", &format!("{path}/raw?key=key1"));
    // 4 bytes of key and 10 of value; no content type, so no header.
    reply(raw.body("1234567890")).await.expect(200);
    settles_at(&tenant, "repeated", 5).await;
    settles_at(&tenant, "bulk", 2).await;
    let seen = usage(&tenant, "?topic=raw").await;
    assert_eq!(
        (sum(&seen, "records_in"), sum(&seen, "ingress_bytes")),
        (1, 14),
        "{seen}"
    );
    assert_eq!(sum(&usage(&tenant, "").await, "records_in"), 8);
    // Three that were taken and one that was not.
    let seen = usage(&tenant, "?topic=repeated").await;
    assert_eq!(sum(&seen, "requests"), 4, "{seen}");
}

async fn what_is_stored_lasts_as_long_as_its_topic(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let key = &tenant.key;
    let kept = async || stored(&usage(&tenant, "?topic=kept&step=day").await);
    let path = key.topic("kept", 2).await;
    send(key, &path, 50).await;
    eventually("what is stored is noted", async || kept().await > 0).await;
    let topic = key.get(&path).await.expect(200).json();
    if let Some(size) = topic["hot_bytes"].as_u64() {
        assert_eq!(kept().await, size);
    }
    key.send("DELETE", &path, "").await.expect(204);
    eventually("nothing is stored", async || kept().await == 0).await;
    key.topic("kept", 1).await;
    send(key, &path, 3).await;
    settles_at(&tenant, "kept", 53).await;
    assert!(kept().await > 0);
    // Also of a project that goes: its organization reads on.
    let owner = &tenant.owner.api;
    let project = tenant.in_project("");
    let gone = owner.manage("DELETE", &project, Value::Null).await;
    gone.expect(204);
    eventually("nothing is stored of the project", async || {
        let seen = owner.see(&tenant.path("/usage?step=day")).await;
        assert_eq!(sum(&seen, "records_in"), 53, "what was used stays");
        stored(&seen) == 0
    })
    .await;
}

async fn requests_count_for_the_topic_they_name(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let path = tenant.key.topic("asked", 1).await;
    for _ in 0..7 {
        tenant.key.get(&path).await.expect(200);
    }
    tenant.key.get("/topics/absent").await.any_problem();
    reaches(&tenant, "?topic=asked", "requests", 7).await;
    let absent = usage(&tenant, "?topic=absent").await;
    assert_eq!(absent["series"], json!([]));
    assert!(sum(&usage(&tenant, "").await, "requests") > 7);
}

async fn old_usage_is_forgotten_but_not_what_holds(engine: Engine) {
    let mut server = engine.own().await;
    let tenant = Tenant::on(&server).await;
    let database = Database::open(&server.database()).await;
    for (topic, minute, stored) in [
        ("held", 0, 5),
        ("held", 60_000, 7),
        ("gone", 0, 5),
        ("gone", 60_000, 0),
    ] {
        let (organization, project) = (&tenant.organization, &tenant.project);
        let row = format!(
            "INSERT INTO usage_minutes VALUES ('{organization}', '{project}', '{topic}', \
             {minute}, 9, 1, 1, 1, 1, 1, {stored}, 0)"
        );
        database.run(&row).await;
    }
    // What was noted in 1970 holds until another note.
    let held = usage(&tenant, "?topic=held").await;
    let points = held["series"].as_array().expect("a series");
    assert!((60..=62).contains(&points.len()), "{}", points.len());
    assert!(points.iter().all(|point| point["stored_bytes_hot"] == 7));
    let gone = usage(&tenant, "?topic=gone").await;
    assert_eq!(gone["series"], json!([]));
    let day = usage(&tenant, "?topic=held&step=day&from=0&to=86400000").await;
    let expected = json!([{
        "time": "1970-01-01T00:00:00.000Z", "requests": 2,
        "ingress_bytes": 2, "egress_bytes": 2, "records_in": 2, "records_out": 2,
        "stored_bytes_hot": 7, "stored_bytes_cold": 0,
    }]);
    assert_eq!(day["series"], expected);
    let all = tenant.in_project("/usage?from=0");
    let all = tenant.owner.api.manage("GET", &all, Value::Null).await;
    let all = all.problem(400, "invalid_request");
    assert_eq!(all["errors"][0]["pointer"], "from", "{all}");
    // A node looks for what is too old at its start.
    server.stop().await;
    server.restart().await;
    let old = "SELECT CAST(stored_bytes_hot AS TEXT) FROM usage_minutes WHERE minute < 120000";
    eventually("old rows go", async || database.text(old).await == ["7"]).await;
}
