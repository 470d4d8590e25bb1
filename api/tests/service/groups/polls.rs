//! What a poll delivers, and when.

use std::time::{Duration, Instant};

use serde_json::json;

use super::worker::{Worker, ensure, fill, group_of, values};
use crate::harness::{shared, soon, unique};

#[tokio::test]
async fn the_first_poll_has_the_records() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 2).await;
    fill(&api, &topic, 1, 0..2).await;
    let mut worker = Worker::join(&api, &group, "w").await;
    let told = worker.poll(json!({})).await;
    assert_eq!(values(&told), [0, 1]);
    let record = &told["records"][1];
    assert_eq!(record["topic"], topic.as_str());
    assert_eq!(
        (&record["partition"], &record["offset"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(record["key"], "k1");
    assert_eq!(worker.owned, [0, 1]);
    assert_eq!(told["revoked"], json!([]));
    assert_eq!(told["gaps"], json!([]));
    assert_eq!(told["lag"]["records"], 2);
}

#[tokio::test]
async fn several_topics_take_turns() {
    let api = shared().await;
    let (one, two) = (unique("loud"), unique("quiet"));
    api.topic(&one, 3).await;
    api.topic(&two, 1).await;
    for partition in 0..3 {
        fill(&api, &one, partition, 0..200).await;
    }
    fill(&api, &two, 0, 0..20).await;
    let group = unique("both");
    ensure(&api, &group, json!({"topics": [one, two]})).await;
    let mut worker = Worker::join(&api, &group, "w").await;
    let told = worker.poll(json!({"max_records": 40})).await;
    let records = told["records"].as_array().expect("records");
    assert_eq!(records.len(), 40);
    let quiet = records
        .iter()
        .filter(|record| record["topic"] == two.as_str());
    assert_eq!(quiet.count(), 20, "a busy topic hides no other");
    for partition in 0..3 {
        let of = |record: &&serde_json::Value| {
            record["topic"] == one.as_str() && record["partition"] == partition
        };
        assert!(records.iter().any(|record| of(&record)), "nor a partition");
    }
    // All of it comes, each record once and in order.
    let mut seen = std::collections::BTreeMap::<_, Vec<_>>::new();
    let mut told = told;
    while told["records"] != json!([]) {
        for record in told["records"].as_array().expect("records") {
            let place = (record["topic"].to_string(), record["partition"].as_u64());
            seen.entry(place)
                .or_default()
                .push(record["offset"].as_u64().expect("an offset"));
        }
        told = worker.go_on(json!({"max_records": 100})).await;
    }
    assert_eq!(seen.len(), 4);
    for offsets in seen.values() {
        assert!(
            (0..).zip(offsets).all(|(n, offset)| n == *offset),
            "{offsets:?}"
        );
    }
    assert_eq!(told["lag"], json!({"records": 0, "ms": 0}));
}

#[tokio::test]
async fn a_poll_waits_for_the_first_record() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 3).await;
    let mut worker = Worker::join(&api, &group, "w").await;
    let begun = Instant::now();
    let told = worker.poll(json!({"wait_ms": 300})).await;
    assert_eq!(told["records"], json!([]));
    assert!(begun.elapsed() >= Duration::from_millis(250), "it waits");
    let waiting = tokio::spawn(async move { worker.poll(json!({"wait_ms": 60_000})).await });
    fill(&api, &topic, 2, 7..8).await;
    let told = soon("the record comes", waiting).await.expect("no panic");
    assert_eq!(values(&told), [7]);
}

#[tokio::test]
async fn reading_on_commits_nothing() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 1).await;
    fill(&api, &topic, 0, 0..9).await;
    let mut worker = Worker::join(&api, &group, "w").await;
    let first = worker.poll(json!({"max_records": 3})).await;
    assert_eq!(values(&first), [0, 1, 2]);
    // Repeated, it is the same.
    let again = worker.poll(json!({"max_records": 3})).await;
    assert_eq!(values(&again), [0, 1, 2]);
    let second = worker
        .poll(json!({"max_records": 3, "after": first["cursor"]}))
        .await;
    assert_eq!(values(&second), [3, 4, 5]);
    let third = worker
        .poll(json!({"max_records": 3, "after": second["cursor"]}))
        .await;
    assert_eq!(values(&third), [6, 7, 8]);
    assert_eq!(third["lag"]["records"], 9, "nothing is committed");
    // The second's cursor has the first's, and not the third's.
    let told = worker.poll(json!({"commit": second["cursor"]})).await;
    assert_eq!(values(&told), [6, 7, 8]);
    assert_eq!(told["lag"]["records"], 3);
    // Commit and read on in one: what is behind wins.
    let told = worker
        .poll(json!({"commit": first["cursor"], "after": third["cursor"]}))
        .await;
    assert_eq!(told["records"], json!([]));
}

#[tokio::test]
async fn limits_and_forms_are_those_of_a_fetch() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 1).await;
    let big = json!({"records": [{"value": "x".repeat(5_000)}, {"value": "y".repeat(5_000)}]});
    api.produce(&format!("/topics/{topic}"), big.to_string())
        .await;
    let mut worker = Worker::join(&api, &group, "w").await;
    let told = worker.poll(json!({"max_bytes": 1})).await;
    assert_eq!(
        told["records"].as_array().map(Vec::len),
        Some(1),
        "the first always fits"
    );
    let told = worker
        .poll(json!({"encoding": "base64", "max_records": 1}))
        .await;
    assert!(told["records"][0]["value_base64"].is_string(), "{told}");
    for (ask, pointer) in [
        (json!({"max_records": 0}), "/max_records"),
        (json!({"max_records": 10_001}), "/max_records"),
        (json!({"max_bytes": 16_777_217}), "/max_bytes"),
        (json!({"wait_ms": 60_001}), "/wait_ms"),
        (json!({"wait_ms": -1}), "/wait_ms"),
        (json!({"encoding": "xml"}), "/encoding"),
        (json!({"from": "earliest"}), "/from"),
    ] {
        let problem = worker
            .try_poll(ask.clone())
            .await
            .problem(400, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{ask}: {problem}");
    }
    let path = format!("/groups/{group}/members/w/poll");
    let problem = api
        .send("POST", &path, "{}")
        .await
        .problem(400, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/epoch");
    // As curl sends it.
    let curl = api
        .request("POST", &path)
        .header("content-type", "application/x-www-form-urlencoded");
    let body = json!({"epoch": worker.epoch}).to_string();
    crate::client::reply(curl.body(body)).await.expect(200);
}

#[tokio::test]
async fn what_was_deleted_is_told_as_a_gap() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 1).await;
    fill(&api, &topic, 0, 0..10).await;
    let mut worker = Worker::join(&api, &group, "w").await;
    worker.poll(json!({"max_records": 2})).await;
    worker.go_on(json!({"max_records": 1})).await;
    let trim = json!({"partition": 0, "before_offset": 6}).to_string();
    api.send("POST", &format!("/topics/{topic}/trim"), trim)
        .await
        .expect(200);
    let told = worker.poll(json!({})).await;
    assert_eq!(values(&told), [6, 7, 8, 9]);
    let gap = json!({"topic": topic, "partition": 0, "from": 2, "to": 6, "reason": "deleted"});
    assert_eq!(told["gaps"], json!([gap]));
    assert_eq!(told["lag"]["records"], 4);
    let told = worker.go_on(json!({})).await;
    assert_eq!((&told["records"], &told["gaps"]), (&json!([]), &json!([])));
}
