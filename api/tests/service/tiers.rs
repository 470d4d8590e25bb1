//! Two tiers: sealed segments go into the object store and leave the disk, and nobody who reads notices.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    client::{Api, Row},
    harness::{Server, eventually},
};

/// A server that looks at its segments all the time, and deletes objects soon.
fn eager() -> Server {
    Server::dev()
        .with("HEADWATER_MAINTENANCE_INTERVAL", "100ms")
        .with("HEADWATER_OBJECT_DELETE_DELAY", "1s")
}

/// A topic of small segments, of which no more than one stays on the disk once it is in the store.
pub async fn small_segments(api: &Api, name: &str, partitions: u32) -> String {
    let path = format!("/topics/{name}");
    let body = json!({"partitions": partitions, "config": {
        "segment_bytes": 65536, "local_retention_bytes": 65536, "retention_ms": null}});
    api.send("PUT", &path, body.to_string()).await.expect(201);
    path
}

/// Writes so many records of a kilobyte, numbered from `from`.
pub async fn write(api: &Api, path: &str, from: usize, count: usize) {
    for chunk in (from..from + count).collect::<Vec<_>>().chunks(50) {
        let records: Vec<_> = chunk
            .iter()
            .map(|n| {
                json!({"key": format!("k{}", n % 17), "value": {"n": n, "pad": "x".repeat(1000)},
                "timestamp": 1_700_000_000_000_u64 + *n as u64})
            })
            .collect();
        api.produce(path, json!({"records": records}).to_string())
            .await;
    }
}

/// Waits until most of the topic is in the store alone.
pub async fn until_cold(api: &Api, path: &str) -> Value {
    let mut state = Value::Null;
    eventually("segments are in the store and off the disk", async || {
        let partitions = api.get(&format!("{path}/partitions")).await.expect(200);
        state = partitions.json();
        let all = state["partitions"].as_array().expect("partitions");
        all.iter().all(|partition| {
            let bytes = |name: &str| partition[name].as_u64().expect(name);
            bytes("cold_bytes") > bytes("hot_bytes") && bytes("hot_bytes") < 200_000
        })
    })
    .await;
    state
}

fn numbers(rows: &[Row]) -> Vec<u64> {
    let mut numbers: Vec<_> = rows
        .iter()
        .map(|row| {
            let value: Value = serde_json::from_str(&row.value).expect("JSON");
            value["n"].as_u64().expect("a number")
        })
        .collect();
    numbers.sort_unstable();
    numbers
}

pub fn objects(directory: &Path) -> usize {
    let mut count = 0;
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            count += usize::from(path.extension().is_some_and(|e| e == "segment"));
            if path.is_dir() {
                left.push(path);
            }
        }
    }
    count
}

#[tokio::test]
async fn what_is_cold_is_read_as_if_it_were_hot() {
    let mut server = eager().started().await;
    let api = server.api();
    let path = small_segments(&api, "flights", 2).await;
    write(&api, &path, 0, 1_500).await;
    let before: Vec<Vec<Row>> = [
        api.read_partition(&path, 0).await,
        api.read_partition(&path, 1).await,
    ]
    .into();
    let state = until_cold(&api, &path).await;
    let read = async |api: &Api| {
        for (partition, expected) in (0..).zip(&before) {
            let rows = api.read_partition(&path, partition).await;
            assert!(rows == *expected, "partition {partition} reads as before");
        }
        let rows = api.read_by_cursor(&path).await;
        assert_eq!(numbers(&rows), (0..1_500).collect::<Vec<_>>());
    };
    read(&api).await;
    // One record in the middle, by offset and by time.
    let one = &before[0][before[0].len() / 3];
    let url = format!("{path}/partitions/0/records");
    let by_offset = format!("{url}?offset={}&max_records=1", one.offset);
    assert!(api.get(&by_offset).await.expect(200).rows()[0] == *one);
    let n = numbers(std::slice::from_ref(one))[0];
    let at = 1_700_000_000_000 + n;
    let found = api.get(&format!("{url}?at={at}&max_records=1")).await;
    assert!(found.expect(200).rows()[0] == *one, "at {at}");
    let topic = api.get(&path).await.expect(200).json();
    assert!(
        topic["cold_bytes"].as_u64() > topic["hot_bytes"].as_u64(),
        "{topic}"
    );
    assert!(topic["offload_backlog_bytes"].is_u64(), "{topic}");
    for partition in state["partitions"].as_array().unwrap() {
        let number = |name: &str| partition[name].as_u64().expect(name);
        assert_eq!(number("cold_start"), 0);
        assert!(number("hot_start") > 0 && number("hot_start") < number("high_watermark"));
        assert_eq!(number("offload_backlog_bytes"), 0);
    }
    for _ in 0..2 {
        server.kill9();
        server.restart().await;
        read(&server.api()).await;
    }
    let api = server.api();
    write(&api, &path, 1_500, 500).await;
    until_cold(&api, &path).await;
    let rows = api.read_by_cursor(&path).await;
    assert_eq!(numbers(&rows), (0..2_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn retention_trim_and_deletion_reach_the_store() {
    let server = eager().started().await;
    let api = server.api();
    let store = server.data_dir().join("objects");
    let path = small_segments(&api, "kept", 1).await;
    write(&api, &path, 0, 1_000).await;
    until_cold(&api, &path).await;
    let all = objects(&store);
    assert!(all > 10, "{all} objects");
    let trim = r#"{"partition":0,"before_offset":400}"#;
    let trimmed = api.send("POST", &format!("{path}/trim"), trim).await;
    assert_eq!(trimmed.expect(200).json()["log_start"], 400);
    let fewer = async || objects(&store) < all - 3;
    eventually("objects below the start are deleted", fewer).await;
    let rows = api.read_partition(&path, 0).await;
    assert_eq!(numbers(&rows), (400..1_000).collect::<Vec<_>>());
    let keep = json!({"config": {"retention_bytes": 200_000}}).to_string();
    api.send("PATCH", &path, keep).await.expect(200);
    let few = async || objects(&store) < 6;
    eventually("objects above the size are deleted", few).await;
    let rows = api.read_partition(&path, 0).await;
    let numbers = numbers(&rows);
    assert!(
        numbers.len() > 150 && numbers.len() < 500,
        "{}",
        numbers.len()
    );
    assert_eq!(numbers.last(), Some(&999));
    api.send("DELETE", &path, "").await.expect(204);
    let none = async || objects(&store) == 0;
    eventually("the last object is deleted", none).await;
}

#[tokio::test]
async fn a_store_that_fails_loses_nothing_and_is_waited_for() {
    let mut server = eager().started().await;
    let api = server.api();
    let path = small_segments(&api, "outage", 1).await;
    write(&api, &path, 0, 500).await;
    until_cold(&api, &path).await;
    server.stop().await;
    server.restart().await;
    let api = server.api();
    // Nothing is in the cache. An object is gone.
    let store = server.data_dir().join("objects");
    let mut victims = Vec::new();
    let topic = api.get(&path).await.expect(200).json_member("topic_id");
    let directory = store.join("segments").join(&topic).join("00000");
    for entry in std::fs::read_dir(&directory).expect("objects").flatten() {
        victims.push(entry.path());
    }
    victims.sort();
    let hidden = victims[0].with_extension("hidden");
    std::fs::rename(&victims[0], &hidden).expect("hidden");
    let url = format!("{path}/partitions/0/records?offset=0");
    let problem = api.get(&url).await.problem(503, "unavailable");
    assert_eq!(problem["retryable"], true);
    write(&api, &path, 500, 10).await;
    std::fs::rename(&hidden, &victims[0]).expect("back");
    // A flipped bit is an error that says where, never wrong bytes.
    let mut bytes = std::fs::read(&victims[1]).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&victims[1], &bytes).expect("written");
    let mut offset = 0;
    let problem = loop {
        let url = format!("{path}/partitions/0/records?offset={offset}");
        let answer = api.get(&url).await;
        if answer.status != 200 {
            break answer.any_problem();
        }
        offset = answer.number("next_offset");
        assert!(offset < 400, "the damage is met");
    };
    assert_eq!(problem["code"], "record_corrupt", "{problem}");
    bytes[middle] ^= 1;
    std::fs::write(&victims[1], &bytes).expect("mended");
    let rows = api.read_partition(&path, 0).await;
    assert_eq!(numbers(&rows), (0..510).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_store_of_another_cluster_is_left_alone() {
    let mut server = eager().started().await;
    server.stop().await;
    let store = server.data_dir().join("objects");
    std::fs::create_dir_all(&store).expect("made");
    let claim = r#"{"format":1,"cluster_id":"somebody-elses"}"#;
    std::fs::write(store.join("headwater.json"), claim).expect("written");
    server.restart().await;
    let api = server.api();
    let path = small_segments(&api, "mine", 1).await;
    write(&api, &path, 0, 300).await;
    let told = async || server.log().contains("belongs to cluster somebody-elses");
    eventually("it is told why nothing is uploaded", told).await;
    assert_eq!(objects(&store), 0);
    let rows = api.read_partition(&path, 0).await;
    assert_eq!(numbers(&rows), (0..300).collect::<Vec<_>>());
}
