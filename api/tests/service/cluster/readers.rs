//! Clients that read what is committed, as it comes, from every gateway.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::brokers::Cluster;
use crate::{
    client::{Api, Row, try_reply},
    harness::{eventually, soon},
};

/// Values by partition and offset.
type Seen = BTreeMap<(u32, u64), String>;

/// A reader a gateway and partition. For each the high watermark never goes back, and where one was
/// told a record, all are told the same.
pub struct Readers {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
    seen: Arc<Mutex<Seen>>,
    /// Records, by gateway.
    counts: Arc<[AtomicU64]>,
}

impl Readers {
    pub fn start(cluster: &Cluster, topic: &str, partitions: u32) -> Self {
        let gateways = cluster.brokers.len();
        let mut readers = Self {
            stop: Arc::default(),
            tasks: Vec::new(),
            seen: Arc::default(),
            counts: (0..gateways).map(|_| AtomicU64::new(0)).collect(),
        };
        for gateway in 0..gateways {
            for partition in 0..partitions {
                let reader = Reader {
                    api: cluster.api(gateway),
                    path: format!("/topics/{topic}/partitions/{partition}/records"),
                    gateway,
                    stop: readers.stop.clone(),
                    seen: readers.seen.clone(),
                    counts: readers.counts.clone(),
                };
                readers.tasks.push(tokio::spawn(reader.read()));
            }
        }
        readers
    }

    /// Waits until so many more records came from each gateway.
    pub async fn each(&self, records: u64) {
        let counts = || self.counts.iter().map(|n| n.load(Ordering::Relaxed));
        let wanted: Vec<_> = counts().map(|count| count + records).collect();
        let grown = async || {
            counts()
                .zip(&wanted)
                .all(|(count, wanted)| count >= *wanted)
        };
        eventually("records come from every gateway", grown).await;
    }

    /// Ends them. Whatever they were told must be among what there is now.
    pub async fn finish(&mut self, rows: &[Row]) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks.drain(..) {
            soon("the readers end", task).await.expect("no panic");
        }
        let rows: BTreeMap<_, _> = rows
            .iter()
            .map(|row| ((row.partition, row.offset), &row.value))
            .collect();
        for (place, value) in self.seen.lock().iter() {
            assert_eq!(rows.get(place), Some(&value), "at {place:?}");
        }
    }
}

struct Reader {
    api: Api,
    path: String,
    gateway: usize,
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    counts: Arc<[AtomicU64]>,
}

impl Reader {
    async fn read(self) {
        let (mut offset, mut high_watermark) = (0, 0);
        while !self.stop.load(Ordering::Relaxed) {
            let path = format!("{}?offset={offset}&wait_ms=500", self.path);
            let request = self.api.request("GET", &path);
            match try_reply(request.timeout(Duration::from_secs(5))).await {
                Ok(page) if page.status == 200 => {
                    let told = page.number("high_watermark");
                    assert!(told >= high_watermark, "{path}: {told} < {high_watermark}");
                    high_watermark = told;
                    offset = page.number("next_offset");
                    self.take_in(page.rows());
                }
                Ok(answer) => {
                    let problem = answer.any_problem();
                    assert_eq!(problem["retryable"], true, "{problem}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn take_in(&self, rows: Vec<Row>) {
        self.counts[self.gateway].fetch_add(rows.len() as u64, Ordering::Relaxed);
        let mut seen = self.seen.lock();
        for row in rows {
            let value = seen
                .entry((row.partition, row.offset))
                .or_insert_with(|| row.value.clone());
            assert_eq!(*value, row.value, "{}/{}", row.partition, row.offset);
        }
    }
}
