//! Copies that move between processes while clients write.

use serde_json::{Value, json};

use super::{brokers::Cluster, load::Load};
use crate::{client::Api, harness::eventually};

/// What the cluster says of each broker's member of that name.
async fn of_brokers(operator: &Api, member: &str) -> Vec<Value> {
    let cluster = operator.see("/cluster").await;
    let brokers = cluster["brokers"].as_array().expect("brokers");
    brokers
        .iter()
        .map(|broker| broker[member].clone())
        .collect()
}

async fn until_nothing_moves(operator: &Api) {
    let still = async || operator.see("/cluster").await["moves"] == json!([]);
    eventually("nothing moves any more", still).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_joins_and_another_leaves_for_good_under_load() {
    let mut cluster = Cluster::start(3).await;
    cluster.topic("orders", 12, 3).await;
    let mut load = Load::start(&cluster, "orders", 4);
    load.each(50).await;
    let operator = cluster.operator(1).await;
    assert_eq!(of_brokers(&operator, "replicas").await, [12, 12, 12]);

    let joined = cluster.broker(4).started().await;
    cluster.brokers.push(joined);
    let known = async || of_brokers(&operator, "id").await.len() == 4;
    eventually("the fourth is known", known).await;
    let rebalance = async |path: &str| {
        let answer = operator.manage("POST", path, Value::Null).await;
        let moves = answer.expect(200).json()["moves"].clone();
        moves.as_array().expect("moves").clone()
    };
    let planned = rebalance("/cluster/rebalance?dry_run=true").await;
    assert_eq!(of_brokers(&operator, "replicas").await, [12, 12, 12, 0]);
    let to_fourth = |moving: &&Value| {
        let target = moving["target"].as_array().expect("a target");
        target.contains(&json!(4))
    };
    assert_eq!(planned.iter().filter(to_fourth).count(), 9, "{planned:?}");
    let moves = rebalance("/cluster/rebalance").await;
    assert_eq!(moves.iter().filter(to_fourth).count(), 9, "{moves:?}");
    assert!(
        moves.iter().all(|moving| moving["bytes"].is_u64()),
        "{moves:?}"
    );
    until_nothing_moves(&operator).await;
    assert_eq!(of_brokers(&operator, "replicas").await, [9, 9, 9, 9]);
    assert_eq!(rebalance("/cluster/rebalance").await, [Value::Null; 0]);
    load.each(25).await;

    let refused = operator.manage("DELETE", "/cluster/brokers/1", Value::Null);
    refused.await.problem(409, "broker_in_use");
    let drain = operator.manage("POST", "/cluster/brokers/1/drain", Value::Null);
    drain.await.expect(200);
    let empty = async || {
        let state = operator.see("/cluster").await;
        let broker = &state["brokers"][0];
        state["moves"] == json!([]) && broker["replicas"] == 0 && broker["hot_bytes"] == 0
    };
    eventually("the first holds nothing", empty).await;
    load.each(25).await;
    assert_eq!(load.refused(), 0);
    assert_eq!(load.unknown(), 0);
    cluster.brokers[0].stop().await;
    let removed = async || {
        let answer = operator
            .manage("DELETE", "/cluster/brokers/1", Value::Null)
            .await;
        answer.status == 204
    };
    eventually("its lease is over, and it is removed", removed).await;
    assert_eq!(of_brokers(&operator, "id").await, [2, 3, 4]);
    load.finish().await;
    load.check(&cluster.api(3).read_by_cursor("/topics/orders").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_outlives_the_broker_that_it_goes_to_and_the_controller() {
    let mut cluster = Cluster::start(3).await;
    cluster.topic("orders", 6, 2).await;
    let mut load = Load::start(&cluster, "orders", 4);
    load.each(50).await;
    let operator = cluster.operator(0).await;
    let drain = operator.manage("POST", "/cluster/brokers/3/drain", Value::Null);
    drain.await.expect(200);
    // Whoever controls the cluster or takes the copies: each is gone for a while.
    for number in [0, 1] {
        cluster.brokers[number].kill9();
        cluster.brokers[number].restart().await;
    }
    let operator = cluster.operator(0).await;
    let empty = async || {
        let state = operator.see("/cluster").await;
        state["moves"] == json!([]) && state["brokers"][2]["replicas"] == 0
    };
    eventually("the third holds nothing", empty).await;
    cluster.whole().await;
    load.finish().await;
    load.check(&cluster.api(1).read_by_cursor("/topics/orders").await);
    assert_eq!(of_brokers(&operator, "replicas").await, [6, 6, 0]);
    cluster.brokers[2].stop().await;
}
