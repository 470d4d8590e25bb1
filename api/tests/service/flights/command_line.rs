//! By `headwater produce`, which must get through twenty kills by itself.

use std::fmt::Write as _;
use std::process::Stdio;

use tokio::process::Command;

use super::{FLIGHTS, KILLS, assert_offsets_without_holes, flights, kill_while_loading};
use super::{read_by_fetch, read_by_tail};
use crate::client::Row;
use crate::harness::{BINARY, Server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn produce_gets_through_twenty_kills() {
    let mut server = Server::start().await;
    let api = server.api();
    let topic = api.topic("flights", 1).await;
    let mut lines = String::new();
    for flight in flights() {
        writeln!(lines, "{}", flight.value).expect("memory");
    }
    let input = server.work_dir().join("flights.ndjson");
    std::fs::write(&input, lines).expect("the input");
    let mut produce = Command::new(BINARY)
        .args(["produce", "flights", "--key-field", "distance"])
        .env("HEADWATER_URL", &api.base)
        .env("HEADWATER_KEY", &api.key)
        .stdin(std::fs::File::open(&input).expect("the input"))
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(server.work_dir().join("produce.log")).expect("a log"))
        .kill_on_drop(true)
        .spawn()
        .expect("the binary starts");

    let done = std::sync::Arc::new(std::sync::OnceLock::new());
    let waiting = tokio::spawn({
        let done = done.clone();
        async move {
            let status = produce.wait().await.expect("a status");
            let _ = done.set(status);
        }
    });
    let kills = kill_while_loading(&mut server, &topic, || done.get().is_none()).await;
    waiting.await.expect("produce ended");
    let said = std::fs::read_to_string(server.work_dir().join("produce.log")).unwrap_or_default();
    assert!(done.get().expect("a status").success(), "{said}");
    assert!(
        kills >= KILLS,
        "{kills} kills are too few to prove anything"
    );

    let api = server.api();
    let by_fetch = read_by_fetch(&api, &topic, 1).await;
    assert_the_file(&by_fetch);
    assert_the_file(&read_by_tail(&api, &topic).await);

    let consume = Command::new(BINARY)
        .args(["consume", "flights", "--from", "earliest"])
        .env("HEADWATER_URL", &api.base)
        .env("HEADWATER_KEY", &api.key)
        .kill_on_drop(true)
        .output();
    let consume = crate::harness::soon("consume ends", consume)
        .await
        .expect("the binary starts");
    assert!(
        consume.status.success(),
        "{}",
        String::from_utf8_lossy(&consume.stderr)
    );
    let printed = String::from_utf8(consume.stdout).expect("UTF-8");
    assert_the_file(&printed.lines().map(Row::parse).collect::<Vec<_>>());
}

/// One partition holds the file, line for line.
fn assert_the_file(rows: &[Row]) {
    assert_eq!(rows.len(), FLIGHTS, "every flight exactly once");
    assert_offsets_without_holes(rows);
    for (row, flight) in rows.iter().zip(flights()) {
        assert_eq!(row.value, flight.value);
        assert_eq!(row.key.as_deref(), Some(flight.key));
    }
}
