//! Controlling the cluster: one broker at a time notices who is gone, and has others lead.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use headwater_log::PartitionId;
use tokio::time::{Instant, MissedTickBehavior};

use super::{Contact, LEASE};
use crate::{
    controller::{self, Homes, Spread, is_homeless, relocate},
    manifest::Unbegun,
    node::Node,
    placement::{Incarnation, Proposal, Registry, RegistryError},
    replica::Assignment,
};

/// Between two looks at the leases.
const LOOK: Duration = Duration::from_millis(500);
/// For how long a controller is one without being heard of.
const CONTROL_LEASE: Duration = Duration::from_secs(2);
/// Rows that are written at once.
const PROPOSALS_MAX: usize = 5_000;

pub(super) async fn run(
    node: Arc<Node>,
    incarnation: Incarnation,
    registry: Arc<dyn Registry>,
    contact: Arc<Contact>,
    shared: bool,
) {
    let mut changes = node.placement().changes();
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut controls = false;
    // What is there at the start has been planned by nobody in this life.
    let mut dirty = true;
    while !node.stopped() {
        if shared {
            tokio::select! {
                _ = ticks.tick() => {}
                changed = changes.changed(), if controls => match changed {
                    Ok(()) => dirty = true,
                    Err(_) => return,
                },
            }
        } else if !dirty {
            match changes.changed().await {
                Ok(()) => dirty = true,
                Err(_) => return,
            }
        }
        // Told before the look at the metadata, so that a change in between is not missed.
        dirty |= changes.has_changed().unwrap_or(true);
        changes.mark_unchanged();
        let looked = look(&node, incarnation, &*registry, &contact, shared).await;
        let was = controls;
        controls = match looked {
            Ok(controls) => controls,
            Err(error) => {
                tracing::debug!(%error, "the cluster cannot be controlled now");
                false
            }
        };
        if controls && !was {
            tracing::info!("this broker controls the cluster");
            dirty = true;
        }
        if controls && dirty {
            match plan(&node, &*registry).await {
                Ok(()) => dirty = false,
                Err(error) => tracing::warn!(%error, "leaders could not be elected"),
            }
        }
    }
}

/// Whether this broker controls the cluster; if so, those whose lease is over are fenced.
async fn look(
    node: &Node,
    incarnation: Incarnation,
    registry: &dyn Registry,
    contact: &Contact,
    shared: bool,
) -> Result<bool, RegistryError> {
    if !shared {
        return Ok(true);
    }
    if !registry
        .control(node.id(), incarnation, CONTROL_LEASE)
        .await?
    {
        return Ok(false);
    }
    // After an outage of the database every lease is over: the others get time to renew theirs.
    if contact.lasts() > 2 * LEASE {
        for broker in registry.fence_expired().await? {
            tracing::warn!(broker, "a broker's lease is over: others lead for it");
        }
    }
    Ok(true)
}

/// Brings every partition's row to what it should be.
async fn plan(node: &Node, registry: &dyn Registry) -> Result<(), RegistryError> {
    let started = Instant::now();
    let Plan { proposals, moved } = Plan::of(node);
    let elected = proposals.len() - moved;
    write(registry, proposals).await?;
    let proposals = places(node).await?;
    let placed = proposals.len();
    write(registry, proposals).await?;
    if elected + moved + placed > 0 {
        let elapsed_ms = started.elapsed().as_millis() as u64;
        tracing::info!(
            elected,
            moved,
            placed,
            elapsed_ms,
            "partitions' rows were set"
        );
    }
    Ok(())
}

async fn write(registry: &dyn Registry, mut proposals: Vec<Proposal>) -> Result<(), RegistryError> {
    while !proposals.is_empty() {
        let rest = proposals.split_off(proposals.len().min(PROPOSALS_MAX));
        registry.propose(proposals).await?;
        proposals = rest;
    }
    Ok(())
}

/// Gives brokers to partitions that were made from the bucket.
async fn places(node: &Node) -> Result<Vec<Proposal>, RegistryError> {
    let (brokers, topics) = (node.placement().brokers(), node.placement().topics());
    let rows = || {
        let rows = topics.iter().flat_map(|topic| topic.rows());
        rows.map(|(id, row)| (id, &**row))
    };
    let homeless: BTreeMap<_, _> = rows()
        .filter(|(_, row)| is_homeless(row, &brokers.views))
        .collect();
    if homeless.is_empty() {
        return Ok(Vec::new());
    }
    let Some(tier) = node.tier() else {
        tracing::warn!(
            partitions = homeless.len(),
            "partitions that were made from the bucket wait for it, and this broker has none: see --object-store"
        );
        return Ok(Vec::new());
    };
    let ids: Vec<_> = homeless.keys().copied().collect();
    let mut homes = Homes::new(&brokers.views, rows());
    let (mut proposals, mut waiting) = (Vec::new(), 0);
    for part in ids.chunks(PROPOSALS_MAX) {
        for Unbegun { id, copies, .. } in tier.manifest().unbegun(part.to_vec()).await? {
            let Some(row) = homeless.get(&id) else {
                continue;
            };
            match homes.place(row, copies) {
                Ok(new) => proposals.extend(new.map(|new| proposal(id, row, new))),
                Err(_) => waiting += 1,
            }
        }
    }
    if waiting > 0 {
        tracing::warn!(
            partitions = waiting,
            brokers = brokers.views.len(),
            "partitions that were made from the bucket wait for more brokers to hold their copies"
        );
    }
    Ok(proposals)
}

/// What rows should be written.
struct Plan {
    proposals: Vec<Proposal>,
    /// How many of them have copies move.
    moved: usize,
}

impl Plan {
    fn of(node: &Node) -> Self {
        let brokers = node.placement().brokers();
        let topics = node.placement().topics();
        let rows = topics.iter().flat_map(|topic| topic.rows());
        let rows: BTreeMap<_, _> = rows.map(|(id, row)| (id, &**row)).collect();
        let elected = rows.iter().filter_map(|(id, row)| {
            let new = controller::next(row, &brokers.views)?;
            Some(proposal(*id, row, new))
        });
        let mut proposals: Vec<_> = elected.collect();
        let elected = proposals.len();
        if brokers.views.values().any(|view| view.state.is_leaving()) {
            let all = rows.iter().map(|(id, row)| (*id, *row, 0));
            let moves = Spread::new(&brokers.views, all).evacuated().moves();
            // Of two proposals for one partition the second finds another row; it is made again.
            proposals.extend(moves.filter_map(|(id, target)| {
                let row = rows.get(&id)?;
                Some(proposal(id, row, relocate(row, &target)?))
            }));
        }
        let moved = proposals.len() - elected;
        Self { proposals, moved }
    }
}

fn proposal(id: PartitionId, row: &Assignment, new: Assignment) -> Proposal {
    Proposal {
        id,
        was: row.partition_epoch,
        row: new,
        added: Vec::new(),
    }
}
