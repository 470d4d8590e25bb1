//! Being a member of the cluster: registering, renewing the lease, acting on what the metadata says,
//! and controlling the cluster while it is this broker's turn.

mod control;
mod renewals;

use std::{path::PathBuf, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior};

use crate::{
    cluster::Network,
    node::Node,
    placement::{Registered, Registration, Registry, RegistryError, Renewal, Renewed},
};
use renewals::Renewals;

/// How long a broker is taken to live after it was heard of last. One lost broker costs its writers
/// about as much.
pub const LEASE: Duration = Duration::from_secs(4);
/// How long a copy may be behind, or silent, before it leaves the in-sync set. Its partitions'
/// writers wait for so long.
pub const LAG_MAX: Duration = Duration::from_secs(3);
/// Leases are renewed this often in a lease.
const RENEWALS_PER_LEASE: u32 = 4;

/// How long a starting broker waits for its number, which somebody else has.
const TAKEN_WAIT: Duration = LEASE.saturating_mul(2);

/// What a broker brings into the cluster.
pub struct Member {
    /// Where others reach it, `host:port`.
    pub address: String,
    /// Where it stands.
    pub rack: Option<String>,
    /// The file that counts renewals of the lease.
    pub renewals: PathBuf,
    /// Partitions whose durable records recovery found damaged.
    pub damaged: Vec<headwater_log::PartitionId>,
    /// Whether the database is shared with other brokers: else there is nobody to hold a lease for.
    pub shared: bool,
    /// Called once when another process has become this broker: this one is to end.
    pub on_replaced: Box<dyn Fn() + Send + Sync>,
}

/// Since when the database answers this broker without a gap.
#[derive(Debug, Default)]
struct Contact {
    since_and_last: Mutex<Option<(Instant, Instant)>>,
}

impl Contact {
    fn answered(&self) {
        let now = Instant::now();
        let mut contact = self.since_and_last.lock();
        *contact = match *contact {
            Some((since, last)) if now - last < LEASE / 2 => Some((since, now)),
            _ => Some((now, now)),
        };
    }

    fn lost(&self) {
        *self.since_and_last.lock() = None;
    }

    /// For how long it has answered.
    fn lasts(&self) -> Duration {
        let contact = *self.since_and_last.lock();
        match contact {
            Some((since, last)) if last.elapsed() < LEASE / 2 => since.elapsed(),
            _ => Duration::ZERO,
        }
    }
}

/// Registers the node's broker and keeps it a member for as long as the process lives.
///
/// # Errors
/// The number is taken by a broker that lives, the database is away, or the disk fails.
pub async fn join(
    node: &Arc<Node>,
    registry: Arc<dyn Registry>,
    network: Arc<dyn Network>,
    member: Member,
) -> Result<Registered, RegistryError> {
    let disk = |error: std::io::Error| RegistryError::Unavailable(format!("renewals: {error}"));
    let renewals = Renewals::open(&member.renewals).map_err(disk)?;
    let registration = || Registration {
        id: node.id(),
        data_dir: node.data_dir_uuid(),
        renewals: renewals.count(),
        address: member.address.clone(),
        rack: member.rack.clone(),
        lease: LEASE,
        damaged: member.damaged.clone(),
    };
    let deadline = Instant::now() + TAKEN_WAIT;
    let registered = loop {
        match registry.register(registration()).await {
            // Whoever had the number on another disk may be gone: then its lease ends soon.
            Err(error @ RegistryError::Taken(_)) if Instant::now() < deadline => {
                tracing::warn!(%error, "waiting for it to be free");
                tokio::time::sleep(LEASE / RENEWALS_PER_LEASE).await;
            }
            registered => break registered?,
        }
    };
    let mut renewals = renewals;
    renewals.raise_to(registered.renewals).map_err(disk)?;
    if registered.disk_replaced {
        tracing::warn!(
            "this broker's disk is another one, or an older copy, than it had: its copies are made anew"
        );
    }
    let cluster_id = registered.cluster_id.clone();
    node.join(
        cluster_id,
        registered.incarnation,
        registry.clone(),
        network,
    );
    let contact = Arc::new(Contact::default());
    contact.answered();
    if member.shared {
        tokio::spawn(renew(
            node.clone(),
            registered.incarnation,
            registry.clone(),
            renewals,
            contact.clone(),
            member.on_replaced,
        ));
    }
    tokio::spawn(control::run(
        node.clone(),
        registered.incarnation,
        registry,
        contact,
        member.shared,
    ));
    tokio::spawn(act(node.clone()));
    Ok(registered)
}

/// Takes the roles that the metadata gives, as it changes.
async fn act(node: Arc<Node>) {
    let mut changes = node.placement().changes();
    loop {
        let rows = node.placement().take_changed();
        if !rows.is_empty()
            && let Err(error) = node.assign(rows).await
        {
            tracing::error!(%error, "roles cannot be taken");
        }
        if changes.changed().await.is_err() || node.stopped() {
            return;
        }
    }
}

async fn renew(
    node: Arc<Node>,
    incarnation: i64,
    registry: Arc<dyn Registry>,
    renewals: Renewals,
    contact: Arc<Contact>,
    on_replaced: Box<dyn Fn() + Send + Sync>,
) {
    let renewals = Arc::new(Mutex::new(renewals));
    let mut ticks = tokio::time::interval(LEASE / RENEWALS_PER_LEASE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    while !node.stopped() {
        ticks.tick().await;
        let count = {
            let renewals = renewals.clone();
            tokio::task::spawn_blocking(move || renewals.lock().next()).await
        };
        let count = match count {
            Ok(Ok(count)) => count,
            Ok(Err(error)) => {
                tracing::error!(%error, "the lease cannot be renewed: its count is not durable");
                continue;
            }
            Err(_) => return,
        };
        let leaving = node.is_leaving();
        let renewal = Renewal {
            id: node.id(),
            incarnation,
            renewals: count,
            lease: if leaving { Duration::ZERO } else { LEASE },
        };
        match registry.renew(renewal).await {
            Ok(Renewed::Renewed) => {
                contact.answered();
                if failing {
                    tracing::info!("the lease is renewed again");
                }
                failing = false;
            }
            Ok(Renewed::Replaced) => {
                tracing::error!("another process has become this broker; this one ends");
                on_replaced();
                return;
            }
            Err(error) => {
                contact.lost();
                if !failing {
                    tracing::warn!(%error, "the lease is not renewed; this broker serves on");
                }
                failing = true;
            }
        }
        if leaving {
            // Nobody is to wait until it is over.
            return;
        }
    }
}
