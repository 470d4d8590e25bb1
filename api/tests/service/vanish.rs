//! Clients that go away in the middle leave nothing behind.

use serde_json::Value;

use crate::client::{Api, reply};
use crate::harness::{Server, eventually, soon};
use crate::lines::{Lines, open_body};

/// The sum of a gauge over its labels.
pub async fn gauge(api: &Api, name: &str) -> i64 {
    let metrics = reply(api.anonymous("GET", &format!("{}/metrics", api.root)))
        .await
        .expect(200);
    let samples = metrics.text.lines().filter(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{'))
    });
    let numbers: Vec<f64> = samples
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(!numbers.is_empty(), "no {name} in {}", metrics.text);
    numbers.iter().sum::<f64>() as i64
}

const CONNECTIONS: &str = "headwater_http_connections";
const TAILS: &str = "headwater_tails_open";
const POLLS: &str = "headwater_long_polls_waiting";

#[tokio::test]
async fn nothing_is_left_of_them() {
    let server = Server::start().await;
    let api = server.api();
    let path = api.topic("vanish", 3).await;
    // The watching client keeps one connection; every vanishing one has its own.
    let connections = gauge(&api, CONNECTIONS).await;
    assert_eq!((gauge(&api, TAILS).await, gauge(&api, POLLS).await), (0, 0));

    for round in 0..3 {
        let mut tails = Vec::new();
        for n in 0..30 {
            let client = server.api();
            let call = if n % 2 == 0 { "tail" } else { "tail.ndjson" };
            let response = client
                .request("GET", &format!("{path}/{call}"))
                .send()
                .await
                .unwrap();
            assert_eq!(response.status(), 200);
            tails.push((client, response));
        }
        let mut polls = Vec::new();
        for n in 0..20 {
            let url = if n % 2 == 0 {
                "partitions/0/records"
            } else {
                "records"
            };
            let url = format!("{path}/{url}?from=latest&wait_ms=60000");
            let client = server.api();
            polls.push(tokio::spawn(async move { client.get(&url).await.status }));
        }
        let mut loads = Vec::new();
        for _ in 0..10 {
            let client = server.api();
            let (lines, body) = open_body();
            lines
                .send(format!("{{\"value\":{round}}}\n{{\"va"))
                .await
                .unwrap();
            let request = client
                .request("POST", &format!("{path}/records/bulk"))
                .body(body);
            let mut answer = Lines::new(soon("bulk answers", request.send()).await.unwrap());
            let run: Value = serde_json::from_str(&answer.next().await.unwrap()).unwrap();
            assert_eq!(run["n"], 1, "the whole line is committed");
            loads.push((lines, answer, client));
        }
        // Bulk loads above woke no waiter for ever: wait until every poll stands again or is done.
        eventually("all tails are counted", async || {
            gauge(&api, TAILS).await == 30
        })
        .await;

        drop(tails);
        for poll in &polls {
            poll.abort();
        }
        drop(polls);
        drop(loads);
        eventually("no tail is open", async || gauge(&api, TAILS).await == 0).await;
        eventually("no poll waits", async || gauge(&api, POLLS).await == 0).await;
        eventually("connections are closed", async || {
            gauge(&api, CONNECTIONS).await <= connections
        })
        .await;
    }
    assert_eq!(
        api.high_watermarks(&path).await.iter().sum::<u64>(),
        30,
        "half a line is no record"
    );
    api.produce(&path, r#"{"records":[{"value":"still here"}]}"#)
        .await;
}

#[tokio::test]
async fn a_waiting_poll_is_counted_and_given_up() {
    let server = Server::start().await;
    let api = server.api();
    let path = api.topic("waiting", 2).await;
    let mut polls = Vec::new();
    for _ in 0..25 {
        let (client, url) = (
            server.api(),
            format!("{path}/partitions/1/records?wait_ms=60000"),
        );
        polls.push(tokio::spawn(async move { client.get(&url).await.status }));
    }
    eventually("polls are counted", async || gauge(&api, POLLS).await == 25).await;
    for poll in polls {
        poll.abort();
    }
    eventually("polls are given up", async || gauge(&api, POLLS).await == 0).await;
}

#[tokio::test]
async fn a_reader_that_stops_reading_does_not_fill_the_memory() {
    let server = Server::start().await;
    let api = server.api();
    let path = api.topic("stalled", 1).await;
    let mut stalled = Vec::new();
    for _ in 0..16 {
        let client = server.api();
        let response = client
            .request("GET", &format!("{path}/tail?from=earliest"))
            .send()
            .await
            .unwrap();
        stalled.push((client, response));
    }
    let value = "x".repeat(1_000);
    let lines = format!("{{\"value\":\"{value}\"}}\n").repeat(4_000);
    for _ in 0..20 {
        let request = api
            .request("POST", &format!("{path}/records/bulk"))
            .body(lines.clone());
        reply(request).await.expect(200);
    }
    let peak = server.peak_resident_bytes();
    assert!(
        peak < 300 << 20,
        "{} MiB with 16 stalled tails over 80 MB",
        peak >> 20
    );
    drop(stalled);
    eventually("stalled tails are gone", async || {
        gauge(&api, TAILS).await == 0
    })
    .await;
}
