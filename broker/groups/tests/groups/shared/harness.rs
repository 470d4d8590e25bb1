//! A coordinator of one shared group with its log, and short words for its calls.

use headwater_groups::{
    Action, Call, Config, Coordinator, DeadLetter, Description, Event, GroupError, Kind, Leased,
    Leases, Nack, Offer, Outcome, PartitionId, Reject, Reply, Rules, Settlement, Start, Token,
    Want, Work,
};

use crate::support::{Metadata, ORDERS, PAYMENTS, Record, group, orders, record, replayed};

pub const LEASE_MS: u32 = 45_000;

pub const RULES: Rules = Rules {
    max_attempts: 3,
    dead_letters: Some(PAYMENTS),
};

pub fn config(rules: Rules) -> Config {
    Config {
        topics: vec![ORDERS],
        kind: Kind::Shared(rules),
        start: Start::Earliest,
        lease_ms: LEASE_MS,
    }
}

/// Appends and applies what calls give, as a broker does.
#[derive(Clone)]
pub struct Group {
    pub coordinator: Coordinator,
    pub topics: Metadata,
    pub log: Vec<Record>,
}

impl Group {
    /// A group that reads so many partitions, all from 0.
    pub fn new(rules: Rules, partitions: u32) -> Self {
        let mut new = Self {
            coordinator: Coordinator::new(),
            topics: Metadata([(ORDERS, partitions), (PAYMENTS, 1)].into()),
            log: Vec::new(),
        };
        new.ensure(rules);
        new
    }

    pub fn ensure(&mut self, rules: Rules) {
        let config = config(rules);
        let offsets = Vec::new();
        self.act(
            0,
            Action::Ensure {
                config,
                offsets,
                only_new: false,
            },
        )
        .expect("a group");
    }

    pub fn act(&mut self, now_ms: i64, action: Action) -> Result<Reply, GroupError> {
        self.call(now_ms, "g", action)
    }

    pub fn call(&mut self, now_ms: i64, name: &str, action: Action) -> Result<Reply, GroupError> {
        let before = self.coordinator.clone();
        let call = Call::Group(group(name), action);
        let handled = self.coordinator.handle(now_ms, call, &self.topics);
        assert!(self.coordinator == before, "a call alone changes nothing");
        let (events, reply) = handled?;
        assert!(events.len() <= 2, "one of the group, one of the floor");
        self.append(events);
        Ok(reply)
    }

    /// What a call would be answered, without a trace of it.
    fn peek(&self, action: Action) -> Reply {
        let call = Call::Group(group("g"), action);
        let handled = self.coordinator.clone().handle(0, call, &self.topics);
        handled.expect("a group").1
    }

    pub fn append(&mut self, events: Vec<Event>) {
        for event in events {
            self.log.push(record(&event));
            self.coordinator.apply(event);
        }
    }

    /// Another coordinator takes over, with the whole log.
    pub fn fail_over(&mut self, now_ms: i64) {
        let next = replayed(&self.log);
        assert!(next == self.coordinator, "the log is the state");
        self.coordinator = next;
        self.coordinator.resume(now_ms);
    }

    /// Offers neighbours of partition 0 by their keys, from an offset on.
    pub fn offer(&mut self, from: u64, keys: &[Option<u64>]) {
        let records: Vec<_> = (from..).zip(keys.iter().copied()).collect();
        let end = from + records.len() as u64;
        self.offer_run(orders(0), from, &records, end);
    }

    /// Offers a run of records, in as many calls as it takes.
    pub fn offer_run(
        &mut self,
        partition: PartitionId,
        mut from: u64,
        records: &[(u64, Option<u64>)],
        end: u64,
    ) {
        let mut chunks = records.chunks(5_000).peekable();
        loop {
            let chunk = chunks.next().unwrap_or_default();
            let until = chunks.peek().map_or(end, |next| next[0].0);
            let offer = Offer {
                partition,
                log_start: 0,
                from,
                records: chunk.to_vec(),
                end: until,
            };
            self.act(0, Action::Offer(vec![offer])).expect("few enough");
            from = until;
            if chunks.peek().is_none() {
                break;
            }
        }
    }

    /// Offers so many records of one key to a group of some name, and leases the first; without the
    /// checks of a call, which copy all groups.
    pub fn offer_and_lease(&mut self, name: &str, records: u64) -> Token {
        let mut act = |action| {
            let call = Call::Group(group(name), action);
            let (events, reply) = self.coordinator.handle(0, call, &self.topics).unwrap();
            for event in events {
                self.log.push(record(&event));
                self.coordinator.apply(event);
            }
            reply
        };
        for from in (0..records).step_by(5_000) {
            let end = records.min(from + 5_000);
            let offer = Offer {
                partition: orders(0),
                log_start: 0,
                from,
                records: (from..end).map(|offset| (offset, Some(1))).collect(),
                end,
            };
            act(Action::Offer(vec![offer]));
        }
        let lease = Action::Lease {
            records_max: 1,
            lease_ms: None,
        };
        match act(lease) {
            Reply::Leased(leases) => leases.leased[0].token,
            other => panic!("{other:?}"),
        }
    }

    /// Tells that a partition's log begins here.
    pub fn trim(&mut self, partition: PartitionId, log_start: u64) {
        let offer = Offer {
            partition,
            log_start,
            from: 0,
            records: Vec::new(),
            end: 0,
        };
        self.act(0, Action::Offer(vec![offer])).expect("an offer");
    }

    pub fn ask(&mut self, now_ms: i64, records_max: usize, lease_ms: Option<u32>) -> Leases {
        let action = Action::Lease {
            records_max,
            lease_ms,
        };
        match self.act(now_ms, action) {
            Ok(Reply::Leased(leases)) => leases,
            other => panic!("{other:?}"),
        }
    }

    pub fn lease(&mut self, now_ms: i64, records_max: usize) -> Vec<Leased> {
        self.ask(now_ms, records_max, None).leased
    }

    pub fn wants(&mut self, now_ms: i64) -> Vec<Want> {
        self.ask(now_ms, 0, None).wants
    }

    /// The offsets and attempts of a lease of all there is.
    pub fn lease_all(&mut self, now_ms: i64) -> Vec<(u64, u32)> {
        let leased = self.lease(now_ms, usize::MAX);
        let what = leased
            .iter()
            .map(|leased| (leased.token.offset, leased.attempt));
        what.collect()
    }

    pub fn has_available(&self) -> bool {
        let action = Action::Lease {
            records_max: 1,
            lease_ms: None,
        };
        match self.peek(action) {
            Reply::Leased(leases) => !leases.leased.is_empty(),
            other => panic!("{other:?}"),
        }
    }

    pub fn settle(&mut self, now_ms: i64, settlement: &Settlement) -> Vec<Outcome> {
        match self.act(now_ms, Action::Settle(settlement.clone())) {
            Ok(Reply::Settled(outcomes)) => outcomes,
            other => panic!("{other:?}"),
        }
    }

    pub fn ack(&mut self, token: Token) -> Outcome {
        self.settle(0, &acks(vec![token]))[0]
    }

    pub fn nack(&mut self, now_ms: i64, token: Token, delay_ms: u32) -> Outcome {
        let reason = "it rains".to_owned();
        let nack = vec![Nack {
            token,
            delay_ms,
            reason,
        }];
        let settlement = Settlement {
            nack,
            ..Settlement::default()
        };
        self.settle(now_ms, &settlement)[0]
    }

    pub fn extend(&mut self, now_ms: i64, token: Token, lease_ms: u32) -> Outcome {
        let settlement = Settlement {
            extend: vec![(token, lease_ms)],
            ..Settlement::default()
        };
        self.settle(now_ms, &settlement)[0]
    }

    pub fn reject(&mut self, token: Token) -> Outcome {
        self.reject_with(token, "no such customer".to_owned())
    }

    pub fn reject_with(&mut self, token: Token, reason: String) -> Outcome {
        let settlement = Settlement {
            reject: vec![Reject { token, reason }],
            ..Settlement::default()
        };
        self.settle(0, &settlement)[0]
    }

    /// One turn of the timer.
    pub fn expire(&mut self, now_ms: i64) {
        let events = self.coordinator.expire(now_ms);
        self.append(events);
    }

    pub fn due_ms(&self) -> Option<i64> {
        self.coordinator.due_ms()
    }

    pub fn dead_letters(&self, max: usize) -> Vec<DeadLetter> {
        match self.peek(Action::DeadLetters { max }) {
            Reply::DeadLetters(letters) => letters,
            other => panic!("{other:?}"),
        }
    }

    pub fn dead_lettered(&mut self, written: &[Token]) {
        let reply = self.act(0, Action::DeadLettered(written.to_vec()));
        assert_eq!(reply, Ok(Reply::DeadLettered));
    }

    /// Moves a partition whatever workers have.
    pub fn move_to(&mut self, partition: PartitionId, offset: u64) {
        let action = Action::Reset {
            offsets: vec![(partition, offset)],
            force: true,
            dry_run: false,
        };
        self.act(0, action).expect("a partition of the group");
    }

    pub fn describe(&self) -> Description {
        match self.peek(Action::Describe) {
            Reply::Described(description) => description,
            other => panic!("{other:?}"),
        }
    }

    pub fn work(&self) -> Work {
        self.describe().work.expect("a shared group")
    }

    pub fn floors(&self) -> Vec<u64> {
        let positions = self.describe().positions;
        positions.iter().map(|at| at.committed.unwrap()).collect()
    }

    pub fn floor(&self) -> u64 {
        self.floors()[0]
    }

    /// What is wanted next of a partition, whoever was asked before; `None` of one that has no room
    /// or enough.
    pub fn next_wanted(&self, partition: PartitionId) -> Option<u64> {
        let wants = self.clone().wants(1 << 50);
        let want = wants.iter().find(|want| want.partition == partition);
        want.map(|want| want.from)
    }
}

pub fn acks(ack: Vec<Token>) -> Settlement {
    Settlement {
        ack,
        ..Settlement::default()
    }
}
