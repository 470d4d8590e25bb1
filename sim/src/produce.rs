//! Producing and reading: what a leader does with a batch, and what producers make of the answers.

use headwater_broker::{
    BrokerId,
    replica::{ReplicaLog, Rule},
};

use crate::{
    broker::{Attempt, Part, Waiting},
    client::{Op, Produced},
    content::Batch,
    log::LogFile,
    profile::{MILLI, SECOND},
    truth::broken,
    world::{Event, Inside, World, note},
};

/// What a producer's window says of a batch.
enum Window {
    /// It is next.
    Next,
    /// It is in the log, from here to there.
    Known(u64, u64),
    /// Some before it is missing.
    Gap,
}

fn window(part: &Part, batch: &Batch, all_are_known: bool) -> Window {
    let known = part.window.get(&batch.producer);
    if known.is_none() && !all_are_known {
        // Without the rule a new leader knows nobody, and takes anything for new.
        return Window::Next;
    }
    let known = known.map_or(&[][..], Vec::as_slice);
    if let Some((_, base, end)) = known.iter().find(|(first, ..)| *first == batch.sequence) {
        return Window::Known(*base, *end);
    }
    let next = known
        .last()
        .map_or(0, |(first, base, end)| first + (end - base));
    match batch.sequence == next {
        true => Window::Next,
        false => Window::Gap,
    }
}

/// The window of a new leader, out of its log.
pub(crate) fn rebuild(part: &mut Part, log: &LogFile) {
    part.window.clear();
    for batch in log.memory().sent() {
        let known = part.window.entry(batch.producer).or_default();
        known.push((batch.sequence, batch.base, batch.end()));
    }
}

impl World {
    /// A producer sends what is due.
    pub(crate) fn client(&mut self, client: usize) {
        let gap = self
            .dice
            .between(self.profile.produce_gap / 4, self.profile.produce_gap);
        self.schedule(gap, Event::Client(client));
        self.think(client);
        let now = self.now;
        while let Some((attempt, op)) = self.clients[client].due(now) {
            let attempt = Attempt { client, ..attempt };
            self.attempt(attempt, op);
        }
    }

    /// A producer has something new to say, or begins anew.
    fn think(&mut self, client: usize) {
        // Once nothing goes wrong any more each sends a little, and then only ends what it began.
        let quiet = self
            .healing_since
            .is_some_and(|since| self.now > since + SECOND);
        if quiet || !self.dice.chance(7_000) {
            return;
        }
        let (value, session) = (self.number(), self.number());
        let count = self.dice.between(1, 3);
        let gives_up = self.dice.chance(30);
        let floor = self.truths[self.clients[client].partition].acked_end();
        let producer = &mut self.clients[client];
        if gives_up && !producer.ops.is_empty() {
            producer.begin(session);
            self.counts.abandoned += 1;
        } else if producer.may_send() {
            let sequence = producer.next;
            producer.next += count;
            producer.ops.push_back(Op {
                sequence,
                count,
                value,
                floor,
                trying: None,
                patience: 0,
                unknown: false,
            });
        }
    }

    fn attempt(&mut self, attempt: Attempt, op: Op) {
        let partition = self.clients[attempt.client].partition;
        let leader = self.store.rows()[partition].leader.map(|l| l.broker);
        let any = self.dice.between(1, self.brokers.len() as u64) as BrokerId;
        let guess = self.dice.chance(1_500);
        let to = leader.filter(|_| !guess).unwrap_or(any);
        let after = self.dice.between(200, 3 * MILLI);
        let late = self.dice.chance(self.profile.message_late);
        let after = if late {
            self.dice.between(after, self.profile.late_max)
        } else {
            after
        };
        if self.broker(to).process.is_some() && !self.dice.chance(self.profile.message_lost) {
            self.later(
                to,
                after,
                Inside::Produce(attempt, op.batch(attempt.session, 0)),
            );
        }
        let patience = self.dice.between(300, 1_200) * MILLI;
        self.schedule(patience, Event::NotProduced(attempt));
    }

    /// Answers a producer: its request comes once, its answer at most once.
    pub(crate) fn tell(&mut self, attempt: Attempt, produced: Produced) {
        if !self.dice.chance(self.profile.message_lost) {
            let after = self.dice.between(200, 3 * MILLI);
            self.schedule(after, Event::Produced(attempt, produced));
        }
    }

    /// A batch arrives at a broker.
    pub(crate) fn produce(&mut self, id: BrokerId, attempt: Attempt, batch: Batch) {
        let partition = self.clients[attempt.client].partition;
        let windows = !self.lacks(Rule::ProducerWindow);
        let Some((part, disk)) = self.broker(id).part(partition) else {
            return self.tell(attempt, Produced::Refused);
        };
        let Ok(epoch) = part.replica.appendable() else {
            return self.tell(attempt, Produced::Refused);
        };
        let (base, end) = match window(part, &batch, windows) {
            Window::Gap => return self.tell(attempt, Produced::Refused),
            Window::Known(base, end) => {
                self.counts.duplicates += 1;
                (base, end)
            }
            Window::Next => {
                let base = disk.log.end();
                let batch = Batch {
                    base,
                    epoch,
                    ..batch
                };
                let known = part.window.entry(batch.producer).or_default();
                known.push((batch.sequence, base, batch.end()));
                self.append(id, partition, batch);
                (base, batch.end())
            }
        };
        if let Some((part, _)) = self.broker(id).part(partition) {
            part.waiting.push(Waiting { attempt, base, end });
        }
        self.settle(id, partition);
    }

    /// A producer hears what became of a try, or waits no longer.
    pub(crate) fn produced(&mut self, attempt: Attempt, produced: Produced) {
        let again = self.now + self.dice.between(5, 200) * MILLI;
        let gives_up = self.dice.chance(3_000);
        let producer = &mut self.clients[attempt.client];
        let (partition, session) = (producer.partition, producer.session);
        let last = producer.is_last(attempt.sequence);
        let Some(op) = producer.op(&attempt) else {
            return;
        };
        op.trying = None;
        op.patience = again;
        let known = *op;
        match produced {
            Produced::Safe(base) => {
                producer.ops.retain(|op| op.sequence != known.sequence);
                self.counts.acks += 1;
                let sent = known.batch(session, base);
                note!(
                    self,
                    "ack p{partition} {base} s{session}/{}",
                    known.sequence
                );
                let kept = self.truths[partition].acknowledged(&sent, known.floor);
                self.check(kept);
            }
            Produced::Unknown => {
                op.unknown = true;
                self.counts.unknown += 1;
            }
            // Every try was refused before it was appended: it never happened, and its number is free.
            Produced::Refused if !known.unknown && last && gives_up => {
                producer.ops.pop_back();
                producer.next = known.sequence;
                self.counts.refused += 1;
                note!(
                    self,
                    "refused p{partition} s{session}/{} value {}",
                    known.sequence,
                    known.value
                );
                let kept = self.truths[partition].refused(known.value);
                self.check(kept);
            }
            Produced::Refused => {}
        }
    }

    /// Readers ask every broker, so that one that should not answer is heard.
    pub(crate) fn readers(&mut self) {
        let gap = self.dice.between(20, 120) * MILLI;
        self.schedule(gap, Event::Readers);
        for partition in 0..self.truths.len() {
            for id in self.ids() {
                if self.broker(id).process.is_some() {
                    let after = self.dice.between(200, 3 * MILLI);
                    let strong = self.dice.chance(3_000);
                    let floor = self.truths[partition].acked_end();
                    let read = match strong {
                        true => Inside::StrongRead(partition, floor),
                        false => Inside::Read(partition),
                    };
                    self.later(id, after, read);
                }
            }
        }
    }

    pub(crate) fn read(&mut self, id: BrokerId, partition: usize) {
        let broker = &mut self.brokers[id as usize - 1];
        let Some((part, disk)) = broker.part(partition) else {
            return;
        };
        let (Some(to), Some(epoch)) = (part.replica.readable(), part.replica.leads_in()) else {
            return;
        };
        let kept = self.truths[partition].exposed(epoch, disk.log.memory(), to);
        self.counts.reads += 1;
        self.check(kept);
        self.read_record(id, partition, to);
    }

    /// A strong read came: it waits until its leader knows that it still leads.
    pub(crate) fn strong_read(&mut self, id: BrokerId, partition: usize, floor: u64) {
        let Some((part, _)) = self.broker(id).part(partition) else {
            return;
        };
        if let Some(round) = part.replica.ask() {
            part.strong_reads.push((round, floor));
            self.settle(id, partition);
        }
    }

    /// Strong reads that are confirmed are answered; those of a term that is over are refused.
    pub(crate) fn answer_strong_reads(&mut self, id: BrokerId, partition: usize) {
        let Some((part, _)) = self.broker(id).part(partition) else {
            return;
        };
        let (confirmed, to) = (part.replica.confirmed(), part.replica.readable());
        let all = std::mem::take(&mut part.strong_reads);
        let asked = all.len();
        let led = all
            .into_iter()
            .filter(|(round, _)| part.replica.leads_for(*round));
        let (safe, waiting): (Vec<_>, Vec<_>) =
            led.partition(|(round, _)| confirmed >= Some(*round));
        let refused = asked - safe.len() - waiting.len();
        part.strong_reads = waiting;
        self.counts.strong_reads_refused += refused as u64;
        for (_, floor) in safe {
            self.counts.strong_reads += 1;
            let to = to.unwrap_or(0);
            if to < floor {
                let what = format!(
                    "b{id} p{partition} answers a strong read with {to}, {floor} had been acknowledged before"
                );
                self.check(Err(broken("a strong read has what was acknowledged", what)));
            }
        }
    }

    /// A replica has a role now that it had not: what waited for the old one is not known.
    pub(crate) fn role_began(&mut self, id: BrokerId, partition: usize) {
        let windows = self.rules.hold(Rule::ProducerWindow);
        let broker = &mut self.brokers[id as usize - 1];
        let incarnation = broker.process.as_ref().and_then(|p| p.incarnation);
        let Some((part, disk)) = broker.part(partition) else {
            return;
        };
        part.window.clear();
        part.reading.clear();
        let waited = std::mem::take(&mut part.waiting);
        let leads = part.replica.leads_in();
        let seen = part.replica.seen_epoch();
        let (starts, end) = (disk.log.starts(), disk.log.end());
        let noted = disk.seen_epoch;
        if leads.is_some() && windows {
            rebuild(part, &disk.log);
        }
        let follows = part.replica.follows();
        note!(
            self,
            "b{id} p{partition} role: leads {leads:?} follows {follows:?} from {end} seen {seen}"
        );
        if seen < noted {
            let what = format!("b{id} p{partition} acts in epoch {seen} after it had seen {noted}");
            self.check(Err(broken("epochs never fall", what)));
        }
        if let (Some(epoch), Some(incarnation)) = (leads, incarnation) {
            self.counts.elections += 1;
            self.counts.elections_behind += u64::from(starts.log < starts.local);
            let kept = self.truths[partition].leads(epoch, id, incarnation);
            self.check(kept);
        }
        for waiting in waited {
            self.tell(waiting.attempt, Produced::Unknown);
        }
        self.cut_at_watermark(id, partition);
    }
}
