//! Groups whose workers ask any gateway, while workers, gateways and coordinators are killed.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::brokers::Cluster;
use crate::{
    client::{Api, Reply, try_reply},
    flights::{FLIGHTS, flights, record},
    groups::worker::{committed, ensure},
    harness::{eventually, soon},
};

/// How long a worker waits for one gateway, before it asks another.
const TRY_TIMEOUT: Duration = Duration::from_secs(20);
const GROUP: &str = "fleet";

/// What all workers have processed, by partition and offset.
#[derive(Default)]
struct Processed {
    /// In the order in which they did.
    order: Vec<(u32, u64)>,
    distinct: HashSet<(u32, u64)>,
}

/// A worker of the group: whichever gateway answers.
struct Worker {
    gateways: Vec<Api>,
    name: String,
    instance: String,
    processed: Arc<Mutex<Processed>>,
    /// Polls that were answered, of all workers.
    polls: Arc<AtomicU64>,
}

/// Sends a request until it is answered, by any of these gateways.
pub async fn ask_any(gateways: &[Api], method: &str, path: &str, body: &Value) -> Reply {
    let mut tries = 0;
    loop {
        let gateway = &gateways[rand::random_range(0..gateways.len())];
        let request = gateway
            .request(method, path)
            .header("content-type", "application/json")
            .timeout(TRY_TIMEOUT)
            .body(body.to_string());
        match try_reply(request).await {
            Ok(answer) if answer.status < 500 => return answer,
            Ok(answer) => {
                let problem = answer.any_problem();
                assert_eq!(problem["retryable"], true, "{problem}");
            }
            Err(_) => {}
        }
        tries += 1;
        assert!(tries < 2_000, "{path} is never answered");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Worker {
    async fn ask(&self, method: &str, path: &str, body: &Value) -> Reply {
        ask_any(&self.gateways, method, path, body).await
    }

    /// Reads, processes and commits until it is killed, or fenced by who has its name then.
    async fn work(self) {
        let path = format!("/groups/{GROUP}/members/{}", self.name);
        loop {
            let how = json!({"instance": self.instance, "lease_ms": 10_000});
            let joined = self.ask("PUT", &path, &how).await.expect(200).json();
            let mut ask = json!({"epoch": joined["epoch"], "wait_ms": 1_000, "max_records": 400});
            loop {
                let answer = self.ask("POST", &format!("{path}/poll"), &ask).await;
                match answer.code().as_str() {
                    "member_fenced" => return,
                    // It was silent for too long, as when no coordinator answered.
                    "member_expired" => break,
                    _ => {}
                }
                let told = answer.expect(200).json();
                self.polls.fetch_add(1, Ordering::Relaxed);
                for record in told["records"].as_array().expect("records") {
                    let number = |name: &str| record[name].as_u64().expect(name);
                    let place = (number("partition") as u32, number("offset"));
                    let mut processed = self.processed.lock();
                    processed.order.push(place);
                    processed.distinct.insert(place);
                }
                (ask["epoch"], ask["commit"]) = (told["epoch"].clone(), told["cursor"].clone());
            }
        }
    }
}

struct Fleet {
    gateways: Vec<Api>,
    workers: Vec<JoinHandle<()>>,
    lives: usize,
    processed: Arc<Mutex<Processed>>,
    polls: Arc<AtomicU64>,
}

impl Fleet {
    fn new(gateways: Vec<Api>) -> Self {
        Self {
            gateways,
            workers: Vec::new(),
            lives: 0,
            processed: Arc::default(),
            polls: Arc::default(),
        }
    }

    /// Another process under this name.
    fn launch(&mut self, name: usize) -> JoinHandle<()> {
        self.lives += 1;
        let worker = Worker {
            gateways: self.gateways.clone(),
            name: format!("worker-{name}"),
            instance: format!("life-{}", self.lives),
            processed: self.processed.clone(),
            polls: self.polls.clone(),
        };
        tokio::spawn(worker.work())
    }

    fn start(&mut self, count: usize) {
        for name in 0..count {
            let worker = self.launch(name);
            self.workers.push(worker);
        }
    }

    /// Kills a worker in the middle of whatever it does, and has another take over its name.
    fn replace(&mut self, name: usize) {
        self.workers[name].abort();
        self.workers[name] = self.launch(name);
    }

    /// How many records were processed at least once.
    fn distinct(&self) -> usize {
        self.processed.lock().distinct.len()
    }

    async fn has_processed(&self, records: usize) {
        let enough = async || self.distinct() >= records;
        eventually(&format!("{records} records are processed"), enough).await;
    }

    /// Ends all workers, and checks what they did: each record of these partitions at least once, and
    /// for the first time after all before it.
    async fn check(self, ends: &[u64]) {
        for worker in &self.workers {
            worker.abort();
        }
        for worker in self.workers {
            match soon("a worker ends", worker).await {
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                _ => {}
            }
        }
        let processed = std::mem::take(&mut self.processed.lock().order);
        let mut next = BTreeMap::<u32, u64>::new();
        for (partition, offset) in &processed {
            let next = next.entry(*partition).or_default();
            assert!(
                *offset <= *next,
                "{partition}/{offset} is processed before {next}"
            );
            *next = (*next).max(offset + 1);
        }
        for (partition, end) in (0..).zip(ends) {
            assert_eq!(
                next.get(&partition).copied().unwrap_or(0),
                *end,
                "{partition}"
            );
        }
        let (all, once) = (processed.len(), ends.iter().sum::<u64>());
        println!(
            "{all} processed of {once}, {} polls",
            self.polls.load(Ordering::Relaxed)
        );
    }
}

async fn load(api: &Api, topic: &str) {
    for (n, some) in flights().chunks(10_000).enumerate() {
        let records: Vec<_> = some.iter().map(record).collect();
        let body = format!("{{\"records\":[{}]}}", records.join(","));
        let path = format!("/topics/{topic}");
        api.produce_once(&path, &format!("load-{n}"), body)
            .await
            .expect(200);
    }
}

/// Waits until every gateway has heard of the topic and the group.
async fn known(gateways: &[Api]) {
    for api in gateways {
        let known = async || api.get(&format!("/groups/{GROUP}")).await.status == 200;
        eventually("the group is known", known).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_workers_behind_two_gateways_process_every_flight_in_order() {
    let cluster = Cluster::start(1).await;
    cluster.topic("flights", 64, 1).await;
    let mut gateways = [cluster.gateway(), cluster.gateway()];
    for gateway in &mut gateways {
        gateway.restart().await;
    }
    let apis: Vec<_> = gateways
        .iter()
        .map(|gateway| cluster.api_of(gateway))
        .collect();
    for api in &apis {
        let known = async || api.get("/topics/flights").await.status == 200;
        eventually("the topic is known", known).await;
    }
    load(&apis[0], "flights").await;
    ensure(&apis[0], GROUP, json!({"topics": ["flights"]})).await;
    known(&apis).await;
    let ends = apis[0].high_watermarks("/topics/flights").await;
    assert_eq!(ends.iter().sum::<u64>() as usize, FLIGHTS);
    let mut fleet = Fleet::new(apis);
    fleet.start(50);
    for part in 1..=4 {
        fleet.has_processed(FLIGHTS * part / 6).await;
        for name in 0..10 {
            fleet.replace(name * 5 + part);
        }
        // A gateway goes with all that is under way in it.
        let gateway = &mut gateways[part % 2];
        gateway.kill9();
        gateway.restart().await;
    }
    // One goes for good: its lease has to end.
    fleet.workers[7].abort();
    fleet.has_processed(FLIGHTS).await;
    let is_done = async || {
        let committed = committed(&fleet.gateways[0], GROUP).await;
        let all = committed.iter().zip(&ends);
        all.clone().all(|(at, end)| at.unwrap_or(0) == *end)
    };
    eventually("everything is committed", is_done).await;
    fleet.check(&ends).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_commit_is_lost_with_a_coordinator() {
    let mut cluster = Cluster::start(3).await;
    cluster.topic("orders", 12, 3).await;
    let gateways: Vec<_> = (0..3).map(|n| cluster.api(n)).collect();
    ensure(&gateways[0], GROUP, json!({"topics": ["orders"]})).await;
    known(&gateways).await;
    let mut fleet = Fleet::new(gateways.clone());
    fleet.start(6);
    let mut load = super::load::Load::start(&cluster, "orders", 4);
    load.each(25).await;
    // Whichever coordinates the group is among them.
    for victim in 0..3 {
        let before: Vec<_> = committed(&gateways[(victim + 1) % 3], GROUP).await;
        cluster.brokers[victim].kill9();
        load.each(25).await;
        let polls = fleet.polls.load(Ordering::Relaxed);
        let goes_on = async || fleet.polls.load(Ordering::Relaxed) >= polls + 30;
        eventually("polls are answered", goes_on).await;
        let after = committed(&gateways[(victim + 1) % 3], GROUP).await;
        assert!(
            before.iter().zip(&after).all(|(a, b)| a <= b),
            "{before:?} {after:?}"
        );
        cluster.brokers[victim].restart().await;
        cluster.whole().await;
        fleet.replace(victim);
    }
    load.finish().await;
    let ends = gateways[0].high_watermarks("/topics/orders").await;
    fleet.has_processed(ends.iter().sum::<u64>() as usize).await;
    fleet.check(&ends).await;
}
