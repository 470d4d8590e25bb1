//! Drives what `cold` decides as a leader does: one task a partition at a time, which goes on after the
//! term that it began in.

use headwater_broker::{
    BrokerId, Written,
    cold::{Cold, Next, Step},
    replica::{ReplicaLog, Rule},
};

use crate::{
    broker::Purpose,
    compact::{At, Pass, pass},
    content::Batch,
    manifest::{Ask, Told},
    store::Request,
    world::{World, note},
};

/// What a leader does about its partition's segments just now.
#[derive(Debug, Clone)]
pub struct Task {
    /// The term in which it was begun.
    epoch: i32,
    /// What is waited for.
    doing: Doing,
}

#[derive(Debug, Clone)]
enum Doing {
    /// A look at what is live.
    Look,
    /// Rows below the log's start are doomed,
    Retire(u64),
    /// and what is live is counted anew.
    Recount(u64),
    /// A step of a segment.
    Step(Step, Segment),
    /// A step of a compaction.
    Compact(Pass),
}

#[derive(Debug, Clone)]
struct Segment {
    key: u64,
    batches: Vec<Batch>,
}

impl Segment {
    fn base(&self) -> u64 {
        self.batches.first().map_or(0, |batch| batch.base)
    }

    fn end(&self) -> u64 {
        self.batches.last().map_or(0, Batch::end)
    }
}

impl Task {
    /// A step of a compaction.
    pub fn compacts(epoch: i32, pass: Pass) -> Self {
        let doing = Doing::Compact(pass);
        Self { epoch, doing }
    }

    /// The step that a compaction is at.
    pub fn compaction(&self) -> Option<At> {
        match &self.doing {
            Doing::Compact(pass) => Some(pass.at),
            _ => None,
        }
    }

    /// The step that a segment is at.
    pub fn step(&self) -> Option<Step> {
        match self.doing {
            Doing::Step(step, _) => Some(step),
            _ => None,
        }
    }
}

impl World {
    /// One look at all partitions; whoever controls deletes for all.
    pub(crate) fn tiers(&mut self, id: BrokerId) {
        for partition in 0..self.truths.len() {
            self.retain(id, partition);
            self.tier(id, partition);
        }
        let now = self.now;
        if let Some(process) = &self.broker(id).process
            && process.controls_until > now
        {
            self.call(id, Purpose::Delete, Request::Doomed);
        }
    }

    /// Begins what is to be done about a partition's segments, if nothing is under way.
    fn tier(&mut self, id: BrokerId, partition: usize) {
        let (key, is_hasty) = (self.number(), self.lacks(Rule::SegmentCommitted));
        let Some((part, disk)) = self.broker(id).part(partition) else {
            return;
        };
        let (Some(epoch), None) = (part.replica.leads_in(), &part.task) else {
            return;
        };
        let starts = disk.log.starts();
        let doing = match part.known_cold() {
            None => Doing::Look,
            Some(cold) if cold.is_to_retire(starts.log) => Doing::Retire(starts.log),
            Some(cold) => {
                let below = match is_hasty {
                    true => disk.log.end(),
                    false => part.replica.high_watermark(),
                };
                let from = cold.next_offset(starts.local);
                if from < starts.local {
                    // What is known is from before this disk let go of it.
                    part.cold = None;
                    return;
                }
                match disk.log.sealed(from, below, u64::from(id)) {
                    Some(batches) => Doing::Step(cold.first_step(), Segment { key, batches }),
                    None => match pass(partition, part, &cold) {
                        Some(pass) => Doing::Compact(pass),
                        None => return,
                    },
                }
            }
        };
        part.task = Some(Task { epoch, doing });
        self.take(id, partition);
    }

    /// Takes the step that a task is at.
    pub(crate) fn take(&mut self, id: BrokerId, partition: usize) {
        let skips = [
            self.lacks(Rule::IntentsAbandoned).then_some(Step::Abandon),
            self.lacks(Rule::SegmentVerified).then_some(Step::Verify),
        ];
        let Some(Task { epoch, doing }) = self.task(id, partition) else {
            return;
        };
        let ask = match &doing {
            Doing::Look | Doing::Recount(_) => Ask::Summary,
            Doing::Retire(log_start) => Ask::Retire(*log_start),
            Doing::Step(step, _) if skips.contains(&Some(*step)) => {
                let done = Some(Told::Written(Written::Done));
                return self.tiered(id, partition, done);
            }
            Doing::Step(Step::Abandon, _) => Ask::Abandon,
            Doing::Step(Step::Intend, segment) => Ask::Intend {
                key: segment.key,
                base: segment.base(),
                end: segment.end(),
                is_instead: false,
            },
            Doing::Step(Step::Put, segment) => {
                self.counts.puts_at_once += u64::from(self.is_put_elsewhere(id, partition));
                return self.put(id, partition, segment.key, &segment.batches);
            }
            Doing::Step(Step::Verify, segment) => {
                return self.verify(id, partition, segment.key, &segment.batches);
            }
            Doing::Step(Step::Publish, segment) => Ask::Publish(segment.key),
            Doing::Compact(pass) => return self.take_compaction(id, partition, epoch, pass),
        };
        let request = Request::Segments(partition, epoch, ask);
        self.call(id, Purpose::Tier(partition), request);
    }

    fn task(&mut self, id: BrokerId, partition: usize) -> Option<Task> {
        self.broker(id).part(partition)?.0.task.clone()
    }

    fn is_put_elsewhere(&mut self, id: BrokerId, partition: usize) -> bool {
        let mut others = self.ids().into_iter().filter(|other| *other != id);
        others.any(|other| {
            let task = self.task(other, partition);
            task.and_then(|task| task.step()) == Some(Step::Put)
        })
    }

    /// What a task waited for was answered, or was not.
    pub(crate) fn tiered(&mut self, id: BrokerId, partition: usize, told: Option<Told>) {
        let Some((part, _)) = self.broker(id).part(partition) else {
            return;
        };
        let Some(Task { epoch, doing }) = part.task.take() else {
            return;
        };
        let known = part.cold.as_mut().filter(|cold| cold.epoch == epoch);
        match (doing, told) {
            (Doing::Look, Some(Told::Summary(summary))) => {
                part.cold = Some(Cold::new(epoch, summary));
                self.tier(id, partition);
            }
            (Doing::Retire(log_start), Some(Told::Written(Written::Done))) => {
                let doing = Doing::Recount(log_start);
                part.task = Some(Task { epoch, doing });
                self.take(id, partition);
            }
            (Doing::Recount(log_start), Some(Told::Summary(summary))) => {
                if let Some(cold) = known {
                    cold.retired(log_start, summary);
                }
            }
            (Doing::Look | Doing::Retire(_) | Doing::Recount(_), _) => {}
            (Doing::Compact(pass), told) => self.compacted(id, partition, (epoch, pass), told),
            (Doing::Step(step, segment), told) => {
                let written = match told {
                    Some(Told::Written(written)) => Some(written),
                    _ => None,
                };
                self.stepped(id, partition, (epoch, segment), (step, written));
            }
        }
    }

    /// A step of a segment is over.
    fn stepped(
        &mut self,
        id: BrokerId,
        partition: usize,
        (epoch, segment): (i32, Segment),
        (step, written): (Step, Option<Written>),
    ) {
        let (base, end) = (segment.base(), segment.end());
        note!(
            self,
            "b{id} p{partition} segment {base}..{end} #{} in {epoch}: {step:?} {written:?}",
            segment.key
        );
        match (step, written) {
            (Step::Publish, Some(Written::Fenced)) => self.counts.publishes_fenced += 1,
            (_, Some(Written::Fenced)) => self.counts.steps_fenced += 1,
            (_, Some(Written::NotNext(_))) => self.counts.not_next += 1,
            (Step::Publish, None) => self.counts.publishes_unknown += 1,
            _ => {}
        }
        let Some((part, _)) = self.broker(id).part(partition) else {
            return;
        };
        match step.after(written) {
            Next::Step(next) => {
                let doing = Doing::Step(next, segment);
                part.task = Some(Task { epoch, doing });
                self.take(id, partition);
            }
            Next::Live => {
                if let Some(cold) = part.cold.as_mut().filter(|cold| cold.epoch == epoch) {
                    cold.went_live(base, end, end - base);
                }
                self.tier(id, partition);
            }
            Next::Fenced => {}
            Next::Look => part.cold = None,
        }
    }

    /// A leader lets go of what is in neither tier, and of what its disk need not hold.
    fn retain(&mut self, id: BrokerId, partition: usize) {
        let (goes, place) = (self.dice.chance(3_000), self.dice.below(10_000));
        let drops_early = self.lacks(Rule::DropOnceLive);
        let learns = !self.lacks(Rule::StartInTiers);
        let Some((part, disk)) = self.broker(id).part(partition) else {
            return;
        };
        let Some(cold) = part.known_cold() else {
            return;
        };
        let (starts, committed) = (disk.log.starts(), part.replica.high_watermark());
        let least = cold.log_start_min(starts.local);
        if learns && least > starts.log {
            disk.log.trim(least);
            note!(
                self,
                "b{id} p{partition} starts at {least}, as the tiers do"
            );
            self.counts.starts_learnt += 1;
        }
        let below = match drops_early {
            true => committed,
            false => cold.may_drop_below(committed),
        };
        if goes && below > starts.local {
            let below = starts.local + (below - starts.local) * place / 10_000;
            self.drop_local(id, partition, below);
        }
        self.settle(id, partition);
    }

    /// Whole segments below an offset leave a disk.
    pub(crate) fn drop_local(&mut self, id: BrokerId, partition: usize, below: u64) {
        let disk = &mut self.brokers[id as usize - 1].disk.parts[partition];
        let before = disk.log.starts().local;
        disk.log.drop_local(below, u64::from(id));
        let after = disk.log.starts().local;
        if after > before {
            note!(
                self,
                "b{id} p{partition} has {before}..{after} in the store alone"
            );
            self.check_dropped(id, partition, after);
        }
    }

    /// Objects that are doomed are deleted, and then their rows.
    pub(crate) fn delete(&mut self, id: BrokerId, keys: Vec<u64>) {
        if keys.is_empty() || self.objects_fail() {
            return;
        }
        for key in &keys {
            self.counts.objects_deleted += u64::from(self.objects.remove(key).is_some());
        }
        self.check_deleted(&keys);
        self.call(id, Purpose::Delete, Request::Forget(keys));
    }
}
