//! Leaders that are cut off, in every way: others lead or go on without them, and once the ways are
//! open again all is as before. Needs root and `ip`.

use std::time::Instant;

use super::{
    brokers::Cluster,
    netns::{
        Closed::{self, Loudly, Silently},
        End, Network,
    },
    trial::Trial,
};

/// Which ways, between a broker and others.
type Ways = fn(End, &[End]) -> Vec<(End, End)>;

fn from(broker: End, others: &[End]) -> Vec<(End, End)> {
    others.iter().map(|other| (broker, *other)).collect()
}

fn to(broker: End, others: &[End]) -> Vec<(End, End)> {
    others.iter().map(|other| (*other, broker)).collect()
}

fn both(broker: End, others: &[End]) -> Vec<(End, End)> {
    [from(broker, others), to(broker, others)].concat()
}

fn peers(broker: usize) -> Vec<End> {
    let others = (0..3).filter(|other| *other != broker);
    others.map(End::Broker).collect()
}

/// What becomes of the leader that is cut off.
enum Fate {
    Replaced,
    LeadsOn,
}

struct Cuts {
    cluster: Cluster,
    trial: Trial,
}

impl Cuts {
    async fn start(test: &str) -> Option<Self> {
        let network = Network::start(test, 3)?;
        let cluster = Cluster::start_on(Some(network), 3).await;
        let trial = Trial::start(&cluster, 3).await;
        Some(Self { cluster, trial })
    }

    /// Closes ways between a leader and others, until writes go on, and opens them again.
    async fn cut(
        &self,
        ways: Ways,
        closed: Closed,
        others: impl Fn(usize) -> Vec<End>,
        fate: Fate,
    ) {
        let leader = self.cluster.leader(0);
        let ways = ways(End::Broker(leader), &others(leader));
        let network = self.cluster.network();
        ways.iter().for_each(|way| network.close(*way, closed));
        let started = Instant::now();
        match fate {
            Fate::Replaced => self.cluster.replaced(leader).await,
            Fate::LeadsOn => self.cluster.smaller().await,
        }
        println!("decided after {:?}", started.elapsed());
        self.trial.writes_go_on().await;
        ways.iter().for_each(|way| network.open(*way, closed));
        self.cluster.whole().await;
        self.trial.goes_on().await;
    }

    async fn end(self) {
        self.trial.passes(self.cluster).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_cut_off_from_its_peers_is_replaced() {
    let Some(cuts) = Cuts::start("a_leader_cut_off_from_its_peers_is_replaced").await else {
        return;
    };
    // The database reaches it, so its lease runs on.
    cuts.cut(both, Silently, peers, Fate::Replaced).await;
    cuts.cut(from, Silently, peers, Fate::Replaced).await;
    cuts.cut(to, Silently, peers, Fate::Replaced).await;
    let all = |leader| [peers(leader), vec![End::Database]].concat();
    cuts.cut(both, Silently, all, Fate::Replaced).await;
    cuts.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_cut_off_from_the_database_is_replaced() {
    let Some(cuts) = Cuts::start("a_leader_cut_off_from_the_database_is_replaced").await else {
        return;
    };
    let database = |_| vec![End::Database];
    cuts.cut(both, Loudly, database, Fate::Replaced).await;
    cuts.cut(from, Silently, database, Fate::Replaced).await;
    cuts.cut(to, Silently, database, Fate::Replaced).await;
    cuts.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_cut_off_from_one_peer_goes_on_with_the_other() {
    let Some(cuts) = Cuts::start("a_leader_cut_off_from_one_peer_goes_on_with_the_other").await
    else {
        return;
    };
    let one = |leader| peers(leader)[..1].to_vec();
    cuts.cut(both, Loudly, one, Fate::LeadsOn).await;
    cuts.cut(from, Silently, one, Fate::LeadsOn).await;
    cuts.cut(to, Silently, one, Fate::LeadsOn).await;
    cuts.end().await;
}
