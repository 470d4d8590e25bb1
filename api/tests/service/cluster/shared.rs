//! Shared groups whose workers ask any gateway, while gateways and coordinators are killed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{brokers::Cluster, groups::ask_any};
use crate::{
    client::{Api, Reply},
    flights::{flights, record},
    groups::worker::ensure,
    harness::{eventually, soon},
};

const GROUP: &str = "crew";
/// As many of the flights as are worked off: those of a key one after the other.
const FLIGHTS: usize = 20_000;
const MAX_RECORDS: usize = 200;

/// What all workers know.
#[derive(Default)]
struct Known {
    /// Records that somebody began to settle, by partition and key, in their order.
    begun: BTreeMap<(u64, String), BTreeSet<u64>>,
    /// Records that are settled, as the worker was told.
    settled: BTreeSet<(u64, u64)>,
    /// Leases beyond the first of a record.
    again: u64,
}

struct Worker {
    gateways: Vec<Api>,
    known: Arc<Mutex<Known>>,
}

impl Worker {
    async fn ask(&self, call: &str, body: &Value) -> Reply {
        ask_any(
            &self.gateways,
            "POST",
            &format!("/groups/{GROUP}/{call}"),
            body,
        )
        .await
    }

    /// Leases and settles until it is killed. A record of a key comes when all before it that anybody
    /// leased are being settled; one that is settled never comes again.
    async fn work(self) {
        let ask = json!({"wait_ms": 500, "max_records": MAX_RECORDS, "lease_ms": 10_000});
        loop {
            let told = self.ask("lease", &ask).await.expect(200).json();
            let records = told["records"].as_array().expect("records");
            let place = |record: &Value| {
                let number = |name: &str| record[name].as_u64().expect(name);
                (number("partition"), number("offset"))
            };
            {
                let mut known = self.known.lock();
                for record in records {
                    let (partition, offset) = place(record);
                    let is_settled = known.settled.contains(&(partition, offset));
                    assert!(!is_settled, "{partition}/{offset} is settled");
                    known.again += u64::from(record["attempt"] != 1);
                    let key = record["key"].as_str().expect("a key").to_owned();
                    let begun = known.begun.entry((partition, key)).or_default();
                    let behind = begun.range(offset + 1..).next();
                    assert_eq!(behind, None, "{partition}/{offset} comes late");
                }
                for record in records {
                    let (partition, offset) = place(record);
                    let key = record["key"].as_str().expect("a key").to_owned();
                    known
                        .begun
                        .entry((partition, key))
                        .or_default()
                        .insert(offset);
                }
            }
            if records.is_empty() {
                continue;
            }
            let leases: Vec<_> = records.iter().map(|record| &record["lease"]).collect();
            let settled = self.ask("settle", &json!({"ack": leases})).await;
            let settled = settled.expect(200).json();
            let results = settled["results"].as_array().expect("results");
            let mut known = self.known.lock();
            for (record, result) in records.iter().zip(results) {
                if result["status"] == "ok" {
                    known.settled.insert(place(record));
                }
            }
        }
    }
}

struct Crew {
    gateways: Vec<Api>,
    workers: Vec<JoinHandle<()>>,
    known: Arc<Mutex<Known>>,
}

impl Crew {
    fn start(gateways: Vec<Api>, count: usize) -> Self {
        let mut crew = Self {
            gateways,
            workers: Vec::new(),
            known: Arc::default(),
        };
        for _ in 0..count {
            let worker = crew.launch();
            crew.workers.push(worker);
        }
        crew
    }

    fn launch(&self) -> JoinHandle<()> {
        let worker = Worker {
            gateways: self.gateways.clone(),
            known: self.known.clone(),
        };
        tokio::spawn(worker.work())
    }

    /// Kills a worker in the middle of whatever it does, and has another one go on.
    fn replace(&mut self, worker: usize) {
        self.workers[worker].abort();
        self.workers[worker] = self.launch();
    }

    async fn has_settled(&self, records: usize) {
        let enough = async || {
            // One that fails ends this test, not only itself.
            let failed = self.workers.iter().any(JoinHandle::is_finished);
            failed || self.known.lock().settled.len() >= records
        };
        eventually(&format!("{records} records are settled"), enough).await;
    }

    /// Waits until the group has settled everything up to the ends, whoever was told so, and ends all
    /// workers.
    async fn finish(self, ends: &[u64]) {
        let is_done = async || {
            let answer = self.gateways[0]
                .get(&format!("/groups/{GROUP}/offsets"))
                .await;
            let told = answer.expect(200).json();
            let positions = told["positions"].as_array().expect("positions");
            let floors = positions.iter().map(|at| at["committed"].as_u64());
            floors.zip(ends).all(|(floor, end)| floor == Some(*end))
                || self.workers.iter().any(JoinHandle::is_finished)
        };
        eventually("everything is settled", is_done).await;
        self.workers.iter().for_each(JoinHandle::abort);
        for worker in self.workers {
            match soon("a worker ends", worker).await {
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                _ => {}
            }
        }
        let known = self.known.lock();
        let begun: usize = known.begun.values().map(BTreeSet::len).sum();
        let all = ends.iter().sum::<u64>() as usize;
        assert_eq!(begun, all, "every record was leased");
        println!(
            "{} of {all} acknowledged, {} leased again",
            known.settled.len(),
            known.again
        );
    }
}

/// Waits until every gateway has heard of the group.
async fn known(gateways: &[Api]) {
    for api in gateways {
        let known = async || api.get(&format!("/groups/{GROUP}")).await.status == 200;
        eventually("the group is known", known).await;
    }
}

async fn load(api: &Api, topic: &str) -> Vec<u64> {
    for (n, some) in flights()[..FLIGHTS].chunks(10_000).enumerate() {
        let records: Vec<_> = some.iter().map(record).collect();
        let body = format!("{{\"records\":[{}]}}", records.join(","));
        let path = format!("/topics/{topic}");
        let loaded = api.produce_once(&path, &format!("load-{n}"), body).await;
        loaded.expect(200);
    }
    api.high_watermarks(&format!("/topics/{topic}")).await
}

fn shared(topic: &str) -> Value {
    json!({"topics": [topic], "type": "shared", "max_attempts": 1_000})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_workers_behind_two_gateways_settle_every_flight_in_order_of_its_key() {
    let cluster = Cluster::start(1).await;
    cluster.topic("flights", 16, 1).await;
    let mut gateways = [cluster.gateway(), cluster.gateway()];
    for gateway in &mut gateways {
        gateway.restart().await;
    }
    let apis = gateways.iter().map(|gateway| cluster.api_of(gateway));
    let apis: Vec<_> = apis.collect();
    for api in &apis {
        let known = async || api.get("/topics/flights").await.status == 200;
        eventually("the topic is known", known).await;
    }
    let ends = load(&apis[0], "flights").await;
    ensure(&apis[0], GROUP, shared("flights")).await;
    known(&apis).await;
    let mut crew = Crew::start(apis, 50);
    for part in 1..=2 {
        crew.has_settled(FLIGHTS * part / 4).await;
        for worker in 0..10 {
            crew.replace(worker * 5 + part);
        }
        // A gateway goes with all that is under way in it.
        let gateway = &mut gateways[part % 2];
        gateway.kill9();
        gateway.restart().await;
    }
    crew.finish(&ends).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_settlement_is_lost_with_a_coordinator() {
    let mut cluster = Cluster::start(3).await;
    cluster.topic("flights", 12, 3).await;
    let apis: Vec<_> = (0..3).map(|n| cluster.api(n)).collect();
    let ends = load(&apis[0], "flights").await;
    ensure(&apis[0], GROUP, shared("flights")).await;
    known(&apis).await;
    let mut crew = Crew::start(apis, 8);
    // Whichever coordinates the group is among them.
    for victim in 0..3 {
        crew.has_settled(FLIGHTS * (victim + 1) / 6).await;
        cluster.brokers[victim].kill9();
        let before = crew.known.lock().settled.len();
        crew.has_settled((before + 200).min(FLIGHTS)).await;
        cluster.brokers[victim].restart().await;
        cluster.whole().await;
        crew.replace(victim);
    }
    crew.finish(&ends).await;
}
