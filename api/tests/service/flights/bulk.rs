//! By one open `/records/bulk` request.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{FLIGHTS, assert_all_in_order_per_key, assert_offsets_without_holes};
use super::{flights, read_by_fetch, read_by_tail, record};
use crate::harness::Server;
use crate::lines::Lines;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_fills_six_partitions() {
    let server = Server::start().await;
    let api = server.api();
    let topic = api.topic("flights", 6).await;
    let chunks = flights().chunks(1_000).map(|chunk| {
        let lines: String = chunk.iter().map(|flight| record(flight) + "\n").collect();
        Ok::<_, std::convert::Infallible>(Bytes::from(lines))
    });
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    let request = api.request("POST", &format!("{topic}/records/bulk"));
    let response = request
        .header("content-type", "application/x-ndjson")
        .body(body)
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.status(), 200);

    let mut answer = Lines::new(response);
    let mut next_line = 1;
    let mut last = Value::Null;
    while let Some(line) = answer.next().await {
        last = serde_json::from_str(&line).expect("JSON");
        if last.get("done").is_none() {
            assert_eq!(last["from"], next_line, "runs are consecutive");
            next_line += last["n"].as_u64().expect("n");
        }
    }
    assert_eq!(
        last,
        json!({"done": true, "accepted": FLIGHTS, "rejected": 0})
    );

    let by_fetch = read_by_fetch(&api, &topic, 6).await;
    assert_offsets_without_holes(&by_fetch);
    assert_all_in_order_per_key(&by_fetch);
    let by_cursor = api.read_by_cursor(&topic).await;
    assert_offsets_without_holes(&by_cursor);
    assert_all_in_order_per_key(&by_cursor);
    let by_tail = read_by_tail(&api, &topic).await;
    assert_offsets_without_holes(&by_tail);
    assert_all_in_order_per_key(&by_tail);
    let used = api
        .high_watermarks(&topic)
        .await
        .iter()
        .filter(|end| **end > 0)
        .count();
    assert_eq!(used, 6, "keys spread over all partitions");
}
