//! Which commits count, and resets.

use headwater_groups::{Action, GroupError, Moved, Reply};

use crate::support::{Fixture, mark, orders};

fn reset(f: &mut Fixture, to: u64, force: bool, dry_run: bool) -> Result<Reply, GroupError> {
    f.act(Action::Reset {
        offsets: vec![(orders(0), to)],
        force,
        dry_run,
    })
}

#[test]
fn a_commit_goes_forward_once() {
    let mut f = Fixture::new(1);
    let epoch = f.join("a");
    let owned = f.poll("a", epoch).owned[0];
    assert_eq!(owned.committed, None);
    let polled = f.try_poll("a", epoch, &[mark(&owned, 5)]).unwrap();
    assert_eq!(polled.owned[0].committed, Some(5));
    let events = f.log.len();
    for next in [5, 3] {
        let polled = f.try_poll("a", epoch, &[mark(&owned, next)]).unwrap();
        assert_eq!(polled.ignored, [], "it has counted");
    }
    assert_eq!(f.log.len(), events, "nothing to append");
    assert_eq!(f.committed(0), Some(5));
}

#[test]
fn nothing_committed_is_not_offset_0() {
    let mut f = Fixture::new(1);
    let epoch = f.join("a");
    let owned = f.poll("a", epoch).owned[0];
    f.try_poll("a", epoch, &[mark(&owned, 0)]).unwrap();
    assert_eq!(f.committed(0), Some(0));
}

#[test]
fn the_last_commit_of_a_partition_that_moves_counts() {
    let mut f = Fixture::new(2);
    let a = f.join("a");
    let first = f.poll("a", a);
    let b = f.join("b");
    let marks: Vec<_> = first.owned.iter().map(|owned| mark(owned, 9)).collect();
    let polled = f.try_poll("a", first.epoch, &marks).unwrap();
    assert_eq!(polled.revoked, [orders(1)]);
    assert_eq!(polled.ignored, []);
    let taken = f.poll("b", b).owned;
    assert_eq!(
        (taken[0].partition, taken[0].committed),
        (orders(1), Some(9))
    );
    // The same again is nothing; more of what is gone is told, and the rest of it counts.
    assert_eq!(f.try_poll("a", a, &marks).unwrap().ignored, []);
    let marks: Vec<_> = first.owned.iter().map(|owned| mark(owned, 12)).collect();
    assert_eq!(f.try_poll("a", a, &marks).unwrap().ignored, [orders(1)]);
    assert_eq!((f.committed(0), f.committed(1)), (Some(12), Some(9)));
}

#[test]
fn nobody_commits_with_the_cursor_of_another_member() {
    let mut f = Fixture::new(2);
    let a = f.join("a");
    let b = f.join("b");
    f.poll("a", a);
    let stolen = mark(&f.poll("b", b).owned[0], 4);
    assert_eq!(
        f.try_poll("a", a, &[stolen]).unwrap().ignored,
        [stolen.partition]
    );
    assert_eq!(f.committed(stolen.partition.partition), None);
}

#[test]
fn a_commit_alone_moves_no_partition() {
    let mut f = Fixture::new(2);
    let a = f.join("a");
    let owned = f.poll("a", a).owned;
    f.join("b");
    let action = Action::Commit {
        member: "a".to_owned(),
        epoch: a,
        commit: vec![mark(&owned[1], 6)],
    };
    let reply = f.act(action).unwrap();
    assert!(matches!(reply, Reply::Committed { ignored, .. } if ignored.is_empty()));
    assert_eq!(f.committed(1), Some(6));
    assert_eq!(f.loads(), [2, 0]);
}

#[test]
fn a_reset_needs_an_empty_group_or_force() {
    let mut f = Fixture::new(1);
    let moved = |before, after| {
        Ok(Reply::Reset(vec![Moved {
            partition: orders(0),
            before,
            after,
        }]))
    };
    assert_eq!(reset(&mut f, 8, false, false), moved(None, 8));
    f.join("a");
    assert_eq!(
        reset(&mut f, 3, false, false),
        Err(GroupError::MembersActive)
    );
    assert_eq!(
        reset(&mut f, 3, false, true),
        Err(GroupError::MembersActive)
    );
    assert_eq!(reset(&mut f, 3, true, true), moved(Some(8), 3));
    assert_eq!(f.committed(0), Some(8), "that was only asked");
    assert_eq!(reset(&mut f, 3, true, false), moved(Some(8), 3));
    assert_eq!(f.committed(0), Some(3));
}

#[test]
fn late_commits_do_not_undo_a_forced_reset() {
    let mut f = Fixture::new(2);
    let a = f.join("a");
    let before = f.poll("a", a);
    f.try_poll("a", a, &[mark(&before.owned[0], 50)]).unwrap();
    reset(&mut f, 10, true, false).unwrap();
    let marks: Vec<_> = before.owned.iter().map(|owned| mark(owned, 60)).collect();
    let polled = f.try_poll("a", before.epoch, &marks).unwrap();
    assert_eq!(polled.ignored, [orders(0)]);
    assert_eq!((f.committed(0), f.committed(1)), (Some(10), Some(60)));
    assert_eq!(polled.revoked, [orders(0)], "its old stint is over");
    assert_eq!(polled.assigned, [orders(0)], "and a new one began");
    f.try_poll("a", polled.epoch, &[mark(&polled.owned[0], 11)])
        .unwrap();
    assert_eq!(f.committed(0), Some(11));
}

#[test]
fn a_reset_is_whole_or_not_at_all() {
    let mut f = Fixture::new(1);
    let offsets = vec![(orders(0), 4), (orders(1), 4)];
    let refused = f.act(Action::Reset {
        offsets,
        force: false,
        dry_run: false,
    });
    assert_eq!(refused, Err(GroupError::NoPartition(orders(1))));
    assert_eq!(f.committed(0), None);
}
