//! Looking for a key in an object's block of keys.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;

use super::error::ReadError;
use super::stats::Counters;
use crate::format::{KeyHash, KeyLayout, KeyPage, Lookup};
use crate::segment_ref::SegmentRef;
use crate::store::Store;

/// Pages in memory, 4 KiB each.
const PAGES_MAX: NonZeroUsize = NonZeroUsize::new(2048).expect("not zero");

/// Finds keys in pages that are read one by one, and keeps those that were used last.
pub(super) struct KeyFinder {
    store: Store,
    counters: Arc<Counters>,
    pages: Mutex<LruCache<(Arc<str>, u32), KeyPage>>,
}

impl KeyFinder {
    pub fn new(store: Store, counters: Arc<Counters>) -> Self {
        Self {
            store,
            counters,
            pages: Mutex::new(LruCache::new(PAGES_MAX)),
        }
    }

    /// The last offset of the key in an object that has a block of keys. Mostly one request.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] if the page is damaged, which was asked for twice.
    pub async fn find(
        &self,
        segment: &SegmentRef,
        hash: &KeyHash,
    ) -> Result<Option<u64>, ReadError> {
        let layout = KeyLayout {
            keys_bytes: segment.keys_bytes,
        };
        let likely = layout.page_of(hash);
        // The pages that may have it.
        let mut pages = 0..layout.page_count();
        while !pages.is_empty() {
            let number = likely.clamp(pages.start, pages.end - 1);
            let page = match self.page(segment, layout, number, &pages).await {
                Err(ReadError::Corrupt { .. }) => {
                    self.page(segment, layout, number, &pages).await?
                }
                page => page?,
            };
            match page.find(hash) {
                Lookup::Found(offset) => return Ok(Some(segment.base_offset + u64::from(offset))),
                Lookup::Absent => return Ok(None),
                Lookup::Before => pages.end = number,
                Lookup::After => pages.start = number + 1,
            }
        }
        Ok(None)
    }

    /// A page, and with it those around that the key may be in instead.
    async fn page(
        &self,
        segment: &SegmentRef,
        layout: KeyLayout,
        wanted: u32,
        pages: &Range<u32>,
    ) -> Result<KeyPage, ReadError> {
        let key: Arc<str> = segment.key.as_str().into();
        if let Some(page) = self.pages.lock().get(&(key.clone(), wanted)) {
            return Ok(page.clone());
        }
        let spread = layout.spread();
        let around = wanted.saturating_sub(spread).max(pages.start)
            ..wanted.saturating_add(spread + 1).min(pages.end);
        let range = layout.bytes_of(&around);
        let block = segment.keys_range().start;
        let bounds = &self.store.options().foreground;
        let read = self
            .store
            .get_range(&segment.key, block + range.start..block + range.end, bounds)
            .await;
        let (bytes, _) = read.map_err(|error| ReadError::from(error).in_segment(segment))?;
        self.counters.fetched(bytes.len());
        let mut found = None;
        let mut cached = self.pages.lock();
        for number in around {
            let page = layout.bytes_of(&(number..number + 1));
            let (from, to) = (page.start - range.start, page.end - range.start);
            let page = bytes.slice(from as usize..to as usize);
            let Some(page) = KeyPage::decode(number, &page) else {
                continue;
            };
            let page = page.detached();
            if number == wanted {
                found = Some(page.clone());
            }
            cached.put((key.clone(), number), page);
        }
        found.ok_or_else(|| ReadError::whole(segment, "a page of the keys is damaged"))
    }
}
