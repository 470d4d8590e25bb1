//! What a group says of itself: members, positions, how far it is behind.

use serde_json::{Value, json};

use super::worker::{Worker, described, ensure, group_of};
use crate::harness::{shared, unique};

#[tokio::test]
async fn lag_is_told_in_records_and_in_time() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 2).await;
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let record = |age_ms: i64| json!({"value": 1, "partition": 1, "timestamp": now_ms - age_ms});
    let records = json!({"records": [record(600_000), record(500_000), record(30_000)]});
    api.produce(&format!("/topics/{topic}"), records.to_string())
        .await;
    let at = |told: &Value| told["positions"][1].clone();
    let is_about = |told: &Value, age_ms: u64| {
        let told = told.as_u64().expect("an age");
        assert!(
            (age_ms..age_ms + 60_000).contains(&told),
            "{told} is not about {age_ms}"
        );
    };
    let told = at(&described(&api, &group).await);
    assert_eq!(told["topic"], topic.as_str());
    assert_eq!(
        (&told["partition"], &told["committed"]),
        (&json!(1), &Value::Null)
    );
    assert_eq!(
        (&told["high_watermark"], &told["lag"]),
        (&json!(3), &json!(3))
    );
    is_about(&told["lag_ms"], 600_000);
    let mut worker = Worker::join(&api, &group, "w").await;
    let polled = worker.poll(json!({"max_records": 1})).await;
    assert_eq!(polled["lag"]["records"], 3);
    is_about(&polled["lag"]["ms"], 600_000);
    // In the middle of a batch.
    let polled = worker.go_on(json!({"max_records": 1})).await;
    assert_eq!(polled["lag"]["records"], 2);
    is_about(&polled["lag"]["ms"], 500_000);
    let told = at(&described(&api, &group).await);
    assert_eq!((&told["committed"], &told["lag"]), (&json!(1), &json!(2)));
    is_about(&told["lag_ms"], 500_000);
    // To read on without a commit does not hide it.
    let polled = worker.poll(json!({"after": polled["cursor"]})).await;
    assert_eq!(polled["lag"]["records"], 2);
    is_about(&polled["lag"]["ms"], 500_000);
    let polled = worker.go_on(json!({})).await;
    assert_eq!(polled["lag"], json!({"records": 0, "ms": 0}));
    let told = at(&described(&api, &group).await);
    assert_eq!((&told["lag"], &told["lag_ms"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn members_are_told_with_what_they_own() {
    let api = shared().await;
    let topic = unique("shown");
    api.topic(&topic, 2).await;
    let group = unique("shown");
    ensure(&api, &group, json!({"topics": [topic]})).await;
    let how = json!({"instance": "pod-1", "lease_ms": 60_000});
    let mut worker = Worker::join_as(&api, &group, "b", how).await;
    Worker::join(&api, &group, "a").await;
    worker.poll(json!({})).await;
    let told = described(&api, &group).await;
    let members = told["members"].as_array().expect("members");
    let names: Vec<_> = members.iter().map(|member| &member["member"]).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(
        (&members[0]["instance"], &members[1]["instance"]),
        (&Value::Null, &json!("pod-1"))
    );
    let assignment = members[1]["assignment"].as_array().expect("an assignment");
    assert_eq!(assignment.len(), 1, "{told}");
    assert_eq!(assignment[0]["topic"], topic.as_str());
    let ends: jiff::Timestamp = members[1]["expires_at"]
        .as_str()
        .expect("a time")
        .parse()
        .expect("RFC 3339");
    let left_ms = ends.as_millisecond() - jiff::Timestamp::now().as_millisecond();
    assert!((1..=60_000).contains(&left_ms), "{left_ms}");
    let offsets = api
        .get(&format!("/groups/{group}/offsets"))
        .await
        .expect(200)
        .json();
    assert_eq!(offsets["positions"], told["positions"]);
}
