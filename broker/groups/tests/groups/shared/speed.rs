//! What a record costs, with its events made into bytes and applied. Prints; run it in release:
//! `cargo test --release -p headwater-groups --test groups speed -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use headwater_groups::{Action, Call, Coordinator, Leases, Offer, Reply, Token};

use crate::shared::harness::{Group, RULES, acks};
use crate::support::{Metadata, group, orders};

const RECORDS: u64 = 2_000_000;

/// A coordinator as a broker drives it.
struct Driven {
    coordinator: Coordinator,
    topics: Metadata,
    now_ms: i64,
    event_bytes: usize,
}

impl Driven {
    fn new(partitions: u32) -> Self {
        let Group {
            coordinator,
            topics,
            ..
        } = Group::new(RULES, partitions);
        Self {
            coordinator,
            topics,
            now_ms: 0,
            event_bytes: 0,
        }
    }

    fn act(&mut self, action: Action) -> Reply {
        let call = Call::Group(group("g"), action);
        let handled = self.coordinator.handle(self.now_ms, call, &self.topics);
        let (events, reply) = handled.expect("a group");
        for event in events {
            self.event_bytes += event.key().len() + event.value().map_or(0, |value| value.len());
            self.coordinator.apply(event);
        }
        reply
    }

    fn lease(&mut self, records_max: usize) -> Leases {
        let lease_ms = None;
        match self.act(Action::Lease {
            records_max,
            lease_ms,
        }) {
            Reply::Leased(leases) => leases,
            other => panic!("{other:?}"),
        }
    }
}

/// Runs records of so many keys through a group, in calls of so many.
#[expect(clippy::print_stdout, reason = "that is what it is for")]
fn run(what: &str, partitions: u32, keys: u64, batch: usize) {
    let mut driven = Driven::new(partitions);
    let (mut settled, mut calls, mut offering) = (0, 0, Duration::ZERO);
    let begun = Instant::now();
    while settled < RECORDS {
        let leases = driven.lease(batch);
        driven.now_ms += 1;
        let offered = Instant::now();
        for want in leases.wants {
            let end = want.from + want.records_max as u64;
            let key = |offset: u64| offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) % keys;
            let records = (want.from..end).map(|offset| (offset, Some(key(offset))));
            let offer = Offer {
                partition: want.partition,
                log_start: 0,
                from: want.from,
                records: records.collect(),
                end,
            };
            driven.act(Action::Offer(vec![offer]));
        }
        offering += offered.elapsed();
        let tokens: Vec<Token> = leases.leased.iter().map(|leased| leased.token).collect();
        settled += tokens.len() as u64;
        if !tokens.is_empty() {
            driven.act(Action::Settle(acks(tokens)));
            calls += 1;
        }
    }
    let each = |took: Duration| took.as_nanos() / u128::from(settled);
    println!(
        "{what}: {} ns a record leased and acked, {} ns of them to offer it, {} bytes of events a call",
        each(begun.elapsed()),
        each(offering),
        driven.event_bytes as u64 / calls,
    );
}

#[test]
#[ignore = "prints how fast it is"]
fn speed() {
    run("one partition, a record a call", 1, u64::MAX, 1);
    run("one partition, 100 a call", 1, u64::MAX, 100);
    run("64 partitions, 100 a call", 64, u64::MAX, 100);
    run("64 partitions, 10 keys each", 64, 10, 100);
}

#[test]
#[ignore = "prints how fast it is"]
#[expect(clippy::print_stdout, reason = "that is what it is for")]
fn speed_behind_one_hot_key() {
    let mut full = Group::new(RULES, 1);
    let records: Vec<_> = (0..40_000).map(|offset| (offset, Some(1))).collect();
    full.offer_run(orders(0), 0, &records, 40_000);
    let mut driven = Driven::new(1);
    driven.coordinator = full.coordinator;
    let begun = Instant::now();
    for _ in 0..40_000 {
        let token = driven.lease(10).leased[0].token;
        driven.act(Action::Settle(acks(vec![token])));
    }
    let each = begun.elapsed().as_nanos() / 40_000;
    println!("{each} ns a record, with up to 40000 of its key behind it");
}

#[test]
#[ignore = "prints how much it takes, on Linux"]
#[expect(clippy::print_stdout, reason = "that is what it is for")]
fn speed_is_not_bought_with_memory() {
    const PAGE_BYTES: u64 = 4_096;
    let resident_bytes = || {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
        pages * PAGE_BYTES
    };
    let before = resident_bytes();
    let mut groups: Vec<Driven> = (0..20).map(|_| Driven::new(1)).collect();
    for group in &mut groups {
        for from in (0..40_000u64).step_by(5_000) {
            let records = from..from + 5_000;
            let records = records.map(|offset| (offset, Some(offset.wrapping_mul(1 << 40 | 77))));
            let offer = Offer {
                partition: orders(0),
                log_start: 0,
                from,
                records: records.collect(),
                end: from + 5_000,
            };
            group.act(Action::Offer(vec![offer]));
        }
    }
    let records = 20 * 40_000;
    let waiting = resident_bytes() - before;
    println!("{} bytes a waiting record", waiting / records);
    for group in &mut groups {
        for _ in 0..40 {
            group.lease(usize::MAX);
        }
    }
    println!(
        "{} bytes more a leased one",
        (resident_bytes() - before - waiting) / records
    );
}
