//! A group with its log.

use headwater_groups::shared::{
    Config, Leased, Nack, Outcome, Partition, Reject, Settlement, SharedEvent, SharedGroup, Token,
};

pub const LEASE_MS: u32 = 45_000;

pub const RULES: Config = Config {
    max_attempts: 3,
    dead_letters: true,
};

pub fn partition(number: u32) -> Partition {
    let topic = [7; 16];
    Partition { topic, number }
}

/// Applies what calls give, as a coordinator does, and checks that it survives the way of bytes.
pub struct Coordinator {
    pub group: SharedGroup,
    pub log: Vec<SharedEvent>,
}

impl Coordinator {
    /// A group with so many partitions, all at 0.
    pub fn new(config: Config, partitions: u32) -> Self {
        let mut new = Self {
            group: SharedGroup::new(config),
            log: Vec::new(),
        };
        let start = |number| (partition(number), Some(0));
        let event = new.group.move_to((0..partitions).map(start).collect());
        new.append(Some(event));
        new
    }

    /// Appends and applies an event.
    pub fn append(&mut self, event: Option<SharedEvent>) {
        if let Some(event) = event {
            let read = SharedEvent::decode(&event.encode()).unwrap();
            assert_eq!(read, event);
            self.group.apply(&read);
            self.log.push(event);
        }
    }

    /// What a new leader makes of a log.
    pub fn replay(config: Config, log: &[SharedEvent]) -> SharedGroup {
        let mut group = SharedGroup::new(config);
        log.iter().for_each(|event| group.apply(event));
        group
    }

    /// Another coordinator takes over, with the whole log.
    pub fn fail_over(&mut self, config: Config, now_ms: i64) {
        self.group = Self::replay(config, &self.log);
        self.group.resume(now_ms);
    }

    /// Offers neighbours of partition 0 by their keys, from an offset on.
    pub fn offer(&mut self, from: u64, keys: &[Option<u64>]) {
        let records: Vec<_> = (from..).zip(keys.iter().copied()).collect();
        let end = from + records.len() as u64;
        self.offer_run(partition(0), from, &records, end);
    }

    pub fn offer_run(
        &mut self,
        partition: Partition,
        from: u64,
        records: &[(u64, Option<u64>)],
        end: u64,
    ) {
        let records = records.iter().copied();
        let event = self.group.offer(partition, from, records, end);
        self.append(event);
    }

    pub fn lease(&mut self, now_ms: i64, records_max: usize) -> Vec<Leased> {
        let (leased, event) = self.group.lease(now_ms, records_max, LEASE_MS);
        assert_eq!(leased.is_empty(), event.is_none());
        self.append(event);
        leased
    }

    /// The offsets and attempts of a lease of all there is.
    pub fn lease_all(&mut self, now_ms: i64) -> Vec<(u64, u32)> {
        let leased = self.lease(now_ms, usize::MAX);
        let what = leased
            .iter()
            .map(|leased| (leased.token.offset, leased.attempt));
        what.collect()
    }

    pub fn settle(&mut self, now_ms: i64, settlement: &Settlement) -> Vec<Outcome> {
        let (outcomes, event) = self.group.settle(now_ms, settlement);
        self.append(event);
        outcomes
    }

    pub fn ack(&mut self, token: Token) -> Outcome {
        self.settle(0, &acks(vec![token]))[0]
    }

    pub fn nack(&mut self, now_ms: i64, token: Token, delay_ms: u32) -> Outcome {
        let reason = "it rains".to_owned();
        let nack = Nack {
            token,
            delay_ms,
            reason,
        };
        self.settle(
            now_ms,
            &Settlement {
                nack: vec![nack],
                ..Settlement::default()
            },
        )[0]
    }

    pub fn extend(&mut self, now_ms: i64, token: Token, lease_ms: u32) -> Outcome {
        let extend = vec![(token, lease_ms)];
        self.settle(
            now_ms,
            &Settlement {
                extend,
                ..Settlement::default()
            },
        )[0]
    }

    pub fn reject(&mut self, token: Token) -> Outcome {
        let reason = "no such customer".to_owned();
        self.settle(
            0,
            &Settlement {
                reject: vec![Reject { token, reason }],
                ..Settlement::default()
            },
        )[0]
    }

    pub fn expire(&mut self, now_ms: i64) {
        let event = self.group.expire(now_ms);
        self.append(event);
    }

    pub fn floor(&self) -> u64 {
        self.group.positions().next().unwrap().floor
    }
}

pub fn acks(ack: Vec<Token>) -> Settlement {
    Settlement {
        ack,
        ..Settlement::default()
    }
}
