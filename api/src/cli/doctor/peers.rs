//! The other nodes of the cluster, and the secret that is shared with them.

use std::{path::Path, sync::Arc};

use futures_util::{StreamExt, stream};
use headwater_broker::rpc;

use super::{super::cluster, report::Finding};
use crate::metadata::store::BrokerRow;

const CHECK: &str = "peers";
/// Brokers that are dialled at the same time.
const AT_ONCE: usize = 16;

/// Looks at the file of the cluster's secret.
pub fn secret(path: &Path) -> Result<(rpc::Secret, Finding), Finding> {
    const CHECK: &str = "cluster_secret";
    match cluster::read_secret(path) {
        Ok(secret) => Ok((
            secret,
            Finding::ok(CHECK, format!("{} holds one", path.display())),
        )),
        Err(why) => Err(Finding::failed(
            CHECK,
            why,
            "copy the file of another node, or make one: `openssl rand -hex 32`",
        )),
    }
}

/// Dials the brokers that should be there, as a node would; not the one that is this node's own.
pub async fn check(
    brokers: &[BrokerRow],
    own: Option<u32>,
    secret: &rpc::Secret,
    encryption: Option<Arc<dyn rpc::Encryption>>,
) -> Vec<Finding> {
    let own = own.map(i64::from);
    let others = brokers.iter().filter(|broker| Some(broker.id) != own);
    let dialled = stream::iter(others.cloned().collect::<Vec<_>>()).map(|broker| {
        let encryption = encryption.clone();
        async move {
            let greeted = rpc::greet(&broker.address, secret, encryption).await;
            finding(&broker, greeted)
        }
    });
    dialled.buffered(AT_ONCE).collect().await
}

fn finding(broker: &BrokerRow, greeted: Result<(), String>) -> Finding {
    let name = format!("broker {} at {}", broker.id, broker.address);
    match greeted {
        Ok(()) => Finding::ok(CHECK, format!("{name} lets this node in")),
        Err(why) if broker.fenced != 0 => Finding::warning(
            CHECK,
            format!("{name} is down: {why}"),
            "start it again; if it is gone for good, drain and remove it",
        ),
        Err(why) => Finding::failed(
            CHECK,
            format!("{name} is up and cannot be reached: {why}"),
            "check its --advertise, the network between the nodes, and that secret and TLS are the same",
        ),
    }
}
