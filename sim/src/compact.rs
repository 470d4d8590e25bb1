//! Compaction by key, as a leader does it: `node/compact.rs` and `tier/compact.rs` of the broker, step by
//! step. It goes on after the term that it began in.

use std::collections::BTreeMap;

use headwater_broker::{
    BrokerId, Written,
    cold::{Cold, Step},
    replica::Rule,
};

use crate::{
    broker::{Part, Purpose},
    content::Batch,
    manifest::{Ask, Row, Told},
    offload::Task,
    store::Request,
    world::{World, note},
};

/// Rows that become one at most.
const GROUP_MAX: u64 = 3;

/// The partition whose topic is compacted.
const COMPACTED: usize = 0;

/// Where a compaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// What was intended before is given up.
    Abandon,
    /// All live rows are read, and the keys of what was never compacted are noted.
    Plan,
    /// The next rows are read.
    Next,
    /// A name is noted,
    Intend,
    /// what is left is written,
    Put,
    /// read back,
    Verify,
    /// and takes the rows' place.
    Replace,
}

/// A pass through all live segments of a partition.
#[derive(Debug, Clone)]
pub struct Pass {
    /// Where it is.
    pub at: At,
    /// The last offset of each key in the store.
    latest: BTreeMap<u64, u64>,
    /// Where the next group begins,
    next: u64,
    /// and the last one ends.
    end: u64,
    group: Group,
}

/// Rows that become one.
#[derive(Debug, Clone, Default)]
struct Group {
    key: u64,
    replaced: Vec<u64>,
    base: u64,
    end: u64,
    /// What is left of them.
    batches: Vec<Batch>,
}

/// The pass that may be due: there is something in the store that was not looked at.
pub fn pass(partition: usize, part: &Part, cold: &Cold) -> Option<Pass> {
    if partition != COMPACTED || cold.summary.end <= part.compacted_to {
        return None;
    }
    Some(Pass {
        at: match cold.first_step() {
            Step::Abandon => At::Abandon,
            _ => At::Plan,
        },
        latest: BTreeMap::new(),
        next: 0,
        end: 0,
        group: Group::default(),
    })
}

impl World {
    /// Takes the step that a pass is at.
    pub(crate) fn take_compaction(
        &mut self,
        id: BrokerId,
        partition: usize,
        epoch: i32,
        pass: &Pass,
    ) {
        let group = &pass.group;
        let ask = match pass.at {
            At::Abandon => Ask::Abandon,
            At::Plan | At::Next => Ask::Live(pass.next),
            At::Intend => Ask::Intend {
                key: group.key,
                base: group.base,
                end: group.end,
                is_instead: true,
            },
            At::Put => return self.put(id, partition, group.key, &group.batches),
            At::Verify if self.lacks(Rule::SegmentVerified) => {
                let done = Some(Told::Written(Written::Done));
                return self.tiered(id, partition, done);
            }
            At::Verify => return self.verify(id, partition, group.key, &group.batches),
            At::Replace => Ask::Replace(group.key, group.replaced.clone()),
        };
        let request = Request::Segments(partition, epoch, ask);
        self.call(id, Purpose::Tier(partition), request);
    }

    /// A step of a pass was answered, or was not.
    pub(crate) fn compacted(
        &mut self,
        id: BrokerId,
        partition: usize,
        (epoch, mut pass): (i32, Pass),
        told: Option<Told>,
    ) {
        note!(
            self,
            "b{id} p{partition} compacts in {epoch}: {:?} {told:?}",
            pass.at
        );
        let done = matches!(told, Some(Told::Written(Written::Done)));
        let next = match (pass.at, told) {
            (At::Plan, Some(Told::Live(rows))) => self.planned(id, partition, &mut pass, &rows),
            (At::Next, Some(Told::Live(rows))) => self.grouped(id, partition, &mut pass, &rows),
            (At::Abandon, _) if done => {
                self.known_in(id, partition, epoch, Cold::gave_up_intents);
                Some(At::Plan)
            }
            (At::Intend, _) if done => Some(At::Put),
            (At::Put, _) if done => Some(At::Verify),
            (At::Verify, _) if done => Some(At::Replace),
            (At::Replace, _) if done => {
                let (count, bytes) = (pass.group.replaced.len(), pass.group.end - pass.group.base);
                self.known_in(id, partition, epoch, |cold| {
                    cold.was_compacted(count as u64, bytes, bytes);
                });
                pass.next = pass.group.end;
                Some(At::Next)
            }
            // What is live may be another by now.
            (_, Some(Told::Written(_))) => {
                if let Some((part, _)) = self.broker(id).part(partition) {
                    part.cold = None;
                }
                None
            }
            _ => {
                self.known_in(id, partition, epoch, Cold::left_intents);
                None
            }
        };
        if let Some(at) = next
            && let Some((part, _)) = self.broker(id).part(partition)
        {
            pass.at = at;
            part.task = Some(Task::compacts(epoch, pass));
            self.take(id, partition);
        }
    }

    fn known_in(
        &mut self,
        id: BrokerId,
        partition: usize,
        epoch: i32,
        change: impl FnOnce(&mut Cold),
    ) {
        if let Some((part, _)) = self.broker(id).part(partition)
            && let Some(cold) = part.cold.as_mut().filter(|cold| cold.epoch == epoch)
        {
            change(cold);
        }
    }

    /// All rows are there: is a pass due, and what are its keys?
    fn planned(
        &mut self,
        id: BrokerId,
        partition: usize,
        pass: &mut Pass,
        rows: &[Row],
    ) -> Option<At> {
        let (first, last) = (rows.first()?, rows.last()?);
        let (clean, dirty): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.is_clean);
        let bytes = |rows: &[&Row]| rows.iter().map(|row| row.end - row.base).sum::<u64>();
        if dirty.is_empty() || bytes(&dirty) < bytes(&clean) {
            self.broker(id).part(partition)?.0.compacted_to = last.end;
            return None;
        }
        for row in dirty {
            for batch in self.object(row)? {
                pass.latest.insert(batch.key(), batch.base);
            }
        }
        if self.lacks(Rule::KeysInStore) {
            let log = &self.broker(id).part(partition)?.1.log;
            for entry in log.memory().entries() {
                pass.latest.insert(entry.batch.key(), entry.batch.base);
            }
        }
        (pass.next, pass.end) = (first.base, last.end);
        Some(At::Next)
    }

    /// The next rows are there: what is left of them?
    fn grouped(
        &mut self,
        id: BrokerId,
        partition: usize,
        pass: &mut Pass,
        rows: &[Row],
    ) -> Option<At> {
        let count = self.dice.between(1, GROUP_MAX) as usize;
        let rows: Vec<Row> = rows
            .iter()
            .filter(|row| row.base < pass.end)
            .copied()
            .collect();
        let rows = &rows[..rows.len().min(count)];
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            let end = pass.end;
            self.broker(id).part(partition)?.0.compacted_to = end;
            self.drop_local(id, partition, end);
            return None;
        };
        let mut batches = Vec::new();
        for row in rows {
            batches.extend(self.object(row)?);
        }
        let before = batches.len();
        batches.retain(|batch| {
            let latest = pass.latest.get(&batch.key());
            latest.is_none_or(|latest| *latest <= batch.base)
        });
        if rows.len() == 1 && first.is_clean && batches.len() == before {
            pass.next = last.end;
            return Some(At::Next);
        }
        self.counts.batches_compacted += (before - batches.len()) as u64;
        pass.group = Group {
            key: self.number(),
            replaced: rows.iter().map(|row| row.key).collect(),
            base: first.base,
            end: last.end,
            batches,
        };
        Some(At::Intend)
    }

    /// What is in a row's object, if the store gives it.
    fn object(&mut self, row: &Row) -> Option<Vec<Batch>> {
        match self.objects_fail() {
            true => None,
            false => self.objects.get(&row.key).cloned(),
        }
    }
}
