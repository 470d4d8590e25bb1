//! Processes: how they start, stand still and end, and what that does to their disks.

use headwater_broker::{
    BrokerId,
    cold::Step,
    replica::{Assignment, Replica, ReplicaLog, Rule},
};

use crate::{
    broker::{Part, Process, Purpose},
    compact::At,
    log::LogFile,
    offload::Task,
    profile::MILLI,
    world::{Event, Inside, Timer, World, note},
};

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is killed.
    Kill,
    /// The power goes.
    Power,
}

impl World {
    /// Starts a process, which first reads its logs.
    pub(crate) fn start(&mut self, id: BrokerId) {
        let broker = self.broker(id);
        if broker.process.is_some() {
            return;
        }
        broker.life += 1;
        broker.process = Some(Process::new());
        broker.paused_until = None;
        note!(self, "b{id} starts");
        let after = self.dice.between(5, 80) * MILLI + self.sync_time(id);
        self.later(id, after, Inside::Recovered);
    }

    /// Ends a process; another one starts after a while.
    pub(crate) fn end(&mut self, id: BrokerId, end: End, down: u64) {
        let broker = self.broker(id);
        let Some(process) = broker.process.take() else {
            return;
        };
        broker.life += 1;
        broker.paused_until = None;
        let is_deleting = |purpose: &Purpose| matches!(purpose, Purpose::Delete);
        self.counts.ends_at_delete += u64::from(process.calls.values().any(is_deleting));
        for (partition, part) in process.parts.iter().enumerate() {
            self.ends_uploading(id, partition, part);
            // The note of an epoch that was on its way is there or not.
            if let Some(row) = &part.persisting
                && self.dice.chance(5_000)
            {
                let disk = &mut self.broker(id).disk.parts[partition];
                disk.seen_epoch = disk.seen_epoch.max(row.epoch);
            }
        }
        let mut lost = 0;
        for partition in 0..self.truths.len() {
            let unsynced = self.broker(id).disk.parts[partition].log.unsynced();
            let kept = self.dice.index(unsynced + 1);
            let log = &mut self.broker(id).disk.parts[partition].log;
            match end {
                End::Kill => log.killed(),
                End::Power => lost += log.power_cut(kept),
            }
            self.check_members(partition);
        }
        note!(self, "b{id} ends: {end:?}, {lost} records lost");
        match end {
            End::Kill => self.counts.kills += 1,
            End::Power => self.counts.power_cuts += 1,
        }
        self.counts.power_cuts_with_loss += u64::from(lost > 0);
        self.hang_up(id);
        self.schedule(down, Event::Start(id));
    }

    /// A process ends somewhere on a segment's way.
    fn ends_uploading(&mut self, id: BrokerId, partition: usize, part: &Part) {
        let log = &self.brokers[id as usize - 1].disk.parts[partition].log;
        let counts = &mut self.counts;
        match part.task.as_ref().and_then(Task::compaction) {
            Some(At::Abandon | At::Plan | At::Next) => counts.ends_at_plan += 1,
            Some(At::Intend) => counts.ends_at_compaction_intent += 1,
            Some(At::Put) => counts.ends_at_compaction_put += 1,
            Some(At::Verify) => counts.ends_at_compaction_verify += 1,
            Some(At::Replace) => counts.ends_at_replace += 1,
            None => {}
        }
        match part.task.as_ref().and_then(Task::step) {
            Some(Step::Abandon) => {}
            Some(Step::Intend) => counts.ends_at_intent += 1,
            Some(Step::Put) => counts.ends_at_put += 1,
            Some(Step::Verify) => counts.ends_at_verify += 1,
            Some(Step::Publish) => counts.ends_at_publish += 1,
            None => {
                let live = part.cold.map_or(0, |cold| cold.summary.end);
                counts.ends_before_drop += u64::from(live > log.starts().local);
            }
        }
    }

    /// The metadata has given a life: the replicas are there, and have no role yet.
    pub(crate) fn registered(&mut self, id: BrokerId, incarnation: i64) {
        let (rules, now) = (self.rules, self.now);
        let sync = !self.lacks(Rule::SyncOnRecovery);
        let peers = self.ids();
        let broker = self.broker(id);
        let Some(process) = &mut broker.process else {
            return;
        };
        process.incarnation = Some(incarnation);
        process.heard = peers.into_iter().map(|peer| (peer, now)).collect();
        process.parts = broker
            .disk
            .parts
            .iter_mut()
            .map(|disk| {
                disk.log.recover(sync);
                let known = disk
                    .high_watermark
                    .clamp(disk.log.starts().local, disk.log.end());
                Part {
                    replica: Replica::new(id, incarnation, rules, disk.seen_epoch, known),
                    row: None,
                    persisting: None,
                    waiting: Vec::new(),
                    strong_reads: Vec::new(),
                    window: Default::default(),
                    reading: Default::default(),
                    patience: 0,
                    cold: None,
                    task: None,
                    compacted_to: 0,
                }
            })
            .collect();
        note!(self, "b{id} is registered: life {incarnation}");
        for timer in [
            Timer::Ping,
            Timer::Renew,
            Timer::Review,
            Timer::Poll,
            Timer::Control,
            Timer::Note,
            Timer::Tiers,
        ] {
            self.later(id, MILLI, Inside::Timer(timer));
        }
    }

    /// A copy that is not assigned any more is deleted, or is not yet. Only by a row of a term that is
    /// new to this disk: one of a term that it has taken part in may be from before it was assigned,
    /// and the copy may be in sync by now. The end of a move begins a term, so that there is one.
    pub(crate) fn delete_copy(&mut self, id: BrokerId, partition: usize, row: &Assignment) {
        if row.replicas.contains(&id) || !self.dice.chance(5_000) {
            return;
        }
        let rules = self.rules;
        let broker = self.broker(id);
        let Some(incarnation) = broker.process.as_ref().and_then(|p| p.incarnation) else {
            return;
        };
        let Some((part, disk)) = broker.part(partition) else {
            return;
        };
        if disk.log.end() == 0 {
            return;
        }
        disk.log = LogFile::default();
        disk.high_watermark = 0;
        part.replica = Replica::new(id, incarnation, rules, disk.seen_epoch, 0);
        self.counts.deleted += 1;
        note!(self, "b{id} p{partition} deleted");
    }

    /// Notes high watermarks, as a checkpoint does now and then.
    pub(crate) fn note_watermarks(&mut self, id: BrokerId) {
        for partition in 0..self.truths.len() {
            if let Some((part, disk)) = self.broker(id).part(partition) {
                disk.high_watermark = part.replica.high_watermark();
            }
        }
    }
}
