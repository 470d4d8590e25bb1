//! A partition's log on a disk that forgets what was not synced.

use std::collections::VecDeque;

use bytes::Bytes;
use headwater_broker::replica::{ReplicaLog, Starts};

use crate::dice::mix;

/// A batch: what the core copies, and what a reader would see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// The offset of its first record.
    pub base: u64,
    /// How many records.
    pub count: u64,
    /// The term of the leader that appended it.
    pub epoch: i32,
    /// The session of the producer,
    pub producer: u64,
    /// and the number of its first record in it.
    pub sequence: u64,
    /// What is in it; no two sends are alike.
    pub value: u64,
}

impl Batch {
    /// One past its last record.
    pub fn end(&self) -> u64 {
        self.base + self.count
    }

    fn words(&self) -> [u64; 6] {
        let epoch = u64::from(self.epoch.cast_unsigned());
        [
            self.base,
            self.count,
            epoch,
            self.producer,
            self.sequence,
            self.value,
        ]
    }

    /// As it goes over the network.
    pub fn encode(&self) -> Bytes {
        let bytes: Vec<u8> = self.words().iter().flat_map(|w| w.to_le_bytes()).collect();
        Bytes::from(bytes)
    }

    /// What came over the network.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut words = bytes.chunks_exact(8).map(|word| {
            let mut le = [0; 8];
            le.copy_from_slice(word);
            u64::from_le_bytes(le)
        });
        Some(Self {
            base: words.next()?,
            count: words.next()?,
            epoch: u32::try_from(words.next()?).ok()?.cast_signed(),
            producer: words.next()?,
            sequence: words.next()?,
            value: words.next()?,
        })
    }
}

/// A batch and a digest of it and everything before: two logs with the same one are the same up to here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The batch.
    pub batch: Batch,
    /// The digest.
    pub chain: u64,
}

/// Batches one after the other.
#[derive(Debug, Clone, Default)]
pub struct Content {
    start: u64,
    /// The digest of everything below the start.
    start_chain: u64,
    /// The epoch of the last batch, if all were trimmed.
    start_epoch: Option<i32>,
    /// What producers have sent below the start: a log keeps that when it forgets records.
    trimmed: Vec<Batch>,
    entries: Vec<Entry>,
}

impl Content {
    /// The offset that the next record gets.
    pub fn end(&self) -> u64 {
        self.entries.last().map_or(self.start, |e| e.batch.end())
    }

    /// The batches.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Every batch that was ever in it, for the windows of producers.
    pub fn sent(&self) -> impl Iterator<Item = Batch> {
        let kept = self.entries.iter().map(|e| e.batch);
        self.trimmed.iter().copied().chain(kept)
    }

    /// The digest of everything below an offset between two batches.
    pub fn chain_at(&self, offset: u64) -> Option<u64> {
        if offset == self.start {
            return Some(self.start_chain);
        }
        let at = self
            .entries
            .binary_search_by_key(&offset, |e| e.batch.end())
            .ok()?;
        Some(self.entries[at].chain)
    }

    /// Appends a batch, whose base is the end; answers its digest.
    pub fn push(&mut self, batch: Batch) -> u64 {
        let before = self.entries.last().map_or(self.start_chain, |e| e.chain);
        let chain = batch.words().into_iter().fold(before, mix);
        self.entries.push(Entry { batch, chain });
        chain
    }

    fn truncate(&mut self, to: u64) {
        let kept = self.entries.partition_point(|e| e.batch.end() <= to);
        if kept < self.entries.len() {
            self.start_epoch = None;
        }
        self.entries.truncate(kept);
    }

    fn last_epoch(&self) -> Option<i32> {
        let last = self.entries.last().map(|e| e.batch.epoch);
        last.or(self.start_epoch)
    }

    fn trim(&mut self, to: u64) {
        let gone = self.entries.partition_point(|e| e.batch.end() <= to);
        if let Some(last) = self.entries[..gone].last() {
            (self.start, self.start_chain) = (last.batch.end(), last.chain);
            self.start_epoch = Some(last.batch.epoch);
            let gone = self.entries.drain(..gone);
            self.trimmed.extend(gone.map(|e| e.batch));
        }
    }

    fn apply(&mut self, write: &Write) {
        match write {
            Write::Append(batch) => {
                self.push(*batch);
            }
            Write::Truncate(to) => self.truncate(*to),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Write {
    Append(Batch),
    Truncate(u64),
}

/// One partition's log on one disk.
#[derive(Debug, Clone, Default)]
pub struct LogFile {
    /// What the process reads, and what another process finds after this one was killed.
    memory: Content,
    /// What is left when the power goes.
    stable: Content,
    /// What makes the one out of the other, in order.
    pending: VecDeque<Write>,
    /// How many of them a sync that is under way covers.
    syncing: Option<usize>,
    /// Taken for durable without being synced: for the ablation of recovery's sync.
    believed: u64,
    /// So many writes were found by recovery and not synced: nobody will, before there are more.
    left: usize,
}

impl LogFile {
    /// What the process reads.
    pub fn memory(&self) -> &Content {
        &self.memory
    }

    /// Whether everything below `offset` survives a power cut, and its digest is this.
    pub fn survives(&self, offset: u64, chain: u64) -> bool {
        // What was trimmed was committed and is not needed.
        self.memory.start > offset
            || (self.synced_end() >= offset && self.memory.chain_at(offset) == Some(chain))
    }

    /// One past the last record that is really on stable storage.
    pub fn synced_end(&self) -> u64 {
        let cut = |write: &Write| match write {
            Write::Append(_) => None,
            Write::Truncate(to) => Some(*to),
        };
        let cut = self.pending.iter().filter_map(cut).min();
        cut.unwrap_or(u64::MAX)
            .min(self.stable.end())
            .min(self.memory.end())
    }

    /// Appends a batch; answers its digest.
    pub fn append(&mut self, batch: Batch) -> u64 {
        self.pending.push_back(Write::Append(batch));
        self.memory.push(batch)
    }

    /// Removes everything from an offset on.
    pub fn truncate(&mut self, to: u64) {
        self.memory.truncate(to);
        self.believed = self.believed.min(to);
        self.pending.push_back(Write::Truncate(to));
    }

    /// Empties the log and begins it at an offset. Durable at once: a log that went back to before its
    /// start would give offsets away again that others have.
    pub fn restart(&mut self, at: u64, chain: u64, trimmed: Vec<Batch>) {
        let empty = Content {
            start: at,
            start_chain: chain,
            start_epoch: None,
            trimmed,
            entries: Vec::new(),
        };
        *self = Self {
            memory: empty.clone(),
            stable: empty,
            ..Self::default()
        };
    }

    /// Forgets what is below an offset, where it is durable.
    pub fn trim(&mut self, to: u64) {
        let to = to.min(self.synced_end());
        self.memory.trim(to);
        self.stable.trim(to);
    }

    /// Whether a sync has something to do, and none is under way. From now on one is.
    pub fn begin_sync(&mut self) -> bool {
        let begins = self.syncing.is_none() && self.pending.len() > self.left;
        if begins {
            self.syncing = Some(self.pending.len());
        }
        begins
    }

    /// The sync is done.
    pub fn end_sync(&mut self) {
        let covered = self.syncing.take().unwrap_or(0);
        self.keep(covered);
        self.left = 0;
    }

    /// The process is gone; the page cache is not.
    pub fn killed(&mut self) {
        self.syncing = None;
        self.believed = 0;
        self.left = 0;
    }

    /// The power is gone, and of what was not synced all but the first `kept` writes. Answers how many
    /// records were lost.
    pub fn power_cut(&mut self, kept: usize) -> u64 {
        let before = self.memory.end();
        self.keep(kept.min(self.pending.len()));
        self.pending.clear();
        self.killed();
        self.memory = self.stable.clone();
        before.saturating_sub(self.memory.end())
    }

    /// Writes that no sync covers yet.
    pub fn unsynced(&self) -> usize {
        self.pending.len()
    }

    /// Recovery reads the log and syncs what it keeps, or only believes it synced.
    pub fn recover(&mut self, sync: bool) {
        match sync {
            true => self.keep(self.pending.len()),
            false => (self.believed, self.left) = (self.memory.end(), self.pending.len()),
        }
    }

    fn keep(&mut self, writes: usize) {
        for write in self.pending.drain(..writes) {
            self.stable.apply(&write);
        }
    }

    /// Batches from an offset on, at most so many, and where they end.
    pub fn read(&self, from: u64, batches_max: usize) -> (Vec<Bytes>, u64) {
        let entries = &self.memory.entries;
        let first = entries.partition_point(|e| e.batch.base < from);
        let read = entries[first..].iter().take(batches_max);
        let end = read.clone().next_back().map_or(from, |e| e.batch.end());
        (read.map(|e| e.batch.encode()).collect(), end)
    }
}

impl ReplicaLog for LogFile {
    fn starts(&self) -> Starts {
        Starts {
            log: self.memory.start,
            local: self.memory.start,
        }
    }

    fn end(&self) -> u64 {
        self.memory.end()
    }

    fn durable_end(&self) -> u64 {
        self.synced_end().max(self.believed)
    }

    fn last_epoch(&self) -> Option<i32> {
        self.memory.last_epoch()
    }

    fn end_offset_for(&self, epoch: i32) -> Option<(i32, u64)> {
        let entries = &self.memory.entries;
        if entries.is_empty() {
            let last = self.memory.start_epoch.filter(|last| *last <= epoch)?;
            return Some((last, self.memory.start));
        }
        let up_to = entries.partition_point(|e| e.batch.epoch <= epoch);
        let last = entries[..up_to].last()?;
        Some((last.batch.epoch, last.batch.end()))
    }

    // Nothing is anywhere else: no follower begins in the middle of what is.
    fn epochs(&self) -> Vec<(i32, u64)> {
        Vec::new()
    }
}
