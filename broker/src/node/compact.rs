//! Compaction by key, step by step. It happens in the store alone, once for all copies: the logs on
//! disks stay as they are, and let go of what was compacted.

use std::sync::Arc;

use headwater_tiered::{Compaction, LatestKeys};

use super::{Node, blocking, offload::update};
use crate::{
    cold::{Cold, Step},
    manifest::{Term, Written},
    partition::Partition,
    producers::PRODUCER_WINDOW_MS,
    tier::{Compacted, Plan, Tier, descriptor, group, is_clean, plan},
};

/// Memory for keys of one pass, in bytes: some three million of them.
const KEYS_BYTES_MAX: usize = 128 << 20;

/// Segments that are looked at for one step.
const LOOKED_AT: usize = 64;
/// How long a partition waits in which something failed.
const RETRY_MS: i64 = 60_000;

/// The pass of this broker, of which there is one at a time.
#[derive(Default)]
pub(super) struct Compactor {
    pass: Option<Pass>,
}

/// Going through all segments of a partition, with what is known of its keys.
struct Pass {
    partition: Arc<Partition>,
    term: Term,
    latest: LatestKeys,
    /// Where the next step begins.
    next: u64,
    /// Where the last one ends.
    end: u64,
}

impl Compactor {
    /// Rewrites some segments; whether there may be more to do.
    pub(super) async fn step(&mut self, node: &Node, tier: &Tier) -> bool {
        let mut pass = match self.pass.take() {
            Some(pass) => pass,
            None => match node.begin_pass(tier).await {
                Some(pass) => pass,
                None => return false,
            },
        };
        match node.go_on(tier, &mut pass).await {
            Ok(true) => self.pass = Some(pass),
            Ok(false) => {}
            Err(why) => {
                update(&pass.partition, pass.term, Cold::left_intents);
                node.put_off(&pass.partition, pass.term, &why);
            }
        }
        true
    }
}

impl Node {
    /// The first partition for which a pass is due, with its keys.
    async fn begin_pass(&self, tier: &Tier) -> Option<Pass> {
        for (partition, term) in self.all_led() {
            let Some(cold) = partition.known_cold() else {
                continue;
            };
            let topic = self.placement.topic(term.id.topic);
            let Some(kept_ms) = topic.and_then(|topic| topic.settings.tombstones_kept_ms) else {
                continue;
            };
            let now_ms = self.clock.now_ms();
            if !cold.is_to_look_at(now_ms) {
                continue;
            }
            match look_for_pass(tier, &partition, term, now_ms, kept_ms).await {
                Ok(Some(pass)) => return Some(pass),
                Ok(None) => {}
                Err(why) => self.put_off(&partition, term, &why),
            }
        }
        None
    }

    /// Goes on without this partition for a while: a store that fails would keep all others waiting.
    fn put_off(&self, partition: &Partition, term: Term, why: &str) {
        tracing::warn!(partition = %term.id, why, "a partition is compacted later");
        let due_ms = self.clock.now_ms() + RETRY_MS;
        update(partition, term, |cold| {
            cold.looked_at = Some((cold.summary.end, Some(due_ms)));
        });
    }

    /// One step of a pass; whether there is another one.
    async fn go_on(&self, tier: &Tier, pass: &mut Pass) -> Result<bool, String> {
        let (term, partition) = (pass.term, &pass.partition);
        let (Some(description), Some(topic)) = (
            self.placement.describe(term.id.topic),
            self.placement.topic(term.id.topic),
        ) else {
            return Ok(false);
        };
        let Some(kept_ms) = topic.settings.tombstones_kept_ms else {
            return Ok(false);
        };
        if partition.leads_in() != Some(term.epoch) {
            return Ok(false);
        }
        let rows = tier.manifest().segments(term.id, pass.next, LOOKED_AT);
        let mut rows = rows.await.map_err(|error| error.to_string())?;
        rows.retain(|row| row.base_offset < pass.end);
        rows.truncate(group(&rows, topic.settings.segment_bytes));
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            let (log, end) = (partition.log.clone(), pass.end);
            let dropped = blocking(move || log.drop_local(end).map(drop)).await;
            dropped.map_err(|error| error.0)?;
            partition.tell_sessions_later();
            return Ok(false);
        };
        let now_ms = self.clock.now_ms();
        let compaction = Compaction {
            latest: &pass.latest,
            now_ms,
            delete_retention_ms: kept_ms,
            producers_ms: PRODUCER_WINDOW_MS as u64,
        };
        let offsets = first.base_offset..last.end_offset;
        pass.next = offsets.end;
        let stays = rows.len() == 1 && is_clean(first);
        if stays && !tier.would_change(first, &compaction).await? {
            return Ok(true);
        }
        let descriptor = descriptor(partition, term, &description, self.id, now_ms, offsets);
        match tier.compact(term, &descriptor, &rows, &compaction).await? {
            Compacted::Done {
                replaced_bytes,
                left_bytes,
            } => {
                let count = rows.len() as u64;
                update(partition, term, |cold| {
                    cold.was_compacted(count, replaced_bytes, left_bytes);
                });
                Ok(true)
            }
            Compacted::Overtaken => {
                // What is live may be another by now.
                *partition.cold.lock() = None;
                Ok(false)
            }
        }
    }
}

/// A pass, if one is due.
async fn look_for_pass(
    tier: &Tier,
    partition: &Arc<Partition>,
    term: Term,
    now_ms: i64,
    kept_ms: u64,
) -> Result<Option<Pass>, String> {
    let rows = tier.all_segments(term.id).await;
    let rows = rows.map_err(|error| error.to_string())?;
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Ok(None);
    };
    if let Plan::Nothing { until_ms } = plan(&rows, now_ms, kept_ms) {
        update(partition, term, |cold| {
            cold.looked_at = Some((last.end_offset, until_ms));
        });
        return Ok(None);
    }
    if !give_up_intents(tier, partition, term).await? {
        return Ok(None);
    }
    let mut latest = LatestKeys::new(KEYS_BYTES_MAX);
    let end = tier.note_dirty(&rows, &mut latest).await?;
    Ok(Some(Pass {
        partition: partition.clone(),
        term,
        latest,
        next: first.base_offset,
        end: end.unwrap_or(last.end_offset),
    }))
}

/// Intents from before this term are given up; false if the term is over.
pub(super) async fn give_up_intents(
    tier: &Tier,
    partition: &Partition,
    term: Term,
) -> Result<bool, String> {
    let is_done = |cold: Cold| cold.first_step() != Step::Abandon;
    if partition.known_cold().is_some_and(is_done) {
        return Ok(true);
    }
    let abandoned = tier.manifest().abandon(term).await;
    let abandoned = abandoned.map_err(|error| error.to_string())? == Written::Done;
    if abandoned {
        update(partition, term, Cold::gave_up_intents);
    }
    Ok(abandoned)
}
