//! Fetch from one partition: positions, limits, waiting.

use serde_json::json;

use crate::client::Api;
use crate::harness::{shared, soon, unique};

/// A topic of one partition holding the values 0 to 9, a minute apart from 1 000 000.
async fn ten(api: &Api) -> String {
    let path = api.topic(&unique("ten"), 1).await;
    let records: Vec<_> = (0..10_u64)
        .map(|n| json!({"value": n, "timestamp": 1_000_000 + n * 60_000}))
        .collect();
    api.produce(&path, json!({"records": records}).to_string())
        .await;
    format!("{path}/partitions/0/records")
}

async fn values(api: &Api, url: &str) -> Vec<u64> {
    let page = api.get(url).await.expect(200);
    page.rows()
        .iter()
        .map(|row| row.value.parse().unwrap())
        .collect()
}

#[tokio::test]
async fn positions_are_named_in_several_ways() {
    let api = shared().await;
    let url = ten(&api).await;
    let all: Vec<u64> = (0..10).collect();
    assert_eq!(values(&api, &url).await, all, "earliest by default");
    assert_eq!(values(&api, &format!("{url}?from=earliest")).await, all);
    assert_eq!(values(&api, &format!("{url}?offset=7")).await, [7, 8, 9]);
    assert_eq!(values(&api, &format!("{url}?from=tail-3")).await, [7, 8, 9]);
    assert_eq!(
        values(&api, &format!("{url}?from=tail-0")).await,
        [0_u64; 0]
    );
    assert_eq!(values(&api, &format!("{url}?from=tail-1000")).await, all);
    assert_eq!(
        values(&api, &format!("{url}?from=latest")).await,
        [0_u64; 0]
    );
    assert_eq!(values(&api, &format!("{url}?offset=10")).await, [0_u64; 0]);
    // 1970-01-01T00:20:40Z is 1 240 000: record 4.
    assert_eq!(
        values(&api, &format!("{url}?at=1240000")).await,
        [4, 5, 6, 7, 8, 9]
    );
    assert_eq!(
        values(&api, &format!("{url}?at=1240001")).await,
        [5, 6, 7, 8, 9]
    );
    assert_eq!(
        values(&api, &format!("{url}?at=1970-01-01T00:20:40Z")).await,
        [4, 5, 6, 7, 8, 9]
    );
    assert_eq!(
        values(&api, &format!("{url}?at=1970-01-01T01:20:40%2B01:00")).await,
        [4, 5, 6, 7, 8, 9]
    );
    assert_eq!(values(&api, &format!("{url}?at=0")).await, all);
    assert_eq!(
        values(&api, &format!("{url}?at=2000-01-01T00:00:00Z")).await,
        [0_u64; 0]
    );
}

#[tokio::test]
async fn a_page_says_where_it_stands() {
    let api = shared().await;
    let url = ten(&api).await;
    let page = api
        .get(&format!("{url}?offset=2&max_records=3"))
        .await
        .expect(200)
        .json();
    assert_eq!(page["records"].as_array().unwrap().len(), 3);
    assert_eq!(page["next_offset"], 5);
    assert_eq!(page["log_start"], 0);
    assert_eq!(page["high_watermark"], 10);
    assert_eq!(page["gaps"], json!([]));
    let record = &page["records"][0];
    assert_eq!(
        (&record["partition"], &record["offset"]),
        (&json!(0), &json!(2))
    );
    assert_eq!(record["timestamp"], 1_120_000);
    let end = api
        .get(&format!("{url}?offset=10"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&end["next_offset"], &end["records"]),
        (&json!(10), &json!([]))
    );
}

#[tokio::test]
async fn bytes_bound_a_page_but_never_stop_it() {
    let api = shared().await;
    let path = api.topic(&unique("bytes"), 1).await;
    let url = format!("{path}/partitions/0/records");
    for n in 0..20 {
        let value = format!("{n:01000}");
        api.produce(&path, json!({"records": [{"value": value}]}).to_string())
            .await;
    }
    let page = api.get(&format!("{url}?max_bytes=5000")).await.expect(200);
    let got = page.rows().len();
    assert!(
        (1..=5).contains(&got),
        "{got} records of 1 000 bytes within 5 000"
    );
    let one = api
        .get(&format!("{url}?max_bytes=1&offset=3"))
        .await
        .expect(200);
    assert_eq!(one.rows().len(), 1);
    assert_eq!(one.number("next_offset"), 4);
}

#[tokio::test]
async fn five_hundred_records_unless_told() {
    let api = shared().await;
    let path = api.topic(&unique("default"), 1).await;
    let records: Vec<_> = (0..1_200).map(|n| json!({"value": n})).collect();
    api.produce(&path, json!({"records": records}).to_string())
        .await;
    let url = format!("{path}/partitions/0/records");
    assert_eq!(values(&api, &url).await.len(), 500);
    assert_eq!(
        values(&api, &format!("{url}?max_records=10000"))
            .await
            .len(),
        1_200
    );
    assert_eq!(
        values(&api, &format!("{url}?offset=1199")).await,
        [1_199],
        "inside a batch"
    );
}

#[tokio::test]
async fn a_long_poll_is_answered_by_the_next_record() {
    let api = shared().await;
    let path = api.topic(&unique("poll"), 1).await;
    let url = format!("{path}/partitions/0/records?offset=0&wait_ms=60000");
    let waiting = tokio::spawn({
        let (api, url) = (api.clone(), url.clone());
        async move { api.get(&url).await.expect(200).rows() }
    });
    // It must still wait when the record comes: give the poll time to be parked.
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), async {
        while !waiting.is_finished() {
            tokio::task::yield_now().await;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    assert!(
        early.await.is_err(),
        "an empty partition answers nothing yet"
    );
    api.produce(&path, r#"{"records":[{"value":"woken"}]}"#)
        .await;
    let rows = soon("the poll is woken", waiting).await.unwrap();
    assert_eq!(rows[0].value, "\"woken\"");
    let empty = api
        .get(&format!("{path}/partitions/0/records?offset=1&wait_ms=50"))
        .await
        .expect(200);
    assert_eq!(empty.rows().len(), 0);
    assert_eq!(empty.number("next_offset"), 1);
}

#[tokio::test]
async fn offsets_beyond_the_ends() {
    let api = shared().await;
    let url = ten(&api).await;
    let beyond = api.get(&format!("{url}?offset=11")).await;
    let problem = beyond.problem(416, "offset_out_of_range");
    assert_eq!(
        (&problem["log_start"], &problem["high_watermark"]),
        (&json!(0), &json!(10))
    );
    assert_eq!(problem["retryable"], false);
    api.get(&format!("{url}?offset=11&on_out_of_range=error"))
        .await
        .problem(416, "offset_out_of_range");
    let earliest = values(
        &api,
        &format!("{url}?offset=9007199254740991&on_out_of_range=earliest"),
    )
    .await;
    assert_eq!(earliest.len(), 10);
    let latest = api
        .get(&format!("{url}?offset=11&on_out_of_range=latest"))
        .await
        .expect(200);
    assert_eq!((latest.rows().len(), latest.number("next_offset")), (0, 10));
}

#[tokio::test]
async fn offsets_at_a_time() {
    let api = shared().await;
    let path = api.topic(&unique("at"), 2).await;
    let records: Vec<_> = (0..10_u64)
        .map(|n| json!({"partition": 1, "value": n, "timestamp": 1_000_000 + n * 60_000}))
        .collect();
    api.produce(&path, json!({"records": records}).to_string())
        .await;
    for (at, second) in [
        ("1240000", 4),
        ("1970-01-01T00:20:40Z", 4),
        ("1240001", 5),
        ("0", 0),
        ("99999999999", 10),
    ] {
        let answer = api
            .get(&format!("{path}/offsets?at={at}"))
            .await
            .expect(200)
            .json();
        let expected = json!([{"partition": 0, "offset": 0}, {"partition": 1, "offset": second}]);
        assert_eq!(answer["offsets"], expected, "at {at}");
    }
}
