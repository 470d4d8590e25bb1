//! Strong reads: from a leader that was replaced and does not know, and from the next one. Needs root
//! and `ip`.

use super::{
    brokers::Cluster,
    netns::{Closed::Silently, End, Network},
};
use crate::{client::Api, harness::eventually};

/// The calls that can be strong.
const READS: [&str; 3] = [
    "/topics/orders/partitions/0/records?",
    "/topics/orders/records?",
    "/topics/orders/offsets?",
];

async fn write(api: &Api, value: &str) {
    let body = format!(r#"{{"records":[{{"value":"{value}"}}]}}"#);
    api.produce("/topics/orders", body).await;
}

/// The values that a read of one partition shows.
async fn values(api: &Api, consistency: &str) -> Vec<String> {
    let path = format!("{}consistency={consistency}", READS[0]);
    let rows = api.get(&path).await.expect(200).rows();
    rows.into_iter()
        .map(|row| row.value.replace('"', ""))
        .collect()
}

async fn is_not_confirmed(api: &Api) {
    for read in READS {
        let problem = api.get(&format!("{read}consistency=strong")).await;
        let problem = problem.problem(503, "not_confirmed");
        assert_eq!(problem["retryable"], true);
        assert_eq!(problem["outcome"], "not_applied");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_replaced_unheard_refuses_strong_reads() {
    let test = "a_leader_that_was_replaced_unheard_refuses_strong_reads";
    let Some(network) = Network::start(test, 3) else {
        return;
    };
    let cluster = Cluster::start_on(Some(network), 3).await;
    cluster.topic("orders", 1, 3).await;
    let leader = cluster.leader(0);
    let (old, other) = (cluster.api(leader), cluster.api((leader + 1) % 3));
    write(&old, "before").await;
    for api in [&old, &other] {
        assert_eq!(values(api, "strong").await, ["before"]);
        for read in READS {
            let strong = api.get(&format!("{read}consistency=strong")).await;
            strong.expect(200);
            let other = api.get(&format!("{read}consistency=linearizable")).await;
            other.problem(400, "invalid_request");
        }
    }
    let here = End::Broker(leader);
    let brokers = (0..3).filter(|broker| *broker != leader).map(End::Broker);
    let ends = brokers.chain([End::Database]);
    let ways: Vec<_> = ends.flat_map(|end| [(here, end), (end, here)]).collect();
    let network = cluster.network();
    ways.iter().for_each(|way| network.close(*way, Silently));
    assert_eq!(values(&old, "committed").await, ["before"]);
    is_not_confirmed(&old).await;
    cluster.replaced(leader).await;
    write(&other, "after").await;
    assert_eq!(values(&other, "strong").await, ["before", "after"]);
    // What it says is right, and old.
    assert_eq!(values(&old, "committed").await, ["before"]);
    is_not_confirmed(&old).await;
    ways.iter().for_each(|way| network.open(*way, Silently));
    let path = format!("{}consistency=strong", READS[0]);
    let heard = async || old.get(&path).await.status == 200;
    eventually("it hears who leads", heard).await;
    assert_eq!(values(&old, "strong").await, ["before", "after"]);
}
