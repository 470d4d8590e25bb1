//! Clients that write numbered records, each until it is acknowledged, and check afterwards that each
//! is there once, where it was acknowledged, in order.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use serde_json::json;
use tokio::task::JoinHandle;

use super::brokers::Cluster;
use crate::{
    client::{Api, Row, try_reply},
    harness::{eventually, soon},
};

/// How long a writer waits for one gateway, before it asks another.
const TRY_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a record was acknowledged: partition and offset, by writer and number.
type Acknowledged = BTreeMap<(usize, u64), (u32, u64)>;

pub struct Load {
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<()>>,
    acknowledged: Arc<Mutex<Acknowledged>>,
    outcomes: Arc<Outcomes>,
}

/// What the tries came to.
#[derive(Default)]
struct Outcomes {
    /// Definite refusals: nothing was written.
    refused: AtomicU64,
    /// Nobody knows; or no answer.
    unknown: AtomicU64,
    /// The longest time from the first try of a record to its acknowledgement, in milliseconds.
    longest_ms: AtomicU64,
}

impl Load {
    /// Starts so many writers, each on the gateway after its last one.
    pub fn start(cluster: &Cluster, topic: &str, writers: usize) -> Self {
        Self::start_padded(cluster, topic, writers, 0)
    }

    /// The same, with so many bytes more in each record.
    pub fn start_padded(cluster: &Cluster, topic: &str, writers: usize, bytes: usize) -> Self {
        Self::start_from(0, cluster, topic, writers, bytes)
    }

    /// The same with records from this number on: lower ones are known by their keys already.
    pub fn start_from(
        first: u64,
        cluster: &Cluster,
        topic: &str,
        writers: usize,
        bytes: usize,
    ) -> Self {
        let mut load = Self {
            stop: Arc::default(),
            writers: Vec::new(),
            acknowledged: Arc::default(),
            outcomes: Arc::default(),
        };
        for writer in 0..writers {
            let apis: Vec<_> = (0..cluster.brokers.len()).map(|n| cluster.api(n)).collect();
            load.writers.push(tokio::spawn(write(
                apis,
                topic.to_owned(),
                (writer, bytes, first),
                load.stop.clone(),
                load.acknowledged.clone(),
                load.outcomes.clone(),
            )));
        }
        load
    }

    /// How many records are acknowledged.
    pub fn count(&self) -> usize {
        self.acknowledged.lock().len()
    }

    /// Waits for so many more of each writer.
    pub async fn each(&self, records: u64) {
        let counts = || {
            let acknowledged = self.acknowledged.lock();
            let count = |writer| acknowledged.range((writer, 0)..(writer + 1, 0)).count() as u64;
            (0..self.writers.len()).map(count).collect::<Vec<_>>()
        };
        let wanted: Vec<_> = counts().iter().map(|count| count + records).collect();
        let grown = async || counts().iter().zip(&wanted).all(|(a, b)| a >= b);
        eventually("every writer is acknowledged", grown).await;
    }

    /// How many tries were refused for good.
    pub fn refused(&self) -> u64 {
        self.outcomes.refused.load(Ordering::Relaxed)
    }

    /// How many tries nobody knows the outcome of.
    pub fn unknown(&self) -> u64 {
        self.outcomes.unknown.load(Ordering::Relaxed)
    }

    /// Ends when each record that was begun is acknowledged.
    pub async fn finish(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.writers.drain(..) {
            soon("the writers end", writer).await.expect("no panic");
        }
        println!(
            "{} acknowledged, {} refused, {} unknown, the longest {} ms",
            self.count(),
            self.outcomes.refused.load(Ordering::Relaxed),
            self.outcomes.unknown.load(Ordering::Relaxed),
            self.outcomes.longest_ms.load(Ordering::Relaxed),
        );
    }

    /// Checks every record of the topic: there once, where it was acknowledged, in its writer's order.
    pub fn check(&self, rows: &[Row]) {
        let mut found = Acknowledged::new();
        let mut newest: BTreeMap<(u32, usize), u64> = BTreeMap::new();
        let mut sorted: Vec<_> = rows.iter().collect();
        sorted.sort_by_key(|row| (row.partition, row.offset));
        for row in sorted {
            let value: serde_json::Value = serde_json::from_str(&row.value).expect("JSON");
            let writer = value["writer"].as_u64().expect("a number") as usize;
            let number = value["n"].as_u64().expect("a number");
            let twice = found.insert((writer, number), (row.partition, row.offset));
            assert_eq!(twice, None, "{writer}/{number} is there once");
            let before = newest.insert((row.partition, writer), number);
            assert!(
                before.is_none_or(|before| before < number),
                "{writer}/{number} is in order"
            );
        }
        let acknowledged = self.acknowledged.lock();
        for (record, place) in acknowledged.iter() {
            assert_eq!(found.get(record), Some(place), "{record:?}");
        }
        assert_eq!(found.len(), acknowledged.len(), "nothing else is there");
    }
}

async fn write(
    apis: Vec<Api>,
    topic: String,
    (writer, bytes, first): (usize, usize, u64),
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Acknowledged>>,
    outcomes: Arc<Outcomes>,
) {
    let path = format!("/topics/{topic}/records");
    let mut gateway = writer;
    let mut number = first;
    while !stop.load(Ordering::Relaxed) {
        let value = json!({"writer": writer, "n": number, "pad": "x".repeat(bytes)});
        let record = json!({"key": format!("writer-{writer}"), "value": value});
        let body = json!({"records": [record]}).to_string();
        let key = format!("{writer}-{number}");
        let begun = Instant::now();
        loop {
            let request = apis[gateway % apis.len()]
                .request("POST", &path)
                .header("idempotency-key", &key)
                .header("content-type", "application/json")
                .timeout(TRY_TIMEOUT)
                .body(body.clone());
            match try_reply(request).await {
                Ok(answer) if answer.status == 200 => {
                    let result = &answer.json()["results"][0];
                    let place = |name: &str| result[name].as_u64().expect(name);
                    let place = (place("partition") as u32, place("offset"));
                    acknowledged.lock().insert((writer, number), place);
                    break;
                }
                Ok(answer) => {
                    let problem = answer.any_problem();
                    assert_eq!(problem["retryable"], true, "{problem}");
                    match problem["outcome"] == "not_applied" {
                        true => outcomes.refused.fetch_add(1, Ordering::Relaxed),
                        false => outcomes.unknown.fetch_add(1, Ordering::Relaxed),
                    };
                }
                Err(_) => {
                    outcomes.unknown.fetch_add(1, Ordering::Relaxed);
                }
            }
            gateway += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let took_ms = begun.elapsed().as_millis() as u64;
        outcomes.longest_ms.fetch_max(took_ms, Ordering::Relaxed);
        number += 1;
    }
}
