//! Thousands of histories, against the model: whatever workers, gateways and leaders do, the group
//! does what the model does, and what was promised holds.

use std::collections::BTreeSet;

use headwater_groups::limits::LEASE_MS;
use headwater_groups::{
    Action, Event, GroupError, Nack, Outcome, PartitionId, Reject, Rules, Settlement,
    SnapshotCursor, Token,
};

use crate::shared::harness::{Group, acks};
use crate::shared::model::{Model, State};
use crate::shared::other::Other;
use crate::shared::random::Random;
use crate::support::{PAYMENTS, group, orders, record, replayed};

const HISTORIES: u64 = 2_000;
const STEPS: u64 = 150;
const PARTITIONS: u32 = 3;

/// One partition's log, as a gateway would fetch it.
#[derive(Clone, Default)]
struct Topic {
    records: Vec<(u64, Option<u64>)>,
    start: u64,
    end: u64,
}

struct History {
    random: Random,
    now_ms: i64,
    topics: Vec<Topic>,
    group: Group,
    /// A group of the other kind in the same log.
    other: Other,
    model: Model,
    /// The model after each event of the log.
    after: Vec<Model>,
    /// So many events are committed.
    committed: usize,
    /// A new leader reads a log that begins here, or before.
    log_start: usize,
    /// Where a snapshot began, and how far it is.
    snapshot: Option<(usize, SnapshotCursor)>,
    /// Leases that were answered, and that will be when so many events are committed.
    tokens: Vec<Token>,
    unanswered: Vec<(usize, Token)>,
    /// Records whose acks were answered, and are to be.
    acked: BTreeSet<(PartitionId, u64)>,
    unanswered_acks: Vec<(usize, Token)>,
    floors: Vec<u64>,
    /// Where each partition was last moved to.
    begins: Vec<u64>,
}

#[test]
fn histories_go_as_the_model_says() {
    for seed in 0..HISTORIES {
        let told = std::panic::catch_unwind(|| History::new(seed).run());
        assert!(told.is_ok(), "history {seed}");
    }
}

impl History {
    fn new(seed: u64) -> Self {
        let rules = Rules {
            max_attempts: 1 + (seed % 4) as u32,
            dead_letters: (!seed.is_multiple_of(3)).then_some(PAYMENTS),
        };
        let mut group = Group::new(rules, PARTITIONS);
        let other = Other::new(&mut group);
        let model = Model::new(rules);
        let count = PARTITIONS as usize;
        Self {
            random: Random(seed),
            now_ms: 1_000_000,
            topics: vec![Topic::default(); count],
            after: vec![model.clone(); group.log.len() + 1],
            committed: group.log.len(),
            group,
            other,
            model,
            log_start: 0,
            snapshot: None,
            tokens: Vec::new(),
            unanswered: Vec::new(),
            acked: BTreeSet::new(),
            unanswered_acks: Vec::new(),
            floors: vec![0; count],
            begins: vec![0; count],
        }
    }

    fn run(mut self) {
        for _ in 0..STEPS {
            self.step();
            self.check();
        }
        self.become_quiet();
    }

    fn step(&mut self) {
        let number = self.random.below(PARTITIONS.into()) as u32;
        match self.random.below(100) {
            0..25 => self.produce(number),
            25..43 => self.offer(number),
            43..45 => self.ask(),
            45..60 => {
                let records_max = self.random.below(12) as usize;
                self.lease(records_max);
            }
            60..78 => self.settle(),
            78..86 => {
                self.now_ms += self.random.below(20_000) as i64;
                self.expire();
            }
            86..90 => self.write_dead_letters(),
            90..92 => self.trim(number),
            92 => self.compact(number),
            93 => match self.random.below(8) {
                0 | 1 => self.move_to(number),
                2 => self.begin_anew(),
                _ => self.other(),
            },
            94..96 => self.commit(),
            96..98 => self.snapshot_advances(),
            98 => self.fail_over(),
            _ => self.other(),
        }
    }

    fn produce(&mut self, number: u32) {
        let topic = &mut self.topics[number as usize];
        for _ in 0..self.random.below(6) {
            let key = self.random.below(4);
            topic.records.push((topic.end, (key > 0).then_some(key)));
            // Now and then some offsets are of no record.
            topic.end += 1 + self.random.below(9) / 7;
        }
    }

    /// A run from what is wanted, from before it, or from above it.
    fn offer(&mut self, number: u32) {
        let topic = &self.topics[number as usize];
        let wanted = self.next_wanted(number);
        let from = match self.random.below(4) {
            0 => wanted.saturating_sub(self.random.below(8)),
            1 if self.random.one_in(4) => wanted + 1 + self.random.below(3),
            _ => wanted,
        };
        if from >= topic.end {
            return;
        }
        let end = from + 1 + self.random.below((topic.end - from).min(12));
        let run = topic.run(from, end);
        self.group.offer_run(orders(number), from, &run, end);
        if from <= wanted {
            self.model.offer(number, wanted, &run, end);
        }
        self.appended();
    }

    fn ask(&mut self) {
        for want in self.group.wants(self.now_ms) {
            assert_eq!(want.from, self.next_wanted(want.partition.partition));
        }
    }

    fn lease(&mut self, records_max: usize) {
        let available: Vec<_> = (0..PARTITIONS).map(|n| self.model.available(n)).collect();
        let lease_ms = LEASE_MS.0 + self.random.below(40_000) as u32;
        let leases = self.group.ask(self.now_ms, records_max, Some(lease_ms));
        let has_dead = !self.model.dead_letters().is_empty();
        assert_eq!(leases.has_dead_letters, has_dead);
        let leased = leases.leased;
        let mut taken: Vec<Vec<u64>> = vec![Vec::new(); PARTITIONS as usize];
        for leased in &leased {
            let token = leased.token;
            taken[token.partition.partition as usize].push(token.offset);
            let deadline_ms = self.now_ms + i64::from(lease_ms);
            assert_eq!(leased.deadline_ms, deadline_ms);
            assert_eq!(token.lease, self.model.next_lease);
            let place = (token.partition.partition, token.offset);
            self.model.lease(place.0, place.1, lease_ms, deadline_ms);
            assert_eq!(leased.attempt, self.model.records[&place].attempts);
            let record = (token.partition, token.offset);
            assert!(!self.acked.contains(&record), "acknowledged: {token:?}");
        }
        self.model.next_lease += u64::from(!leased.is_empty());
        check_shares(&available, &taken, records_max);
        self.appended();
        let events = self.group.log.len();
        self.unanswered
            .extend(leased.iter().map(|leased| (events, leased.token)));
    }

    fn settle(&mut self) {
        let mut settlement = Settlement::default();
        for _ in 0..1 + self.random.below(6) {
            let Some(mut token) = self.random.pick(&self.tokens) else {
                return;
            };
            match self.random.below(40) {
                0 => token.lease = self.random.below(token.lease + 3),
                1 => token.partition.partition = PARTITIONS,
                _ => {}
            }
            let reason = String::new();
            match self.random.below(9) {
                8 => settlement.release.push(token),
                0..4 => settlement.ack.push(token),
                4 | 5 => settlement.nack.push(Nack {
                    token,
                    delay_ms: self.random.below(3) as u32 * 15_000,
                    reason,
                }),
                6 => {
                    let lease_ms = LEASE_MS.0 + self.random.below(50_000) as u32;
                    settlement.extend.push((token, lease_ms));
                }
                _ => settlement.reject.push(Reject { token, reason }),
            }
        }
        self.settle_as(&settlement);
    }

    fn settle_as(&mut self, settlement: &Settlement) {
        let expected = self.model.settle(self.now_ms, settlement);
        let outcomes = self.group.settle(self.now_ms, settlement);
        assert_eq!(outcomes, expected, "{settlement:?}");
        self.appended();
        // Not all of these were acknowledged by this one: but whoever is told so may rely on it.
        let events = self.group.log.len();
        let ok = settlement.ack.iter().zip(&outcomes);
        let ok = ok.filter(|(_, outcome)| **outcome == Outcome::Ok);
        self.unanswered_acks
            .extend(ok.map(|(token, _)| (events, *token)));
    }

    fn expire(&mut self) {
        let (before, end) = (self.model.clone(), self.group.log.len());
        self.model.expire(self.now_ms);
        self.group.expire(self.now_ms);
        // What ends in the other group is an event of its own, which may come first, and alone be kept.
        let own_key = Event::Deleted(group("g")).key();
        let own = self.group.log[end..]
            .iter()
            .position(|(key, _)| *key == own_key);
        self.after
            .extend(std::iter::repeat_n(before, own.unwrap_or(0)));
        let due_ms = self.group.due_ms();
        assert!(due_ms.is_none_or(|due_ms| due_ms > self.now_ms));
        self.appended();
    }

    fn write_dead_letters(&mut self) {
        let count_max = self.random.below(4) as usize;
        let letters = self.group.dead_letters(count_max);
        let mut written: Vec<_> = letters.iter().map(|letter| letter.token).collect();
        written.extend(self.random.pick(&self.tokens));
        self.group.dead_lettered(&written);
        for token in written {
            self.model.dead_lettered(token);
        }
        self.appended();
    }

    fn trim(&mut self, number: u32) {
        let topic = &mut self.topics[number as usize];
        let log_start = topic.start + self.random.below(4).min(topic.end - topic.start);
        topic.start = log_start;
        topic.records.retain(|(offset, _)| *offset >= log_start);
        self.model.trim(number, log_start);
        self.group.trim(orders(number), log_start);
        self.appended();
    }

    /// A record goes from the middle of a log: only who has not fetched it will notice.
    fn compact(&mut self, number: u32) {
        let topic = &mut self.topics[number as usize];
        if !topic.records.is_empty() {
            let at = self.random.below(topic.records.len() as u64);
            topic.records.remove(at as usize);
        }
    }

    fn move_to(&mut self, number: u32) {
        let topic = &self.topics[number as usize];
        let to = topic.start + self.random.below(topic.end - topic.start + 1);
        self.group.move_to(orders(number), to);
        self.model.move_to(number, to);
        self.begins_at(number, to);
    }

    /// The group is deleted, and another one gets its name.
    fn begin_anew(&mut self) {
        let deleted = self.group.act(self.now_ms, Action::Delete);
        if self.has_live_lease() {
            assert_eq!(deleted, Err(GroupError::MembersActive));
            return;
        }
        assert!(deleted.is_ok());
        self.group.ensure(self.model.rules);
        self.model.dropped = 0;
        for number in 0..PARTITIONS {
            self.model.move_to(number, 0);
            self.begins_at(number, 0);
        }
    }

    /// From here on nothing of before counts.
    fn begins_at(&mut self, number: u32, offset: u64) {
        self.appended();
        // One that is lost would bring back what this history is about to forget.
        self.commit_up_to(self.group.log.len());
        self.floors[number as usize] = offset;
        self.begins[number as usize] = offset;
        self.acked
            .retain(|(partition, _)| partition.partition != number);
    }

    fn other(&mut self) {
        self.other
            .step(&mut self.group, &mut self.random, self.now_ms);
        self.appended();
    }

    fn commit(&mut self) {
        let uncommitted = self.group.log.len() - self.committed;
        let more = self.random.below(uncommitted as u64 + 1) as usize;
        self.commit_up_to(self.committed + more);
    }

    /// Calls are answered when all events that their answers rest on are committed.
    fn commit_up_to(&mut self, events: usize) {
        self.committed = self.committed.max(events);
        let committed = self.committed;
        let answered = |(events, _): &mut (usize, Token)| *events <= committed;
        let leased = self.unanswered.extract_if(.., answered);
        self.tokens.extend(leased.map(|(_, token)| token));
        let acked = self.unanswered_acks.extract_if(.., answered);
        self.acked
            .extend(acked.map(|(_, token)| (token.partition, token.offset)));
        self.other.answered(committed);
    }

    /// The next piece of all state into the log; after the last one the log is cut before the first.
    fn snapshot_advances(&mut self) {
        let begin = (self.group.log.len(), SnapshotCursor::default());
        let (first, cursor) = self.snapshot.take().unwrap_or(begin);
        if let Some((event, next)) = self.group.coordinator.snapshot_next(cursor) {
            self.group.log.push(record(&event));
            // As the broker does, whose own leases go on; another one would know the same by it.
            let mut same = self.group.coordinator.clone();
            same.apply(event);
            assert!(self.group.coordinator == same, "nothing new");
            self.snapshot = Some((first, next));
            self.appended();
        } else {
            self.commit_up_to(self.group.log.len());
            self.log_start = first;
        }
    }

    /// What is not committed is lost, or not.
    fn fail_over(&mut self) {
        self.commit();
        let kept = self.committed;
        self.group.log.truncate(kept);
        self.after.truncate(kept + 1);
        self.unanswered.clear();
        self.unanswered_acks.clear();
        self.snapshot = None;
        self.now_ms += self.random.below(30_000) as i64;

        let whole = replayed(&self.group.log);
        let begin = self.random.below(self.log_start as u64 + 1) as usize;
        let mut coordinator = replayed(&self.group.log[begin..]);
        assert!(coordinator == whole, "a cut log tells the same");
        coordinator.resume(self.now_ms);
        self.group.coordinator = coordinator;
        self.model = self.after[kept].clone();
        self.model.fail_over(self.now_ms);
        self.other.fail_over(&mut self.group, self.now_ms);
        // What was not committed moved floors that nobody was told of.
        self.floors = self.group.floors();
        self.appended();
    }

    fn appended(&mut self) {
        let events = self.group.log.len();
        self.after.resize(events + 1, self.model.clone());
        // Even without an event: what is not durable may have changed.
        self.after[events] = self.model.clone();
    }

    fn next_wanted(&self, number: u32) -> u64 {
        let wanted = self.group.next_wanted(orders(number));
        wanted.expect("there is room")
    }

    fn has_live_lease(&self) -> bool {
        let mut states = self.model.records.values().map(|record| &record.state);
        states.any(|state| matches!(state, State::Leased(_, Some(_))))
    }

    fn check(&mut self) {
        let group = self.group.describe();
        for (number, position) in (0..).zip(&group.positions) {
            let floor = position.committed.unwrap();
            assert!(floor >= self.floors[number as usize], "the floor goes back");
            self.floors[number as usize] = floor;
            let of_partition = self.model.records.range((number, 0)..(number + 1, 0));
            for ((_, offset), record) in of_partition {
                assert!(
                    *offset >= floor || !record.is_unsettled(),
                    "{number}/{offset}"
                );
            }
            let begin = self.begins[number as usize];
            for (offset, _) in self.topics[number as usize].run(begin, self.next_wanted(number)) {
                let record = self.model.records.get(&(number, offset));
                let is_seen = record.is_some_and(|record| record.known || !record.is_unsettled());
                assert!(is_seen, "{number}/{offset} is skipped");
            }
        }
        let letters = self.group.dead_letters(usize::MAX).into_iter();
        let letters = letters.map(|letter| {
            let Token {
                partition, offset, ..
            } = letter.token;
            (partition.partition, offset, letter.attempts, letter.cause)
        });
        assert_eq!(letters.collect::<Vec<_>>(), self.model.dead_letters());
        let work = group.work.expect("a shared group");
        assert_eq!(work.dropped, self.model.dropped);
        assert_eq!(work.leased > 0, self.has_live_lease());
        if self.random.one_in(10) {
            let next = replayed(&self.group.log);
            assert!(next == self.group.coordinator, "a replay is the same");
        }
    }

    /// Workers that do all there is, until there is nothing.
    fn become_quiet(mut self) {
        self.other.leave(&mut self.group, self.now_ms);
        let mut rounds = 0;
        while !self.is_quiet() {
            rounds += 1;
            assert!(rounds < 1_000, "it comes to an end");
            for number in 0..PARTITIONS {
                let topic = &self.topics[number as usize];
                let wanted = self.next_wanted(number);
                let run = topic.run(wanted, topic.end);
                let end = topic.end.max(wanted);
                self.group.offer_run(orders(number), wanted, &run, end);
                self.model.offer(number, wanted, &run, end);
                self.appended();
            }
            let before = self.unanswered.len();
            self.lease(usize::MAX);
            let ack = self.unanswered[before..]
                .iter()
                .map(|(_, token)| *token)
                .collect();
            self.settle_as(&acks(ack));
            self.write_dead_letters();
            self.now_ms += 20_000;
            self.expire();
            self.check();
        }
        assert_eq!(self.group.due_ms(), None);
        assert!(!self.group.has_available());
        for (position, topic) in self.group.describe().positions.iter().zip(&self.topics) {
            let last = topic.records.last().map_or(0, |(offset, _)| offset + 1);
            assert!(position.committed >= Some(last), "{position:?}");
            assert_eq!(position.settled_above, 0);
        }
    }

    fn is_quiet(&self) -> bool {
        let is_settled = |place| match self.model.records.get(&place) {
            Some(record) => !record.is_unsettled(),
            None => place.1 < self.begins[place.0 as usize],
        };
        let topics = (0..).zip(&self.topics);
        let mut records =
            topics.flat_map(|(number, topic)| topic.records.iter().map(move |of| (number, of.0)));
        records.all(is_settled) && self.model.records.keys().all(|place| is_settled(*place))
    }
}

impl Topic {
    fn run(&self, from: u64, end: u64) -> Vec<(u64, Option<u64>)> {
        let inside = |(offset, _): &&(u64, Option<u64>)| (from..end).contains(offset);
        self.records.iter().filter(inside).copied().collect()
    }
}

/// The oldest of each partition, as many as there may be, in shares that are equal but for those
/// that have no more.
fn check_shares(available: &[Vec<u64>], taken: &[Vec<u64>], records_max: usize) {
    let total = available.iter().map(Vec::len).sum::<usize>();
    let took = taken.iter().map(Vec::len).sum::<usize>();
    assert_eq!(took, records_max.min(total));
    let most = taken.iter().map(Vec::len).max().unwrap_or(0);
    for (available, taken) in available.iter().zip(taken) {
        assert!(available.starts_with(taken), "{taken:?} of {available:?}");
        assert!(taken.len() + 1 >= most || taken.len() == available.len());
    }
}
