//! Kafka's default partitioner, so that a move from Kafka keeps each key where it was.

use std::collections::BTreeSet;

use serde_json::json;

use crate::harness::{shared, unique};

/// Keys and their murmur2 hashes, from Apache Kafka's `UtilsTest.testMurmur2`.
const HASHES: &[(&str, i32)] = &[
    ("21", -973_932_308),
    ("foobar", -790_332_482),
    ("a-little-bit-long-string", -985_981_536),
    ("a-little-bit-longer-string", -1_486_304_829),
    (
        "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
        -58_897_971,
    ),
    ("abc", 479_470_107),
];

#[tokio::test]
async fn keys_go_where_kafka_sends_them() {
    let api = shared().await;
    for partitions in [6_u32, 7, 100] {
        let path = api.topic(&unique("murmur2"), partitions).await;
        let records: Vec<_> = HASHES
            .iter()
            .map(|(key, _)| json!({"key": key, "value": 1}))
            .collect();
        let answer = api
            .produce(&path, json!({"records": records}).to_string())
            .await;
        for (n, (key, hash)) in HASHES.iter().enumerate() {
            let expected = (hash.cast_unsigned() & 0x7fff_ffff) % partitions;
            assert_eq!(
                answer["results"][n]["partition"], expected,
                "{key} over {partitions}"
            );
        }
    }
}

#[tokio::test]
async fn a_binary_key_hashes_like_the_same_text() {
    let api = shared().await;
    let path = api.topic(&unique("bytes"), 64).await;
    let body = r#"{"records":[{"key":"foobar","value":1},{"key_base64":"Zm9vYmFy","value":1}]}"#;
    let answer = api.produce(&path, body).await;
    assert_eq!(
        answer["results"][0]["partition"],
        answer["results"][1]["partition"]
    );
}

#[tokio::test]
async fn keyless_records_stick_to_one_partition_a_request() {
    let api = shared().await;
    let path = api.topic(&unique("sticky"), 8).await;
    let records: Vec<_> = (0..50).map(|n| json!({"value": n})).collect();
    let body = json!({"records": records}).to_string();
    let mut used = BTreeSet::new();
    for _ in 0..64 {
        let answer = api.produce(&path, body.clone()).await;
        let partitions: BTreeSet<_> = answer["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["partition"].as_u64().unwrap())
            .collect();
        assert_eq!(partitions.len(), 1, "one partition a request");
        used.extend(partitions);
    }
    assert!(used.len() > 1, "requests spread over partitions: {used:?}");
}

#[tokio::test]
async fn an_explicit_partition_wins_over_the_key() {
    let api = shared().await;
    let path = api.topic(&unique("explicit"), 3).await;
    for partition in 0..3 {
        let body = json!({"records": [{"key": "abc", "partition": partition, "value": 1}]});
        let answer = api.produce(&path, body.to_string()).await;
        assert_eq!(answer["results"][0]["partition"], partition);
    }
}
