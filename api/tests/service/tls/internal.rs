//! Nodes that know one another by certificates.

use std::fs;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    authority::{Authority, Files},
    connect, shown,
};
use crate::{
    client::Api,
    cluster::brokers::{Cluster, signal},
    harness::{Server, eventually, soon},
};

async fn start(files: &Files, count: usize) -> Cluster {
    let settings = files.internal();
    let settings: Vec<_> = settings
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    Cluster::start_with(None, count, &settings).await
}

async fn write(api: &Api, value: &str) {
    let records = json!({"records": [{"partition": 0, "value": value},
                                     {"partition": 1, "value": value}]});
    api.produce("/topics/orders", records.to_string()).await;
}

/// Says what a node says first, without a certificate; what it hears.
async fn knock(port: u16, authority: &str) -> Vec<u8> {
    let mut stream = connect(port, authority, None).await.expect("a handshake");
    let mut hello = b"HWINTER1".to_vec();
    hello.extend([7; 32]);
    stream.write_all(&hello).await.expect("said");
    let mut heard = Vec::new();
    // It may be closed without a farewell.
    let _ = soon("it is closed", stream.read_to_end(&mut heard)).await;
    heard
}

fn internal_port(server: &Server) -> u16 {
    let root = server.internal_root();
    let (_, port) = root.rsplit_once(':').expect("a port");
    port.parse().expect("a port")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_replicate_over_tls_and_take_new_certificates() {
    let authority = Authority::generate();
    let files = Files::of(&authority, &authority.issue());
    let mut cluster = start(&files, 2).await;
    cluster.topic("orders", 2, 2).await;
    write(&cluster.api(0), "first").await;

    let new = authority.issue();
    files.replace(&new);
    for broker in &cluster.brokers {
        signal(broker.pid(), "-HUP");
        eventually("the new certificate is shown", async || {
            shown(internal_port(broker), &authority.pem()).await == new.der
        })
        .await;
    }
    // Open connections go on; those of a restarted broker begin with the new one.
    write(&cluster.api(0), "second").await;
    cluster.brokers[1].stop().await;
    cluster.brokers[1].restart().await;
    cluster.whole().await;
    write(&cluster.api(1), "third").await;
    assert_eq!(
        cluster.api(0).read_by_cursor("/topics/orders").await.len(),
        6
    );
    cluster.stop_and_compare().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_a_certificate_of_the_authority_is_refused() {
    let authority = Authority::generate();
    let files = Files::of(&authority, &authority.issue());
    let mut cluster = start(&files, 1).await;
    cluster.topic("orders", 1, 1).await;
    let broker = &cluster.brokers[0];

    // Health checks need no certificate, nodes do.
    let url = format!("https://127.0.0.1:{}/healthz", internal_port(broker));
    let anybody = cluster.api(0).trusting(&authority.pem());
    let healthy = anybody.anonymous("GET", &url).send().await;
    assert_eq!(healthy.expect("an answer").status(), 200);
    assert_eq!(knock(internal_port(broker), &authority.pem()).await, b"");
    assert!(broker.log().contains("shows no certificate"));

    // It trusts the brokers, and they do not trust it; it does not trust them; it has no certificate.
    let stranger = Authority::generate();
    let mistrusted = Files::of(&stranger, &stranger.issue());
    fs::write(mistrusted.path("ca.pem"), authority.pem()).expect("written");
    let mistrusting = Files::of(&stranger, &stranger.issue());
    let gateway = |files: &Files| {
        let settings = files.internal().into_iter();
        settings.fold(cluster.gateway(), |gateway, (name, value)| {
            gateway.with(name, &value)
        })
    };
    let refused = [
        gateway(&mistrusted),
        gateway(&mistrusting),
        cluster.gateway(),
    ];
    for mut gateway in refused {
        gateway.restart().await;
        let api = cluster.api_of(&gateway);
        let asking = tokio::spawn(async move { api.get("/topics/orders/records").await });
        let told = async || gateway.log().contains("another broker cannot be reached");
        eventually("it is told that it cannot reach the broker", told).await;
        asking.abort();
    }
    let good = gateway(&files).started().await;
    let answer = cluster.api_of(&good).get("/topics/orders/records").await;
    answer.expect(200);
    drop(good);
    cluster.brokers[0].stop().await;
}
