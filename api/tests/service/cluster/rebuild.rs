//! A cluster whose database and disks are lost, made again of a bucket behind a real S3 server.

use std::fs;

use serde_json::{Value, json};

use super::{
    brokers::Cluster,
    load::Load,
    tiers::{ObjectServer, s3_settings, until_cold},
};
use crate::{
    bucket::{
        Places,
        rebuild::{all_rows, below},
    },
    harness::{eventually, free_port},
};

const PATH: &str = "/topics/orders";
const RECORD: &str = r#"{"records":[{"value":1}]}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_cluster_is_made_again_from_its_bucket() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::create_dir(directory.path().join("bucket")).expect("made");
    let port = free_port();
    let _store = ObjectServer::start(directory.path(), port);
    let settings = s3_settings(port);
    let named: Vec<_> = settings
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let mut cluster = Cluster::start_with(None, 3, &named).await;
    let body = json!({"partitions": 4, "replication_factor": 3, "config": {
        "segment_bytes": 65536, "local_retention_bytes": 65536, "min_insync_replicas": 2}});
    let made = cluster.api(0).send("PUT", PATH, body.to_string()).await;
    made.expect(201);
    for gateway in 0..3 {
        let api = cluster.api(gateway);
        let known = async || api.get(PATH).await.status == 200;
        eventually("the topic is known", known).await;
    }
    let mut load = Load::start_padded(&cluster, "orders", 6, 4_000);
    load.each(30).await;
    // Terms of several leaders are in the objects.
    cluster.brokers[0].kill9();
    load.each(10).await;
    cluster.brokers[0].restart().await;
    cluster.whole().await;
    load.each(20).await;
    load.finish().await;
    until_cold(&cluster.api(0), PATH).await;
    let before = all_rows(&cluster.api(0), PATH, 4).await;

    let database = cluster.postgres.empty_database("made_again");
    let places = Places {
        database: database.clone(),
        objects: "s3://bucket/here".into(),
        environment: settings.clone(),
    };
    cluster.lose_disks().await;
    let done = places.run("rebuild", &[]);
    assert_eq!(done.code, 0, "{}", done.errors);
    assert_eq!(done.summary["partitions"], 4, "{}", done.summary);
    // The leader that was killed may have left an upload.
    let is_stray = |line: &Value| line["finding"] == "stray";
    assert!(done.findings.iter().all(is_stray), "{:?}", done.findings);
    cluster.go_on_with(database).await;

    // Two brokers are too few for three copies. Nobody leads, so nobody writes at the wrong place.
    cluster.start_brokers(2).await;
    let told = async || {
        let told = |n: usize| cluster.brokers[n].log().contains("wait for more brokers");
        told(0) || told(1)
    };
    eventually("it is told what is waited for", told).await;
    let url = format!("{PATH}/records");
    let refused = cluster.api(0).send("POST", &url, RECORD).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    cluster.start_brokers(1).await;
    cluster.whole().await;
    for gateway in 0..3 {
        let api = cluster.api(gateway);
        let led = async || {
            api.get(&format!("{PATH}/partitions/0/records?offset=0"))
                .await
                .status
                == 200
        };
        eventually("the partitions are led", led).await;
        let ends = api.high_watermarks(PATH).await;
        let expected = below(&before, &ends);
        let (had, has) = (before.concat().len(), expected.concat().len());
        assert!(has > had / 2, "{has} of {had}");
        assert!(
            all_rows(&api, PATH, 4).await == expected,
            "by gateway {gateway}"
        );
    }
    let ends = cluster.api(0).high_watermarks(PATH).await;
    let expected = below(&before, &ends);
    let mut load = Load::start_from(1_000_000, &cluster, "orders", 6, 4_000);
    load.each(20).await;
    let leader = cluster.leader(0);
    cluster.brokers[leader].kill9();
    load.each(10).await;
    cluster.brokers[leader].restart().await;
    cluster.whole().await;
    load.finish().await;
    let rows = all_rows(&cluster.api(1), PATH, 4).await;
    let mut new = Vec::new();
    for (rows, expected) in rows.iter().zip(&expected) {
        assert!(rows[..expected.len()] == expected[..]);
        assert!(rows.iter().map(|row| row.offset).eq(0..rows.len() as u64));
        new.extend_from_slice(&rows[expected.len()..]);
    }
    load.check(&new);
    until_cold(&cluster.api(1), PATH).await;
    for _ in 0..2 {
        let swept = places.run("sweep", &["--older-than", "0s"]);
        assert_eq!(swept.code, 0, "{}", swept.errors);
        assert_eq!(swept.findings.len(), done.findings.len());
    }
    places.run("verify", &[]).clean();
    assert!(all_rows(&cluster.api(1), PATH, 4).await == rows);
    for broker in &mut cluster.brokers {
        broker.stop().await;
    }
}
