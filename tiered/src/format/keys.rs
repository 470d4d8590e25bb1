//! The last offset of each key in an object, so that a key is found without reading the data.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use headwater_record::{BatchView, DecodeError, RecordView};
use sha2::{Digest, Sha256};

use super::DECODED_BYTES_MAX;

/// Most distinct keys that a block holds. A table of so many takes at most 66 MiB while it grows.
const KEYS_MAX: usize = (2 << 20) / 8 * 7;
const ENTRY_BYTES: usize = 20;
const PAGE_ENTRIES: usize = 204;
/// A page that is full: its entries, and their checksum.
const PAGE_BYTES: usize = PAGE_ENTRIES * ENTRY_BYTES + 4;

/// The first 128 bits of a key's SHA-256. Two keys that share them are taken for one: nobody knows
/// how to find such a pair with less than 2^64 tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyHash([u8; 16]);

impl KeyHash {
    pub fn of(key: &[u8]) -> Self {
        let sha256 = Sha256::digest(key);
        Self(*sha256.first_chunk().expect("SHA-256 has 32 bytes"))
    }
}

/// Gives each record that has a key to `note`, in order, with what the key hashes to.
pub(crate) fn each_keyed(
    batch: &BatchView<'_>,
    mut note: impl FnMut(KeyHash, &RecordView<'_>),
) -> Result<(), DecodeError> {
    let mut scratch = Vec::new();
    for record in batch.records(&mut scratch, DECODED_BYTES_MAX)? {
        let record = record?;
        if let Some(key) = record.key {
            note(KeyHash::of(key), &record);
        }
    }
    Ok(())
}

/// Collects the keys of an object while its batches go by.
#[derive(Default)]
pub(crate) struct Keys {
    latest: HashMap<KeyHash, u32>,
    first_tombstone: Option<u64>,
    /// There were too many keys, or records that cannot be read: there will be no block.
    given_up: bool,
}

impl Keys {
    /// Notes the keys of a batch of an object that begins at `base_offset`.
    pub fn add(&mut self, batch: &BatchView<'_>, base_offset: u64) {
        let read = each_keyed(batch, |hash, record| {
            if record.value.is_none() {
                self.first_tombstone.get_or_insert(record.offset);
            }
            if self.given_up {
                return;
            }
            self.latest
                .insert(hash, (record.offset - base_offset) as u32);
            if self.latest.len() > KEYS_MAX {
                self.give_up();
            }
        });
        if read.is_err() {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        self.given_up = true;
        self.latest = HashMap::new();
    }

    /// Offset of the first record that has a key and no value.
    pub fn first_tombstone(&self) -> Option<u64> {
        self.first_tombstone
    }

    /// The pages of the block; none if there is to be no block.
    pub fn into_pages(self) -> KeyPages {
        let mut entries: Vec<_> = self.latest.into_iter().collect();
        entries.sort_unstable();
        let count = match self.given_up {
            true => 0,
            // A block without keys is a block: one page without entries.
            false => entries.len().div_ceil(PAGE_ENTRIES).max(1),
        };
        KeyPages { entries, count }
    }
}

/// The pages of a block that is to be written.
#[derive(Default)]
pub(crate) struct KeyPages {
    entries: Vec<(KeyHash, u32)>,
    count: usize,
}

impl KeyPages {
    /// Bytes of all pages.
    pub fn bytes(&self) -> u64 {
        (self.entries.len() * ENTRY_BYTES + self.count * 4) as u64
    }

    /// Each page encoded.
    pub fn encode(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        (0..self.count).map(|number| {
            let from = number * PAGE_ENTRIES;
            let to = self.entries.len().min(from + PAGE_ENTRIES);
            let mut page = Vec::with_capacity(PAGE_BYTES);
            for (hash, offset) in &self.entries[from..to] {
                page.extend_from_slice(&hash.0);
                page.extend_from_slice(&offset.to_le_bytes());
            }
            let crc = page_crc(number as u32, &page);
            page.extend_from_slice(&crc.to_le_bytes());
            page
        })
    }
}

/// The page's number is in it, so that one page is not taken for another.
fn page_crc(number: u32, entries: &[u8]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(&number.to_le_bytes());
    digest.update(entries);
    digest.finalize() as u32
}

/// What a page says of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// Its last offset, relative to the object's base.
    Found(u32),
    /// It is in no page.
    Absent,
    /// If it is anywhere, then in an earlier page.
    Before,
    /// If it is anywhere, then in a later page.
    After,
}

/// A page that was read and is whole: its entries.
#[derive(Debug, Clone)]
pub(crate) struct KeyPage(Bytes);

impl KeyPage {
    /// Reads the page with this number; `None` if it is damaged.
    pub fn decode(number: u32, page: &Bytes) -> Option<Self> {
        let (entries, crc) = page.split_last_chunk::<4>()?;
        let is_whole = entries.len() % ENTRY_BYTES == 0
            && page_crc(number, entries) == u32::from_le_bytes(*crc);
        is_whole.then(|| Self(page.slice(..entries.len())))
    }

    /// The same in memory of its own, apart from what was read with it.
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    pub fn entries(&self) -> impl Iterator<Item = (KeyHash, u32)> + '_ {
        let (entries, _) = self.0.as_chunks::<ENTRY_BYTES>();
        entries.iter().map(|entry| {
            let (hash, offset) = entry.split_first_chunk().expect("an entry has 20 bytes");
            let offset = offset.first_chunk().expect("4 of them are the offset");
            (KeyHash(*hash), u32::from_le_bytes(*offset))
        })
    }

    pub fn find(&self, hash: &KeyHash) -> Lookup {
        let (entries, _) = self.0.as_chunks::<ENTRY_BYTES>();
        let at = entries.partition_point(|entry| entry[..16] < hash.0[..]);
        match self.entries().nth(at) {
            Some((found, offset)) if found == *hash => Lookup::Found(offset),
            Some(_) if at == 0 => Lookup::Before,
            None if at > 0 => Lookup::After,
            _ => Lookup::Absent,
        }
    }
}

/// Where the pages of a block of so many bytes are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyLayout {
    pub keys_bytes: u64,
}

impl KeyLayout {
    pub fn page_count(self) -> u32 {
        self.keys_bytes.div_ceil(PAGE_BYTES as u64) as u32
    }

    /// Where pages are, relative to the front of the block.
    pub fn bytes_of(self, pages: &Range<u32>) -> Range<u64> {
        let at = |page: u32| (u64::from(page) * PAGE_BYTES as u64).min(self.keys_bytes);
        at(pages.start)..at(pages.end)
    }

    /// The page that most likely has a key: hashes are spread evenly.
    pub fn page_of(self, hash: &KeyHash) -> u32 {
        let share = u128::from_be_bytes(hash.0) >> 64;
        ((share * u128::from(self.page_count())) >> 64) as u32
    }

    /// How many pages a key may be off the likely one: three times what chance makes of it, which is
    /// at most half the square root of the number of keys.
    pub fn spread(self) -> u32 {
        let keys = self.keys_bytes as f64 / ENTRY_BYTES as f64;
        (1.5 * keys.sqrt() / PAGE_ENTRIES as f64).ceil() as u32
    }
}

/// A whole block that was read.
pub(crate) struct KeyBlock(Vec<KeyPage>);

impl KeyBlock {
    /// Reads a block; `None` if a page is damaged, or keys are out of order.
    pub fn decode(block: &Bytes) -> Option<Self> {
        let pages = (0..block.len())
            .step_by(PAGE_BYTES)
            .zip(0..)
            .map(|(from, number)| {
                let to = block.len().min(from + PAGE_BYTES);
                KeyPage::decode(number, &block.slice(from..to))
            });
        let block = Self(pages.collect::<Option<_>>()?);
        block
            .entries()
            .is_sorted_by(|before, after| before.0 < after.0)
            .then_some(block)
    }

    pub fn entries(&self) -> impl Iterator<Item = (KeyHash, u32)> + '_ {
        self.0.iter().flat_map(KeyPage::entries)
    }
}
