//! What is bounded, and that one key does not stop the others.

use headwater_groups::shared::{CALL_RECORDS_MAX, Outcome, Partition, WINDOW_RECORDS_MAX};

use crate::harness::{Coordinator, LEASE_MS, RULES, acks, partition};

/// Offers what is wanted, all of one key, until nothing is; gives how many each partition took.
fn fill(group: &mut Coordinator, key: Option<u64>) -> Vec<u64> {
    let mut now_ms = 0;
    loop {
        now_ms += 10_000;
        let wants = group.group.wants(now_ms);
        if wants.is_empty() {
            break;
        }
        for want in wants {
            let end = want.from + want.records_max as u64;
            let records: Vec<_> = (want.from..end).map(|offset| (offset, key)).collect();
            group.offer_run(want.partition, want.from, &records, end);
        }
    }
    let positions = group.group.positions();
    positions.map(|position| position.next_wanted).collect()
}

fn take_all(group: &mut Coordinator, partition: Partition, key: Option<u64>) -> u64 {
    let records = (0..WINDOW_RECORDS_MAX as u64).map(|offset| (offset, key));
    let records: Vec<_> = records.collect();
    group.offer_run(partition, 0, &records, records.len() as u64);
    let mut positions = group.group.positions();
    let position = positions.find(|position| position.partition == partition);
    position.unwrap().next_wanted
}

#[test]
fn one_stuck_key_takes_its_share_of_the_window_and_no_more() {
    let mut group = Coordinator::new(RULES, 2);
    let stuck = take_all(&mut group, partition(0), Some(1));
    assert_eq!(stuck, 40_000);
    let other = take_all(&mut group, partition(1), Some(1));
    assert_eq!(other, 5_000);
    assert_eq!(group.lease(0, 9).len(), 2);
}

#[test]
fn available_records_are_enough_without_the_whole_window() {
    let mut group = Coordinator::new(RULES, 2);
    assert_eq!(fill(&mut group, None), [1_000, 1_000]);
    let mut group = Coordinator::new(RULES, 200);
    let taken = fill(&mut group, Some(1));
    assert!(taken.iter().sum::<u64>() <= WINDOW_RECORDS_MAX as u64);
    assert!(taken.iter().all(|taken| *taken > 0), "nobody goes without");
}

#[test]
fn nobody_else_is_asked_for_a_second() {
    let mut group = Coordinator::new(RULES, 1);
    assert_eq!(group.group.wants(0).len(), 1);
    assert_eq!(group.group.wants(999), []);
    assert_eq!(group.group.wants(1_000).len(), 1);
    assert_eq!(group.group.wants(-1).len(), 1, "a clock that was set back");
    group.offer(0, &[None]);
    let wants = group.group.wants(0);
    assert_eq!((wants.len(), wants[0].from), (1, 1));
}

#[test]
fn a_settled_front_makes_room() {
    let mut group = Coordinator::new(RULES, 1);
    assert_eq!(take_all(&mut group, partition(0), Some(1)), 40_000);
    group.group.wants(0);
    assert_eq!(group.group.wants(5_000), []);
    for _ in 0..5 {
        let token = group.lease(0, 1)[0].token;
        assert_eq!(group.ack(token), Outcome::Ok);
    }
    assert_eq!(group.group.wants(10_000)[0].records_max, 5);
}

#[test]
fn a_thousand_acks_are_an_event_of_a_few_bytes() {
    let mut group = Coordinator::new(RULES, 1);
    group.offer(0, &[None; 3 * CALL_RECORDS_MAX]);
    let leased = group.lease(1 << 40, usize::MAX);
    assert_eq!(leased.len(), CALL_RECORDS_MAX);
    let tokens: Vec<_> = leased.iter().map(|leased| leased.token).collect();
    let odd = tokens.iter().skip(1).step_by(2).copied().collect();
    group.settle(1 << 40, &acks(odd));
    let even = tokens.iter().step_by(2).copied().collect();
    group.settle(1 << 40, &acks(even));
    let sizes: Vec<_> = group.log.iter().map(|event| event.encode().len()).collect();
    assert!(sizes[1] < 50, "1000 neighbours leased: {}", sizes[1]);
    assert!(sizes[2] < 1_050, "500 ranges: {}", sizes[2]);
    assert_eq!(group.floor(), CALL_RECORDS_MAX as u64);
    assert!(group.group.snapshot().len() == 2);
}

#[test]
fn many_leases_end_in_several_calls() {
    let mut group = Coordinator::new(RULES, 1);
    group.offer(0, &[None; 2 * CALL_RECORDS_MAX]);
    for now_ms in [0, 1] {
        assert_eq!(group.lease(now_ms, usize::MAX).len(), CALL_RECORDS_MAX);
    }
    let now_ms = LEASE_MS.into();
    group.expire(now_ms);
    assert_eq!(group.group.due_ms(), Some(now_ms + 1));
    assert_eq!(group.lease(now_ms, usize::MAX).len(), CALL_RECORDS_MAX);
}

#[test]
fn a_snapshot_comes_in_pieces_and_tells_all() {
    let mut group = Coordinator::new(RULES, 1);
    group.offer(0, &[None; 10 * CALL_RECORDS_MAX]);
    let mut tokens = Vec::new();
    for _ in 0..10 {
        let leased = group.lease(0, usize::MAX);
        tokens.extend(leased.iter().map(|leased| leased.token));
    }
    for odd in tokens.chunks(CALL_RECORDS_MAX) {
        let odd = odd.iter().skip(1).step_by(2).copied().collect();
        group.settle(0, &acks(odd));
    }
    let snapshot = group.group.snapshot();
    assert!(snapshot.len() > 5);
    let longest = snapshot.iter().map(|event| event.encode().len()).max();
    assert!(longest < Some(20_000), "{longest:?}");
    assert!(Coordinator::replay(RULES, &snapshot).snapshot() == snapshot);
}
