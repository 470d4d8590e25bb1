//! Batches, and what a log is: batches one after the other.

use bytes::Bytes;
use headwater_broker::replica::{Beginning, Starts};

use crate::dice::mix;

/// How many keys there are.
const KEYS: u64 = 5;

/// One in so many batches is the last one of its segment.
const SEGMENT_BATCHES: u64 = 4;

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

    /// The key of its records. Compaction keeps the last batch of each, as it does a tombstone that is not
    /// due yet.
    pub fn key(&self) -> u64 {
        self.value % KEYS
    }

    /// Whether a segment ends with it; on every disk segments end elsewhere.
    fn ends_segment(&self, disk: u64) -> bool {
        mix(self.base, disk).is_multiple_of(SEGMENT_BATCHES)
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
    /// Where the log starts: what is below the next one is in the object store.
    log_start: u64,
    /// Where it starts on this disk.
    start: u64,
    /// The digest of everything below that.
    start_chain: u64,
    /// The epoch of the last batch, if all were trimmed.
    start_epoch: Option<i32>,
    /// The epochs of what is in the store, each with its first offset.
    away: Vec<(i32, u64)>,
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

    /// An empty one that begins in the middle: what is before it is elsewhere, or nowhere.
    pub fn beginning(at: &Beginning, start_chain: u64, trimmed: Vec<Batch>) -> Self {
        let Starts { log, local } = at.starts;
        let away = at.epochs.iter().filter(|(_, first)| *first < local);
        Self {
            log_start: log,
            start: local,
            start_chain,
            start_epoch: None,
            away: away.copied().collect(),
            trimmed,
            entries: Vec::new(),
        }
    }

    /// Where it starts, anywhere and on this disk.
    pub fn starts(&self) -> Starts {
        Starts {
            log: self.log_start,
            local: self.start,
        }
    }

    /// Removes everything from an offset on.
    pub fn truncate(&mut self, to: u64) {
        let kept = self.entries.partition_point(|e| e.batch.end() <= to);
        if kept < self.entries.len() {
            self.start_epoch = None;
        }
        self.entries.truncate(kept);
    }

    /// Starts the log at an offset between two batches.
    pub fn trim(&mut self, to: u64) {
        self.drop_local(to);
        self.log_start = self.log_start.max(to);
        let known = self.away.partition_point(|(_, first)| *first <= to);
        match self.log_start == self.start {
            true => self.away.clear(),
            false => drop(self.away.drain(..known.saturating_sub(1))),
        }
    }

    /// Starts what is on this disk at an offset between two batches.
    pub fn drop_local(&mut self, to: u64) {
        let gone = self.entries.partition_point(|e| e.batch.end() <= to);
        if let Some(last) = self.entries[..gone].last() {
            (self.start, self.start_chain) = (last.batch.end(), last.chain);
            self.start_epoch = Some(last.batch.epoch);
            for entry in self.entries.drain(..gone) {
                let Batch { epoch, base, .. } = entry.batch;
                if self.away.last().is_none_or(|(last, _)| *last < epoch) {
                    self.away.push((epoch, base));
                }
                self.trimmed.push(entry.batch);
            }
        }
    }

    /// The batches of the segment that holds `from`, from there on, if it is sealed; and of all below
    /// `below`.
    pub fn sealed(&self, from: u64, below: u64, disk: u64) -> Option<Vec<Batch>> {
        let first = self.entries.partition_point(|e| e.batch.base < from);
        let rest = &self.entries[first..];
        let last = rest.iter().position(|e| e.batch.ends_segment(disk))?;
        let sealed = rest[..=last].iter().map(|e| e.batch);
        (rest[last].batch.end() <= below).then(|| sealed.collect())
    }

    /// The last end of a segment at or below an offset.
    pub fn segment_end(&self, below: u64, disk: u64) -> Option<u64> {
        let count = self.entries.partition_point(|e| e.batch.end() <= below);
        let mut ends = self.entries[..count].iter().rev().map(|e| e.batch);
        ends.find(|batch| batch.ends_segment(disk)).map(|b| b.end())
    }

    /// The batch that holds an offset, if it is on this disk.
    pub fn batch_at(&self, offset: u64) -> Option<Batch> {
        let at = self.entries.partition_point(|e| e.batch.end() <= offset);
        let batch = self.entries.get(at)?.batch;
        (batch.base <= offset).then_some(batch)
    }

    /// The epoch of the last batch.
    pub fn last_epoch(&self) -> Option<i32> {
        let last = self.entries.last().map(|e| e.batch.epoch);
        let away = self.away.last().map(|(epoch, _)| *epoch);
        last.or(away).or(self.start_epoch)
    }

    /// The largest epoch up to `epoch`, and where it ends.
    pub fn end_offset_for(&self, epoch: i32) -> Option<(i32, u64)> {
        let up_to = self.entries.partition_point(|e| e.batch.epoch <= epoch);
        if let Some(last) = self.entries[..up_to].last() {
            return Some((last.batch.epoch, last.batch.end()));
        }
        let after = self.away.partition_point(|(known, _)| *known <= epoch);
        if let Some((known, _)) = self.away[..after].last() {
            let next = self.away.get(after).map(|(_, first)| *first);
            return Some((*known, next.unwrap_or(self.start)));
        }
        let last = self.start_epoch.filter(|last| *last <= epoch)?;
        self.entries.is_empty().then_some((last, self.start))
    }

    /// All epochs, each with its first offset.
    pub fn epochs(&self) -> Vec<(i32, u64)> {
        let mut epochs = self.away.clone();
        for Batch { epoch, base, .. } in self.entries.iter().map(|e| e.batch) {
            if epochs.last().is_none_or(|(last, _)| *last < epoch) {
                epochs.push((epoch, base));
            }
        }
        epochs
    }
}
