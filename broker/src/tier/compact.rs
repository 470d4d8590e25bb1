//! Compacting: segments of the store are read, and one takes their place.

use std::sync::atomic::Ordering;

use headwater_log::PartitionId;
use headwater_tiered::{Compaction, Descriptor, LatestKeys, SegmentKey, SegmentRef};

use super::{Tier, offload::text, plan::is_clean};
use crate::{
    manifest::{Place, Term, Written},
    placement::RegistryError,
};

/// Rows that are read at once.
const ROWS: usize = 1_000;

/// What became of it.
#[derive(Debug)]
pub(crate) enum Compacted {
    /// One segment is live now in the place of the others.
    Done {
        /// Bytes of batches that were replaced.
        replaced_bytes: u64,
        /// What is left of them.
        left_bytes: u64,
    },
    /// This broker does not lead any more, or others are live.
    Overtaken,
}

impl Tier {
    /// All live segments of a partition.
    ///
    /// # Errors
    /// The database.
    pub(crate) async fn all_segments(
        &self,
        id: PartitionId,
    ) -> Result<Vec<SegmentRef>, RegistryError> {
        let mut all: Vec<SegmentRef> = Vec::new();
        loop {
            let from = all.last().map_or(0, |last| last.end_offset);
            let page = self.manifest.segments(id, from, ROWS).await?;
            let is_last = page.len() < ROWS;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Notes the last offset of each key in what was never compacted, as far as memory goes. Answers up
    /// to which offset, if that is not all.
    ///
    /// # Errors
    /// Why a segment cannot be read.
    pub(crate) async fn note_dirty(
        &self,
        segments: &[SegmentRef],
        latest: &mut LatestKeys,
    ) -> Result<Option<u64>, String> {
        for segment in segments.iter().filter(|segment| !is_clean(segment)) {
            let from = segment.clean_below.max(segment.base_offset);
            let noted = self.store.note_keys(segment, from, latest).await;
            if !noted.map_err(text)? {
                return Ok(Some(latest.end_offset()));
            }
        }
        Ok(None)
    }

    /// Whether rewriting this segment alone would leave anything out of it.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(crate) async fn would_change(
        &self,
        segment: &SegmentRef,
        compaction: &Compaction<'_>,
    ) -> Result<bool, String> {
        let changes = self.store.would_change(segment, compaction).await;
        changes.map_err(text)
    }

    /// Writes one segment of what `sources` still have, and has it take their place.
    ///
    /// # Errors
    /// Why it is to be tried again later.
    pub(crate) async fn compact(
        &self,
        term: Term,
        descriptor: &Descriptor,
        sources: &[SegmentRef],
        compaction: &Compaction<'_>,
    ) -> Result<Compacted, String> {
        let key = SegmentKey::fresh(descriptor);
        let offsets = descriptor.base_offset..descriptor.end_offset;
        let intended = self
            .manifest
            .intend(term, key.to_string(), offsets, Place::Instead);
        if intended.await.map_err(text)? != Written::Done {
            return Ok(Compacted::Overtaken);
        }
        let segment = match self.write(&key, descriptor, sources, compaction).await {
            Ok(segment) => segment,
            Err(why) => {
                self.failed_compactions.fetch_add(1, Ordering::Relaxed);
                return Err(why);
            }
        };
        let left_bytes = segment.data_bytes;
        let replaced = sources.iter().map(|source| source.key.clone()).collect();
        let replaced = self.manifest.replace(term, replaced, segment);
        if replaced.await.map_err(text)? != Written::Done {
            return Ok(Compacted::Overtaken);
        }
        self.windows.forget(term.id);
        let replaced_bytes = sources.iter().map(|source| source.data_bytes).sum();
        self.compacted_bytes
            .fetch_add(replaced_bytes, Ordering::Relaxed);
        Ok(Compacted::Done {
            replaced_bytes,
            left_bytes,
        })
    }

    /// Writes the object, and reads it back.
    async fn write(
        &self,
        key: &SegmentKey,
        descriptor: &Descriptor,
        sources: &[SegmentRef],
        compaction: &Compaction<'_>,
    ) -> Result<SegmentRef, String> {
        let bandwidth = self.bandwidth.as_ref();
        let written = self
            .store
            .compact(key, descriptor, sources, compaction, bandwidth)
            .await;
        let segment = written.map_err(text)?;
        let verified = self.store.verify_written(&segment).await;
        verified.map_err(text)?;
        Ok(segment)
    }
}
