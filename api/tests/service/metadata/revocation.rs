//! What is revoked ends at once, also what goes on for long.

use std::time::Instant;

use futures_util::StreamExt;

use super::{Database, both, key_id, tenant};
use crate::client::Api;
use crate::harness::{eventually, soon};

/// Reads an answer that has no end by itself to its end.
async fn rest(response: reqwest::Response) -> String {
    let mut text = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(Ok(chunk)) = stream.next().await {
        text.extend_from_slice(&chunk);
    }
    String::from_utf8(text).expect("text")
}

async fn open(api: &Api, path: &str) -> reqwest::Response {
    let response = api.request("GET", path).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    response
}

#[tokio::test]
async fn a_revoked_key_ends_its_calls_tails_polls_and_loads() {
    for server in both().await {
        let owner = tenant(&server, "acme", "acme-main").await;
        let api = tenant(&server, "acme", "acme-main").await;
        owner.topic("orders", 1).await;
        let events = open(&api, "/topics/orders/tail").await;
        let lines = open(&api, "/topics/orders/tail.ndjson").await;
        let (sender, body) = crate::lines::open_body();
        let load = api
            .request("POST", "/topics/orders/records/bulk")
            .body(body);
        sender
            .send("{\"value\":1}\n".to_owned())
            .await
            .expect("a line");
        let load = soon("the load answers", load.send())
            .await
            .expect("an answer");
        let poll = {
            let api = api.clone();
            tokio::spawn(async move {
                api.get("/topics/orders/records?cursor_from=&wait_ms=0")
                    .await
            })
        };
        poll.await.expect("joined").problem(400, "invalid_request");
        eventually("the line is there", async || {
            owner.high_watermarks("/topics/orders").await == [1]
        })
        .await;
        let waiting = {
            let api = api.clone();
            let path = "/topics/orders/partitions/0/records?offset=1&wait_ms=60000";
            tokio::spawn(async move { api.get(path).await })
        };

        let revoked = Instant::now();
        let database = Database::of(&server).await;
        let id = key_id(&api);
        let sql = format!("DELETE FROM api_keys WHERE id = '{id}'");
        database.change(&sql, "key", id).await;
        let events = soon("the tail of events ends", rest(events)).await;
        assert!(events.contains("\"unauthenticated\""), "{events}");
        let lines = soon("the tail of lines ends", rest(lines)).await;
        assert!(lines.contains("\"unauthenticated\""), "{lines}");
        println!("revoked after {:?}", revoked.elapsed());
        api.get("/topics").await.problem(401, "unauthenticated");

        // What comes after it is not taken by the load, and not shown to the poll.
        sender
            .send("{\"value\":2}\n".to_owned())
            .await
            .expect("a line");
        let answers = soon("the load ends", rest(load)).await;
        assert!(answers.contains("\"unauthenticated\""), "{answers}");
        assert_eq!(owner.high_watermarks("/topics/orders").await, [1]);
        owner
            .produce("/topics/orders", r#"{"records":[{"value":3}]}"#)
            .await;
        let waited = soon("the poll ends", waiting).await.expect("joined");
        waited.problem(401, "unauthenticated");
    }
}
