//! Coming and going.

use std::{fs, sync::atomic::Ordering};

use super::{brokers::Cluster, load::Load};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_refuses_nothing() {
    let mut cluster = Cluster::start(3).await;
    cluster.topic("orders", 6, 3).await;
    let mut load = Load::start(&cluster, "orders", 6);
    load.more(100).await;
    for number in 0..3 {
        cluster.brokers[number].stop().await;
        load.more(50).await;
        cluster.brokers[number].restart().await;
        cluster.whole().await;
    }
    load.finish().await;
    assert_eq!(load.outcomes().refused.load(Ordering::Relaxed), 0);
    load.check(&cluster.api(2)).await;
    cluster.stop_and_compare().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_belongs_to_one_process() {
    let cluster = Cluster::start(2).await;
    let mut second = cluster.broker(1);
    second.launch();
    let status = second.exited().await;
    assert_eq!(status.code(), Some(6), "{}", second.log());
    assert!(second.log().contains("in use"), "{}", second.log());
    cluster.topic("orders", 1, 2).await;
    let mut load = Load::start(&cluster, "orders", 1);
    load.more(10).await;
    load.finish().await;
    load.check(&cluster.api(0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_disk_leads_nothing_until_it_has_everything() {
    let mut cluster = Cluster::start(3).await;
    cluster.topic("orders", 3, 3).await;
    let mut load = Load::start(&cluster, "orders", 4);
    load.more(300).await;
    let victim = cluster.leader(0);
    cluster.brokers[victim].kill9();
    fs::remove_dir_all(cluster.brokers[victim].data_dir()).expect("emptied");
    load.more(100).await;
    cluster.brokers[victim].restart().await;
    load.more(100).await;
    cluster.whole().await;
    load.finish().await;
    load.check(&cluster.api(victim)).await;
    cluster.stop_and_compare().await;
}
