//! What is true of one partition for ever: which batches are committed, at which offsets, and what was
//! said about them. Everything that a broker says or does is held against it.

use std::collections::{BTreeMap, BTreeSet};

use headwater_broker::{BrokerId, Incarnation};

use crate::content::{Batch, Content, Entry};

/// A promise that was broken: its name and what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The invariant, as the README names it.
    pub invariant: &'static str,
    /// What happened.
    pub what: String,
}

/// A broken promise of this name.
pub fn broken(invariant: &'static str, what: String) -> Broken {
    Broken { invariant, what }
}

/// What one partition has promised.
#[derive(Debug, Default)]
pub struct Truth {
    entries: Vec<Entry>,
    /// The next number of each producer session.
    producers: BTreeMap<u64, u64>,
    /// What was committed.
    values: BTreeSet<u64>,
    /// What was refused for good.
    refused: BTreeSet<u64>,
    /// The highest watermark that readers were told, by the term of who told it.
    exposed: BTreeMap<i32, u64>,
    leaders: BTreeMap<i32, (BrokerId, Incarnation)>,
    /// The digest of a log up to the end of its last batch, by that end and the batch's epoch.
    chains: BTreeMap<(u64, i32), u64>,
    acked_end: u64,
    /// Everything below was trimmed by somebody who led: nobody may ask for it any more.
    pub trimmed: u64,
}

impl Truth {
    /// One past the last committed record.
    pub fn end(&self) -> u64 {
        self.entries.last().map_or(0, |e| e.batch.end())
    }

    /// The digest of everything that is committed.
    pub fn chain(&self) -> u64 {
        self.entries.last().map_or(0, |e| e.chain)
    }

    /// One past the highest record that was acknowledged.
    pub fn acked_end(&self) -> u64 {
        self.acked_end
    }

    /// The digest of everything below an offset between two committed batches.
    pub fn chain_at(&self, offset: u64) -> Option<u64> {
        match offset {
            0 => Some(0),
            _ => {
                let ends = |e: &Entry| e.batch.end();
                let at = self.entries.binary_search_by_key(&offset, ends).ok()?;
                Some(self.entries[at].chain)
            }
        }
    }

    /// What producers have sent below an offset.
    pub fn sent_below(&self, offset: u64) -> Vec<Batch> {
        let batches = self.entries.iter().map(|e| e.batch);
        batches.take_while(|b| b.end() <= offset).collect()
    }

    /// The committed batches from one offset to another, if both are between batches.
    pub fn batches(&self, base: u64, end: u64) -> Option<Vec<Batch>> {
        self.chain_at(base).and(self.chain_at(end))?;
        let first = self.entries.partition_point(|e| e.batch.base < base);
        let batches = self.entries[first..].iter().map(|e| e.batch);
        Some(batches.take_while(|b| b.end() <= end).collect())
    }

    /// The committed batch that holds an offset.
    pub fn batch_at(&self, offset: u64) -> Option<Batch> {
        let at = self.entries.partition_point(|e| e.batch.end() <= offset);
        self.entries.get(at).map(|e| e.batch)
    }

    /// Whether a later batch with the same key is committed.
    pub fn is_superseded(&self, batch: &Batch) -> bool {
        let mut newest_first = self.entries.iter().rev().map(|e| e.batch);
        let last = newest_first.find(|other| other.key() == batch.key());
        last.is_some_and(|last| last.base > batch.base)
    }

    /// A batch was appended to some copy. The same offset and epoch mean the same log, everywhere.
    pub fn appended(&mut self, batch: &Batch, chain: u64) -> Result<(), Broken> {
        let known = *self
            .chains
            .entry((batch.end(), batch.epoch))
            .or_insert(chain);
        match known == chain {
            true => Ok(()),
            false => Err(broken(
                "log matching",
                format!("two logs differ below {batch:?}"),
            )),
        }
    }

    /// A leader says that its log is committed up to an offset.
    pub fn committed(&mut self, log: &Content, to: u64) -> Result<(), Broken> {
        let common = to.min(self.end());
        if log.chain_at(common) != self.chain_at(common) {
            return Err(broken(
                "one value per offset",
                format!("a log that says to be committed up to {to} is another one below {common}"),
            ));
        }
        let from = self.end();
        let news = log.entries().iter().map(|e| (e, e.batch));
        for (entry, batch) in news.filter(|(_, b)| b.base >= from && b.end() <= to) {
            self.commit(entry, &batch)?;
        }
        match self.end() >= to {
            true => Ok(()),
            false => Err(broken(
                "one value per offset",
                format!("{to} is committed and not in the log"),
            )),
        }
    }

    fn commit(&mut self, entry: &Entry, batch: &Batch) -> Result<(), Broken> {
        let next = self.producers.entry(batch.producer).or_insert(0);
        if batch.sequence != *next {
            return Err(broken(
                "one offset per sequence",
                format!("{batch:?} is committed, {next} was to be next of this producer"),
            ));
        }
        *next += batch.count;
        if self.refused.contains(&batch.value) {
            return Err(broken(
                "a refusal is for ever",
                format!("{batch:?} was refused for good, and is committed"),
            ));
        }
        self.values.insert(batch.value);
        self.entries.push(*entry);
        Ok(())
    }

    /// A producer was told that its batch is safe, at an offset. `floor` was acknowledged before it was
    /// sent first.
    pub fn acknowledged(&mut self, sent: &Batch, floor: u64) -> Result<(), Broken> {
        let bases = |e: &Entry| e.batch.base;
        let at = self.entries.binary_search_by_key(&sent.base, bases);
        let is = at.ok().map(|at| self.entries[at].batch);
        let same = is.is_some_and(|is| {
            (is.producer, is.sequence, is.value) == (sent.producer, sent.sequence, sent.value)
        });
        if !same {
            return Err(broken(
                "an acknowledged record is in the log",
                format!("{sent:?} was acknowledged, committed there is {is:?}"),
            ));
        }
        if sent.base < floor {
            return Err(broken(
                "order in real time",
                format!("{sent:?} was sent after {floor} had been acknowledged"),
            ));
        }
        self.acked_end = self.acked_end.max(sent.end());
        Ok(())
    }

    /// A producer was told that a batch is not in the log and never will be.
    pub fn refused(&mut self, value: u64) -> Result<(), Broken> {
        self.refused.insert(value);
        match self.values.contains(&value) {
            false => Ok(()),
            true => Err(broken(
                "a refusal is for ever",
                format!("value {value} is committed, and is refused for good"),
            )),
        }
    }

    /// A leader of a term answers a read: this is its high watermark.
    pub fn exposed(&mut self, epoch: i32, log: &Content, to: u64) -> Result<(), Broken> {
        let before = self.exposed.range(..=epoch).map(|(_, hw)| *hw).max();
        if let Some(before) = before.filter(|before| *before > to) {
            return Err(broken(
                "the high watermark never falls",
                format!("epoch {epoch} tells readers {to}, after {before} was told"),
            ));
        }
        self.exposed.insert(epoch, to);
        if to > self.end() || log.chain_at(to) != self.chain_at(to) {
            return Err(broken(
                "one value per offset",
                format!("readers are shown another log below {to}"),
            ));
        }
        Ok(())
    }

    /// A life of a broker leads in a term.
    pub fn leads(
        &mut self,
        epoch: i32,
        broker: BrokerId,
        incarnation: Incarnation,
    ) -> Result<(), Broken> {
        // Nor does the same one twice: a term has one beginning.
        match self.leaders.insert(epoch, (broker, incarnation)) {
            None => Ok(()),
            Some((by, life)) => Err(broken(
                "one leader per epoch",
                format!(
                    "b{broker} begins to lead in epoch {epoch} in life {incarnation}, in which b{by} led in life {life}"
                ),
            )),
        }
    }

    /// A copy is about to be cut: nothing of what is committed may go.
    pub fn cut(&self, log: &Content, to: u64) -> Result<(), Broken> {
        let gone = log.entries().iter().find(|e| e.batch.end() > to);
        let lost = gone.filter(|e| self.chain_at(e.batch.end()) == Some(e.chain));
        match lost {
            None => Ok(()),
            Some(entry) => Err(broken(
                "committed records are never cut",
                format!("a cut at {to} removes {:?}", entry.batch),
            )),
        }
    }
}
