//! Shared groups: leases, settlements, dead letters.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::worker::{Worker, ensure};
use crate::client::{Api, Reply};
use crate::harness::{eventually, shared, unique};
use crate::tenants::people::{Engine, Tenant};

/// A topic with so many partitions and a dead-letter topic, and a shared group on them.
pub async fn shared_group(
    api: &Api,
    partitions: u32,
    max_attempts: u32,
) -> (String, String, String) {
    let (topic, dead) = (unique("work"), unique("dead"));
    api.topic(&topic, partitions).await;
    api.topic(&dead, 2).await;
    let group = unique("shared");
    let spec = json!({
        "topics": [topic], "type": "shared",
        "max_attempts": max_attempts, "dead_letter_topic": dead,
    });
    ensure(api, &group, spec).await;
    (topic, dead, group)
}

pub async fn produce(api: &Api, topic: &str, records: Value) {
    let body = json!({ "records": records }).to_string();
    api.produce(&format!("/topics/{topic}"), body).await;
}

pub async fn try_lease(api: &Api, group: &str, ask: Value) -> Reply {
    let path = format!("/groups/{group}/lease");
    api.send("POST", &path, ask.to_string()).await
}

/// Leases what there is.
pub async fn lease(api: &Api, group: &str, ask: Value) -> Vec<Value> {
    let leased = try_lease(api, group, ask).await.expect(200).json();
    let records = leased["records"].as_array().expect("records").clone();
    assert_eq!(leased["expires_at"].is_null(), records.is_empty());
    records
}

pub async fn try_settle(api: &Api, group: &str, what: Value) -> Reply {
    let path = format!("/groups/{group}/settle");
    api.send("POST", &path, what.to_string()).await
}

/// What came of each lease.
pub async fn settle(api: &Api, group: &str, what: Value) -> Vec<String> {
    let settled = try_settle(api, group, what).await.expect(200).json();
    let results = settled["results"].as_array().expect("results").iter();
    let status = |result: &Value| result["status"].as_str().expect("a status").to_owned();
    results.map(status).collect()
}

fn values(records: &[Value]) -> Vec<&Value> {
    records.iter().map(|record| &record["value"]).collect()
}

#[tokio::test]
async fn a_key_goes_on_when_its_record_is_settled_and_others_do_not_wait() {
    let api = shared().await;
    let (topic, _, group) = shared_group(&api, 1, 5).await;
    let of = |key: &str, value| json!({"key": key, "value": value});
    produce(
        &api,
        &topic,
        json!([of("a", 1), of("a", 2), of("b", 3), {"value": 4}]),
    )
    .await;
    let records = lease(&api, &group, json!({})).await;
    assert_eq!(values(&records), [1, 3, 4]);
    let first = &records[0];
    assert_eq!(first["topic"], topic.as_str());
    assert_eq!(
        (&first["attempt"], &first["offset"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(lease(&api, &group, json!({})).await, [] as [Value; 0]);
    let other = settle(&api, &group, json!({"ack": [records[1]["lease"]]})).await;
    assert_eq!(other, ["ok"]);
    assert_eq!(lease(&api, &group, json!({})).await, [] as [Value; 0]);
    let ack = json!({"ack": [first["lease"]]});
    assert_eq!(settle(&api, &group, ack.clone()).await, ["ok"]);
    assert_eq!(settle(&api, &group, ack).await, ["ok"], "said again");
    assert_eq!(values(&lease(&api, &group, json!({})).await), [2]);
}

#[tokio::test]
async fn what_failed_comes_again_after_its_delay() {
    let api = shared().await;
    let (topic, _, group) = shared_group(&api, 2, 5).await;
    produce(
        &api,
        &topic,
        json!([{"key": "a", "value": 1}, {"key": "a", "value": 2}]),
    )
    .await;
    let records = lease(&api, &group, json!({})).await;
    let nack = json!({"nack": [{"lease": records[0]["lease"], "delay_ms": 300, "reason": "rain"}]});
    assert_eq!(settle(&api, &group, nack.clone()).await, ["ok"]);
    assert_eq!(settle(&api, &group, nack).await, ["ok"], "said again");
    let again = lease(&api, &group, json!({"wait_ms": 20_000})).await;
    assert_eq!(values(&again), [1]);
    assert_eq!(again[0]["attempt"], 2);
    let late = settle(&api, &group, json!({"ack": [records[0]["lease"]]})).await;
    assert_eq!(late, ["expired"], "somebody else has it");
}

#[tokio::test]
async fn who_waits_gets_what_comes() {
    let api = shared().await;
    let (topic, _, group) = shared_group(&api, 3, 5).await;
    let waiting = {
        let (api, group) = (api.clone(), group.clone());
        tokio::spawn(async move { lease(&api, &group, json!({"wait_ms": 60_000})).await })
    };
    // Wherever the worker is by then.
    produce(&api, &topic, json!([{"value": "news"}])).await;
    let records = crate::harness::soon("the wait ends", waiting)
        .await
        .expect("records");
    assert_eq!(values(&records), ["news"]);
}

#[tokio::test]
async fn what_was_tried_often_or_rejected_becomes_a_dead_letter() {
    let api = shared().await;
    let (topic, dead, group) = shared_group(&api, 1, 2).await;
    let record = |key: &str, value| json!({"key": key, "value": value, "headers": {"trace": "t1"}});
    produce(
        &api,
        &topic,
        json!([record("a", 1), record("a", 2), record("b", 3)]),
    )
    .await;
    for attempt in 1..=2 {
        let records = lease(&api, &group, json!({"max_records": 1})).await;
        assert_eq!(
            (values(&records), &records[0]["attempt"]),
            (vec![&json!(1)], &json!(attempt))
        );
        let nack = json!([{"lease": records[0]["lease"], "reason": "it rains"}]);
        assert_eq!(settle(&api, &group, json!({"nack": nack})).await, ["ok"]);
    }
    // Its key went on, as the letter is written.
    let records = lease(&api, &group, json!({})).await;
    assert_eq!(values(&records), [2, 3]);
    let reject =
        json!([records[0]["lease"], {"lease": records[1]["lease"], "reason": "no such customer"}]);
    assert_eq!(
        settle(&api, &group, json!({"reject": reject})).await,
        ["ok", "ok"]
    );
    let mut letters = Vec::new();
    eventually("the dead letters are written", async || {
        let path = format!("/topics/{dead}/records");
        let page = api.get(&path).await.expect(200).json();
        letters = page["records"].as_array().expect("records").clone();
        letters.len() == 3
    })
    .await;
    letters.sort_by_key(|letter| letter["value"].as_u64());
    let reasons = ["it rains", "rejected", "no such customer"];
    for (n, (letter, reason)) in letters.iter().zip(reasons).enumerate() {
        let attempts = ["2", "1", "1"][n];
        let headers = json!({
            "trace": "t1",
            "headwater-origin-topic": topic, "headwater-origin-partition": "0",
            "headwater-origin-offset": n.to_string(), "headwater-group": group,
            "headwater-attempts": attempts, "headwater-reason": reason,
        });
        assert_eq!(letter["headers"], headers);
        assert_eq!(letter["key"], ["a", "a", "b"][n]);
    }
    let told = api
        .get(&format!("/groups/{group}"))
        .await
        .expect(200)
        .json();
    assert_eq!(told["positions"][0]["lag"], 0);
    assert_eq!(
        told["work"],
        json!({"leased": 0, "waiting": 0, "dead": 0, "dropped": 0})
    );
    assert_eq!(told["config"]["max_attempts"], 2);
    assert_eq!(told["config"]["dead_letter_topic"], dead.as_str());
}

#[tokio::test]
async fn a_record_whose_last_lease_ends_becomes_a_dead_letter_although_nobody_asks() {
    let api = shared().await;
    let (topic, dead, group) = shared_group(&api, 2, 1).await;
    let records: Vec<_> = (0..120).map(|n| json!({"value": n})).collect();
    produce(&api, &topic, json!(records)).await;
    let ask = json!({"lease_ms": 10_000, "max_records": 1_000});
    assert_eq!(lease(&api, &group, ask).await.len(), 120);
    // More than are written in one go.
    eventually("the dead letters are written", async || {
        let ends = api.high_watermarks(&format!("/topics/{dead}")).await;
        ends.iter().sum::<u64>() == 120
    })
    .await;
    let path = format!("/topics/{dead}/records?max_records=1");
    let page = api.get(&path).await.expect(200).json();
    let headers = &page["records"][0]["headers"];
    assert_eq!(headers["headwater-reason"], "the last lease expired");
    eventually("the group hears of it", async || {
        let told = api.get(&format!("/groups/{group}")).await;
        told.expect(200).json()["work"]["dead"] == 0
    })
    .await;
}

#[tokio::test]
async fn a_lease_that_ends_is_another_attempt_unless_it_is_extended() {
    let api = shared().await;
    let (topic, _, group) = shared_group(&api, 1, 5).await;
    produce(&api, &topic, json!([{"value": 1}, {"value": 2}])).await;
    let records = lease(&api, &group, json!({"lease_ms": 10_000})).await;
    assert_eq!(records.len(), 2);
    let extend = json!({"extend": [{"lease": records[0]["lease"], "lease_ms": 300_000}]});
    assert_eq!(settle(&api, &group, extend).await, ["ok"]);
    let again = lease(&api, &group, json!({"wait_ms": 60_000})).await;
    assert_eq!(values(&again), [2]);
    assert_eq!(again[0]["attempt"], 2);
    let both = json!({"ack": [records[0]["lease"], again[0]["lease"]]});
    assert_eq!(settle(&api, &group, both).await, ["ok", "ok"]);
}

#[tokio::test]
async fn more_workers_than_partitions_share_the_records() {
    let api = shared().await;
    let (topic, _, group) = shared_group(&api, 2, 5).await;
    let records: Vec<_> = (0..400).map(|n| json!({"value": n})).collect();
    produce(&api, &topic, json!(records)).await;
    let work = |_| {
        let (api, group) = (api.clone(), group.clone());
        tokio::spawn(async move {
            let mut done = Vec::new();
            loop {
                let ask = json!({"max_records": 7, "wait_ms": 1_500});
                let records = lease(&api, &group, ask).await;
                if records.is_empty() {
                    return done;
                }
                let leases: Vec<_> = records.iter().map(|record| &record["lease"]).collect();
                let settled = settle(&api, &group, json!({"ack": leases})).await;
                assert!(settled.iter().all(|status| status == "ok"), "{settled:?}");
                done.extend(records.iter().map(|record| record["value"].as_u64()));
            }
        })
    };
    let workers: Vec<_> = (0..16).map(work).collect();
    let (mut all, mut busy) = (Vec::new(), 0);
    for worker in workers {
        let done = worker.await.expect("a worker");
        busy += usize::from(!done.is_empty());
        all.extend(done);
    }
    assert!(busy > 2, "{busy} of the workers had something to do");
    assert_eq!(all.len(), 400, "each record once");
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 400);
}

#[tokio::test]
async fn leases_are_of_their_group_alone_and_cannot_be_made() {
    let api = shared().await;
    let (topic, _, group) = shared_group(&api, 1, 5).await;
    let other = unique("other");
    ensure(&api, &other, json!({"topics": [topic], "type": "shared"})).await;
    produce(&api, &topic, json!([{"value": 1}])).await;
    let records = lease(&api, &group, json!({})).await;
    let text = records[0]["lease"].as_str().expect("a lease");
    let mut bent = text.to_owned();
    let last = bent.pop();
    bent.push(if last == Some('A') { 'Q' } else { 'A' });
    let cursor = "AgAA";
    let strange = settle(&api, &group, json!({"ack": [bent, "", cursor, text]})).await;
    assert_eq!(strange, ["unknown", "unknown", "unknown", "ok"]);
    assert_eq!(
        settle(&api, &other, json!({"ack": [text]})).await,
        ["unknown"]
    );
    // A group of the same name that is made anew has never given it.
    let path = format!("/groups/{group}");
    api.send("DELETE", &path, "").await.expect(204);
    ensure(&api, &group, json!({"topics": [topic], "type": "shared"})).await;
    let again = lease(&api, &group, json!({})).await;
    assert_eq!(again.len(), 1);
    assert_eq!(
        settle(&api, &group, json!({"ack": [text]})).await,
        ["unknown"]
    );
    assert_eq!(
        settle(&api, &group, json!({"ack": [again[0]["lease"]]})).await,
        ["ok"]
    );
}

#[tokio::test]
async fn a_reset_forgets_leases_and_begins_elsewhere() {
    let api = shared().await;
    let (topic, _, group) = shared_group(&api, 1, 5).await;
    let records: Vec<_> = (0..10).map(|n| json!({"value": n})).collect();
    produce(&api, &topic, json!(records)).await;
    let records = lease(&api, &group, json!({"max_records": 3})).await;
    let path = format!("/groups/{group}/offsets");
    let to = |force| json!({"to": {"shift": 5}, "force": force}).to_string();
    api.send("POST", &path, to(false))
        .await
        .problem(409, "group_active");
    api.send("POST", &path, to(true)).await.expect(200);
    assert_eq!(
        settle(&api, &group, json!({"ack": [records[0]["lease"]]})).await,
        ["unknown"]
    );
    assert_eq!(
        values(&lease(&api, &group, json!({})).await),
        [5, 6, 7, 8, 9]
    );
}

#[tokio::test]
async fn a_group_is_of_one_kind_and_ensured_as_others_are() {
    let api = shared().await;
    let (topic, dead, group) = shared_group(&api, 1, 3).await;
    let path = format!("/groups/{group}");
    let put = async |spec: Value| api.send("PUT", &path, spec.to_string()).await;
    put(json!({"topics": [topic], "type": "shared"}))
        .await
        .expect(200);
    put(json!({"topics": [topic], "dead_letter_topic": dead, "type": "shared"}))
        .await
        .expect(200);
    put(json!({"topics": [topic], "type": "shared", "max_attempts": 4}))
        .await
        .expect(409);
    put(json!({"topics": [topic], "type": "partitioned"}))
        .await
        .expect(409);
    let new = format!("/groups/{}", unique("never"));
    for (spec, status) in [
        (
            json!({"topics": [topic], "type": "shared", "dead_letter_topic": topic}),
            422,
        ),
        (
            json!({"topics": [topic], "type": "shared", "dead_letter_topic": "not-there"}),
            422,
        ),
        (
            json!({"topics": [topic], "type": "shared", "max_attempts": 0}),
            400,
        ),
        (json!({"topics": [topic], "max_attempts": 3}), 422),
    ] {
        let refused = api.send("PUT", &new, spec.to_string()).await;
        assert_eq!(refused.status, status, "{spec}");
    }
    let poll = json!({"epoch": 1}).to_string();
    let members = format!("{path}/members/w");
    api.send("POST", &format!("{members}/poll"), poll)
        .await
        .problem(409, "group_type_conflict");
    let partitioned = unique("plain");
    ensure(&api, &partitioned, json!({"topics": [topic]})).await;
    Worker::join(&api, &partitioned, "w").await;
    try_lease(&api, &partitioned, json!({}))
        .await
        .problem(409, "group_type_conflict");
    try_settle(&api, &partitioned, json!({"ack": []}))
        .await
        .problem(409, "group_type_conflict");
}

#[tokio::test]
async fn requests_that_cannot_be_are_refused() {
    let api = shared().await;
    let (_, _, group) = shared_group(&api, 1, 5).await;
    for ask in [
        json!({"max_records": 0}),
        json!({"max_records": 1_001}),
        json!({"lease_ms": 9_999}),
        json!({"wait_ms": 60_001}),
        json!({"records": 1}),
    ] {
        try_lease(&api, &group, ask).await.expect(400);
    }
    for what in [
        json!({"ack": vec!["x"; 1_001]}),
        json!({"nack": [{"lease": "x", "delay_ms": 86_400_001}]}),
        json!({"nack": [{"delay_ms": 1}]}),
        json!({"extend": [{"lease": "x", "lease_ms": 1}]}),
        json!({"extend": [{"lease": "x"}]}),
        json!({"release": ["x"]}),
    ] {
        try_settle(&api, &group, what).await.expect(400);
    }
    for group in ["not-there", "no name"] {
        try_lease(&api, &group.replace(' ', "%20"), json!({}))
            .await
            .problem(404, "group_not_found");
    }
}

#[tokio::test]
async fn another_tenant_sees_no_group_and_takes_no_lease() {
    let (one, two) = (
        Tenant::new(Engine::Sqlite).await,
        Tenant::new(Engine::Sqlite).await,
    );
    let mut tokens = Vec::new();
    for tenant in [&one, &two] {
        tenant.key.topic("jobs", 1).await;
        produce(&tenant.key, "jobs", json!([{"value": 1}])).await;
        ensure(
            &tenant.key,
            "g",
            json!({"topics": ["jobs"], "type": "shared"}),
        )
        .await;
        let records = lease(&tenant.key, "g", json!({})).await;
        tokens.push(records[0]["lease"].clone());
    }
    let theirs = settle(&one.key, "g", json!({"ack": [tokens[1]]})).await;
    assert_eq!(theirs, ["unknown"]);
    assert_eq!(
        settle(&two.key, "g", json!({"ack": [tokens[1]]})).await,
        ["ok"]
    );
}

#[tokio::test]
async fn large_records_are_leased_as_they_fit() {
    let api = shared().await;
    let (topic, _, group) = shared_group(&api, 1, 1).await;
    let long = "x".repeat(300_000);
    let records: Vec<_> = (0..10)
        .map(|n| json!({"key": format!("k{n}"), "value_text": long}))
        .collect();
    produce(&api, &topic, json!(records)).await;
    let mut seen = BTreeMap::<u64, u64>::new();
    while seen.len() < 10 {
        let records = lease(&api, &group, json!({"max_bytes": 1_000_000})).await;
        assert!((1..=3).contains(&records.len()), "{}", records.len());
        for record in &records {
            // What was leased and did not fit was not tried: one attempt is all there is.
            assert_eq!(record["attempt"], 1);
            *seen
                .entry(record["offset"].as_u64().expect("an offset"))
                .or_default() += 1;
        }
        let leases: Vec<_> = records.iter().map(|record| &record["lease"]).collect();
        settle(&api, &group, json!({"ack": leases})).await;
    }
    assert!(seen.values().all(|times| *times == 1), "{seen:?}");
}
