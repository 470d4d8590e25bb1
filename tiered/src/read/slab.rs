//! Blocks on the local disk: one sparse file of slots of one size.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use lru::LruCache;
use parking_lot::Mutex;

use super::blocks::BlockId;
use super::options::ColdReaderOptions;
use crate::format::BLOCK_BYTES;

const FILE: &str = "blocks";

/// A bounded cache; the block that was not used for longest goes first.
///
/// A slot belongs to whoever writes it, and is found only when it is whole. While it is read it may
/// be given to another block: its generation, which each new owner raises before it writes, tells
/// the reader afterwards.
pub(super) struct Slab {
    file: File,
    slots_max: u32,
    slots: Mutex<Slots>,
    cached_bytes: AtomicU64,
    failing: AtomicBool,
}

struct Slots {
    used: LruCache<BlockId, Slot>,
    free: Vec<u32>,
    /// Of each slot that was ever used.
    generations: Vec<u64>,
}

/// Where a block was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    number: u32,
    generation: u64,
    bytes: u32,
}

impl Slab {
    /// Empties or makes the file. `None`, and a warning, if that fails.
    pub fn create(options: &ColdReaderOptions) -> Option<Self> {
        let slots_max = u32::try_from(options.cache_bytes_max / BLOCK_BYTES).unwrap_or(u32::MAX);
        if slots_max == 0 {
            return None;
        }
        let open = || -> io::Result<File> {
            std::fs::create_dir_all(&options.cache_dir)?;
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(options.cache_dir.join(FILE))
        };
        let file = open()
            .inspect_err(|error| {
                let dir = options.cache_dir.display();
                tracing::warn!(%dir, %error, "cold reads go without a cache");
            })
            .ok()?;
        Some(Self {
            file,
            slots_max,
            slots: Mutex::new(Slots {
                used: LruCache::unbounded(),
                free: Vec::new(),
                generations: Vec::new(),
            }),
            cached_bytes: AtomicU64::new(0),
            failing: AtomicBool::new(false),
        })
    }

    pub fn capacity_bytes(&self) -> u64 {
        u64::from(self.slots_max) * BLOCK_BYTES
    }

    pub fn cached_bytes(&self) -> u64 {
        self.cached_bytes.load(Ordering::Relaxed)
    }

    pub fn find(&self, block: &BlockId) -> Option<Slot> {
        self.slots.lock().used.get(block).copied()
    }

    pub fn contains(&self, block: &BlockId) -> bool {
        self.slots.lock().used.contains(block)
    }

    /// The bytes of the block found in `slot`; `None` if it has lost its place since, or the disk
    /// fails. Blocks.
    pub fn read(&self, slot: Slot) -> Option<Bytes> {
        let mut bytes = vec![0; slot.bytes as usize];
        let at = u64::from(slot.number) * BLOCK_BYTES;
        let read = self.file.read_exact_at(&mut bytes, at);
        read.inspect_err(|error| tracing::debug!(%error, "a block is not in the cache's file"))
            .ok()?;
        let generation = self.slots.lock().generations[slot.number as usize];
        (generation == slot.generation).then(|| bytes.into())
    }

    /// Keeps a block, in place of the least used one if need be. Blocks.
    pub fn write(&self, block: BlockId, bytes: &[u8]) {
        let Some((number, generation)) = self.take_slot() else {
            return;
        };
        let at = u64::from(number) * BLOCK_BYTES;
        let written = self.file.write_all_at(bytes, at);
        self.note(&written);
        let mut slots = self.slots.lock();
        if written.is_err() {
            slots.free.push(number);
            return;
        }
        let slot = Slot {
            number,
            generation,
            bytes: bytes.len() as u32,
        };
        self.cached_bytes
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if let Some(before) = slots.used.put(block, slot) {
            self.release(&mut slots, before);
        }
    }

    /// Throws a block out.
    pub fn forget(&self, block: &BlockId) {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.used.pop(block) {
            self.release(&mut slots, slot);
        }
    }

    fn release(&self, slots: &mut Slots, slot: Slot) {
        slots.free.push(slot.number);
        self.cached_bytes
            .fetch_sub(u64::from(slot.bytes), Ordering::Relaxed);
    }

    /// A slot to write to; `None` if all are being written to.
    fn take_slot(&self) -> Option<(u32, u64)> {
        let mut slots = self.slots.lock();
        let fresh = slots.generations.len() as u32;
        let number = if let Some(number) = slots.free.pop() {
            number
        } else if fresh < self.slots_max {
            slots.generations.push(0);
            fresh
        } else {
            let (_, slot) = slots.used.pop_lru()?;
            self.cached_bytes
                .fetch_sub(u64::from(slot.bytes), Ordering::Relaxed);
            slot.number
        };
        let generation = &mut slots.generations[number as usize];
        *generation += 1;
        Some((number, *generation))
    }

    /// Tells the log when the disk begins to fail, and when it is over.
    fn note(&self, written: &io::Result<()>) {
        match written {
            Err(error) if !self.failing.swap(true, Ordering::Relaxed) => {
                tracing::warn!(%error, "writing the cache of cold reads fails; they go on without");
            }
            Ok(()) if self.failing.swap(false, Ordering::Relaxed) => {
                tracing::info!("the cache of cold reads works again");
            }
            _ => {}
        }
    }
}
