//! Retention over both tiers: what is too old goes from the log, what need not be on the disk any more
//! goes from there.

use std::sync::Arc;

use headwater_log::Retention;

use super::{Node, blocking, offload::update};
use crate::{
    cold::Oldest,
    manifest::{Term, Written},
    partition::Partition,
    placement::{RegistryError, TopicSettings},
    tier::Tier,
};

/// Segments in the store that are looked at for one partition at a time.
const LOOKED_AT: usize = 64;

impl Node {
    /// One look at all partitions that this broker leads.
    pub(super) async fn retain_all(&self, tier: &Tier) {
        for (partition, term) in self.all_led() {
            let Some(placement) = self.placement.topic(term.id.topic) else {
                continue;
            };
            if let Err(error) = self
                .retain(tier, &partition, term, &placement.settings)
                .await
            {
                tracing::warn!(partition = %term.id, error, "retention could not run");
            }
        }
    }

    async fn retain(
        &self,
        tier: &Tier,
        partition: &Arc<Partition>,
        term: Term,
        settings: &TopicSettings,
    ) -> Result<(), String> {
        let Some(known) = partition.known_cold() else {
            return Ok(());
        };
        let wanted = match known.summary.segments {
            0 => None,
            _ => self.wanted_start(tier, partition, settings).await?,
        };
        let least = known.log_start_min(partition.log.local_start());
        let start = wanted.unwrap_or(0).max(least);
        if start > partition.log.log_start() {
            let log = partition.log.clone();
            let trimmed = blocking(move || log.trim(start).map(|_| ())).await;
            trimmed.map_err(|error| error.0)?;
            partition.tell_sessions_later();
        }
        if known.is_to_retire(partition.log.log_start()) {
            let retired = retire(tier, partition, term).await;
            retired.map_err(|error| error.to_string())?;
        }
        let local = Retention {
            ms: settings.local_retention_ms,
            bytes: settings.local_retention_bytes,
        };
        if local.ms.is_some() || local.bytes.is_some() {
            let below = known.may_drop_below(partition.high_watermark());
            let (log, now_ms) = (partition.log.clone(), self.clock.now_ms());
            let id = term.id;
            let retained = blocking(move || {
                let retained = log.retain_local(now_ms, &local, below)?;
                if retained.segments > 0 {
                    let (segments, local_start) = (retained.segments, retained.local_start);
                    tracing::info!(partition = %id, segments, local_start, "segments left the disk");
                }
                Ok(())
            });
            retained.await.map_err(|error| error.0)?;
            partition.tell_sessions_later();
        }
        Ok(())
    }

    /// Where the log is to start, if some of its oldest segments are too old or too many.
    async fn wanted_start(
        &self,
        tier: &Tier,
        partition: &Partition,
        settings: &TopicSettings,
    ) -> Result<Option<u64>, String> {
        let Some(cold) = partition.known_cold() else {
            return Ok(None);
        };
        let (now_ms, summary) = (self.clock.now_ms(), cold.summary);
        let hot = partition.log.segments();
        let hot = hot
            .iter()
            .filter(|segment| segment.base_offset >= summary.end);
        let mut left = summary.bytes + hot.map(|segment| segment.bytes).sum::<u64>();
        let goes = |segment: &Oldest, left: u64| {
            let keep_ms = settings
                .retention_ms
                .map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
            let expired = |keep_ms| segment.max_timestamp_ms.saturating_add(keep_ms) < now_ms;
            let spare = |keep| left.saturating_sub(segment.data_bytes) >= keep;
            keep_ms.is_some_and(expired) || settings.retention_bytes.is_some_and(spare)
        };
        // The rows are asked only when something may go.
        let may_go = match &cold.oldest {
            Some(oldest) => goes(oldest, left),
            None => settings.retention_ms.is_some() || settings.retention_bytes.is_some(),
        };
        if !may_go {
            return Ok(None);
        }
        let log_start = partition.log.log_start();
        let rows = tier.manifest().segments(partition.id, log_start, LOOKED_AT);
        let rows = rows.await.map_err(|error| error.to_string())?;
        let (mut start, mut kept) = (None, None);
        for row in &rows {
            let oldest = Oldest {
                max_timestamp_ms: row.max_timestamp_ms,
                data_bytes: row.data_bytes,
            };
            if !goes(&oldest, left) {
                kept = Some(oldest);
                break;
            }
            left = left.saturating_sub(row.data_bytes);
            start = Some(row.end_offset);
        }
        let id = partition.id;
        let epoch = cold.epoch;
        update(partition, Term { id, epoch }, |cold| cold.oldest = kept);
        Ok(start)
    }
}

/// Objects below the start of the log are to go.
async fn retire(tier: &Tier, partition: &Partition, term: Term) -> Result<(), RegistryError> {
    let log_start = partition.log.log_start();
    if tier.manifest().retire(term, log_start).await? != Written::Done {
        return Ok(());
    }
    let summaries = tier.manifest().summaries(vec![term.id]).await?;
    if let Some(summary) = summaries.into_iter().next() {
        update(partition, term, |cold| cold.retired(log_start, summary));
    }
    Ok(())
}
