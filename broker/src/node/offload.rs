//! The way of segments into the object store and out of it again: one task for all partitions.

use std::{
    pin::pin,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use headwater_log::PartitionId;
use tokio::time::{Instant, MissedTickBehavior};

use super::{
    Node,
    compact::{Compactor, give_up_intents},
};
use crate::{
    cold::Cold,
    manifest::{ColdSummary, Term},
    partition::Partition,
    placement::RegistryError,
    tier::{Offload, Offloaded, Tier, UPLOADS_AT_ONCE},
};

/// Segments that are hardly written to are sealed so long after their first append.
const SEALED_AFTER_MS: i64 = 60 * 60 * 1000;
/// Partitions that are asked about in one question.
const ASKED_AT_ONCE: usize = 5_000;
/// Objects that are deleted at a time.
const DELETED_AT_ONCE: usize = 1_000;

/// Starts the task; it ends with the node.
pub(super) fn start(node: &Weak<Node>, tier: Arc<Tier>, interval: Duration) {
    let node = node.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut compactor = Compactor::default();
        loop {
            ticks.tick().await;
            if !round(&node, &tier, &mut compactor, interval).await {
                return;
            }
        }
    });
}

/// One look at everything; `false` once the node is gone.
async fn round(
    node: &Weak<Node>,
    tier: &Tier,
    compactor: &mut Compactor,
    interval: Duration,
) -> bool {
    let Some(node) = node.upgrade().filter(|node| !node.stopped()) else {
        return false;
    };
    let Some(joined) = node.joined.get() else {
        return true;
    };
    if let Err(error) = tier.claim(&joined.cluster_id).await {
        tracing::warn!(%error, "nothing is written to the object store");
        return true;
    }
    if let Err(error) = node.look_at_store(tier).await {
        tracing::warn!(%error, "the rows of cold segments cannot be read now");
        return true;
    }
    node.work_for(interval, tier, compactor).await;
    node.retain_all(tier).await;
    if let Err(why) = node.delete_doomed(tier).await {
        tracing::warn!(why, "objects cannot be deleted now");
    }
    true
}

impl Node {
    /// The partitions that this broker leads and that may leave its disk, with their terms. The group log
    /// stays: snapshots keep it short.
    pub(super) fn all_led(&self) -> Vec<(Arc<Partition>, Term)> {
        let mut led = Vec::new();
        let group_log = self.placement.group_log();
        self.topics.each(|partition| {
            if Some(partition.id.topic) == group_log {
                return;
            }
            if let Some(epoch) = partition.leads_in() {
                let id = partition.id;
                led.push((partition.clone(), Term { id, epoch }));
            }
        });
        led
    }

    /// Learns what is in the store of the partitions that it has come to lead.
    async fn look_at_store(&self, tier: &Tier) -> Result<(), RegistryError> {
        let mut unknown = self.all_led();
        unknown.retain(|(partition, _)| partition.cold_summary().is_none());
        for part in unknown.chunks(ASKED_AT_ONCE) {
            let ids: Vec<PartitionId> = part.iter().map(|(_, term)| term.id).collect();
            let summaries = tier.manifest().summaries(ids).await?;
            for ((partition, term), summary) in part.iter().zip(summaries) {
                *partition.cold.lock() = Some(Cold::new(term.epoch, summary));
                know_start(partition, &summary);
            }
        }
        Ok(())
    }

    /// Uploads and compacts until there is nothing to do, or the time is over: retention must go on while
    /// records come faster than they are uploaded. Each partition uploads some segments in its turn, at
    /// least one, and after all turns some are compacted.
    async fn work_for(&self, time: Duration, tier: &Tier, compactor: &mut Compactor) {
        let until = Instant::now() + time;
        let mut waiting = self.all_led();
        let begun_by_ms = self.clock.now_ms() - SEALED_AFTER_MS;
        let mut backlog_bytes = 0;
        waiting.retain(|(partition, _)| {
            partition.log.seal_if_begun_by(begun_by_ms);
            let bytes = backlog(partition);
            backlog_bytes += bytes;
            bytes > 0
        });
        tier.note_backlog(backlog_bytes);
        loop {
            let turns = stream::iter(waiting).map(|(partition, term)| async move {
                let went_on = self.upload_some(tier, &partition, term, until).await;
                went_on.then_some((partition, term))
            });
            let went_on = turns.buffer_unordered(UPLOADS_AT_ONCE);
            waiting = went_on.filter_map(std::future::ready).collect().await;
            let left = waiting.iter().map(|(partition, _)| backlog(partition));
            tier.note_backlog(left.sum());
            let compacted = compactor.step(self, tier).await;
            let is_idle = waiting.is_empty() && !compacted;
            if is_idle || self.stopped() || Instant::now() >= until {
                return;
            }
        }
    }

    /// Uploads a partition's next segments; whether there may be more.
    async fn upload_some(
        &self,
        tier: &Tier,
        partition: &Arc<Partition>,
        term: Term,
        until: Instant,
    ) -> bool {
        let known = partition.known_cold();
        let Some(known) = known.filter(|cold| cold.epoch == term.epoch) else {
            return false;
        };
        let Some(description) = self.placement.describe(term.id.topic) else {
            return false;
        };
        let failed = |why: &str| {
            tracing::warn!(partition = %term.id, why, "segments are uploaded later");
            *partition.cold.lock() = None;
            false
        };
        match give_up_intents(tier, partition, term).await {
            Ok(true) => {}
            Ok(false) => return false,
            Err(why) => return failed(&why),
        }
        let offload = Offload {
            partition,
            term,
            description: &description,
            broker: self.id,
            now_ms: self.clock.now_ms(),
            from: known.next_offset(partition.log.local_start()),
            below: partition.high_watermark(),
            until,
        };
        let mut went_on = false;
        let mut offloaded = pin!(tier.offload(&offload));
        while let Some(one) = offloaded.next().await {
            match one {
                Offloaded::Live(segment) => {
                    let (base, end) = (segment.base_offset, segment.end_offset);
                    let bytes = segment.data_bytes;
                    update(partition, term, |cold| cold.went_live(base, end, bytes));
                    tracing::debug!(partition = %term.id, key = segment.key, "a segment is in the store");
                    went_on = true;
                }
                Offloaded::Fenced => return failed("this broker leads no more"),
                Offloaded::Failed(why) => return failed(&why),
            }
        }
        went_on
    }

    /// Deletes objects that nothing refers to: one broker does it for all.
    async fn delete_doomed(&self, tier: &Tier) -> Result<(), String> {
        let brokers = self.placement.brokers();
        if brokers.views.len() > 1 && brokers.controller != Some(self.id) {
            return Ok(());
        }
        loop {
            let doomed = tier
                .manifest()
                .doomed(tier.object_delete_delay(), DELETED_AT_ONCE);
            let keys = doomed.await.map_err(|error| error.to_string())?;
            let count = keys.len();
            if keys.is_empty() {
                return Ok(());
            }
            let deleted = tier.store().delete(keys.clone()).await;
            deleted.map_err(|error| error.to_string())?;
            let forgotten = tier.manifest().forget(keys).await;
            forgotten.map_err(|error| error.to_string())?;
            tracing::info!(objects = count, "objects were deleted");
            if count < DELETED_AT_ONCE {
                return Ok(());
            }
        }
    }
}

/// Bytes of sealed segments that are not in the store.
pub(super) fn backlog(partition: &Partition) -> u64 {
    let Some(cold) = partition.known_cold() else {
        return 0;
    };
    let from = cold.next_offset(partition.log.local_start());
    let sealed = partition
        .log
        .sealed_segments(from, partition.high_watermark());
    sealed.map_or(0, |sealed| sealed.iter().map(|segment| segment.bytes).sum())
}

pub(super) fn update(partition: &Partition, term: Term, change: impl FnOnce(&mut Cold)) {
    if let Some(cold) = partition.cold.lock().as_mut()
        && cold.epoch == term.epoch
    {
        change(cold);
    }
}

/// A log that has lost its checkpoint takes its part on the disk for all of it.
fn know_start(partition: &Partition, cold: &ColdSummary) {
    if cold.segments > 0
        && let Err(error) = partition.log.extend_history(cold.start, &[])
    {
        tracing::error!(partition = %partition.id, %error, "the start of a log stays unknown");
    }
}
