//! Beginning partitions that were made from the bucket. Nobody has led them, so nothing was acknowledged;
//! the first of their brokers starts an empty log where the objects end, makes that durable, and only
//! then asks to lead. The row that says it leads is the one that ends the partition's being unbegun, so
//! of two brokers one is refused, and after a crash it is done again.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use headwater_log::PartitionId;
use tokio::time::MissedTickBehavior;

use super::Node;
use crate::{
    manifest::Unbegun,
    placement::{Proposal, Registry, RegistryError},
    replica::{Assignment, Leadership},
    tier::Tier,
};

/// Between two looks at what is to begin.
const LOOK: Duration = Duration::from_millis(250);
/// Partitions that are begun by one question and one change.
const BEGUN_AT_ONCE: usize = 1_000;
/// Logs that are reset at once: each waits for the disk.
const RESETS_AT_ONCE: usize = 16;

/// Starts the task; it ends with the node.
pub(super) fn start(node: &Weak<Node>, tier: Arc<Tier>) {
    let node = node.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(node) = node.upgrade().filter(|node| !node.stopped()) else {
                return;
            };
            if let Err(error) = node.begin(&tier).await {
                tracing::warn!(%error, "partitions from the bucket are begun later");
            }
        }
    });
}

impl Node {
    /// Whether the row waits for this broker to begin its partition, if that was made from the bucket.
    pub(super) fn may_begin(&self, row: &Assignment) -> bool {
        row.leader.is_none() && row.in_sync.is_empty() && row.replicas.first() == Some(&self.id)
    }

    async fn begin(&self, tier: &Tier) -> Result<(), RegistryError> {
        let Some(joined) = self.joined.get() else {
            return Ok(());
        };
        let waiting = std::mem::take(&mut *self.to_begin.lock());
        let waiting: Vec<PartitionId> = waiting.into_iter().collect();
        for (place, part) in waiting.chunks(BEGUN_AT_ONCE).enumerate() {
            if let Err(error) = self.begin_all(tier, &*joined.registry, part).await {
                let left = &waiting[place * BEGUN_AT_ONCE..];
                self.to_begin.lock().extend(left);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Begins those of the partitions that are unbegun. Where a row is another one by now nothing is
    /// changed, and that row tells who is to begin.
    async fn begin_all(
        &self,
        tier: &Tier,
        registry: &dyn Registry,
        ids: &[PartitionId],
    ) -> Result<(), RegistryError> {
        let unbegun = tier.manifest().unbegun(ids.to_vec()).await?;
        let begun = stream::iter(unbegun)
            .map(|unbegun| self.begin_one(unbegun))
            .buffer_unordered(RESETS_AT_ONCE)
            .filter_map(std::future::ready);
        let proposals: Vec<_> = begun.collect().await;
        if !proposals.is_empty() {
            registry.propose(proposals).await?;
        }
        Ok(())
    }

    /// Starts the log of a partition; the row with which this broker leads it.
    async fn begin_one(&self, unbegun: Unbegun) -> Option<Proposal> {
        let Unbegun { id, beginning, .. } = unbegun;
        let partition = self.topics.existing(id)?;
        let row = partition.row().filter(|row| self.may_begin(row))?;
        let incarnation = self.incarnation()?;
        let begin = move || partition.begin(&beginning);
        let begun = tokio::task::spawn_blocking(begin).await;
        match begun.map_err(|error| error.to_string()) {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return None,
            Ok(Err(error)) => {
                tracing::error!(partition = %id, %error, "a partition cannot be begun");
                return None;
            }
            Err(error) => {
                tracing::error!(partition = %id, error, "a partition cannot be begun");
                return None;
            }
        }
        let new = Assignment {
            leader: Some(Leadership {
                broker: self.id,
                incarnation,
            }),
            in_sync: vec![self.id],
            epoch: row.epoch + 1,
            partition_epoch: row.partition_epoch + 1,
            ..(*row).clone()
        };
        Some(Proposal {
            id,
            was: row.partition_epoch,
            row: new,
            added: vec![(self.id, incarnation)],
        })
    }
}
