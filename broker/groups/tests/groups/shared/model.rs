//! What a shared group is to do, in the plainest way: lists that are looked through.

use std::collections::{BTreeMap, BTreeSet};

use headwater_groups::{Cause, Outcome, Rules, Settlement, Token};

#[derive(Clone)]
pub struct Model {
    pub rules: Rules,
    /// By partition and offset.
    pub records: BTreeMap<(u32, u64), Record>,
    pub next_lease: u64,
    pub dropped: u64,
    /// By partition: leases up to these say nothing, and all below these offsets is settled.
    pub begins: BTreeMap<u32, (u64, u64)>,
}

#[derive(Clone, Debug)]
pub struct Record {
    pub key: Option<u64>,
    /// Whether it was offered to this leader.
    pub known: bool,
    /// Whether it turned out that it is not there any more.
    pub gone: bool,
    pub attempts: u32,
    pub lease: u64,
    pub state: State,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    New,
    /// Until then, or the lease has ended.
    Leased(u32, Option<i64>),
    /// Until then, and whether that is to come.
    Nacked(i64, bool),
    Dead(Cause),
    Settled,
}

impl Model {
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            records: BTreeMap::new(),
            next_lease: 1,
            dropped: 0,
            begins: BTreeMap::new(),
        }
    }

    /// `from` is what the group wants next.
    pub fn offer(&mut self, partition: u32, from: u64, run: &[(u64, Option<u64>)], end: u64) {
        for (offset, key) in run.iter().filter(|(offset, _)| *offset >= from) {
            let record = self.records.entry((partition, *offset)).or_insert(Record {
                key: *key,
                known: false,
                gone: false,
                attempts: 0,
                lease: 0,
                state: State::New,
            });
            (record.key, record.known) = (*key, true);
        }
        for ((of, offset), record) in &mut self.records {
            if *of == partition && (from..end).contains(offset) && !record.known {
                record.turns_out_gone();
            }
        }
    }

    pub fn trim(&mut self, partition: u32, log_start: u64) {
        for ((of, offset), record) in &mut self.records {
            if *of == partition && *offset < log_start {
                record.state = State::Settled;
            }
        }
        let (_, begin) = self.begins.entry(partition).or_default();
        *begin = log_start.max(*begin);
    }

    pub fn move_to(&mut self, partition: u32, offset: u64) {
        self.records.retain(|(of, _), _| *of != partition);
        self.begins.insert(partition, (self.next_lease - 1, offset));
    }

    /// All that may be leased of a partition.
    pub fn available(&self, partition: u32) -> Vec<u64> {
        let of_partition = || self.records.iter().filter(|((of, _), _)| *of == partition);
        let is_behind = |offset: u64, key: Option<u64>| {
            let mut earlier = of_partition().filter(|((_, earlier), _)| *earlier < offset);
            key.is_some()
                && earlier.any(|(_, other)| other.key == key && other.is_unsettled() && !other.gone)
        };
        let available = of_partition().filter(|((_, offset), record)| {
            let free = matches!(
                record.state,
                State::New | State::Leased(_, None) | State::Nacked(_, false)
            );
            record.known && !record.gone && free && !is_behind(*offset, record.key)
        });
        available.map(|((_, offset), _)| *offset).collect()
    }

    pub fn lease(&mut self, partition: u32, offset: u64, lease_ms: u32, deadline_ms: i64) {
        let record = self.records.get_mut(&(partition, offset)).unwrap();
        record.attempts += 1;
        record.lease = self.next_lease;
        record.state = State::Leased(lease_ms, Some(deadline_ms));
    }

    /// Does something, and settles what is gone together with what that settled beside it.
    fn with_what_is_gone<T>(&mut self, call: impl FnOnce(&mut Self) -> T) -> T {
        let of = |these: &Self, is: fn(&Record) -> bool| -> BTreeSet<(u32, u64)> {
            let records = these.records.iter();
            let records = records.filter(|(_, record)| record.is_unsettled() && is(record));
            records.map(|(place, _)| *place).collect()
        };
        let there = of(self, |record| record.known && !record.gone);
        let offered = of(self, |record| record.known || record.gone);
        let answer = call(self);
        for place @ (partition, offset) in offered {
            if self.records[&place].is_unsettled() {
                continue;
            }
            let beside = |(of, offset): &(u32, u64)| (*of == partition).then_some(*offset);
            let before = there.range(..place).next_back().and_then(beside);
            let after = there
                .range((partition, offset + 1)..)
                .next()
                .and_then(beside);
            let start = before.map_or(0, |before| before + 1);
            let end = after.unwrap_or(u64::MAX);
            for (_, record) in self.records.range_mut((partition, start)..(partition, end)) {
                if record.gone {
                    record.state = State::Settled;
                }
            }
        }
        answer
    }

    pub fn settle(&mut self, now_ms: i64, settlement: &Settlement) -> Vec<Outcome> {
        self.with_what_is_gone(|model| model.settle_each(now_ms, settlement))
    }

    fn settle_each(&mut self, now_ms: i64, settlement: &Settlement) -> Vec<Outcome> {
        let max = self.rules.max_attempts;
        let mut outcomes = Vec::new();
        for token in &settlement.ack {
            outcomes.push(match self.standing(*token) {
                Ok(record) if record.is_leased() => {
                    record.state = State::Settled;
                    Outcome::Ok
                }
                Ok(_) => Outcome::Expired,
                Err(other) => other,
            });
        }
        for nack in &settlement.nack {
            let delay_ms = nack.delay_ms;
            outcomes.push(match self.standing(nack.token) {
                Ok(record) if record.is_leased() && record.attempts < max => {
                    let is_to_come = delay_ms > 0 || record.gone;
                    record.state = State::Nacked(now_ms + i64::from(delay_ms), is_to_come);
                    Outcome::Ok
                }
                Ok(record) if record.is_leased() => self.give_up(nack.token, Cause::Nacked),
                Ok(record) if record.state == State::Dead(Cause::Expired) => Outcome::Expired,
                Ok(_) => Outcome::Ok,
                Err(Outcome::Ok) => Outcome::Expired,
                Err(other) => other,
            });
        }
        for (token, lease_ms) in &settlement.extend {
            outcomes.push(match self.standing(*token) {
                Ok(record) if record.is_leased() => {
                    let until_ms = now_ms + i64::from(*lease_ms);
                    record.state = State::Leased(*lease_ms, Some(until_ms));
                    Outcome::Ok
                }
                Ok(_) | Err(Outcome::Ok) => Outcome::Expired,
                Err(other) => other,
            });
        }
        for reject in &settlement.reject {
            outcomes.push(match self.standing(reject.token) {
                Ok(record) if record.is_leased() => self.give_up(reject.token, Cause::Rejected),
                Ok(record) => match record.state {
                    State::Dead(Cause::Nacked | Cause::Rejected) => Outcome::Ok,
                    _ => Outcome::Expired,
                },
                Err(other) => other,
            });
        }
        for token in &settlement.release {
            outcomes.push(match self.standing(*token) {
                Ok(record) if record.is_leased() => {
                    record.attempts -= 1;
                    record.state = State::Nacked(now_ms, record.gone);
                    Outcome::Ok
                }
                Ok(record) if matches!(record.state, State::Nacked(..)) => Outcome::Ok,
                Ok(_) | Err(Outcome::Ok) => Outcome::Expired,
                Err(other) => other,
            });
        }
        outcomes
    }

    /// The unsettled record that a token is the last lease of; `Ok` as an error: it is settled.
    fn standing(&mut self, token: Token) -> Result<&mut Record, Outcome> {
        let place = (token.partition.partition, token.offset);
        let record = self.records.get_mut(&place);
        let (fence, begin) = self.begins.get(&place.0).copied().unwrap_or_default();
        let is_of_now = token.lease > fence && token.lease < self.next_lease;
        if is_of_now && token.offset < begin {
            return Err(Outcome::Ok);
        }
        match record.filter(|_| is_of_now) {
            Some(record) if record.state == State::Settled => Err(Outcome::Ok),
            Some(record) if record.lease == token.lease => Ok(record),
            Some(record) if record.lease > token.lease => Err(Outcome::Expired),
            _ => Err(Outcome::Unknown),
        }
    }

    fn give_up(&mut self, token: Token, cause: Cause) -> Outcome {
        let place = (token.partition.partition, token.offset);
        let record = self.records.get_mut(&place).unwrap();
        if self.rules.dead_letters.is_some() {
            record.state = State::Dead(cause);
        } else {
            record.state = State::Settled;
            self.dropped += 1;
        }
        Outcome::Ok
    }

    pub fn expire(&mut self, now_ms: i64) {
        self.with_what_is_gone(|model| model.expire_each(now_ms));
    }

    fn expire_each(&mut self, now_ms: i64) {
        for record in self.records.values_mut() {
            match record.state {
                State::Leased(_, Some(until_ms)) | State::Nacked(until_ms, true)
                    if until_ms <= now_ms && record.gone =>
                {
                    record.state = State::Settled;
                }
                State::Leased(lease_ms, Some(until_ms)) if until_ms <= now_ms => {
                    if record.attempts < self.rules.max_attempts {
                        record.state = State::Leased(lease_ms, None);
                    } else if self.rules.dead_letters.is_some() {
                        record.state = State::Dead(Cause::Expired);
                    } else {
                        record.state = State::Settled;
                        self.dropped += 1;
                    }
                }
                State::Nacked(until_ms, true) if until_ms <= now_ms => {
                    record.state = State::Nacked(until_ms, false);
                }
                _ => {}
            }
        }
    }

    /// By partition, offset, attempts and cause.
    pub fn dead_letters(&self) -> Vec<(u32, u64, u32, Cause)> {
        let dead = self
            .records
            .iter()
            .filter_map(|((partition, offset), record)| {
                let State::Dead(cause) = record.state else {
                    return None;
                };
                Some((*partition, *offset, record.attempts, cause))
            });
        dead.collect()
    }

    pub fn dead_lettered(&mut self, token: Token) {
        self.with_what_is_gone(|model| {
            if let Ok(record) = model.standing(token)
                && matches!(record.state, State::Dead(_))
            {
                record.state = State::Settled;
            }
        });
    }

    /// A new leader knows what was durable.
    pub fn fail_over(&mut self, now_ms: i64) {
        self.records.retain(|_, record| record.state != State::New);
        for record in self.records.values_mut() {
            record.known = record.state == State::Settled;
            record.gone = false;
            match &mut record.state {
                State::Leased(lease_ms, until_ms) => {
                    *until_ms = Some(now_ms + i64::from(*lease_ms));
                }
                State::Nacked(_, is_to_come) => *is_to_come = true,
                _ => {}
            }
        }
    }
}

impl Record {
    pub fn is_unsettled(&self) -> bool {
        self.state != State::Settled
    }

    /// It is settled when the timer next runs.
    fn turns_out_gone(&mut self) {
        self.gone = true;
        match &mut self.state {
            State::New => self.state = State::Settled,
            State::Leased(_, until_ms) => *until_ms = Some(0),
            State::Nacked(until_ms, is_to_come) => (*until_ms, *is_to_come) = (0, true),
            State::Dead(_) | State::Settled => {}
        }
    }

    fn is_leased(&self) -> bool {
        matches!(self.state, State::Leased(..))
    }
}
