//! How brokers and the metadata talk: calls that are lost, late, or done with nobody listening, and
//! rows that are told late.

use std::time::Duration;

use headwater_broker::{
    BrokerId,
    replica::{Assignment, InSyncOutcome, Learned},
};

use crate::{
    broker::Purpose,
    profile::{MILLI, SECOND},
    store::{Micros, Proposal, Reply, Request},
    world::{Event, Inside, LEASE, Message, Timer, World, note},
};

/// How long a broker waits for the metadata.
const CALL_TIMEOUT: Micros = 800 * MILLI;

impl World {
    /// Calls the metadata.
    pub(crate) fn call(&mut self, id: BrokerId, purpose: Purpose, request: Request) {
        let call = self.number();
        let broker = self.broker(id);
        let life = broker.life;
        let Some(process) = &mut broker.process else {
            return;
        };
        process.calls.insert(call, purpose);
        self.later(id, CALL_TIMEOUT, Inside::NoReply(call));
        if self.net.no_store.contains(&id) || self.dice.chance(self.profile.call_lost) {
            return;
        }
        let late = self.net.stalled || self.dice.chance(self.profile.call_late);
        let most = if late { 3 * SECOND } else { 6 * MILLI };
        let after = self.dice.between(500, most);
        self.schedule(
            after,
            Event::Call {
                from: id,
                life,
                call,
                request,
            },
        );
    }

    /// A call reaches the metadata.
    pub(crate) fn called(&mut self, from: BrokerId, life: u64, call: u64, request: Request) {
        let lives = self.broker(from).life == life;
        let begins = matches!(request, Request::Register { .. });
        let process = self.broker(from).process.as_ref();
        let waits = process.is_some_and(|process| {
            process.incarnation.is_none() || process.calls.contains_key(&call)
        });
        if begins && !(lives && waits) {
            // Done after a later one it would take a disk that is in use for an older copy.
            return;
        }
        let now = self.now;
        let reply = if let Request::Read = request
            && self.dice.chance(self.profile.stale_read)
        {
            let age = self.dice.below(4 * SECOND);
            Reply::Read(self.store.snapshot_at(now.saturating_sub(age)))
        } else if request.is_of_segments() {
            let reply = self.store.call(now, from, request);
            self.check_segments();
            reply
        } else {
            let before = self.store.rows().to_vec();
            let reply = self.store.call(now, from, request);
            if matches!(reply, Reply::Registered(_)) {
                self.broker(from).lost_until_registered = false;
            }
            self.stored(&before);
            reply
        };
        let cut = self.net.no_store.contains(&from);
        if lives && !cut && !self.dice.chance(self.profile.answer_lost) {
            let after = self.dice.between(500, 6 * MILLI);
            self.later(from, after, Inside::Reply(call, reply));
        }
    }

    /// Rows may have been written: they are checked, and told to everybody.
    pub(crate) fn stored(&mut self, before: &[Assignment]) {
        self.store.remember(self.now);
        let mut known = before.to_vec();
        for partition in std::mem::take(&mut self.store.changed) {
            let before =
                std::mem::replace(&mut known[partition], self.store.rows()[partition].clone());
            self.check_row(partition, &before);
            for id in self.ids() {
                let row = self.store.rows()[partition].clone();
                let reaches = !self.net.no_store.contains(&id) && self.broker(id).process.is_some();
                if !reaches {
                    continue;
                }
                let late = self.dice.chance(self.profile.feed_late);
                let most = if late { 5 * SECOND } else { 10 * MILLI };
                let after = self.dice.between(500, most);
                self.later(id, after, Inside::Row(partition, row));
            }
        }
    }

    /// The metadata answered a call, or did not in time.
    pub(crate) fn replied(&mut self, id: BrokerId, call: u64, reply: Option<Reply>) {
        let now = self.now;
        let Some(process) = &mut self.broker(id).process else {
            return;
        };
        let Some(purpose) = process.calls.remove(&call) else {
            return;
        };
        match (purpose, reply) {
            (Purpose::Register, Some(Reply::Registered(incarnation))) => {
                self.registered(id, incarnation);
            }
            (Purpose::Register, _) => self.later(id, 200 * MILLI, Inside::Recovered),
            (Purpose::Renew, Some(Reply::Replaced)) => {
                self.end(id, crate::lives::End::Kill, 100 * MILLI);
            }
            (Purpose::Poll, Some(Reply::Read(snapshot))) => {
                for (partition, row) in snapshot.rows.into_iter().enumerate() {
                    self.learn(id, partition, row);
                }
            }
            (Purpose::InSync { partition, change }, reply) => {
                let outcome = match reply {
                    Some(Reply::Rows(mut rows)) if !rows.is_empty() => {
                        InSyncOutcome::Row(rows.remove(0))
                    }
                    _ => InSyncOutcome::Unknown,
                };
                self.changed(id, partition, &change, outcome);
            }
            (Purpose::Tier(partition), reply) => {
                let told = match reply {
                    Some(Reply::Segments(told)) => Some(told),
                    _ => None,
                };
                self.tiered(id, partition, told);
            }
            (Purpose::Delete, Some(Reply::Doomed(keys))) => self.delete(id, keys),
            (Purpose::Control, Some(Reply::Controls(controls))) => {
                self.controls(id, controls);
            }
            (Purpose::Fence, Some(Reply::Fenced)) => {
                self.call(id, Purpose::Look, Request::Read);
            }
            (Purpose::Look, Some(Reply::Read(snapshot))) => self.decide(id, snapshot),
            (Purpose::Elect, Some(Reply::Rows(_))) => {}
            (Purpose::Control | Purpose::Fence | Purpose::Look | Purpose::Elect, _) => {
                // While the metadata was away nobody could renew: no lease is judged for a while.
                process.calm_since = now;
            }
            (Purpose::Renew | Purpose::Poll | Purpose::Delete, _) => {}
        }
    }

    /// A leader hears what became of the in-sync set that it asked for.
    fn changed(
        &mut self,
        id: BrokerId,
        partition: usize,
        change: &headwater_broker::replica::InSyncChange,
        outcome: InSyncOutcome,
    ) {
        note!(
            self,
            "b{id} p{partition} hears of {:?} at {}: {outcome:?}",
            change.in_sync,
            change.partition_epoch
        );
        let row = match &outcome {
            InSyncOutcome::Row(row) => Some(row.clone()),
            InSyncOutcome::Unknown => {
                self.counts.changes_unknown += 1;
                None
            }
        };
        if let Some((part, _)) = self.broker(id).part(partition) {
            part.replica.on_in_sync(change, outcome);
            if let Some(row) = row {
                part.known(row);
            }
        }
        self.settle(id, partition);
    }

    /// A row is heard of.
    pub(crate) fn learn(&mut self, id: BrokerId, partition: usize, row: Assignment) {
        let Some((part, disk)) = self.broker(id).part(partition) else {
            return;
        };
        part.known(row.clone());
        let led = part.replica.leads_in();
        match part.replica.learn(&row) {
            Learned::Nothing => return,
            Learned::Older => {
                self.counts.stale_rows += 1;
                return;
            }
            Learned::Updated => {}
            Learned::Assume => {
                part.replica.assume(&row, &disk.log);
                note!(
                    self,
                    "b{id} p{partition} led {led:?}, takes the role of {} {}",
                    row.epoch,
                    row.partition_epoch
                );
                self.role_began(id, partition);
            }
            Learned::NewEpoch(epoch) => {
                let newer = part
                    .persisting
                    .as_ref()
                    .is_none_or(|known| known.partition_epoch < row.partition_epoch);
                let begins = part.persisting.is_none();
                if newer {
                    part.persisting = Some(row);
                }
                if begins {
                    note!(self, "b{id} p{partition} led {led:?}, notes epoch {epoch}");
                    let after = self.sync_time(id);
                    self.later(id, after, Inside::EpochNoted(partition));
                }
            }
        }
        self.settle(id, partition);
    }

    /// An epoch is durable: the role that the row gives begins.
    pub(crate) fn epoch_noted(&mut self, id: BrokerId, partition: usize) {
        let Some((part, disk)) = self.broker(id).part(partition) else {
            return;
        };
        let Some(row) = part.persisting.take() else {
            return;
        };
        // Newer rows may have come while this one was written: the note that is made is the last one.
        disk.seen_epoch = disk.seen_epoch.max(row.epoch);
        part.replica.assume(&row, &disk.log);
        let newest = part.row.clone();
        self.role_began(id, partition);
        self.delete_copy(id, partition, &row);
        if let Some(newest) = newest.filter(|n| n.partition_epoch > row.partition_epoch) {
            self.learn(id, partition, newest);
        }
        self.settle(id, partition);
    }

    /// It is time for something.
    pub(crate) fn timer(&mut self, id: BrokerId, timer: Timer) {
        let again = match timer {
            Timer::Ping => 150 * MILLI,
            Timer::Renew => LEASE / 4,
            Timer::Review => 120 * MILLI,
            Timer::Poll => SECOND,
            Timer::Control => 250 * MILLI,
            Timer::Note => 700 * MILLI,
            Timer::Tiers => 400 * MILLI,
        };
        let again = self.dice.between(again * 3 / 4, again);
        self.later(id, again, Inside::Timer(timer));
        match timer {
            Timer::Ping => {
                for peer in self.ids() {
                    if peer != id {
                        self.send(id, peer, true, Message::Ping);
                    }
                }
                self.settle_all(id);
            }
            Timer::Renew => {
                self.broker(id).disk.renewals += 1;
                let after = self.sync_time(id);
                self.later(id, after, Inside::RenewalNoted);
            }
            Timer::Review => self.review(id),
            Timer::Poll => self.call(id, Purpose::Poll, Request::Read),
            Timer::Control => self.control(id),
            Timer::Note => self.note_watermarks(id),
            Timer::Tiers => self.tiers(id),
        }
    }

    /// The logs are read: the broker registers.
    pub(crate) fn register(&mut self, id: BrokerId) {
        let disk = &self.broker(id).disk;
        let request = Request::Register {
            disk: disk.name,
            renewals: disk.renewals,
        };
        self.call(id, Purpose::Register, request);
    }

    /// The number of the next renewal is durable.
    pub(crate) fn renew(&mut self, id: BrokerId) {
        let broker = self.broker(id);
        let renewals = broker.disk.renewals;
        let Some(incarnation) = broker.process.as_ref().and_then(|p| p.incarnation) else {
            return;
        };
        let request = Request::Renew {
            incarnation,
            renewals,
        };
        self.call(id, Purpose::Renew, request);
    }

    /// Leaders look whether their in-sync sets should be others.
    fn review(&mut self, id: BrokerId) {
        let now = self.now;
        for partition in 0..self.truths.len() {
            let broker = self.broker(id);
            let heard = match &broker.process {
                Some(process) => process.heard.clone(),
                None => return,
            };
            let Some((part, disk)) = broker.part(partition) else {
                return;
            };
            let silent_for = |peer| {
                let heard = heard.get(&peer).copied().unwrap_or(0);
                Duration::from_micros(now - heard)
            };
            let at = Duration::from_micros(now);
            let change = part.replica.review(at, silent_for, &disk.log);
            let Some(change) = change else {
                continue;
            };
            note!(self, "b{id} p{partition} asks for {change:?}");
            let Some((part, _)) = self.broker(id).part(partition) else {
                return;
            };
            let was = part
                .row
                .clone()
                .filter(|row| row.partition_epoch == change.partition_epoch);
            let Some(mut row) = was else {
                // The row has moved on, and the leader has not heard it yet.
                let outcome = part
                    .row
                    .clone()
                    .map_or(InSyncOutcome::Unknown, InSyncOutcome::Row);
                self.changed(id, partition, &change, outcome);
                continue;
            };
            match row.in_sync.len().cmp(&change.in_sync.len()) {
                std::cmp::Ordering::Greater => self.counts.shrinks += 1,
                std::cmp::Ordering::Less => self.counts.expansions += 1,
                std::cmp::Ordering::Equal => {}
            }
            row.in_sync.clone_from(&change.in_sync);
            let proposal = Proposal {
                partition,
                was: change.partition_epoch,
                row,
                added: change.added.clone(),
            };
            let purpose = Purpose::InSync { partition, change };
            self.call(id, purpose, Request::Propose(vec![proposal]));
        }
    }
}
