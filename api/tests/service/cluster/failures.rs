//! What is acknowledged survives whatever a minority of brokers does, and no record is there twice.

use super::{
    brokers::{Cluster, run_on, signal},
    load::Load,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_brokers_lose_nothing() {
    let mut cluster = Cluster::start(3).await;
    cluster.topic("orders", 6, 3).await;
    let mut load = Load::start(&cluster, "orders", 8);
    load.more(200).await;
    // A leader, then whoever follows it, each comes back.
    for _ in 0..2 {
        let victim = cluster.leader(0);
        cluster.brokers[victim].kill9();
        load.more(200).await;
        cluster.brokers[victim].restart().await;
        cluster.whole().await;
        load.more(200).await;
    }
    // All of them at once.
    for broker in &mut cluster.brokers {
        broker.kill9();
    }
    for broker in &mut cluster.brokers {
        broker.launch();
    }
    load.more(200).await;
    cluster.whole().await;
    load.finish().await;
    load.check(&cluster.api(1)).await;
    cluster.stop_and_compare().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_sleeps_over_its_lease_wakes_up_as_a_follower() {
    let cluster = Cluster::start(3).await;
    cluster.topic("orders", 3, 3).await;
    let mut load = Load::start(&cluster, "orders", 6);
    load.more(100).await;
    let sleeper = cluster.leader(0);
    let pid = cluster.brokers[sleeper].pid();
    signal(pid, "-STOP");
    run_on(7_000).await;
    load.more(100).await;
    signal(pid, "-CONT");
    load.more(100).await;
    cluster.whole().await;
    load.finish().await;
    load.check(&cluster.api(sleeper)).await;
    cluster.stop_and_compare().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_flow_while_the_database_is_away() {
    let mut cluster = Cluster::start(3).await;
    cluster.topic("orders", 3, 3).await;
    let mut load = Load::start(&cluster, "orders", 4);
    load.more(100).await;
    cluster.postgres.kill9();
    for _ in 0..5 {
        load.more(50).await;
        run_on(1_000).await;
    }
    cluster.postgres.launch();
    load.more(100).await;
    cluster.whole().await;
    load.finish().await;
    load.check(&cluster.api(0)).await;
    cluster.stop_and_compare().await;
}
