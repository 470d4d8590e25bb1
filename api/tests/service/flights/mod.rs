//! 231 083 real flights, loaded in three ways while the server is killed, and read back in four; then
//! many times over, out of the object store.
//!
//! The data is `flights-200k.json` of the npm package `vega-datasets`; `make testdata` fetches it.

mod batches;
mod bulk;
mod command_line;
mod tenfold;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::client::{Api, Row};
use crate::harness::{Server, repository};
use crate::json;
use crate::lines::Lines;

/// How many flights the file has.
pub const FLIGHTS: usize = 231_083;
/// How often the server is killed during a load.
const KILLS: usize = 20;

/// One flight: the object's own text, and its distance, which serves as the key.
pub struct Flight {
    pub key: &'static str,
    pub value: &'static str,
}

/// All flights, in the file's order.
pub fn flights() -> &'static [Flight] {
    static ALL: OnceLock<Vec<Flight>> = OnceLock::new();
    ALL.get_or_init(|| {
        let path = std::env::var_os("HEADWATER_FLIGHTS").map_or_else(
            || repository().join("target/testdata/flights-200k.json"),
            PathBuf::from,
        );
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
            panic!("{}: {error}; `make testdata` fetches it", path.display())
        });
        let text: &'static str = text.leak();
        let flights: Vec<_> = json::elements(text)
            .into_iter()
            .map(|value| Flight {
                key: json::member(value, "distance").expect("a distance"),
                value,
            })
            .collect();
        assert_eq!(
            flights.len(),
            FLIGHTS,
            "the file is the one that this test knows"
        );
        flights
    })
}

/// The flight as a record.
pub fn record(flight: &Flight) -> String {
    format!("{{\"key\":\"{}\",\"value\":{}}}", flight.key, flight.value)
}

/// Asserts that these records are all flights: per key, byte for byte, in the file's order.
fn assert_all_in_order_per_key(rows: &[Row]) {
    assert_eq!(rows.len(), FLIGHTS, "every flight exactly once");
    let mut expected: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for flight in flights() {
        expected.entry(flight.key).or_default().push(flight.value);
    }
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in rows {
        found
            .entry(row.key.as_deref().expect("a key"))
            .or_default()
            .push(&row.value);
    }
    assert_eq!(found.len(), expected.len());
    for (key, values) in expected {
        assert!(found[key] == values, "flights of {key} miles differ");
    }
}

/// Asserts that offsets of each partition are 0, 1, 2 and so on.
fn assert_offsets_without_holes(rows: &[Row]) {
    let mut next: BTreeMap<u32, u64> = BTreeMap::new();
    for row in rows {
        let expected = next.entry(row.partition).or_default();
        assert_eq!(row.offset, *expected, "partition {}", row.partition);
        *expected += 1;
    }
}

/// Everything by `tail.ndjson` from the start, until as many records have come as there are.
async fn read_by_tail(api: &Api, topic: &str) -> Vec<Row> {
    let mut lines = Lines::open(api, &format!("{topic}/tail.ndjson?from=earliest")).await;
    let mut rows = Vec::with_capacity(FLIGHTS);
    while rows.len() < FLIGHTS {
        let line = lines.next().await.expect("the tail goes on");
        if json::member(&line, "cursor").is_none() {
            rows.push(Row::parse(&line));
        }
    }
    rows
}

/// Every partition by fetch, one after the other.
async fn read_by_fetch(api: &Api, topic: &str, partitions: u32) -> Vec<Row> {
    let mut rows = Vec::with_capacity(FLIGHTS);
    for partition in 0..partitions {
        rows.extend(api.read_partition(topic, partition).await);
    }
    rows
}

/// Kills the server and starts it again each time another part of the load has been committed,
/// so that kills are spread over the whole load however fast the machine is.
async fn kill_while_loading(server: &mut Server, topic: &str, loading: impl Fn() -> bool) -> usize {
    let mut kills = 0;
    while loading() {
        let threshold = (FLIGHTS * (kills + 1) / (KILLS + 3)) as u64;
        let committed: u64 = server.api().high_watermarks(topic).await.iter().sum();
        if committed >= threshold {
            server.kill9();
            kills += 1;
            server.restart().await;
        } else {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }
    kills
}
