//! What a record costs. Prints; run it in release:
//! `cargo test --release -p headwater-groups --test shared speed -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use headwater_groups::shared::{SharedGroup, Token};

use crate::harness::{Coordinator, RULES, acks, partition};

const RECORDS: u64 = 2_000_000;

/// Runs records of so many keys through a group, in calls of so many.
#[expect(clippy::print_stdout, reason = "that is what it is for")]
fn run(what: &str, partitions: u32, keys: u64, batch: usize) {
    let mut group = Coordinator::new(RULES, partitions).group;
    let (mut settled, mut bytes, mut offering) = (0, 0, Duration::ZERO);
    let (mut calls, mut now_ms) = (0u64, 0);
    let begun = Instant::now();
    while settled < RECORDS {
        if group
            .positions()
            .any(|at| at.next_wanted < at.floor + 2_000)
        {
            now_ms += 1_000;
            let begun = Instant::now();
            offer(&mut group, keys, now_ms);
            offering += begun.elapsed();
        }
        let (leased, event) = group.lease(now_ms, batch, 45_000);
        let event = event.expect("there is always one");
        bytes += event.encode().len();
        group.apply(&event);
        let tokens: Vec<Token> = leased.iter().map(|leased| leased.token).collect();
        let (outcomes, event) = group.settle(now_ms, &acks(tokens));
        let event = event.expect("they were just leased");
        bytes += event.encode().len();
        group.apply(&event);
        settled += outcomes.len() as u64;
        calls += 1;
    }
    let each = |took: Duration| took.as_nanos() / u128::from(settled);
    println!(
        "{what}: {} ns a record leased and acked, {} ns of them to offer it, {} bytes of events a call",
        each(begun.elapsed()),
        each(offering),
        bytes as u64 / calls,
    );
}

fn offer(group: &mut SharedGroup, keys: u64, now_ms: i64) {
    for want in group.wants(now_ms) {
        let end = want.from + want.records_max as u64;
        let key = |offset: u64| offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) % keys;
        let records = (want.from..end).map(|offset| (offset, Some(key(offset))));
        let event = group.offer(want.partition, want.from, records, end);
        assert_eq!(event, None);
    }
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
    let mut group = Coordinator::new(RULES, 1);
    let records: Vec<_> = (0..40_000).map(|offset| (offset, Some(1))).collect();
    group.offer_run(partition(0), 0, &records, 40_000);
    let begun = Instant::now();
    for _ in 0..40_000 {
        let token = group.lease(0, 10)[0].token;
        group.ack(token);
    }
    assert_eq!(group.floor(), 40_000);
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
    let mut groups: Vec<Coordinator> = (0..20).map(|_| Coordinator::new(RULES, 1)).collect();
    for group in &mut groups {
        let records =
            (0..40_000u64).map(|offset| (offset, Some(offset.wrapping_mul(1 << 40 | 77))));
        group.group.offer(partition(0), 0, records, 40_000);
    }
    let records = 20 * 40_000;
    let waiting = resident_bytes() - before;
    println!("{} bytes a waiting record", waiting / records);
    for group in &mut groups {
        for _ in 0..40 {
            group.lease(0, usize::MAX);
        }
    }
    println!(
        "{} bytes more a leased one",
        (resident_bytes() - before - waiting) / records
    );
}
