//! What goes wrong, and when it is over.

use headwater_broker::{BrokerId, controller::relocate, replica::Leadership};

use crate::{
    broker::Disk,
    lives::End,
    offload::Task,
    profile::{Fault, MILLI, SECOND},
    store::Micros,
    world::{Event, LEASE, Over, World, note, weight_of},
};

impl World {
    /// The next fault.
    pub(crate) fn fault(&mut self) {
        if self.healing_since.is_some() {
            return;
        }
        let gap = self.dice.between(20 * MILLI, self.profile.fault_gap);
        self.schedule(gap, Event::Fault);
        let mut at = self.dice.below(weight_of(&self.profile.faults));
        let chosen = self.profile.faults.iter().find(|(_, weight)| {
            let found = at < *weight;
            at = at.saturating_sub(*weight);
            found
        });
        let Some((fault, _)) = chosen.copied() else {
            return;
        };
        self.keep_copies();
        let id = self.dice.between(1, self.brokers.len() as u64) as BrokerId;
        let lasts = self.dice.between(100, 4_000) * MILLI;
        let down = self.dice.between(10 * MILLI, self.profile.down_max);
        note!(self, "fault {fault:?} b{id}");
        match fault {
            Fault::Kill => self.end(id, End::Kill, down),
            Fault::PowerCut | Fault::SyncFails => self.end(id, End::Power, down),
            Fault::PowerCutAll => {
                for id in self.ids() {
                    let down = self.dice.between(10 * MILLI, self.profile.down_max);
                    self.end(id, End::Power, down);
                }
            }
            Fault::Pause => {
                let until = self.now + self.dice.between(LEASE / 4, 3 * LEASE);
                self.broker(id).paused_until = Some(until);
            }
            Fault::CutOneWay | Fault::CutBothWays | Fault::Isolate => self.cut(id, fault, lasts),
            Fault::CutFromStore => self.cut_from_store(vec![id], lasts),
            Fault::StoreDown => self.cut_from_store(self.ids(), lasts),
            Fault::StoreStall => {
                self.net.stalled = true;
                self.schedule(lasts, Event::Over(Over::Stall));
            }
            Fault::SlowDisk => {
                self.broker(id).slowness = self.dice.between(3, 60);
                self.schedule(lasts, Event::Over(Over::Slowness(id)));
            }
            Fault::Fence => {
                self.store.fence(id);
                self.store.remember(self.now);
            }
            Fault::Elect => self.elect(),
            Fault::Move => self.move_copy(),
            Fault::Delusion => {
                self.deluded = Some((id, self.now + lasts));
                self.counts.delusions += 1;
            }
            Fault::DiskReplaced | Fault::DiskRestored => self.lose_disk(id, fault, down),
            Fault::Trim => self.trim(),
            Fault::ObjectsDown => {
                self.net.no_objects = true;
                self.schedule(lasts, Event::Over(Over::Objects));
            }
            Fault::KillUploader => self.kill_uploader(down),
        }
    }

    fn cut(&mut self, id: BrokerId, fault: Fault, lasts: Micros) {
        let peers: Vec<_> = self.ids().into_iter().filter(|peer| *peer != id).collect();
        let Some(peer) = self.dice.pick(&peers) else {
            return;
        };
        let ways: Vec<_> = match fault {
            Fault::CutOneWay => vec![(id, peer)],
            Fault::CutBothWays => vec![(id, peer), (peer, id)],
            _ => peers.iter().flat_map(|p| [(id, *p), (*p, id)]).collect(),
        };
        self.net.closed.extend(ways.iter().copied());
        self.schedule(lasts, Event::Over(Over::Ways(ways)));
    }

    fn cut_from_store(&mut self, ids: Vec<BrokerId>, lasts: Micros) {
        self.net.no_store.extend(ids.iter().copied());
        self.schedule(lasts, Event::Over(Over::Store(ids)));
    }

    /// A member of an in-sync set is elected for no reason.
    fn elect(&mut self) {
        let before = self.store.rows().to_vec();
        let partition = self.dice.index(before.len());
        let mut row = before[partition].clone();
        let brokers = self.store.snapshot().brokers;
        let members = row.in_sync.clone();
        if let Some(broker) = self.dice.pick(&members)
            && let Some(view) = brokers.get(&broker)
        {
            row.leader = Some(Leadership {
                broker,
                incarnation: view.incarnation,
            });
            row.epoch += 1;
            self.store.write(partition, row);
            self.stored(&before);
        }
    }

    /// One copy is to be on another broker.
    fn move_copy(&mut self) {
        let before = self.store.rows().to_vec();
        let partition = self.dice.index(before.len());
        let row = &before[partition];
        let others: Vec<_> = self
            .ids()
            .into_iter()
            .filter(|id| !row.replicas.contains(id))
            .collect();
        let Some(to) = self.dice.pick(&others).filter(|_| row.target.is_none()) else {
            return;
        };
        let mut target = row.replicas.clone();
        let place = self.dice.index(target.len());
        target[place] = to;
        let Some(row) = relocate(row, &target) else {
            return;
        };
        self.counts.moves += 1;
        self.store.write(partition, row);
        self.stored(&before);
    }

    /// The oldest part of a leader's log goes, as retention has it.
    fn trim(&mut self) {
        let partition = self.dice.index(self.truths.len());
        for id in self.ids() {
            let Some((part, _)) = self.broker(id).part(partition) else {
                continue;
            };
            if part.replica.leads_in().is_some() {
                let committed = part.replica.high_watermark();
                let to = self.dice.between(committed / 2, committed);
                // Between two batches, as segments end.
                let batch = self.truths[partition].batch_at(to);
                let to = batch.map_or(committed, |batch| batch.base);
                let trimmed = &mut self.truths[partition].trimmed;
                *trimmed = to.max(*trimmed);
                note!(self, "b{id} p{partition} trimmed to {to}");
                self.broker(id).disk.parts[partition].log.trim(to);
                self.counts.trims += 1;
                self.settle(id, partition);
            }
        }
    }

    /// Whoever has a segment on its way is killed.
    fn kill_uploader(&mut self, down: Micros) {
        let uploads = |id: &BrokerId| {
            let process = self.brokers[*id as usize - 1].process.as_ref();
            let mut tasks = process.into_iter().flat_map(|p| &p.parts).map(|p| &p.task);
            let is_at_a_step = |task: &Task| task.step().is_some() || task.compaction().is_some();
            tasks.any(|task| task.as_ref().is_some_and(is_at_a_step))
        };
        let uploaders: Vec<_> = self.ids().into_iter().filter(uploads).collect();
        if let Some(id) = self.dice.pick(&uploaders) {
            self.end(id, End::Kill, down);
        }
    }

    /// Now and then somebody copies a disk.
    fn keep_copies(&mut self) {
        if self.dice.chance(3_000) {
            let id = self.dice.between(1, self.brokers.len() as u64) as BrokerId;
            let broker = self.broker(id);
            if !broker.lost_until_registered {
                broker.copy = Some(broker.disk.clone());
            }
        }
    }

    /// A disk is lost, if as many others are left as was promised to be enough.
    fn lose_disk(&mut self, id: BrokerId, fault: Fault, down: Micros) {
        if !self.may_lose(id) {
            return;
        }
        let known = self.store.renewals(id);
        let broker = self.broker(id);
        // A copy from before the last renewal that the metadata knows: a younger one is not told from
        // the disk itself, which is why leases are renewed often.
        let copy = match fault {
            Fault::DiskRestored => broker
                .copy
                .take()
                .filter(|c| c.renewals < known && c.name == broker.disk.name),
            _ => None,
        };
        if fault == Fault::DiskRestored && copy.is_none() {
            return;
        }
        self.end(id, End::Power, down);
        let (name, partitions) = (self.number(), self.truths.len());
        let now = self.now;
        match copy.is_some() {
            true => self.counts.disks_restored += 1,
            false => self.counts.disks_replaced += 1,
        }
        let broker = self.broker(id);
        broker.copy = None;
        broker.lost_until_registered = true;
        broker.lost_at = Some(now);
        broker.disk = copy.map_or_else(
            || Disk::new(name, partitions),
            |mut copy| {
                copy.parts
                    .iter_mut()
                    .for_each(|part| part.log.recover(true));
                copy.parts.iter_mut().for_each(|part| part.log.killed());
                copy
            },
        );
    }

    /// Whether nothing is lost that was promised if this disk is: one of a set of `min_insync_replicas`
    /// is always left, and a set of one has promised nothing.
    fn may_lose(&self, id: BrokerId) -> bool {
        if self
            .brokers
            .iter()
            .any(|broker| broker.lost_until_registered)
        {
            return false;
        }
        self.store.rows().iter().all(|row| {
            let holds = row.replicas.contains(&id) || row.in_sync.contains(&id);
            let others = row.in_sync.iter().any(|member| *member != id);
            !holds || (row.min_insync_replicas > 1 && others)
        })
    }

    /// A fault is over.
    pub(crate) fn over(&mut self, over: Over) {
        match over {
            Over::Ways(ways) => self.net.closed.retain(|way| !ways.contains(way)),
            Over::Store(ids) => self.net.no_store.retain(|id| !ids.contains(id)),
            Over::Stall => self.net.stalled = false,
            Over::Objects => self.net.no_objects = false,
            Over::Slowness(id) => self.broker(id).slowness = 1,
        }
    }

    /// Nothing goes wrong any more.
    pub(crate) fn heal(&mut self) {
        note!(self, "no more faults");
        self.healing_since = Some(self.now);
        self.deluded = None;
        self.net.closed.clear();
        self.net.no_store.clear();
        self.net.stalled = false;
        self.net.no_objects = false;
        let profile = &mut self.profile;
        profile.message_lost = 0;
        profile.message_twice = 0;
        profile.message_late = 0;
        profile.call_lost = 0;
        profile.answer_lost = 0;
        profile.call_late = 0;
        profile.stale_read = 0;
        profile.feed_late = 0;
        profile.object_fails = 0;
        profile.object_unheard = 0;
        profile.object_hangs = 0;
        profile.object_torn = 0;
        profile.put_max = 5 * MILLI;
        for broker in &mut self.brokers {
            broker.slowness = 1;
            broker.paused_until = None;
        }
        for id in self.ids() {
            self.schedule(SECOND, Event::Start(id));
        }
        self.schedule(2 * SECOND, Event::Inspect);
    }

    /// Is everything well again?
    pub(crate) fn inspect(&mut self) {
        let ailment = self.ailment();
        self.healed(ailment);
        self.schedule(300 * MILLI, Event::Inspect);
    }
}
