//! Reading a whole topic: the state is in the cursor.

use std::collections::BTreeMap;

use serde_json::json;

use crate::client::Api;
use crate::harness::{shared, soon, unique};

async fn filled(api: &Api, partitions: u32, records: u32) -> String {
    let path = api.topic(&unique("cursor"), partitions).await;
    for start in (0..records).step_by(500) {
        let records: Vec<_> = (start..records.min(start + 500))
            .map(|n| json!({"key": format!("k{}", n % 41), "value": n}))
            .collect();
        api.produce(&path, json!({"records": records}).to_string())
            .await;
    }
    path
}

#[tokio::test]
async fn a_cursor_reads_every_record_once_in_order() {
    let api = shared().await;
    let path = filled(&api, 6, 3_000).await;
    for page_size in [7, 333, 10_000] {
        let mut position = String::new();
        let mut seen: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        let mut values = Vec::new();
        loop {
            let page = api
                .get(&format!("{path}/records?max_records={page_size}{position}"))
                .await
                .expect(200);
            let rows = page.rows();
            assert!(rows.len() <= page_size);
            if rows.is_empty() {
                break;
            }
            for row in rows {
                seen.entry(row.partition).or_default().push(row.offset);
                values.push(row.value.parse::<u32>().unwrap());
            }
            position = format!("&cursor={}", page.json_member("cursor"));
        }
        for (partition, offsets) in &seen {
            let expected: Vec<u64> = (0..offsets.len() as u64).collect();
            assert_eq!(
                *offsets, expected,
                "partition {partition} in order and whole"
            );
        }
        values.sort_unstable();
        assert_eq!(values, (0..3_000).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_cursor_can_be_used_twice_and_sees_what_comes_later() {
    let api = shared().await;
    let path = filled(&api, 3, 100).await;
    let mut cursor = api
        .get(&format!("{path}/records?from=latest"))
        .await
        .expect(200)
        .json_member("cursor");
    assert_eq!(
        api.get(&format!("{path}/records?cursor={cursor}"))
            .await
            .expect(200)
            .rows(),
        []
    );
    api.produce(&path, r#"{"records":[{"value":"later","partition":2}]}"#)
        .await;
    for _ in 0..2 {
        let page = api
            .get(&format!("{path}/records?cursor={cursor}"))
            .await
            .expect(200);
        assert_eq!(page.rows()[0].value, "\"later\"");
    }
    let page = api
        .get(&format!("{path}/records?cursor={cursor}"))
        .await
        .expect(200);
    cursor = page.json_member("cursor");
    let waiting = tokio::spawn({
        let (api, url) = (
            api.clone(),
            format!("{path}/records?cursor={cursor}&wait_ms=60000"),
        );
        async move { api.get(&url).await.expect(200).rows() }
    });
    api.produce(&path, r#"{"records":[{"value":"last","partition":0}]}"#)
        .await;
    let rows = soon("a long poll over all partitions", waiting)
        .await
        .unwrap();
    assert_eq!(rows[0].value, "\"last\"");
}

#[tokio::test]
async fn a_cursor_covers_partitions_added_after_it() {
    let api = shared().await;
    let path = filled(&api, 1, 10).await;
    let cursor = api
        .get(&format!("{path}/records?from=latest"))
        .await
        .expect(200)
        .json_member("cursor");
    api.send("PATCH", &path, r#"{"partitions":3}"#)
        .await
        .expect(200);
    api.produce(&path, r#"{"records":[{"value":"new","partition":2}]}"#)
        .await;
    let rows = api
        .get(&format!("{path}/records?cursor={cursor}"))
        .await
        .expect(200)
        .rows();
    assert_eq!(rows.len(), 1, "the new partition is read from its start");
    assert_eq!((rows[0].partition, rows[0].offset), (2, 0));
}

#[tokio::test]
async fn a_topic_can_be_read_from_a_time() {
    let api = shared().await;
    let path = api.topic(&unique("cursor-at"), 2).await;
    let records: Vec<_> = (0..20_u64)
        .map(|n| json!({"partition": n % 2, "value": n, "timestamp": 1_000_000 + n}))
        .collect();
    api.produce(&path, json!({"records": records}).to_string())
        .await;
    let rows = api
        .get(&format!("{path}/records?at=1000010"))
        .await
        .expect(200)
        .rows();
    let mut values: Vec<u64> = rows.iter().map(|row| row.value.parse().unwrap()).collect();
    values.sort_unstable();
    assert_eq!(values, (10..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn tail_n_means_the_newest_of_the_whole_topic() {
    let api = shared().await;
    let path = api.topic(&unique("cursor-tail"), 3).await;
    let newest = async |n: u32| {
        let url = format!("{path}/records?from=tail-{n}&max_records=10000");
        let rows = api.get(&url).await.expect(200).rows();
        let mut values: Vec<u32> = rows.iter().map(|row| row.value.parse().unwrap()).collect();
        values.sort_unstable();
        values
    };
    assert_eq!(newest(5).await, [0_u32; 0], "of an empty topic");
    let records: Vec<_> = (0..30)
        .map(|n| json!({"partition": n % 3, "value": n, "timestamp": 1_000 + n}))
        .collect();
    api.produce(&path, json!({"records": records}).to_string())
        .await;
    assert_eq!(newest(0).await, [0_u32; 0]);
    assert_eq!(newest(1).await, [29]);
    assert_eq!(newest(10).await, (20..30).collect::<Vec<_>>());
    assert_eq!(newest(1_000_000).await, (0..30).collect::<Vec<_>>());
}

#[tokio::test]
async fn forged_and_foreign_cursors_are_refused() {
    let api = shared().await;
    let path = filled(&api, 2, 20).await;
    let other = filled(&api, 2, 20).await;
    let cursor = api
        .get(&format!("{path}/records?max_records=5"))
        .await
        .expect(200)
        .json_member("cursor");

    let mut forgeries = vec![
        "x".to_owned(),
        "AAAA".to_owned(),
        cursor[..cursor.len() - 2].to_owned(),
    ];
    for at in [0, cursor.len() / 3, cursor.len() / 2, cursor.len() - 3] {
        let mut forged = cursor.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        forgeries.push(String::from_utf8(forged).unwrap());
    }
    for forged in forgeries {
        for call in ["records", "tail", "tail.ndjson"] {
            let problem = api
                .get(&format!("{path}/{call}?cursor={forged}"))
                .await
                .expect(400)
                .any_problem();
            assert!(
                problem["code"].as_str().unwrap().contains("cursor"),
                "{problem}"
            );
        }
    }
    let foreign = api
        .get(&format!("{other}/records?cursor={cursor}"))
        .await
        .expect(400)
        .any_problem();
    assert!(
        foreign["code"].as_str().unwrap().contains("cursor"),
        "{foreign}"
    );
    api.get(&format!("{path}/records?cursor={cursor}&from=earliest"))
        .await
        .expect(400)
        .any_problem();
    api.get(&format!("{path}/records?cursor={cursor}"))
        .await
        .expect(200);
}
