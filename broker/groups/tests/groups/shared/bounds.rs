//! What is bounded, and that one key does not stop the others.

use headwater_groups::limits::{
    CALL_RECORDS_MAX, EVENT_BYTES_MAX, OFFER_RECORDS_MAX, REASON_BYTES_MAX, WINDOW_RECORDS_MAX,
};
use headwater_groups::{Action, GroupError, Offer, Outcome, PartitionId, SnapshotCursor};

use crate::shared::harness::{Group, LEASE_MS, RULES, acks};
use crate::support::{orders, record, replayed, snapshot};

/// Offers what is wanted, all of one key, until nothing is; gives how many each partition took.
fn fill(group: &mut Group, partitions: u32, key: Option<u64>) -> Vec<u64> {
    let mut taken = vec![0; partitions as usize];
    let mut now_ms = 0;
    loop {
        now_ms += 10_000;
        let wants = group.wants(now_ms);
        if wants.is_empty() {
            return taken;
        }
        for want in wants {
            let end = want.from + want.records_max as u64;
            let records: Vec<_> = (want.from..end).map(|offset| (offset, key)).collect();
            group.offer_run(want.partition, want.from, &records, end);
            taken[want.partition.partition as usize] = end;
        }
    }
}

fn offer_all(group: &mut Group, partition: PartitionId) {
    let records = (0..WINDOW_RECORDS_MAX as u64).map(|offset| (offset, Some(1)));
    let records: Vec<_> = records.collect();
    group.offer_run(partition, 0, &records, records.len() as u64);
}

/// Settles the next record, so that there is room for one more.
fn make_room(group: &mut Group) -> PartitionId {
    let token = group.lease(0, 1)[0].token;
    assert_eq!(group.ack(token), Outcome::Ok);
    token.partition
}

#[test]
fn one_stuck_key_takes_its_share_of_the_window_and_no_more() {
    let mut group = Group::new(RULES, 2);
    offer_all(&mut group, orders(0));
    assert_eq!(make_room(&mut group), orders(0));
    assert_eq!(group.next_wanted(orders(0)), Some(40_000));
    offer_all(&mut group, orders(1));
    assert_eq!(make_room(&mut group), orders(1));
    assert_eq!(group.next_wanted(orders(1)), Some(5_000));
    assert_eq!(group.lease(0, 9).len(), 2);
}

#[test]
fn available_records_are_enough_without_the_whole_window() {
    let mut group = Group::new(RULES, 2);
    assert_eq!(fill(&mut group, 2, None), [2_000, 2_000]);
    let mut group = Group::new(RULES, 200);
    fill(&mut group, 200, Some(1));
    assert_eq!(group.lease(0, 1_000).len(), 200, "nobody goes without");
}

#[test]
fn nobody_else_is_asked_for_a_second() {
    let mut group = Group::new(RULES, 1);
    assert_eq!(group.wants(0).len(), 1);
    assert_eq!(group.wants(999), []);
    assert_eq!(group.wants(1_000).len(), 1);
    assert_eq!(group.wants(-1).len(), 1, "a clock that was set back");
    group.offer(0, &[None]);
    let wants = group.wants(0);
    assert_eq!((wants.len(), wants[0].from), (1, 1));
}

#[test]
fn many_partitions_are_asked_for_in_turn() {
    let mut group = Group::new(RULES, 250);
    let mut asked = Vec::new();
    for _ in 0..3 {
        for want in group.wants(0) {
            group.offer_run(want.partition, 0, &[], 0);
            asked.push(want.partition);
        }
    }
    assert_eq!(asked.len(), 300);
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(
        asked.len(),
        250,
        "though all were empty, and free to be asked"
    );
}

#[test]
fn a_settled_front_makes_room() {
    let mut group = Group::new(RULES, 1);
    offer_all(&mut group, orders(0));
    assert_eq!(group.wants(5_000), []);
    for _ in 0..5 {
        make_room(&mut group);
    }
    assert_eq!(group.wants(10_000)[0].records_max, 5);
}

#[test]
fn calls_of_too_much_are_refused() {
    let mut group = Group::new(RULES, 1);
    group.offer(0, &[None; 2]);
    let token = group.lease(0, 1)[0].token;
    let many = vec![token; CALL_RECORDS_MAX + 1];
    let refused = group.act(0, Action::Settle(acks(many)));
    assert!(matches!(refused, Err(GroupError::Invalid { .. })));
    let records = vec![(7, None); OFFER_RECORDS_MAX + 1];
    let offer = Offer {
        partition: orders(0),
        log_start: 0,
        from: 0,
        records,
        end: 8,
    };
    let refused = group.act(0, Action::Offer(vec![offer]));
    assert!(matches!(refused, Err(GroupError::Invalid { .. })));
    for lease_ms in [0, 9_999, 300_001] {
        let action = Action::Lease {
            records_max: 1,
            lease_ms: Some(lease_ms),
        };
        let refused = group.act(0, action);
        assert!(matches!(refused, Err(GroupError::Invalid { .. })));
    }
}

#[test]
fn a_thousand_acks_are_an_event_of_a_few_bytes() {
    let mut group = Group::new(RULES, 1);
    group.offer(0, &[None; 3 * CALL_RECORDS_MAX]);
    let begin = group.log.len();
    let leased = group.lease(1 << 40, usize::MAX);
    assert_eq!(leased.len(), CALL_RECORDS_MAX);
    let tokens: Vec<_> = leased.iter().map(|leased| leased.token).collect();
    let odd = tokens.iter().skip(1).step_by(2).copied().collect();
    group.settle(1 << 40, &acks(odd));
    let even = tokens.iter().step_by(2).copied().collect();
    group.settle(1 << 40, &acks(even));
    let values = group.log[begin..].iter().map(|record| &record.1);
    let sizes: Vec<_> = values.map(|value| value.as_ref().unwrap().len()).collect();
    assert!(sizes[0] < 64, "1000 neighbours leased: {}", sizes[0]);
    assert!(sizes[1] < 1_064, "500 ranges: {}", sizes[1]);
    assert_eq!(group.floor(), CALL_RECORDS_MAX as u64);
    assert_eq!(
        snapshot(&group.coordinator).len(),
        3,
        "floor, head and piece"
    );
}

#[test]
fn many_leases_end_in_several_calls() {
    let mut group = Group::new(RULES, 1);
    group.offer(0, &[None; 2 * CALL_RECORDS_MAX]);
    for now_ms in [0, 1] {
        assert_eq!(group.lease(now_ms, usize::MAX).len(), CALL_RECORDS_MAX);
    }
    let now_ms = LEASE_MS.into();
    group.expire(now_ms);
    assert_eq!(group.due_ms(), Some(now_ms + 1));
    assert_eq!(group.lease(now_ms, usize::MAX).len(), CALL_RECORDS_MAX);
}

#[test]
fn all_groups_together_know_so_much_and_one_that_is_forgotten_is_offered_all_again() {
    let mut group = Group::new(RULES, 1);
    let others: Vec<_> = (0..26).map(|n| format!("g{n}")).collect();
    for name in &others {
        let config = crate::shared::harness::config(RULES);
        let offsets = Vec::new();
        let made = group.call(
            0,
            name,
            Action::Ensure {
                config,
                offsets,
                only_new: false,
            },
        );
        made.expect("a group");
    }
    let first = group.offer_and_lease("g", 40_000);
    for name in &others {
        group.offer_and_lease(name, 39_000);
    }
    // It knew most.
    assert_eq!(group.next_wanted(orders(0)), Some(0));
    assert_eq!(
        group.ack(first),
        Outcome::Ok,
        "a lease is no matter of windows"
    );
    group.offer(0, &[Some(1), Some(1)]);
    assert_eq!(group.lease_all(0), [(1, 1)]);
}

/// The worst there can be: every other record settled, the others dead with long reasons.
#[test]
fn a_snapshot_of_the_largest_window_comes_in_pieces_between_other_events() {
    let mut group = Group::new(RULES, 7);
    let reason = "x".repeat(REASON_BYTES_MAX);
    let mut dead = Vec::new();
    loop {
        for want in group.wants(0) {
            let end = want.from + want.records_max as u64;
            let records: Vec<_> = (want.from..end).map(|offset| (offset, None)).collect();
            group.offer_run(want.partition, want.from, &records, end);
        }
        let leased = group.lease(0, usize::MAX);
        if leased.is_empty() {
            break;
        }
        let (acked, rejected): (Vec<_>, Vec<_>) = leased
            .iter()
            .map(|leased| leased.token)
            .partition(|token| token.offset % 2 == 1);
        group.settle(0, &acks(acked));
        let reject = rejected.iter().map(|token| headwater_groups::Reject {
            token: *token,
            reason: reason.clone(),
        });
        let settlement = headwater_groups::Settlement {
            reject: reject.collect(),
            ..Default::default()
        };
        group.settle(0, &settlement);
        dead.extend(rejected);
    }
    assert!(dead.len() > WINDOW_RECORDS_MAX / 2);
    let mut cursor = SnapshotCursor::default();
    let begin = group.log.len();
    let mut pieces = 0;
    while let Some((event, next)) = group.coordinator.snapshot_next(cursor) {
        let bytes = event.value().unwrap().len();
        assert!(bytes < EVENT_BYTES_MAX, "{bytes}");
        group.log.push(record(&event));
        cursor = next;
        pieces += 1;
        // Behind where the snapshot is, and before.
        let written = [dead[pieces], dead[dead.len() - 1 - pieces]];
        group.dead_lettered(&written);
    }
    assert!(pieces > 8, "{pieces}");
    let next = replayed(&group.log[begin..]);
    assert!(next == group.coordinator);
}
