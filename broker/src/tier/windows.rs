//! Rows of segments in memory: what is read of a partition is mostly near what was read before.

use std::{num::NonZeroUsize, ops::Range, sync::Arc};

use headwater_log::PartitionId;
use headwater_tiered::SegmentRef;
use lru::LruCache;
use parking_lot::Mutex;

use crate::{manifest::Manifest, placement::RegistryError};

/// Rows that are read at once.
const ROWS: usize = 64;
/// Runs of rows in memory, some 20 KiB each, twice that at most.
const WINDOWS_MAX: NonZeroUsize = NonZeroUsize::new(2_048).expect("it is not zero");
/// Of one partition, for readers at different places.
const OF_ONE_MAX: usize = 8;

/// Segments that follow on one another.
type Window = Arc<[SegmentRef]>;

/// The rows that were used last.
pub(super) struct Windows(Mutex<LruCache<PartitionId, Vec<Window>>>);

impl Default for Windows {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(WINDOWS_MAX)))
    }
}

impl Windows {
    /// The segments from the one that holds `offset` on; those, and where among them it is.
    pub async fn at(
        &self,
        manifest: &dyn Manifest,
        id: PartitionId,
        offset: u64,
    ) -> Result<(Window, usize), RegistryError> {
        if let Some(found) = self.known(id, offset) {
            return Ok(found);
        }
        let window: Window = manifest.segments(id, offset, ROWS).await?.into();
        if !window.is_empty() {
            self.keep(id, &window);
        }
        Ok((window, 0))
    }

    /// The segments of a partition that have offsets in this range.
    pub async fn between(
        &self,
        manifest: &dyn Manifest,
        id: PartitionId,
        offsets: Range<u64>,
    ) -> Result<Vec<SegmentRef>, RegistryError> {
        let (mut all, mut from) = (Vec::<SegmentRef>::new(), offsets.start);
        while from < offsets.end {
            let (window, at) = self.at(manifest, id, from).await?;
            let before_end = |segment: &&SegmentRef| segment.base_offset < offsets.end;
            all.extend(window[at..].iter().take_while(before_end).cloned());
            match window.last() {
                Some(last) => from = last.end_offset,
                None => break,
            }
        }
        Ok(all)
    }

    /// Keeps a window, as one with that which it goes on from if that had no more rows then.
    fn keep(&self, id: PartitionId, window: &Window) {
        let mut all = self.0.lock();
        let of_one = all.get_or_insert_mut(id, Vec::new);
        let ends_here = |before: &Window| {
            let last = before.last().map(|last| last.end_offset);
            before.len() < ROWS && last == window.first().map(|first| first.base_offset)
        };
        let kept = match of_one.iter().position(ends_here) {
            Some(at) => [&*of_one.remove(at), window].concat().into(),
            None => window.clone(),
        };
        if of_one.len() >= OF_ONE_MAX {
            of_one.remove(0);
        }
        of_one.push(kept);
    }

    fn known(&self, id: PartitionId, offset: u64) -> Option<(Window, usize)> {
        let mut all = self.0.lock();
        let of_one = all.get(&id)?;
        of_one.iter().find_map(|window| {
            let holds = |s: &SegmentRef| (s.base_offset..s.end_offset).contains(&offset);
            Some((window.clone(), window.iter().position(holds)?))
        })
    }

    /// Reads the rows of a partition anew.
    pub fn forget(&self, id: PartitionId) {
        self.0.lock().pop(&id);
    }
}
