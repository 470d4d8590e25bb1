//! Indexes of objects, in memory.

use std::collections::HashMap;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::blocks::Object;
use super::error::ReadError;
use super::stats::Counters;
use crate::error::StoreError;
use crate::format::Index;
use crate::segment_ref::SegmentRef;
use crate::store::Store;

/// What an entry takes beside its index: names and the two lists' share of it.
const ENTRY_BYTES: usize = 512;

/// An object whose index was read.
pub(super) struct OpenSegment {
    pub object: Object,
    pub end_offset: u64,
    pub index: Index,
}

impl OpenSegment {
    fn memory_bytes(&self) -> usize {
        ENTRY_BYTES + self.index.memory_bytes()
    }
}

type Outcome = Result<Arc<OpenSegment>, ReadError>;

/// Bounded by bytes; what several want is read once.
pub(super) struct Indexes(Arc<Inner>);

struct Inner {
    store: Store,
    bytes_max: usize,
    state: Mutex<State>,
    counters: Arc<Counters>,
}

struct State {
    open: LruCache<Arc<str>, Arc<OpenSegment>>,
    bytes: usize,
    opening: HashMap<Arc<str>, watch::Receiver<Option<Outcome>>>,
}

impl Indexes {
    pub fn new(store: Store, bytes_max: usize, counters: Arc<Counters>) -> Self {
        Self(Arc::new(Inner {
            store,
            bytes_max,
            state: Mutex::new(State {
                open: LruCache::unbounded(),
                bytes: 0,
                opening: HashMap::new(),
            }),
            counters,
        }))
    }

    pub async fn get(&self, segment: &SegmentRef) -> Outcome {
        let mut opened = match self.find_or_open(segment) {
            Ok(open) => return Ok(open),
            Err(opened) => opened,
        };
        match opened.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            _ => Err(StoreError::unavailable("a request was broken off").into()),
        }
    }

    /// Begins to read an index that will be wanted soon.
    pub fn prefetch(&self, segment: &SegmentRef) {
        // Who wants it waits for it, or finds out why it could not be read.
        let _ = self.find_or_open(segment);
    }

    fn find_or_open(
        &self,
        segment: &SegmentRef,
    ) -> Result<Arc<OpenSegment>, watch::Receiver<Option<Outcome>>> {
        let mut state = self.0.state.lock();
        if let Some(open) = state.open.get(segment.key.as_str()) {
            return Ok(open.clone());
        }
        if let Some(opening) = state.opening.get(segment.key.as_str()) {
            return Err(opening.clone());
        }
        let (land, opened) = watch::channel(None);
        let key: Arc<str> = segment.key.as_str().into();
        state.opening.insert(key.clone(), opened.clone());
        let opening = Opening {
            inner: self.0.clone(),
            key,
        };
        let segment = segment.clone();
        tokio::spawn(async move {
            let outcome = opening.inner.open(&segment).await;
            if let Ok(open) = &outcome {
                opening.inner.keep(open);
            }
            drop(opening);
            land.send_replace(Some(outcome));
        });
        Err(opened)
    }
}

impl Inner {
    async fn open(&self, segment: &SegmentRef) -> Outcome {
        match self.open_once(segment).await {
            // It may have been damaged on its way.
            Err(ReadError::Corrupt { .. }) => self.open_once(segment).await,
            outcome => outcome,
        }
    }

    async fn open_once(&self, segment: &SegmentRef) -> Outcome {
        let bounds = &self.store.options().foreground;
        let range = segment.index_range();
        let result = self.store.get_range(&segment.key, range, bounds).await;
        self.counters
            .fetched(result.as_ref().map_or(0, |(bytes, _)| bytes.len()));
        let (bytes, size_bytes) =
            result.map_err(|error| ReadError::from(error).in_segment(segment))?;
        let tail = segment
            .tail(&bytes, size_bytes)
            .map_err(|detail| ReadError::whole(segment, &detail))?;
        Ok(Arc::new(OpenSegment {
            object: Object::of(segment),
            end_offset: segment.end_offset,
            index: tail.index,
        }))
    }

    fn keep(&self, open: &Arc<OpenSegment>) {
        let mut state = self.state.lock();
        state.bytes += open.memory_bytes();
        if let Some(before) = state.open.put(open.object.key.clone(), open.clone()) {
            state.bytes -= before.memory_bytes();
        }
        while state.bytes > self.bytes_max
            && let Some((_, gone)) = state.open.pop_lru()
        {
            state.bytes -= gone.memory_bytes();
        }
    }
}

/// Takes an index off the list of those being read, whatever becomes of its task.
struct Opening {
    inner: Arc<Inner>,
    key: Arc<str>,
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.inner.state.lock().opening.remove(&self.key);
    }
}
