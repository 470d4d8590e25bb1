use std::collections::HashMap;

use headwater_record::BatchView;

use super::undecodable;
use crate::format::{KeyHash, each_keyed};
use crate::read::ReadError;
use crate::scan::Scan;
use crate::segment_ref::SegmentRef;
use crate::store::Store;

/// What a slot of the table takes: a key's hash, its offset, and a byte of the table's own.
const SLOT_BYTES: usize = 25;

/// The last offset of each key in a stretch of a partition, in bounded memory.
#[derive(Debug)]
pub struct LatestKeys {
    offsets: HashMap<KeyHash, u64>,
    keys_max: usize,
    end_offset: u64,
    is_full: bool,
}

impl LatestKeys {
    /// Room for as many keys as fit into `memory_bytes_max`; 64 MiB are good for 1.8 million. The
    /// memory is asked for at once, because a table that grows is there twice for a moment.
    pub fn new(memory_bytes_max: usize) -> Self {
        let slots_max = (memory_bytes_max / SLOT_BYTES).max(8);
        // The table has a power of two of slots, and is full at seven eighths.
        let keys_max = (1 << slots_max.ilog2()) / 8 * 7;
        Self {
            offsets: HashMap::with_capacity(keys_max),
            keys_max,
            end_offset: 0,
            is_full: false,
        }
    }

    /// One past the last offset that was noted; all keys below it are known.
    pub fn end_offset(&self) -> u64 {
        self.end_offset
    }

    /// Whether there was no room for a key. Nothing is noted behind it.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// The last offset that was noted of a key.
    pub fn get(&self, key: &[u8]) -> Option<u64> {
        self.offsets.get(&KeyHash::of(key)).copied()
    }

    /// Whether a later record has the same key.
    pub(super) fn supersedes(&self, hash: &KeyHash, offset: u64) -> bool {
        self.offsets
            .get(hash)
            .is_some_and(|latest| *latest > offset)
    }

    fn room(&self) -> usize {
        self.keys_max - self.offsets.len()
    }

    fn note(&mut self, hash: KeyHash, offset: u64) {
        let latest = self.offsets.entry(hash).or_insert(offset);
        *latest = offset.max(*latest);
    }

    /// Notes the keys of a batch from offset `from` on, all or none. False if they do not fit.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] if its records cannot be read.
    pub fn note_batch(&mut self, batch: &BatchView<'_>, from: u64) -> Result<bool, ReadError> {
        let mut found: HashMap<KeyHash, u64> = HashMap::new();
        each_keyed(batch, |hash, record| {
            if record.offset >= from {
                found.insert(hash, record.offset);
            }
        })
        .map_err(|error| undecodable(batch, &error))?;
        let new = found.keys().filter(|hash| !self.offsets.contains_key(hash));
        if new.count() > self.room() {
            self.end_offset = self.end_offset.max(batch.header().base_offset);
            self.is_full = true;
            return Ok(false);
        }
        found
            .into_iter()
            .for_each(|(hash, offset)| self.note(hash, offset));
        self.end_offset = self.end_offset.max(batch.next_offset());
        Ok(true)
    }
}

impl Store {
    /// Notes the keys of an object from offset `from` on. The objects of a partition are noted in the
    /// order of their offsets. False if memory was full before the end: then `into` says how far it
    /// came, and no further object must be noted.
    ///
    /// The block of keys is read where it is good for all that is wanted, else the data.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] if the data is damaged in the store, which was asked twice; what was
    /// noted before stays. [`ReadError::Store`] within bounded time.
    pub async fn note_keys(
        &self,
        source: &SegmentRef,
        from: u64,
        into: &mut LatestKeys,
    ) -> Result<bool, ReadError> {
        if into.is_full {
            return Ok(false);
        }
        if !self.note_block(source, from, into).await? {
            let mut scan = Scan::open(self, source, from).await?;
            while let Some(batch) = scan.next().await? {
                let batch = super::parse(&batch)?;
                if batch.next_offset() > from && !into.note_batch(&batch, from)? {
                    return Ok(false);
                }
            }
        }
        into.end_offset = into.end_offset.max(source.end_offset);
        Ok(true)
    }

    /// Whether the block of keys was enough.
    async fn note_block(
        &self,
        source: &SegmentRef,
        from: u64,
        into: &mut LatestKeys,
    ) -> Result<bool, ReadError> {
        if from > source.base_offset {
            return Ok(false);
        }
        let block = self.key_block(source).await;
        let block = block.map_err(|error| ReadError::from(error).in_segment(source))?;
        let Some(block) = block else { return Ok(false) };
        if block.entries().count() > into.room() {
            return Ok(false);
        }
        for (hash, offset) in block.entries() {
            into.note(hash, source.base_offset + u64::from(offset));
        }
        Ok(true)
    }
}
