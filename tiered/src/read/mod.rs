//! Reading segments that are in the store.

mod ahead;
mod blocks;
mod error;
mod indexes;
mod keys;
mod options;
mod slab;
mod stats;
mod walk;

use std::sync::Arc;

use bytes::Bytes;
use headwater_record::{BatchHeader, BatchView, DecodeError};

use crate::error::StoreError;
use crate::format::{KeyHash, ProducerBatch, Producers};
use crate::scan::Scan;
use crate::segment_ref::SegmentRef;
use crate::store::Store;
use ahead::Ahead;
use blocks::Blocks;
pub use error::ReadError;
use indexes::Indexes;
use keys::KeyFinder;
pub use options::ColdReaderOptions;
pub use stats::ColdStats;
use stats::Counters;
use walk::Walk;

/// Reads batches out of a store for all readers of one broker, through a cache on the local disk.
///
/// What several want is fetched once. Who reads on from where it stopped is read ahead for, over the
/// borders of segments. A cache that cannot be written to is done without.
pub struct ColdReader {
    store: Store,
    options: ColdReaderOptions,
    counters: Arc<Counters>,
    blocks: Arc<Blocks>,
    indexes: Indexes,
    ahead: Ahead,
    keys: KeyFinder,
}

impl ColdReader {
    /// A reader with an empty cache: what is in the cache's directory is overwritten. Touches the
    /// disk. Two readers must not have one directory.
    pub fn new(store: Store, options: ColdReaderOptions) -> Self {
        let counters = Arc::new(Counters::default());
        let slab = slab::Slab::create(&options);
        // More would push out what it has just fetched.
        let cache_bytes = slab.as_ref().map_or(0, |slab| slab.capacity_bytes());
        let kept_bytes = (options.recent_bytes_max() as u64 / 2).max(cache_bytes / 4);
        let read_ahead_bytes_max = options.read_ahead_bytes_max.min(kept_bytes);
        Self {
            blocks: Arc::new(Blocks::new(store.clone(), slab, &options, counters.clone())),
            indexes: Indexes::new(store.clone(), options.index_bytes_max, counters.clone()),
            ahead: Ahead::new(read_ahead_bytes_max),
            keys: KeyFinder::new(store.clone(), counters.clone()),
            store,
            options,
            counters,
        }
    }

    /// Whole batches from the one that contains `offset` on, or the next one where compaction has
    /// taken that away; about `max_bytes` of them, and always at least one. They come out of one
    /// segment, and are fewer if it ends. None means that there is nothing at or after `offset` in
    /// `segments`.
    ///
    /// `segments` are one partition's, contiguous; the first contains `offset`, later ones are used
    /// when the rest of it is empty and to read ahead.
    ///
    /// Every batch was checked: its checksum, that of the object around it, and its offsets.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] if the first batch is damaged in the store, which was asked twice;
    /// reading goes on at its `to`. Damage further on ends the batches before it.
    /// [`ReadError::Store`] within bounded time.
    pub async fn read(
        &self,
        segments: &[SegmentRef],
        offset: u64,
        max_bytes: usize,
    ) -> Result<Vec<Bytes>, ReadError> {
        self.bounded(async {
            for (at, segment) in segments.iter().enumerate() {
                if segment.end_offset <= offset || segment.data_bytes == 0 {
                    continue;
                }
                let from = offset.max(segment.base_offset);
                let read = self.read_one(&segments[at..], from, max_bytes).await;
                let batches = read.map_err(|error| error.in_segment(segment))?;
                if !batches.is_empty() {
                    return Ok(batches);
                }
            }
            Ok(Vec::new())
        })
        .await
    }

    async fn read_one(
        &self,
        segments: &[SegmentRef],
        offset: u64,
        max_bytes: usize,
    ) -> Result<Vec<Bytes>, ReadError> {
        let segment = &segments[0];
        let open = self.indexes.get(segment).await?;
        let mut cursor = self.ahead.resume(segment, offset);
        let place = match cursor.place {
            Some(place) => place,
            None => match open.index.seek(offset) {
                Some(place) => place,
                None => return Ok(Vec::new()),
            },
        };
        let mut walk = Walk::new(&self.blocks, open, place);
        let wanted = walk.expect(max_bytes);
        // What this read needs and what the next ones will is asked for together.
        self.ahead
            .fetch(&mut cursor, &self.blocks, &self.indexes, segments, wanted);
        let batches = walk.batches(offset, max_bytes).await?;
        self.ahead.note(segment, cursor, walk.place());
        self.counters.served(&batches);
        Ok(batches)
    }

    /// The offset of the first record in the segment with a timestamp at or after the one given. The
    /// index and, mostly, one block are read.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn offset_for_time(
        &self,
        segment: &SegmentRef,
        timestamp_ms: i64,
    ) -> Result<Option<u64>, ReadError> {
        if segment.max_timestamp_ms < timestamp_ms || segment.data_bytes == 0 {
            return Ok(None);
        }
        self.bounded(async {
            let open = self.indexes.get(segment).await?;
            let Some(place) = open.index.seek_time(timestamp_ms) else {
                return Ok(None);
            };
            let mut walk = Walk::new(&self.blocks, open, place);
            walk.offset_for_time(timestamp_ms, self.options.decoded_bytes_max)
                .await
                .map_err(|error| error.in_segment(segment))
        })
        .await
    }

    /// The last batches of producers in the segment, in the order of their offsets: at most 100 000,
    /// for a new leader to know again what it is sent twice. Not cached.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn producers(&self, segment: &SegmentRef) -> Result<Vec<ProducerBatch>, ReadError> {
        let range = segment.producers_range();
        let bounds = &self.store.options().background;
        let read = self.store.get_range(&segment.key, range, bounds).await;
        let (block, _) = read.map_err(|error| ReadError::from(error).in_segment(segment))?;
        self.counters.fetched(block.len());
        Producers::decode(&block, segment.base_offset)
            .ok_or_else(|| ReadError::whole(segment, "the producers' block is damaged"))
    }

    /// The offset of the last record below `below` that has this key, in `segments`, which are one
    /// partition's, ascending. They are looked through from the newest on.
    ///
    /// Mostly one small request is made for each object that has a block of keys, and pages of it stay
    /// in memory. Two keys of one hash are taken for one, see [`format`](crate::format). Objects without
    /// a block, those whose block is damaged, and the one that `below` cuts if it has the key further
    /// on, are read through, past the cache: who cannot wait that long gives up.
    ///
    /// # Errors
    /// As [`read`](Self::read); within bounded time for each request.
    pub async fn find_key(
        &self,
        segments: &[SegmentRef],
        key: &[u8],
        below: u64,
    ) -> Result<Option<u64>, ReadError> {
        let hash = KeyHash::of(key);
        let segments = segments.iter().rev();
        for segment in segments.filter(|segment| segment.base_offset < below) {
            let found = match segment.keys_bytes {
                0 => self.scan_for_key(segment, key, below).await?,
                _ => match self.bounded(self.keys.find(segment, &hash)).await {
                    Ok(Some(offset)) if offset >= below => {
                        self.scan_for_key(segment, key, below).await?
                    }
                    Err(ReadError::Corrupt { detail, .. }) => {
                        tracing::warn!(detail, "looking for a key in the data instead");
                        self.scan_for_key(segment, key, below).await?
                    }
                    found => found?,
                },
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    async fn scan_for_key(
        &self,
        segment: &SegmentRef,
        key: &[u8],
        below: u64,
    ) -> Result<Option<u64>, ReadError> {
        let mut scan = Scan::open(&self.store, segment, segment.base_offset).await?;
        let mut last = None;
        while let Some(bytes) = scan.next().await? {
            let found = last_of_key(&bytes, key, below, self.options.decoded_bytes_max);
            let (header, found) = found.map_err(|error| {
                let detail = format!("a batch cannot be read: {error}");
                ReadError::whole(segment, &detail)
            })?;
            last = found.or(last);
            if header.next_offset() >= below {
                break;
            }
        }
        Ok(last)
    }

    /// What has been read so far, and how.
    pub fn stats(&self) -> ColdStats {
        self.counters.read(self.blocks.cached_bytes())
    }

    async fn bounded<T>(
        &self,
        read: impl Future<Output = Result<T, ReadError>>,
    ) -> Result<T, ReadError> {
        let total = self.store.options().foreground.total;
        tokio::time::timeout(total, read).await.unwrap_or_else(|_| {
            Err(StoreError::unavailable("the store did not answer in time").into())
        })
    }
}

impl std::fmt::Debug for ColdReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ColdReader")
            .field("store", &self.store)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// The last record of a batch below `below` that has this key.
fn last_of_key(
    batch: &[u8],
    key: &[u8],
    below: u64,
    decoded_bytes_max: usize,
) -> Result<(BatchHeader, Option<u64>), DecodeError> {
    let (batch, _) = BatchView::parse(batch)?;
    let (mut scratch, mut last) = (Vec::new(), None);
    for record in batch.records(&mut scratch, decoded_bytes_max)? {
        let record = record?;
        if record.key == Some(key) && record.offset < below {
            last = Some(record.offset);
        }
    }
    Ok((*batch.header(), last))
}
