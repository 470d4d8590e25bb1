//! A workload that goes on while something goes wrong, and everything that is checked afterwards.

use std::time::{Duration, Instant};

use super::{
    brokers::{Cluster, run_on},
    load::Load,
    readers::Readers,
};

const TOPIC: &str = "orders";
const WRITERS: usize = 8;

pub struct Trial {
    load: Load,
    readers: Readers,
}

impl Trial {
    /// Creates the topic, with a copy on every broker, and starts to write and to read.
    pub async fn start(cluster: &Cluster, partitions: u32) -> Self {
        let copies = cluster.brokers.len() as u32;
        cluster.topic(TOPIC, partitions, copies).await;
        let trial = Self {
            load: Load::start(cluster, TOPIC, WRITERS),
            readers: Readers::start(cluster, TOPIC, partitions),
        };
        trial.goes_on().await;
        trial
    }

    /// Waits until every writer was acknowledged some more, so that every partition has a leader that
    /// can commit, and every gateway has answered readers.
    pub async fn goes_on(&self) {
        tokio::join!(self.load.each(25), self.readers.each(25));
    }

    /// The same of writers alone, where a gateway cannot reach a leader.
    pub async fn writes_go_on(&self) {
        let started = Instant::now();
        self.load.each(25).await;
        println!("writes go on after {:?}", started.elapsed());
    }

    /// Has it go on for a while, all the time.
    pub async fn flows_for(&self, time_ms: u64) {
        let until = Instant::now() + Duration::from_millis(time_ms);
        while Instant::now() < until {
            self.goes_on().await;
            run_on(500).await;
        }
    }

    /// How many tries were refused for good.
    pub fn refused(&self) -> u64 {
        self.load.refused()
    }

    /// Waits until the cluster is whole, stops everything, and checks it: each acknowledged record once,
    /// where it was acknowledged, in its writer's order; nothing that was read is lost; all copies
    /// are the same.
    pub async fn passes(mut self, cluster: Cluster) {
        cluster.whole().await;
        self.goes_on().await;
        self.load.finish().await;
        cluster.whole().await;
        let rows = cluster
            .api(0)
            .read_by_cursor(&format!("/topics/{TOPIC}"))
            .await;
        self.load.check(&rows);
        self.readers.finish(&rows).await;
        cluster.stop_and_compare().await;
    }
}
