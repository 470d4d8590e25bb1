//! A partition's log on a disk that forgets what was not synced.

use std::collections::VecDeque;

use bytes::Bytes;
use headwater_broker::replica::{Beginning, ReplicaLog, Starts};

use crate::content::{Batch, Content};

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
        self.starts().local > offset
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
    pub fn restart(&mut self, at: &Beginning, chain: u64, trimmed: Vec<Batch>) {
        let empty = Content::beginning(at, chain, trimmed);
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

    /// Lets go of whole segments below an offset, where they are durable: they are in the store.
    pub fn drop_local(&mut self, below: u64, disk: u64) {
        let below = below.min(self.synced_end());
        if let Some(to) = self.memory.segment_end(below, disk) {
            self.memory.drop_local(to);
            self.stable.drop_local(to);
        }
    }

    /// The batches of the sealed segment that holds `from`, from there on, as far as they are durable.
    pub fn sealed(&self, from: u64, below: u64, disk: u64) -> Option<Vec<Batch>> {
        self.memory.sealed(from, below.min(self.synced_end()), disk)
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
            match write {
                Write::Append(batch) => drop(self.stable.push(batch)),
                Write::Truncate(to) => self.stable.truncate(to),
            }
        }
    }

    /// Batches from an offset on, at most so many, and where they end.
    pub fn read(&self, from: u64, batches_max: usize) -> (Vec<Bytes>, u64) {
        let entries = self.memory.entries();
        let first = entries.partition_point(|e| e.batch.base < from);
        let read = entries[first..].iter().take(batches_max);
        let end = read.clone().next_back().map_or(from, |e| e.batch.end());
        (read.map(|e| e.batch.encode()).collect(), end)
    }
}

impl ReplicaLog for LogFile {
    fn starts(&self) -> Starts {
        self.memory.starts()
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
        self.memory.end_offset_for(epoch)
    }

    fn epochs(&self) -> Vec<(i32, u64)> {
        self.memory.epochs()
    }
}
