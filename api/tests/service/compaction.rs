//! Compacted topics: the last record of each key stays, wherever it is; older ones and old tombstones go.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    client::{Api, Row, reply},
    harness::{Server, eventually, shared, unique},
};

const KEYS: usize = 40;

fn eager() -> Server {
    Server::dev()
        .with("HEADWATER_MAINTENANCE_INTERVAL", "100ms")
        .with("HEADWATER_OBJECT_DELETE_DELAY", "1s")
}

async fn compacted(api: &Api, name: &str, partitions: u32, delete_retention_ms: u64) -> String {
    let path = format!("/topics/{name}");
    let body = json!({"partitions": partitions, "config": {"segment_bytes": 65536,
        "cleanup_policy": "compact", "delete_retention_ms": delete_retention_ms}});
    let topic = api
        .send("PUT", &path, body.to_string())
        .await
        .expect(201)
        .json();
    assert_eq!(topic["config"]["cleanup_policy"], "compact");
    assert_eq!(topic["config_sources"]["delete_retention_ms"], "topic");
    path
}

/// What was written last of each key: `None` is a tombstone.
type Latest = BTreeMap<String, Option<u64>>;

/// Writes `count` versions, numbered from `from`, over the keys in turn; every 97th is a tombstone.
async fn write(api: &Api, path: &str, from: u64, count: u64, latest: &mut Latest) {
    let numbers: Vec<_> = (from..from + count).collect();
    for chunk in numbers.chunks(50) {
        let records: Vec<Value> = chunk
            .iter()
            .map(|n| {
                // Another stride than the keys' number, so that every key gets a tombstone once.
                let key = format!("key {}", n % KEYS as u64);
                let value = (n % 97 != 0).then_some(*n);
                latest.insert(key.clone(), value);
                match value {
                    Some(n) => json!({"key": key, "value": {"n": n, "pad": "x".repeat(900)}}),
                    None => json!({"key": key, "value": null}),
                }
            })
            .collect();
        api.produce(path, json!({"records": records}).to_string())
            .await;
    }
}

fn number(row: &Row) -> Option<u64> {
    let value: Value = serde_json::from_str(&row.value).expect("JSON");
    value["n"].as_u64()
}

/// Checks what is there: in order, nothing twice, and of each key the last record.
fn assert_holds(rows: &[Row], latest: &Latest) {
    let mut last: BTreeMap<&str, (&Row, Option<u64>)> = BTreeMap::new();
    for row in rows {
        let before = last.insert(row.key.as_deref().expect("a key"), (row, number(row)));
        if let Some((before, _)) = before {
            assert!(before.offset < row.offset && before.partition == row.partition);
        }
    }
    for (key, expected) in latest {
        match (last.get(key.as_str()), expected) {
            (Some((_, found)), expected) => assert_eq!(found, expected, "{key}"),
            (None, None) => {}
            (None, Some(_)) => panic!("{key} is gone"),
        }
    }
}

async fn assert_keys(api: &Api, path: &str, latest: &Latest) {
    for (key, expected) in latest {
        let url = format!("{path}/keys/{}", key.replace(' ', "%20"));
        let answer = api.get(&url).await;
        match expected {
            Some(n) => {
                let record = answer.expect(200).json();
                assert_eq!(record["value"]["n"], *n, "{key}");
                assert_eq!(record["key"], *key);
                assert!(record["offset"].is_u64() && record["partition"].is_u64());
            }
            None => {
                answer.problem(404, "key_not_found");
            }
        }
    }
}

#[tokio::test]
async fn of_each_key_the_last_record_stays() {
    let mut server = eager().started().await;
    let api = server.api();
    let path = compacted(&api, "state", 2, 3_600_000).await;
    let mut latest = Latest::new();
    for round in 0..4 {
        write(&api, &path, round * 1_000, 1_000, &mut latest).await;
        assert_keys(&api, &path, &latest).await;
        assert_holds(&api.read_by_cursor(&path).await, &latest);
    }
    let mut rows = Vec::new();
    eventually("most old records are gone", async || {
        rows = api.read_by_cursor(&path).await;
        rows.len() < 800
    })
    .await;
    assert_holds(&rows, &latest);
    assert!(
        rows.iter().any(|row| number(row).is_none()),
        "tombstones are kept for an hour"
    );
    assert_keys(&api, &path, &latest).await;
    // Each partition from its start, and from an offset that is gone.
    for partition in 0..2 {
        let of_one = api.read_partition(&path, partition).await;
        let expected: Vec<_> = rows
            .iter()
            .filter(|row| row.partition == partition)
            .collect();
        assert!(of_one.iter().eq(expected), "partition {partition}");
        let url = format!("{path}/partitions/{partition}/records?offset=1&max_records=1");
        let page = api.get(&url).await.expect(200);
        assert_eq!(
            page.json()["gaps"],
            json!([]),
            "what was compacted is not lost"
        );
        assert_eq!(
            page.rows()[0].offset,
            of_one.iter().find(|row| row.offset > 0).unwrap().offset
        );
    }
    server.kill9();
    server.restart().await;
    let api = server.api();
    assert_keys(&api, &path, &latest).await;
    write(&api, &path, 4_000, 1_000, &mut latest).await;
    assert_holds(&api.read_by_cursor(&path).await, &latest);
    assert_keys(&api, &path, &latest).await;
}

#[tokio::test]
async fn old_tombstones_go_with_what_they_deleted() {
    let server = eager().started().await;
    let api = server.api();
    let path = compacted(&api, "deleted", 1, 1).await;
    let mut latest = Latest::new();
    write(&api, &path, 0, 500, &mut latest).await;
    // Everything is deleted, and then other keys are written until that is in sealed segments.
    let keys: Vec<_> = latest.keys().cloned().collect();
    let tombstones: Vec<_> = keys
        .iter()
        .map(|key| json!({"key": key, "value": null}))
        .collect();
    api.produce(&path, json!({"records": tombstones}).to_string())
        .await;
    for n in 0..600 {
        if n % 50 == 0 {
            let records: Vec<_> = (n..n + 50)
                .map(|n| json!({"key": format!("other {}", n % 3), "value": {"n": n, "pad": "y".repeat(900)}}))
                .collect();
            api.produce(&path, json!({"records": records}).to_string())
                .await;
        }
    }
    eventually("nothing is left of the deleted keys", async || {
        let rows = api.read_partition(&path, 0).await;
        rows.iter().all(|row| {
            row.key
                .as_deref()
                .is_some_and(|key| key.starts_with("other"))
        })
    })
    .await;
    for key in keys {
        let url = format!("{path}/keys/{}", key.replace(' ', "%20"));
        api.get(&url).await.problem(404, "key_not_found");
    }
    let record = api
        .get(&format!("{path}/keys/other%201"))
        .await
        .expect(200)
        .json();
    assert_eq!(record["value"]["n"], 598);
}

#[tokio::test]
async fn kills_in_the_middle_lose_no_key() {
    let mut server = eager().started().await;
    let path = compacted(&server.api(), "killed", 1, 3_600_000).await;
    let mut latest = Latest::new();
    for round in 0..6 {
        let api = server.api();
        write(&api, &path, round * 500, 500, &mut latest).await;
        // Somewhere in uploading, compacting, replacing or dropping.
        tokio::time::sleep(std::time::Duration::from_millis(80 * round + 20)).await;
        server.kill9();
        server.restart().await;
        assert_holds(&server.api().read_partition(&path, 0).await, &latest);
    }
    let api = server.api();
    eventually("it is compacted all the same", async || {
        api.read_partition(&path, 0).await.len() < 400
    })
    .await;
    assert_holds(&api.read_partition(&path, 0).await, &latest);
    assert_keys(&api, &path, &latest).await;
}

#[tokio::test]
async fn records_without_a_key_are_refused() {
    let api = shared().await;
    let path = format!("/topics/{}", unique("keyed"));
    let body = r#"{"partitions":1,"config":{"cleanup_policy":"compact"}}"#;
    api.send("PUT", &path, body).await.expect(201);
    let records = r#"{"records":[{"key":"a","value":1},{"value":2}]}"#;
    let url = format!("{path}/records");
    let problem = api
        .send("POST", &url, records)
        .await
        .problem(422, "key_required");
    assert_eq!(problem["errors"][0]["pointer"], "/records/1/key");
    assert_eq!(problem["outcome"], "not_applied");
    let raw = api
        .request("POST", &format!("{path}/raw"))
        .header("content-type", "text/plain");
    let raw = reply(raw.body("x")).await;
    raw.problem(422, "key_required");
    let lines = "{\"key\":\"b\",\"value\":1}\n{\"value\":2}\n{\"key\":\"c\",\"value\":3}\n";
    let bulk = api
        .request("POST", &format!("{path}/records/bulk"))
        .body(lines);
    let answer = reply(bulk).await.expect(200);
    assert!(answer.text.contains(r#""line":2"#) && answer.text.contains("key_required"));
    assert!(
        answer.text.contains(r#""accepted":2,"rejected":1"#),
        "{}",
        answer.text
    );
    assert_eq!(api.high_watermarks(&path).await, [2]);
    let record = api.get(&format!("{path}/keys/c")).await.expect(200).json();
    assert_eq!(
        (&record["value"], &record["offset"]),
        (&json!(3), &json!(1))
    );
}

#[tokio::test]
async fn keys_of_all_kinds_are_found() {
    let api = shared().await;
    let path = format!("/topics/{}", unique("kinds"));
    let body = r#"{"partitions":3,"config":{"cleanup_policy":"compact"}}"#;
    api.send("PUT", &path, body).await.expect(201);
    let records = json!({"records": [
        {"key": "a/b ü?", "value": 1},
        {"key_base64": "/wD+", "value_text": "bytes"},
        {"key": "placed", "value": "first", "partition": 0, "timestamp": 1000},
        {"key": "placed", "value": "second", "partition": 1, "timestamp": 2000},
        {"key": "placed", "value": "third", "partition": 2, "timestamp": 1500},
        {"key": "moved", "value": 1},
    ]});
    api.produce(&path, records.to_string()).await;
    let record = api.get(&format!("{path}/keys/a%2Fb%20%C3%BC%3F")).await;
    assert_eq!(record.expect(200).json()["value"], 1);
    let record = api
        .get(&format!("{path}/keys/_wD-?key_encoding=base64"))
        .await
        .expect(200);
    assert_eq!(record.json()["value_text"], "bytes");
    let record = api
        .get(&format!(
            "{path}/keys/_wD-?key_encoding=base64&encoding=base64"
        ))
        .await;
    assert_eq!(record.expect(200).json()["value_base64"], "Ynl0ZXM=");
    for bad in [
        "keys/a?key_encoding=hex",
        "keys/%21?key_encoding=base64",
        "keys/a?offset=1",
    ] {
        api.get(&format!("{path}/{bad}"))
            .await
            .problem(400, "invalid_request");
    }
    // Where records of the key go by themselves comes first.
    let home = ["first", "second", "third"];
    let found = api
        .get(&format!("{path}/keys/placed"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        found["value"],
        home[found["partition"].as_u64().unwrap() as usize]
    );
    api.get(&format!("{path}/keys/nobody"))
        .await
        .problem(404, "key_not_found");
    // After the topic grew, keys may be elsewhere.
    api.send("PATCH", &path, r#"{"partitions":50}"#)
        .await
        .expect(200);
    let found = api
        .get(&format!("{path}/keys/moved"))
        .await
        .expect(200)
        .json();
    assert_eq!(found["value"], 1);
    let plain = api.topic(&unique("plain"), 1).await;
    api.get(&format!("{plain}/keys/a"))
        .await
        .problem(422, "not_compacted");
    api.get("/topics/no-such/keys/a")
        .await
        .problem(404, "topic_not_found");
}
