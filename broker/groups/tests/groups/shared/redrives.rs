//! Which letters of the dead-letter topic are done with.

use headwater_groups::{
    Action, GroupError, Letters, PartitionId, Reply, Rules, SnapshotCursor, TopicId,
};

use super::harness::{Group, RULES};
use crate::support::{ORDERS, PAYMENTS, record, replayed};

/// Offsets of a partition from the one to before the other.
fn letters(partition: u32, ranges: &[(u64, u64)]) -> Letters {
    of(PAYMENTS, partition, ranges)
}

fn of(topic: TopicId, partition: u32, ranges: &[(u64, u64)]) -> Letters {
    let ranges = ranges.iter().map(|(start, end)| *start..*end);
    (PartitionId { topic, partition }, ranges.collect())
}

fn noted(group: &mut Group) -> Vec<Letters> {
    match group.act(0, Action::Redrives) {
        Ok(Reply::Redrives(letters)) => letters,
        other => panic!("{other:?}"),
    }
}

fn note(group: &mut Group, letters: Vec<Letters>) {
    let reply = group.act(0, Action::Redriven(letters));
    assert_eq!(reply, Ok(Reply::Redriven));
}

#[test]
fn what_is_noted_is_told_however_often_and_in_which_order_it_was() {
    let mut group = Group::new(RULES, 1);
    assert_eq!(noted(&mut group), []);
    note(
        &mut group,
        vec![letters(2, &[(8, 9), (1, 3)]), letters(0, &[(0, 1)])],
    );
    note(&mut group, vec![letters(2, &[(3, 5)])]);
    let events = group.log.len();
    note(&mut group, vec![letters(2, &[(2, 4), (8, 9)])]);
    assert_eq!(group.log.len(), events, "nothing new, and no event");
    let all = [letters(0, &[(0, 1)]), letters(2, &[(1, 5), (8, 9)])];
    assert_eq!(noted(&mut group), all);
    group.fail_over(0);
    assert_eq!(noted(&mut group), all);
}

#[test]
fn it_is_of_the_dead_letter_topic_alone_and_goes_with_it() {
    let mut group = Group::new(RULES, 1);
    let orders = of(ORDERS, 0, &[(0, 1)]);
    let refused = group.act(0, Action::Redriven(vec![orders.clone()]));
    assert_eq!(refused, Err(GroupError::NoPartition(orders.0)));
    note(&mut group, vec![letters(0, &[(0, 1)])]);
    let other = TopicId([7; 16]);
    group.topics.0.insert(other, 1);
    for (dead_letters, expected) in [
        (Some(PAYMENTS), vec![letters(0, &[(0, 1)])]),
        (Some(other), Vec::new()),
        (Some(PAYMENTS), Vec::new()),
        (None, Vec::new()),
    ] {
        group.ensure(Rules {
            dead_letters,
            ..RULES
        });
        assert_eq!(noted(&mut group), expected);
    }
    let first = letters(0, &[(0, 1)]);
    let refused = group.act(0, Action::Redriven(vec![first.clone()]));
    assert_eq!(refused, Err(GroupError::NoPartition(first.0)));
}

#[test]
fn there_are_so_many_ranges_and_a_snapshot_has_them_all() {
    let mut group = Group::new(RULES, 1);
    let half = |partition| {
        let ranges: Vec<_> = (0..5_000).map(|n| (n * 2, n * 2 + 1)).collect();
        vec![letters(partition, &ranges)]
    };
    note(&mut group, half(0));
    note(&mut group, half(7));
    let one_more = group.act(0, Action::Redriven(vec![letters(3, &[(5, 6)])]));
    assert!(
        matches!(one_more, Err(GroupError::TooMany { max: 10_000, .. })),
        "{one_more:?}"
    );
    let (mut log, mut cursor) = (Vec::new(), SnapshotCursor::default());
    while let Some((event, next)) = group.coordinator.snapshot_next(cursor) {
        log.push(record(&event));
        if log.len() == 4 {
            // In the middle of it, where it was told already and where it was not.
            note(
                &mut group,
                vec![letters(0, &[(1, 2)]), letters(7, &[(1, 2)])],
            );
            log.extend(group.log.last().cloned());
        }
        cursor = next;
    }
    assert!(log.len() > 4, "{}", log.len());
    assert!(replayed(&log) == group.coordinator);
    // What lies between is filled: there are fewer.
    note(&mut group, vec![letters(0, &[(0, 10_000)])]);
    note(&mut group, vec![letters(3, &[(5, 6)])]);
}
