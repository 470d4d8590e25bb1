//! Topics that grow and go, and what a group begins with.

use headwater_groups::{Config, Ensured, GroupError, Reply, Start, State};

use crate::support::{Fixture, ORDERS, PAYMENTS, config, mark, orders};

fn latest() -> Config {
    Config {
        start: Start::Latest,
        ..config(&[ORDERS])
    }
}

fn ensured(reply: Result<Reply, GroupError>) -> Ensured {
    match reply {
        Ok(Reply::Ensured(ensured, _)) => ensured,
        other => panic!("{other:?}"),
    }
}

#[test]
fn partitions_that_come_have_owners_at_once() {
    let mut f = Fixture::new(1);
    let a = f.join("a");
    f.join("b");
    f.poll("a", a);
    f.topics.0.insert(ORDERS, 4);
    let polled = f.poll("a", a);
    assert_eq!(f.loads(), [2, 2]);
    assert_eq!(polled.owned.len(), 2, "the call that notices is told");
    assert_eq!(f.committed(3), None);
}

#[test]
fn a_topic_that_goes_takes_its_positions_along() {
    let mut f = Fixture::empty();
    f.topics.0.extend([(ORDERS, 2), (PAYMENTS, 2)]);
    f.ensure(config(&[ORDERS, PAYMENTS]), &[]).unwrap();
    let epoch = f.join("a");
    let owned = f.poll("a", epoch).owned;
    f.topics.0.remove(&ORDERS);
    let marks = [mark(&owned[0], 5), mark(&owned[3], 6)];
    let polled = f.try_poll("a", epoch, &marks).unwrap();
    assert_eq!(polled.ignored, [orders(0)]);
    assert_eq!(polled.revoked, [orders(0), orders(1)]);
    let left: Vec<_> = polled
        .owned
        .iter()
        .map(|o| (o.partition.topic, o.committed))
        .collect();
    assert_eq!(left, [(PAYMENTS, None), (PAYMENTS, Some(6))]);
    assert_eq!(f.describe().positions.len(), 2);
}

#[test]
fn metadata_that_is_behind_takes_nothing_away() {
    let mut f = Fixture::new(3);
    let events = f.log.len();
    for behind in [2, 0] {
        f.topics.0.insert(ORDERS, behind);
        assert_eq!(f.describe().positions.len(), 3);
    }
    assert_eq!(f.log.len(), events);
}

#[test]
fn latest_begins_where_it_is_told_and_later_partitions_at_0() {
    let mut f = Fixture::empty();
    f.topics.0.insert(ORDERS, 2);
    let offsets = [(orders(0), 10), (orders(1), 20), (orders(2), 30)];
    f.ensure(latest(), &offsets).unwrap();
    f.topics.0.insert(ORDERS, 4);
    let positions: Vec<_> = f.describe().positions.iter().map(|p| p.committed).collect();
    assert_eq!(positions, [Some(10), Some(20), Some(30), Some(0)]);
}

#[test]
fn putting_the_same_again_changes_nothing() {
    let mut f = Fixture::empty();
    f.topics.0.insert(ORDERS, 2);
    let offsets = [(orders(0), 10), (orders(1), 20)];
    assert_eq!(ensured(f.ensure(latest(), &offsets)), Ensured::Created);
    let events = f.log.len();
    let later = [(orders(0), 11), (orders(1), 22)];
    assert_eq!(ensured(f.ensure(latest(), &later)), Ensured::Unchanged);
    assert_eq!(f.log.len(), events);
    assert_eq!(f.committed(0), Some(10));
}

#[test]
fn putting_another_config_changes_the_group() {
    let mut f = Fixture::new(2);
    f.topics.0.insert(PAYMENTS, 3);
    let epoch = f.join("a");
    let mut other = config(&[PAYMENTS]);
    other.lease_ms = 20_000;
    assert_eq!(ensured(f.ensure(other.clone(), &[])), Ensured::Changed);
    let described = f.describe();
    assert_eq!(described.config, other);
    assert_eq!(described.positions.len(), 3);
    let owned = f.poll("a", epoch).owned;
    assert!(owned.iter().all(|owned| owned.partition.topic == PAYMENTS));
    // A change of nothing but the config is one, too.
    other.lease_ms = 30_000;
    assert_eq!(ensured(f.ensure(other.clone(), &[])), Ensured::Changed);
    f.fail_over();
    assert_eq!(f.describe().config, other);
}

#[test]
fn a_group_begins_with_no_deleted_topic_and_outlives_those_it_has() {
    let mut f = Fixture::new(1);
    let refused = f.ensure(config(&[ORDERS, PAYMENTS]), &[]);
    assert_eq!(refused, Err(GroupError::NoTopic(PAYMENTS)));
    f.join("a");
    f.topics.0.remove(&ORDERS);
    assert_eq!(
        ensured(f.ensure(config(&[ORDERS]), &[])),
        Ensured::Unchanged
    );
    assert_eq!(f.loads(), [0]);
    assert_eq!(f.describe().state, State::Stable);
}

#[test]
fn a_group_goes_with_its_project_once_its_topics_have() {
    let mut f = Fixture::empty();
    f.topics.0.extend([(ORDERS, 1), (PAYMENTS, 1)]);
    f.ensure(config(&[ORDERS, PAYMENTS]), &[]).unwrap();
    let bury = |f: &Fixture, is_project| f.coordinator.bury(&f.topics, |_: &str| is_project);
    assert_eq!(bury(&f, true), (Vec::new(), false));
    assert_eq!(bury(&f, false), (Vec::new(), true), "it may come yet");
    f.topics.0.remove(&ORDERS);
    assert_eq!(bury(&f, false), (Vec::new(), true));
    f.topics.0.remove(&PAYMENTS);
    assert_eq!(bury(&f, true), (Vec::new(), false), "it may get others");
    let (events, more) = bury(&f, false);
    assert!(!more);
    f.append(events);
    assert_eq!(f.coordinator.counts(), (0, 0));
    f.fail_over();
}
