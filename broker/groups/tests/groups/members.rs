//! Joining, being fenced, being late, and what polls are told.

use headwater_groups::{Action, Call, GroupError, Reply, State};

use crate::support::{Fixture, LEASE_MS, group, mark, orders};

#[test]
fn the_first_member_owns_everything() {
    let mut f = Fixture::new(3);
    assert_eq!(f.describe().state, State::Empty);
    let (epoch, assignment) = f.join_as("a", None);
    assert_eq!(assignment, [orders(0), orders(1), orders(2)]);
    let polled = f.poll("a", epoch);
    assert_eq!(polled.assigned, assignment, "the first poll is told all");
    assert!(!polled.rebalancing);
    assert_eq!(f.describe().state, State::Stable);
}

#[test]
fn joining_again_renews_and_changes_nothing() {
    let mut f = Fixture::new(2);
    let first = f.join_as("a", Some("x"));
    let events = f.log.len();
    f.pass(LEASE_MS - 1);
    assert_eq!(f.join_as("a", Some("x")), first);
    assert_eq!(f.log.len(), events, "nothing to append");
    f.pass(LEASE_MS - 1);
    assert_eq!(f.loads(), [2]);
    f.pass(1);
    assert_eq!(f.loads(), [] as [usize; 0]);
}

#[test]
fn another_lease_of_the_same_instance_counts() {
    let mut f = Fixture::new(1);
    let epoch = f.join("a");
    let action = Action::Join {
        member: "a".to_owned(),
        instance: None,
        lease_ms: Some(60_000),
    };
    let renewed = f.act(action).unwrap();
    let expires_at_ms = f.now_ms + 60_000;
    assert!(
        matches!(renewed, Reply::Joined { epoch: e, expires_at_ms: at, .. } if (e, at) == (epoch, expires_at_ms))
    );
    assert_eq!(f.coordinator.due_ms(), Some(expires_at_ms));
    f.pass(LEASE_MS);
    assert_eq!(f.poll("a", epoch).expires_at_ms, f.now_ms + 60_000);
}

#[test]
fn a_new_instance_takes_the_name_over_at_once() {
    let mut f = Fixture::new(2);
    let (old_epoch, _) = f.join_as("a", Some("x"));
    let old = f.poll("a", old_epoch);
    let (epoch, assignment) = f.join_as("a", Some("y"));
    assert_eq!(assignment, [orders(0), orders(1)]);
    let commit = [mark(&old.owned[0], 7)];
    let fenced = f.try_poll("a", old.epoch, &commit);
    assert_eq!(fenced, Err(GroupError::MemberFenced));
    assert_eq!(f.committed(0), None);
    let leaves = f.leave("a", Some(old.epoch));
    assert_eq!(leaves, Err(GroupError::MemberFenced));
    // Also an old cursor that the new instance presents is of the old stint.
    let polled = f.try_poll("a", epoch, &commit).unwrap();
    assert_eq!(polled.ignored, [orders(0)]);
    assert_eq!(f.committed(0), None);
}

#[test]
fn whose_name_was_taken_over_can_take_it_back() {
    let mut f = Fixture::new(1);
    f.join_as("a", Some("x"));
    let (second, _) = f.join_as("a", None);
    let (third, _) = f.join_as("a", Some("x"));
    assert!(third > second);
    assert_eq!(f.try_poll("a", second, &[]), Err(GroupError::MemberFenced));
    f.poll("a", third);
}

#[test]
fn who_left_or_is_late_is_gone_and_its_partitions_move() {
    let mut f = Fixture::new(4);
    let a = f.join("a");
    let b = f.join("b");
    f.poll("a", a);
    assert_eq!(f.loads(), [2, 2]);
    f.pass(LEASE_MS / 2);
    f.poll("b", b);
    f.pass(LEASE_MS / 2);
    assert_eq!(f.try_poll("a", a, &[]), Err(GroupError::MemberGone));
    let events = f.log.len();
    assert_eq!(f.loads(), [4]);
    assert_eq!(f.log.len(), events, "b owned them before anybody asked");
    assert_eq!(f.leave("b", None), Ok(Reply::Left));
    assert_eq!(f.leave("b", None), Ok(Reply::Left), "safe to repeat");
    assert_eq!(f.try_poll("b", b, &[]), Err(GroupError::MemberGone));
    assert_eq!(f.describe().state, State::Empty);
    assert_eq!(f.coordinator.due_ms(), None);
}

#[test]
fn a_late_member_that_nobody_missed_goes_on() {
    let mut f = Fixture::new(1);
    let epoch = f.join("a");
    f.now_ms += 2 * LEASE_MS;
    f.poll("a", epoch);
    assert_eq!(f.coordinator.expire(f.now_ms), []);
    assert_eq!(f.loads(), [1]);
}

#[test]
fn epochs_before_joining_and_never_told_are_fenced() {
    let mut f = Fixture::new(1);
    f.join("a");
    let epoch = f.join("b");
    assert_eq!(
        f.try_poll("b", epoch - 1, &[]),
        Err(GroupError::MemberFenced)
    );
    assert_eq!(
        f.try_poll("b", epoch + 1, &[]),
        Err(GroupError::MemberFenced)
    );
    let newer = f.join("c");
    assert_eq!(
        f.poll("b", epoch).epoch,
        newer,
        "an old one is told the new"
    );
}

#[test]
fn a_poll_whose_answer_was_lost_is_told_the_same_again() {
    let mut f = Fixture::new(4);
    let joined = f.join("a");
    let first = f.poll("a", joined);
    f.join("b");
    let lost = f.poll("a", first.epoch);
    assert_eq!(lost.revoked, [orders(2), orders(3)]);
    let again = f.poll("a", first.epoch);
    assert_eq!(again, lost);
    let heard = f.poll("a", again.epoch);
    assert_eq!((heard.assigned, heard.revoked), (vec![], vec![]));
}

#[test]
fn an_answer_that_the_log_refused_was_never_told() {
    let mut f = Fixture::new(4);
    let joined = f.join("a");
    let first = f.poll("a", joined);
    f.join("b");
    let action = Action::Poll {
        member: "a".to_owned(),
        epoch: first.epoch,
        commit: Vec::new(),
    };
    let call = Call::Group(group("g"), action);
    let refused = f.coordinator.handle(f.now_ms, call, &f.topics).unwrap();
    let refused_epoch = match refused.1 {
        Reply::Polled(polled) => polled.epoch,
        other => panic!("{other:?}"),
    };
    assert_eq!(f.join("c"), refused_epoch, "that epoch is another's");
    assert_eq!(f.join("a"), refused_epoch);
    let polled = f.poll("a", refused_epoch);
    assert_eq!(polled.revoked, [orders(2), orders(3)]);
}

#[test]
fn after_a_failover_all_is_told_as_assigned_and_leases_begin_again() {
    let mut f = Fixture::new(2);
    let joined = f.join("a");
    let before = f.poll("a", joined);
    f.now_ms += 5 * LEASE_MS;
    f.fail_over();
    assert_eq!(f.coordinator.due_ms(), Some(f.now_ms + LEASE_MS));
    let polled = f.poll("a", before.epoch);
    assert_eq!(polled.epoch, before.epoch);
    assert_eq!(polled.owned, before.owned);
    assert_eq!(polled.assigned, [orders(0), orders(1)]);
    assert_eq!(polled.revoked, []);
}

#[test]
fn renewing_tells_whether_the_wait_should_end() {
    let mut f = Fixture::new(2);
    let a = f.join("a");
    let renew = |f: &mut Fixture, member: &str, epoch| {
        let member = member.to_owned();
        match f.act(Action::Renew { member, epoch }) {
            Ok(Reply::Renewed {
                must_give_up,
                expires_at_ms,
                epoch,
            }) => {
                assert_eq!(expires_at_ms, f.now_ms + LEASE_MS);
                (epoch, must_give_up)
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(renew(&mut f, "a", a), (a, false));
    f.pass(LEASE_MS / 2);
    let b = f.join("b");
    assert_eq!(renew(&mut f, "a", a), (b, true));
    f.pass(LEASE_MS - 1);
    assert_eq!(renew(&mut f, "b", b), (b, false));
    assert_eq!(f.loads(), [2, 0], "a renewal moves nothing");
    f.poll("a", b);
    assert!(renew(&mut f, "b", b).0 > b, "b has something to be told");
}
