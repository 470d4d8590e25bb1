//! A node that takes its place among the brokers: it registers, and sees to it that its partitions
//! have leaders of this life.

use std::time::Duration;

use headwater_broker::{
    Node, PartitionId, Placement, Proposal, Registered, Registration, Registry, RegistryError,
    controller,
};

use super::settings::Settings;
use crate::{
    gateway::Gateway,
    metadata::{Store, StoreError},
};

/// How long a broker's lease is.
const LEASE: Duration = Duration::from_secs(4);

/// Begins a new life of this broker.
///
/// # Errors
/// Its number is somebody else's, or the database failed.
pub async fn register(
    store: &Store,
    node: &Node,
    settings: &Settings,
) -> Result<Registered, RegistryError> {
    let address = settings.internal_listen.unwrap_or(settings.listen);
    let registered = store
        .register(Registration {
            id: node.id(),
            data_dir: node.data_dir_uuid(),
            renewals: 0,
            address: address.to_string(),
            rack: None,
            lease: LEASE,
            damaged: Vec::new(),
        })
        .await?;
    tracing::info!(
        broker = node.id(),
        incarnation = registered.incarnation,
        cluster = registered.cluster_id,
        "registered"
    );
    Ok(registered)
}

/// Elects leaders until all partitions have those that they should, and has this node know of it.
///
/// # Errors
/// The database failed.
pub async fn elect(gateway: &Gateway) -> Result<(), StoreError> {
    loop {
        let proposals = due(&*gateway.catalog);
        if proposals.is_empty() {
            return Ok(());
        }
        let written = gateway.store.propose(proposals).await;
        written.map_err(|error| StoreError(error.to_string()))?;
        let dead_topics = gateway.catch_up().await?;
        gateway.catalog.leave_dead(dead_topics);
    }
}

fn due(placement: &impl Placement) -> Vec<Proposal> {
    let brokers = placement.brokers();
    let mut due = Vec::new();
    for topic in placement.topics() {
        for (partition, place) in (0..).zip(&topic.partitions) {
            if let Some(row) = controller::next(place, &brokers.views) {
                let topic = topic.id;
                due.push(Proposal {
                    id: PartitionId { topic, partition },
                    was: place.partition_epoch,
                    row,
                    added: Vec::new(),
                });
            }
        }
    }
    due
}
