//! Cold segments in a cluster: whoever leads reads and goes on uploading, and a broker that lost its disk
//! begins where the leader's disk does.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use super::{brokers::Cluster, load::Load};
use crate::{
    client::Api,
    harness::{eventually, free_port, repository},
};

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

pub async fn until_cold(api: &Api, path: &str) {
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

/// An S3-compatible server on a directory, that ends with this.
pub struct ObjectServer(Child);

impl ObjectServer {
    pub fn start(directory: &Path, port: u16) -> Self {
        let program = repository().join("target/tools/bin/s3s-fs");
        assert!(program.exists(), "run `make object-stores` first");
        let mut command = Command::new(program);
        command
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .args(["--access-key", "a-key", "--secret-key", "a-secret"])
            .arg(directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(command.spawn().expect("it starts"))
    }
}

/// What brokers are told to use it, and to look at their segments all the time.
pub fn s3_settings(port: u16) -> Vec<(String, String)> {
    let endpoint = format!("http://127.0.0.1:{port}");
    let settings = [
        ("HEADWATER_OBJECT_STORE", "s3://bucket/here"),
        ("HEADWATER_MAINTENANCE_INTERVAL", "100ms"),
        ("AWS_ENDPOINT", &endpoint),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "a-key"),
        ("AWS_SECRET_ACCESS_KEY", "a-secret"),
    ];
    let own = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    own.into()
}

impl Drop for ObjectServer {
    fn drop(&mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("gone");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_dies_stops_cold_reads_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::create_dir(directory.path().join("bucket")).expect("made");
    let port = free_port();
    let store = ObjectServer::start(directory.path(), port);
    let settings = s3_settings(port);
    let settings: Vec<_> = settings.iter().map(|(n, v)| (&**n, &**v)).collect();
    let mut cluster = Cluster::start_with(None, 1, &settings).await;
    let path = "/topics/orders";
    let body = json!({"config": {"segment_bytes": 65536, "local_retention_bytes": 65536}});
    let made = cluster.api(0).send("PUT", path, body.to_string()).await;
    made.expect(201);
    let mut load = Load::start_padded(&cluster, "orders", 3, 4_000);
    load.each(150).await;
    load.finish().await;
    until_cold(&cluster.api(0), path).await;
    drop(store);
    // Nothing is in the cache after a restart.
    cluster.brokers[0].stop().await;
    cluster.brokers[0].restart().await;
    let api = cluster.api(0);
    let first = format!("{path}/partitions/0/records?offset=0");
    let problem = api.get(&first).await.problem(503, "unavailable");
    assert_eq!(problem["retryable"], true);
    cluster.topic("others", 2, 1).await;
    let mut others = Load::start(&cluster, "others", 3);
    others.each(50).await;
    let hot = api.get(&format!("{path}/records?from=tail-5")).await;
    assert_eq!(hot.expect(200).rows().len(), 5);
    let _store = ObjectServer::start(directory.path(), port);
    let readable = async || api.get(&first).await.status == 200;
    eventually("the store is back", readable).await;
    others.finish().await;
    assert_eq!((others.refused(), others.unknown()), (0, 0));
    load.check(&api.read_by_cursor(path).await);
    cluster.brokers[0].stop().await;
}
