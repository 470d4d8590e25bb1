//! Drives the core as a broker does: what came is handed in, what is to be done is done.

use bytes::Bytes;
use headwater_broker::{
    BrokerId, Incarnation,
    replica::{
        Answer, AnswerBody, Beginning, Due, FetchVerdict, FollowerFetch, ReplicaLog, Rule, Starts,
        Step,
    },
};

use crate::{
    client::Produced,
    content::Batch,
    profile::MILLI,
    truth::broken,
    world::{Inside, Message, World, note},
};

impl World {
    /// Does what is to be done about one replica after anything that may concern it.
    pub(crate) fn settle(&mut self, id: BrokerId, partition: usize) {
        self.advance(id, partition);
        self.answer_waiting(id, partition);
        self.answer_strong_reads(id, partition);
        self.feed_followers(id, partition);
        self.follow(id, partition);
        self.sync(id, partition);
    }

    pub(crate) fn settle_all(&mut self, id: BrokerId) {
        for partition in 0..self.truths.len() {
            self.settle(id, partition);
        }
    }

    fn advance(&mut self, id: BrokerId, partition: usize) {
        let Some((part, disk)) = self.broker(id).part(partition) else {
            return;
        };
        if let Some(to) = part.replica.advance(&disk.log) {
            let leads = part.replica.leads_in();
            note!(self, "b{id} p{partition} hw {to} leads {leads:?}");
            self.check_watermark(id, partition, to, leads.is_some());
        }
        let Some((part, disk)) = self.broker(id).part(partition) else {
            return;
        };
        if let Some(to) = part.replica.trim_to(&disk.log) {
            disk.log.trim(to.log);
            note!(self, "b{id} p{partition} trims to {to:?}");
            self.drop_local(id, partition, to.local);
        }
    }

    /// Producers whose batch is committed hear it.
    fn answer_waiting(&mut self, id: BrokerId, partition: usize) {
        let Some((part, _)) = self.broker(id).part(partition) else {
            return;
        };
        if part.waiting.is_empty() || part.replica.leads_in().is_none() {
            return;
        }
        let committed = part.replica.high_watermark();
        let all = std::mem::take(&mut part.waiting);
        let (safe, waiting): (Vec<_>, Vec<_>) = all.into_iter().partition(|w| w.end <= committed);
        part.waiting = waiting;
        for waited in safe {
            self.tell(waited.attempt, Produced::Safe(waited.base));
        }
    }

    fn feed_followers(&mut self, id: BrokerId, partition: usize) {
        let Some((part, _)) = self.broker(id).part(partition) else {
            return;
        };
        if part.replica.leads_in().is_none() {
            return;
        }
        for follower in self.ids() {
            self.feed(id, partition, follower);
            let Some((part, disk)) = self.broker(id).part(partition) else {
                return;
            };
            if let Some(watermark) = part.replica.watermark_for(follower, &disk.log) {
                self.send(
                    id,
                    follower,
                    false,
                    Message::Watermark(partition, watermark),
                );
            }
        }
    }

    /// Reads for a follower's fetch, at once or in a while.
    fn feed(&mut self, id: BrokerId, partition: usize, follower: BrokerId) {
        let batches_max = self.dice.between(1, 6) as usize;
        let slow = self
            .dice
            .chance(1_500)
            .then(|| self.dice.between(1, 20) * MILLI);
        let Some((part, disk)) = self.broker(id).part(partition) else {
            return;
        };
        let Some(due) = part.replica.due(follower, &disk.log) else {
            return;
        };
        let reading = (follower, due.fetch.request);
        if part.reading.contains(&reading) {
            return;
        }
        let (batches, end) = disk.log.read(due.fetch.offset, batches_max);
        match slow {
            None => self.send_batches(id, partition, follower, due, batches, end),
            Some(after) => {
                part.reading.insert(reading);
                let done = Inside::ReadDone {
                    partition,
                    follower,
                    due,
                    batches,
                    end,
                };
                self.later(id, after, done);
            }
        }
    }

    pub(crate) fn read_done(
        &mut self,
        id: BrokerId,
        partition: usize,
        follower: BrokerId,
        due: Due,
        batches: Vec<Bytes>,
        end: u64,
    ) {
        if let Some((part, _)) = self.broker(id).part(partition) {
            part.reading.remove(&(follower, due.fetch.request));
            self.send_batches(id, partition, follower, due, batches, end);
            self.settle(id, partition);
        }
    }

    fn send_batches(
        &mut self,
        id: BrokerId,
        partition: usize,
        follower: BrokerId,
        due: Due,
        batches: Vec<Bytes>,
        end: u64,
    ) {
        let Some((part, disk)) = self.broker(id).part(partition) else {
            return;
        };
        let log = &disk.log;
        let answer = part.replica.sending(follower, due.fetch, batches, end, log);
        if let Some(answer) = answer {
            self.send(id, follower, false, Message::Answer(partition, answer));
        }
    }

    /// A follower's fetch arrived.
    pub(crate) fn fetched(
        &mut self,
        id: BrokerId,
        partition: usize,
        from: BrokerId,
        incarnation: Incarnation,
        fetch: FollowerFetch,
    ) {
        let Some((part, disk)) = self.broker(id).part(partition) else {
            return;
        };
        let verdict = part.replica.on_fetch(from, incarnation, fetch, &disk.log);
        if let FetchVerdict::Answer(answer) = verdict {
            if !matches!(answer.body, AnswerBody::Records { .. }) {
                note!(
                    self,
                    "b{id} p{partition} answers b{from} {fetch:?}: {:?}",
                    answer.body
                );
            }
            self.send(id, from, false, Message::Answer(partition, answer));
        }
        self.settle(id, partition);
    }

    /// The leader's answer arrived.
    pub(crate) fn answered(&mut self, id: BrokerId, partition: usize, answer: Answer) {
        let Some((part, disk)) = self.broker(id).part(partition) else {
            return;
        };
        match part.replica.on_answer(answer, &disk.log) {
            Step::Nothing => self.counts.stale_answers += 1,
            Step::Append(batches) => {
                for bytes in batches {
                    self.append_copy(id, partition, &bytes);
                }
            }
            Step::Truncate(to) => self.truncate(id, partition, to),
            Step::Restart(beginning) => self.restart(id, partition, &beginning),
            Step::Halt { to } => {
                let what =
                    format!("b{id} p{partition} is told to cut at {to}, below its high watermark");
                self.check(Err(broken("nobody halts", what)));
            }
            Step::Wait => {
                let after = self.dice.between(20, 150) * MILLI;
                let now = self.now;
                if let Some((part, _)) = self.broker(id).part(partition) {
                    part.patience = now + after;
                }
                self.later(id, after, Inside::Again(partition));
            }
        }
        self.settle(id, partition);
    }

    /// A batch as the leader stores it: what does not follow on the end is not taken, as by the log.
    fn append_copy(&mut self, id: BrokerId, partition: usize, bytes: &Bytes) {
        let Some((_, disk)) = self.broker(id).part(partition) else {
            return;
        };
        let in_order = |batch: &Batch| {
            batch.base == disk.log.end() && disk.log.last_epoch().is_none_or(|e| e <= batch.epoch)
        };
        match Batch::decode(bytes).filter(in_order) {
            Some(batch) => self.append(id, partition, batch),
            None => self.counts.stale_answers += 1,
        }
    }

    pub(crate) fn append(&mut self, id: BrokerId, partition: usize, batch: Batch) {
        if let Some((_, disk)) = self.broker(id).part(partition) {
            let chain = disk.log.append(batch);
            note!(
                self,
                "b{id} p{partition} + {}..{} e{} s{}/{}",
                batch.base,
                batch.end(),
                batch.epoch,
                batch.producer,
                batch.sequence
            );
            let kept = self.truths[partition].appended(&batch, chain);
            self.check(kept);
        }
    }

    /// Removes everything from an offset on. Who is in sync holds what is committed for ever; another
    /// one may do as the leader of an earlier term says, and is given all of it anew.
    pub(crate) fn truncate(&mut self, id: BrokerId, partition: usize, to: u64) {
        let is_member = self.store.rows()[partition].in_sync.contains(&id);
        let disk = &mut self.brokers[id as usize - 1].disk.parts[partition];
        let end = disk.log.end();
        if to >= end {
            return;
        }
        let kept = self.truths[partition].cut(disk.log.memory(), to);
        disk.log.truncate(to);
        self.counts.truncations += 1;
        note!(self, "b{id} p{partition} cut {end} to {to}");
        if is_member {
            self.check(kept);
        }
    }

    fn restart(&mut self, id: BrokerId, partition: usize, beginning: &Beginning) {
        let Starts { log, local: at } = beginning.starts;
        self.counts.restarts += 1;
        self.counts.restarts_behind += u64::from(log < at);
        note!(
            self,
            "b{id} p{partition} begins anew at {at}, its log at {log}"
        );
        match self.truths[partition].chain_at(at) {
            Some(chain) => {
                let sent = self.truths[partition].sent_below(at);
                let disk = &mut self.broker(id).disk.parts[partition];
                disk.log.restart(beginning, chain, sent);
            }
            None => {
                let what =
                    format!("b{id} p{partition} is to begin at {at}, which is not committed");
                self.check(Err(broken("one value per offset", what)));
            }
        }
    }

    /// A follower asks for more, and says what is durable.
    fn follow(&mut self, id: BrokerId, partition: usize) {
        let now = self.now;
        let broker = self.broker(id);
        let Some(incarnation) = broker.process.as_ref().and_then(|p| p.incarnation) else {
            return;
        };
        let Some((part, disk)) = broker.part(partition) else {
            return;
        };
        let Some(leader) = part.replica.follows() else {
            return;
        };
        let fetch = match part.patience <= now {
            true => part.replica.fetch(&disk.log),
            false => None,
        };
        let progress = part.replica.progress(&disk.log);
        if let Some(fetch) = fetch {
            self.send(
                id,
                leader,
                true,
                Message::Fetch(partition, incarnation, fetch),
            );
        }
        if let Some(progress) = progress {
            let message = Message::Progress(partition, incarnation, progress);
            self.send(id, leader, true, message);
        }
    }

    /// Begins a sync if there is something to sync.
    fn sync(&mut self, id: BrokerId, partition: usize) {
        let Some((_, disk)) = self.broker(id).part(partition) else {
            return;
        };
        if disk.log.begin_sync() {
            let after = self.sync_time(id);
            self.later(id, after, Inside::Synced(partition));
        }
    }

    /// How long a sync takes.
    pub(crate) fn sync_time(&mut self, id: BrokerId) -> u64 {
        let most = self.profile.sync_max * self.broker(id).slowness;
        self.dice.between(most / 4, most)
    }

    pub(crate) fn synced(&mut self, id: BrokerId, partition: usize) {
        if let Some((_, disk)) = self.broker(id).part(partition) {
            disk.log.end_sync();
            self.settle(id, partition);
        }
    }

    /// Cuts a new follower's log at its high watermark: what the rule against it forbids.
    pub(crate) fn cut_at_watermark(&mut self, id: BrokerId, partition: usize) {
        if self.rules.hold(Rule::NoTruncationByWatermark) {
            return;
        }
        let Some((part, _)) = self.broker(id).part(partition) else {
            return;
        };
        if part.replica.follows().is_some() {
            let to = part.replica.high_watermark();
            self.truncate(id, partition, to);
        }
    }
}
