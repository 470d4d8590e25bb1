//! Where in an object an offset or a time is, and what its blocks' checksums are.

use std::ops::Range;

use super::codec::Reader;
use super::{BLOCK_BYTES, crc32c};

/// Entries are at least so far apart.
const SPACING_BYTES_MIN: u64 = 16 << 10;
/// At so many entries every other one is dropped, and they are twice as far apart from then on.
const ENTRIES_MAX: usize = 4096;
const ENTRY_BYTES: usize = 16;

/// A batch begins at `position`, its offset is `offset` behind the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    offset: u32,
    position: u32,
    /// The highest timestamp before it; `i64::MIN` at the front.
    max_timestamp_before_ms: i64,
}

/// A place where a batch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub offset: u64,
    pub position: u64,
}

/// The index of one object, read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Index {
    base_offset: u64,
    entries: Vec<Entry>,
    block_crcs: Vec<u32>,
}

impl Index {
    /// Reads an index; `None` if it is none for `data_bytes` of data.
    pub fn decode(bytes: &[u8], base_offset: u64, data_bytes: u64) -> Option<Self> {
        let mut reader = Reader(bytes);
        let count = reader.count(ENTRY_BYTES)?;
        let entries: Vec<_> = (0..count)
            .map(|_| {
                Some(Entry {
                    offset: reader.u32()?,
                    position: reader.u32()?,
                    max_timestamp_before_ms: reader.i64()?,
                })
            })
            .collect::<Option<_>>()?;
        let count = reader.count(4)?;
        let block_crcs: Vec<_> = (0..count).map(|_| reader.u32()).collect::<Option<_>>()?;
        let fits = reader.0.is_empty()
            && block_crcs.len() as u64 == data_bytes.div_ceil(BLOCK_BYTES)
            && entries.is_empty() == (data_bytes == 0)
            && entries.first().is_none_or(|first| first.position == 0)
            && entries
                .last()
                .is_none_or(|last| u64::from(last.position) < data_bytes);
        fits.then_some(Self {
            base_offset,
            entries,
            block_crcs,
        })
    }

    /// The last known place at or before `offset`, or the first place there is.
    pub fn seek(&self, offset: u64) -> Option<Place> {
        let relative = offset.saturating_sub(self.base_offset);
        let after = self
            .entries
            .partition_point(|entry| u64::from(entry.offset) <= relative);
        self.place(after.saturating_sub(1))
    }

    /// The first known place behind `position`.
    pub fn after(&self, position: u64) -> Option<Place> {
        self.place(
            self.entries
                .partition_point(|entry| u64::from(entry.position) <= position),
        )
    }

    /// Between this place and the next is the first batch with a timestamp at or after the one
    /// given, if any has one.
    pub fn seek_time(&self, timestamp_ms: i64) -> Option<Place> {
        let after = self
            .entries
            .partition_point(|entry| entry.max_timestamp_before_ms < timestamp_ms);
        self.place(after.saturating_sub(1))
    }

    /// The offsets that may be in `bytes` of the data, of an object that ends at `end_offset`.
    pub fn offsets_in(&self, bytes: &Range<u64>, end_offset: u64) -> Range<u64> {
        let after = self
            .entries
            .partition_point(|entry| u64::from(entry.position) <= bytes.start);
        let from = self.place(after.saturating_sub(1));
        let to = self.after(bytes.end.saturating_sub(1));
        from.map_or(self.base_offset, |place| place.offset)
            ..to.map_or(end_offset, |place| place.offset)
    }

    fn place(&self, at: usize) -> Option<Place> {
        self.entries.get(at).map(|entry| Place {
            offset: self.base_offset + u64::from(entry.offset),
            position: u64::from(entry.position),
        })
    }

    /// Whether these are the bytes of that block.
    pub fn is_block(&self, number: u32, bytes: &[u8]) -> bool {
        self.block_crcs.get(number as usize) == Some(&crc32c(bytes))
    }

    /// Bytes that it takes in memory.
    pub fn memory_bytes(&self) -> usize {
        self.entries.len() * size_of::<Entry>() + self.block_crcs.len() * 4
    }
}

/// Makes an index while the data goes by.
pub(crate) struct IndexBuilder {
    entries: Vec<Entry>,
    spacing_bytes: u64,
    block_crcs: Vec<u32>,
    block: crc_fast::Digest,
    block_bytes: u64,
}

impl IndexBuilder {
    pub fn new() -> Self {
        Self {
            entries: Vec::new(),
            spacing_bytes: SPACING_BYTES_MIN,
            block_crcs: Vec::new(),
            block: crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi),
            block_bytes: 0,
        }
    }

    /// A batch begins at `position`.
    pub fn add_batch(&mut self, offset: u32, position: u32, max_timestamp_before_ms: i64) {
        if self
            .entries
            .last()
            .is_some_and(|last| u64::from(position) < u64::from(last.position) + self.spacing_bytes)
        {
            return;
        }
        if self.entries.len() == ENTRIES_MAX {
            let mut number = 0;
            self.entries.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.spacing_bytes *= 2;
        }
        self.entries.push(Entry {
            offset,
            position,
            max_timestamp_before_ms,
        });
    }

    /// The next bytes of the data, all of them in order.
    pub fn add_bytes(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let left = (BLOCK_BYTES - self.block_bytes) as usize;
            let (now, rest) = bytes.split_at(left.min(bytes.len()));
            self.block.update(now);
            self.block_bytes += now.len() as u64;
            bytes = rest;
            if self.block_bytes == BLOCK_BYTES {
                self.end_block();
            }
        }
    }

    fn end_block(&mut self) {
        self.block_crcs.push(self.block.finalize() as u32);
        self.block.reset();
        self.block_bytes = 0;
    }

    pub fn encode(mut self, out: &mut Vec<u8>) {
        if self.block_bytes > 0 {
            self.end_block();
        }
        out.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        for entry in &self.entries {
            out.extend_from_slice(&entry.offset.to_le_bytes());
            out.extend_from_slice(&entry.position.to_le_bytes());
            out.extend_from_slice(&entry.max_timestamp_before_ms.to_le_bytes());
        }
        out.extend_from_slice(&(self.block_crcs.len() as u32).to_le_bytes());
        for crc in &self.block_crcs {
            out.extend_from_slice(&crc.to_le_bytes());
        }
    }
}
