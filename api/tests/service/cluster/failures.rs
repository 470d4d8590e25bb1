//! What is acknowledged survives whatever brokers and the database do, and no record is there twice.

use super::{
    brokers::{Cluster, run_on, signal},
    trial::Trial,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_brokers_lose_nothing() {
    let mut cluster = Cluster::start(3).await;
    let trial = Trial::start(&cluster, 6).await;
    // A leader, then the controller; all lead something, and follow in the rest. Each comes back.
    for controls in [false, true] {
        let victim = match controls {
            false => cluster.leader(0),
            true => cluster.controller(),
        };
        cluster.brokers[victim].kill9();
        trial.writes_go_on().await;
        cluster.brokers[victim].restart().await;
        cluster.whole().await;
        trial.goes_on().await;
    }
    // All of them at once.
    for broker in &mut cluster.brokers {
        broker.kill9();
    }
    for broker in &mut cluster.brokers {
        broker.launch();
    }
    trial.goes_on().await;
    trial.passes(cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_sleeps_over_its_lease_wakes_up_as_a_follower() {
    let cluster = Cluster::start(3).await;
    let trial = Trial::start(&cluster, 3).await;
    let sleeper = cluster.leader(0);
    let pid = cluster.brokers[sleeper].pid();
    signal(pid, "-STOP");
    run_on(7_000).await;
    trial.writes_go_on().await;
    signal(pid, "-CONT");
    trial.passes(cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_flow_while_the_database_is_away() {
    let mut cluster = Cluster::start(3).await;
    let trial = Trial::start(&cluster, 3).await;
    // Killed for a minute; hung and stopped for longer than two leases.
    cluster.postgres.kill9();
    trial.flows_for(60_000).await;
    cluster.postgres.launch();
    cluster.whole().await;
    cluster.postgres.freeze();
    trial.flows_for(10_000).await;
    cluster.postgres.thaw();
    cluster.whole().await;
    cluster.postgres.stop();
    trial.flows_for(10_000).await;
    cluster.postgres.launch();
    trial.passes(cluster).await;
}
