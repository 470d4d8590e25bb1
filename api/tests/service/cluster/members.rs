//! Coming and going.

use std::fs;

use super::{brokers::Cluster, trial::Trial};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_refuses_nothing() {
    let mut cluster = Cluster::start(3).await;
    let trial = Trial::start(&cluster, 6).await;
    for number in 0..3 {
        cluster.brokers[number].stop().await;
        trial.writes_go_on().await;
        cluster.brokers[number].restart().await;
        cluster.whole().await;
    }
    assert_eq!(trial.refused(), 0);
    trial.passes(cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_belongs_to_one_process() {
    let cluster = Cluster::start(2).await;
    let mut second = cluster.broker(1);
    second.launch();
    let status = second.exited().await;
    assert_eq!(status.code(), Some(6), "{}", second.log());
    assert!(second.log().contains("in use"), "{}", second.log());
    Trial::start(&cluster, 1).await.passes(cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_disk_leads_nothing_until_it_has_everything() {
    let mut cluster = Cluster::start(3).await;
    let trial = Trial::start(&cluster, 3).await;
    let victim = cluster.leader(0);
    cluster.brokers[victim].kill9();
    fs::remove_dir_all(cluster.brokers[victim].data_dir()).expect("emptied");
    trial.writes_go_on().await;
    cluster.brokers[victim].restart().await;
    trial.goes_on().await;
    trial.passes(cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_topic_is_there_at_once() {
    let cluster = Cluster::start(2).await;
    let api = cluster.api(0);
    // The other broker leads half of each, and hears of it a moment later.
    for n in 0..20 {
        let topic = api.topic(&format!("new-{n}"), 4).await;
        let record = |partition| serde_json::json!({"partition": partition, "value": n});
        let records: Vec<_> = (0..4).map(record).collect();
        let body = serde_json::json!({"records": records}).to_string();
        api.produce(&topic, body).await;
        assert_eq!(api.read_by_cursor(&topic).await.len(), 4);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_alone_serves_everything() {
    let mut cluster = Cluster::start(2).await;
    let mut gateway = cluster.gateway().started().await;
    let api = cluster.api_of(&gateway);
    let made = api
        .send("PUT", "/topics/orders", r#"{"partitions":4}"#)
        .await;
    assert_eq!(made.expect(201).json()["replication_factor"], 2);
    let records: Vec<_> = (0..100)
        .map(|n| serde_json::json!({"key": format!("k{n}"), "value": n}))
        .collect();
    let body = serde_json::json!({"records": records}).to_string();
    api.produce("/topics/orders", body).await;
    let rows = api.read_by_cursor("/topics/orders").await;
    assert_eq!(rows.len(), 100);
    // All partitions at once, wherever they are led; and the one that has something new.
    let end = api
        .get("/topics/orders/records?from=latest")
        .await
        .expect(200);
    let cursor = end.json_member("cursor");
    let path = format!("/topics/orders/records?cursor={cursor}&wait_ms=20000");
    let waiting = tokio::spawn({
        let api = cluster.api_of(&gateway);
        async move { api.get(&path).await.expect(200).rows() }
    });
    let record = r#"{"records":[{"partition":3,"value":"new"}]}"#;
    cluster.api(0).produce("/topics/orders", record).await;
    let rows = crate::harness::soon("the poll ends", waiting)
        .await
        .expect("rows");
    assert_eq!(rows.len(), 1);
    let trimmed = r#"{"partition":3,"before_offset":1}"#;
    let trimmed = api.send("POST", "/topics/orders/trim", trimmed).await;
    assert_eq!(trimmed.expect(200).json()["log_start"], 1);
    gateway.stop().await;
    for broker in &mut cluster.brokers {
        broker.kill9();
    }
}
