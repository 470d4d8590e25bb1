//! Live tails: server-sent events and NDJSON.

use std::time::Duration;

use serde_json::Value;

use crate::client::Row;
use crate::harness::{Server, shared, unique};
use crate::json;
use crate::lines::Lines;

fn event_rows(data: &str) -> Vec<Row> {
    json::elements(json::member(data, "records").expect("records"))
        .into_iter()
        .map(Row::parse)
        .collect()
}

/// Reads records, and the cursor line that follows them.
async fn records_and_cursor(lines: &mut Lines, wanted: usize) -> (Vec<Row>, String) {
    let mut rows = Vec::new();
    loop {
        let line = lines.next().await.expect("the tail goes on");
        match json::member(&line, "cursor") {
            Some(cursor) if rows.len() >= wanted => {
                return (rows, serde_json::from_str(cursor).unwrap());
            }
            Some(_) => {}
            None => rows.push(Row::parse(&line)),
        }
    }
}

#[tokio::test]
async fn sse_starts_at_the_end_and_resumes_by_its_last_id() {
    let api = shared().await;
    let path = api.topic(&unique("sse"), 2).await;
    api.produce(&path, r#"{"records":[{"value":"before"}]}"#)
        .await;

    let response = api
        .request("GET", &format!("{path}/tail"))
        .send()
        .await
        .unwrap();
    let content_type = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        content_type.starts_with("text/event-stream"),
        "{content_type}"
    );
    let mut tail = Lines::new(response);
    api.produce(&path, r#"{"records":[{"key":"k","value":{"n":1e400}}]}"#)
        .await;
    let event = tail.event_named("records").await;
    let rows = event_rows(&event.data);
    assert_eq!(rows.len(), 1, "nothing from before: {event:?}");
    assert_eq!(rows[0].value, r#"{"n":1e400}"#);
    let id = event.id.expect("an id");
    let cursor: String =
        serde_json::from_str(json::member(&event.data, "cursor").unwrap()).unwrap();
    assert_eq!(id, cursor);

    drop(tail);
    api.produce(
        &path,
        r#"{"records":[{"value":"while away","partition":0},{"value":"too","partition":1}]}"#,
    )
    .await;
    let request = api
        .request("GET", &format!("{path}/tail"))
        .header("last-event-id", &id);
    let mut resumed = Lines::new(request.send().await.unwrap());
    let mut values = Vec::new();
    while values.len() < 2 {
        values.extend(
            event_rows(&resumed.event_named("records").await.data)
                .into_iter()
                .map(|row| row.value),
        );
    }
    values.sort();
    assert_eq!(values, ["\"too\"", "\"while away\""]);
}

#[tokio::test]
async fn sse_reads_everything_from_a_position() {
    let api = shared().await;
    let path = api.topic(&unique("sse-all"), 3).await;
    let lines: String = (0..2_000)
        .map(|n| format!("{{\"key\":\"{}\",\"value\":{n}}}\n", n % 17))
        .collect();
    crate::client::reply(
        api.request("POST", &format!("{path}/records/bulk"))
            .body(lines),
    )
    .await
    .expect(200);
    let mut tail = Lines::open(&api, &format!("{path}/tail?from=earliest")).await;
    let mut values = Vec::new();
    while values.len() < 2_000 {
        let event = tail.event_named("records").await;
        values.extend(
            event_rows(&event.data)
                .iter()
                .map(|row| row.value.parse::<u32>().unwrap()),
        );
    }
    values.sort_unstable();
    assert_eq!(values, (0..2_000).collect::<Vec<_>>());
    let mut last = Lines::open(&api, &format!("{path}/tail?from=tail-1")).await;
    assert!(!event_rows(&last.event_named("records").await.data).is_empty());
}

#[tokio::test]
async fn ndjson_gives_a_cursor_after_each_batch() {
    let api = shared().await;
    let path = api.topic(&unique("ndjson"), 2).await;
    api.produce(
        &path,
        r#"{"records":[{"value":1,"partition":0},{"value":2,"partition":1}]}"#,
    )
    .await;
    let response = api
        .request("GET", &format!("{path}/tail.ndjson?from=earliest"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let mut tail = Lines::new(response);
    let (rows, cursor) = records_and_cursor(&mut tail, 2).await;
    assert_eq!(rows.len(), 2);
    api.produce(&path, r#"{"records":[{"value":3,"partition":0}]}"#)
        .await;
    let (rows, _) = records_and_cursor(&mut tail, 1).await;
    assert_eq!(rows[0].value, "3");
    drop(tail);

    let mut resumed = Lines::open(&api, &format!("{path}/tail.ndjson?cursor={cursor}")).await;
    let (rows, cursor) = records_and_cursor(&mut resumed, 1).await;
    assert_eq!(
        rows.iter()
            .map(|row| row.value.as_str())
            .collect::<Vec<_>>(),
        ["3"]
    );
    let page = api
        .get(&format!("{path}/records?cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!(page.rows(), [], "fetch takes the same cursors");
}

#[tokio::test]
async fn base64_is_for_tails_too() {
    let api = shared().await;
    let path = api.topic(&unique("tail-64"), 1).await;
    api.produce(&path, r#"{"records":[{"key":"k","value":"v"}]}"#)
        .await;
    let mut tail = Lines::open(
        &api,
        &format!("{path}/tail.ndjson?from=earliest&encoding=base64"),
    )
    .await;
    let record: Value = serde_json::from_str(&tail.next().await.unwrap()).unwrap();
    assert_eq!(
        (
            record["key_base64"].as_str(),
            record["value_base64"].as_str()
        ),
        (Some("aw=="), Some("InYi"))
    );
    assert_eq!(record.get("value"), None);
}

#[tokio::test]
async fn quiet_tails_have_a_heartbeat() {
    let api = shared().await;
    let path = api.topic(&unique("quiet"), 1).await;
    let sse = async {
        let mut tail = Lines::open(&api, &format!("{path}/tail")).await;
        let event = tail.event().await.expect("an event");
        assert_eq!(event.name, "heartbeat");
    };
    let ndjson = async {
        let mut tail = Lines::open(&api, &format!("{path}/tail.ndjson")).await;
        // The cursor that it starts from may come at once; the heartbeat is the one after it.
        let line = tail.next().await.expect("a line");
        let cursor: Value = serde_json::from_str(&line).expect("JSON");
        assert!(cursor["cursor"].is_string(), "{line}");
    };
    tokio::time::timeout(Duration::from_secs(40), async { tokio::join!(sse, ndjson) })
        .await
        .expect("a heartbeat every 15 s");
}

#[tokio::test]
async fn a_deleted_topic_ends_its_tails() {
    let api = shared().await;
    let path = api.topic(&unique("ended"), 1).await;
    let mut sse = Lines::open(&api, &format!("{path}/tail")).await;
    api.send("DELETE", &path, "").await.expect(204);
    let event = sse.event_named("error").await;
    let problem: Value = serde_json::from_str(&event.data).unwrap();
    crate::client::check_problem(&problem);
    assert_eq!(problem["code"], "topic_not_found");
}

#[tokio::test]
async fn a_stopping_server_says_goodbye() {
    let mut server = Server::start().await;
    let api = server.api();
    let path = api.topic("goodbye", 1).await;
    let mut sse = Lines::open(&api, &format!("{path}/tail")).await;
    let mut ndjson = Lines::open(&api, &format!("{path}/tail.ndjson")).await;
    let poll = tokio::spawn({
        let (api, url) = (
            api.clone(),
            format!("{path}/partitions/0/records?wait_ms=60000"),
        );
        async move { api.get(&url).await }
    });
    // One record shows that both tails are attached before the server is told to stop.
    api.produce(&path, r#"{"records":[{"value":1}]}"#).await;
    sse.event_named("records").await;
    ndjson.next().await.expect("a line");
    poll.await.unwrap().expect(200);
    let poll = tokio::spawn({
        let (api, url) = (
            api.clone(),
            format!("{path}/partitions/0/records?offset=1&wait_ms=60000"),
        );
        async move { api.get(&url).await }
    });
    crate::harness::eventually("the poll waits", async || {
        crate::vanish::gauge(&api, "headwater_long_polls_waiting").await >= 1
    })
    .await;

    server.terminate();
    sse.event_named("goaway").await;
    while sse.event().await.is_some() {}
    while ndjson.next().await.is_some() {}
    let answer = poll.await.unwrap();
    assert!(
        matches!(answer.status, 200 | 503),
        "the poll is answered: {}",
        answer.status
    );
    assert_eq!(server.exited().await.code(), Some(0));
    server.restart().await;
    assert_eq!(server.api().high_watermarks(&path).await, [1]);
}
