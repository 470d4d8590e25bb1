//! Cold segments in a cluster: whoever leads reads and goes on uploading, and a broker that lost its disk
//! begins where the leader's disk does.

use std::fs;

use serde_json::{Value, json};

use super::{brokers::Cluster, load::Load};
use crate::{client::Api, harness::eventually};

/// What `partitions` of a topic says of all of them.
async fn sums(api: &Api, path: &str) -> (u64, u64) {
    let state = api.get(&format!("{path}/partitions")).await;
    let state: Value = match state.status {
        200 => state.json(),
        _ => return (0, 0),
    };
    let all = state["partitions"].as_array().expect("partitions");
    let sum = |name: &str| all.iter().map(|p| p[name].as_u64().expect(name)).sum();
    (sum("hot_bytes"), sum("cold_bytes"))
}

async fn until_cold(api: &Api, path: &str) {
    eventually("most is in the store alone", async || {
        let (hot, cold) = sums(api, path).await;
        cold > 3 * hot && cold > 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_change_and_disks_are_lost_while_segments_move() {
    let store = tempfile::tempdir().expect("a directory");
    let url = format!("file://{}", store.path().display());
    let mut cluster = Cluster::start_with(
        None,
        3,
        &[
            ("HEADWATER_OBJECT_STORE", &url),
            ("HEADWATER_MAINTENANCE_INTERVAL", "100ms"),
        ],
    )
    .await;
    let path = "/topics/orders";
    let body = json!({"partitions": 2, "replication_factor": 3, "config": {
        "segment_bytes": 65536, "local_retention_bytes": 65536}});
    let made = cluster.api(0).send("PUT", path, body.to_string()).await;
    made.expect(201);
    for gateway in 0..3 {
        let api = cluster.api(gateway);
        let known = async || api.get(path).await.status == 200;
        eventually("the topic is known", known).await;
    }
    let mut load = Load::start_padded(&cluster, "orders", 6, 4_000);
    until_cold(&cluster.api(0), path).await;
    // Leaders die in the middle of uploads; one comes back with an empty disk.
    for (turn, victim) in [0, 1, 2].into_iter().enumerate() {
        cluster.brokers[victim].kill9();
        if turn == 1 {
            fs::remove_dir_all(cluster.brokers[victim].data_dir()).expect("emptied");
        }
        load.each(20).await;
        cluster.brokers[victim].restart().await;
        load.each(20).await;
        cluster.whole().await;
    }
    load.finish().await;
    until_cold(&cluster.api(1), path).await;
    for gateway in 0..3 {
        let rows = cluster.api(gateway).read_by_cursor(path).await;
        load.check(&rows);
    }
    for broker in &mut cluster.brokers {
        broker.stop().await;
    }
}
