//! Everything has a bound, and says which.

use headwater_groups::limits::{
    EVENT_BYTES_MAX, GROUPS_MAX, LEASE_MS, MEMBERS_MAX, NAME_BYTES_MAX, PARTITIONS_MAX, TOPICS_MAX,
};
use headwater_groups::{Action, Call, Config, GroupError, PartitionId, TopicId};

use crate::support::{Fixture, ORDERS, config, group, orders, snapshot};

fn too_many<T: std::fmt::Debug>(result: Result<T, GroupError>, what: &str, max: usize) {
    match result {
        Err(GroupError::TooMany { what: w, max: m }) => assert_eq!((w, m), (what, max)),
        other => panic!("{other:?}"),
    }
}

fn invalid<T: std::fmt::Debug>(result: Result<T, GroupError>, of: &str) {
    assert!(
        matches!(&result, Err(GroupError::Invalid { field, .. }) if *field == of),
        "{result:?}"
    );
}

fn join(member: &str, instance: Option<String>, lease_ms: Option<u32>) -> Action {
    let member = member.to_owned();
    Action::Join {
        member,
        instance,
        lease_ms,
    }
}

#[test]
fn values_that_cannot_be_are_refused() {
    let mut f = Fixture::new(1);
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    for lease_ms in [LEASE_MS.0 - 1, LEASE_MS.1 + 1] {
        invalid(f.act(join("a", None, Some(lease_ms))), "lease_ms");
        let config = Config {
            lease_ms,
            ..config(&[ORDERS])
        };
        invalid(f.ensure(config, &[]), "lease_ms");
    }
    invalid(f.act(join("", None, None)), "member");
    invalid(f.act(join(&long, None, None)), "member");
    invalid(f.act(join("a", Some(long.clone()), None)), "instance");
    invalid(f.ensure(config(&[]), &[]), "topics");
    invalid(f.ensure(config(&[ORDERS, ORDERS]), &[]), "topics");
    let action = Action::Ensure {
        config: config(&[ORDERS]),
        offsets: Vec::new(),
        only_new: false,
    };
    invalid(f.call(Call::Group(group(&long), action)), "group");
    let elsewhere = PartitionId {
        topic: TopicId([9; 16]),
        partition: 0,
    };
    for id in [elsewhere, orders(u32::MAX)] {
        let refused = f.ensure(config(&[ORDERS]), &[(id, 1)]);
        assert_eq!(refused, Err(GroupError::NoPartition(id)));
    }
}

#[test]
fn groups_and_members_are_counted() {
    let mut f = Fixture::new(1);
    for n in 0..MEMBERS_MAX {
        f.act(join(&format!("m{n}"), None, None)).unwrap();
    }
    too_many(f.act(join("late", None, None)), "members", MEMBERS_MAX);
    f.act(join("m0", Some("new".to_owned()), None))
        .expect("a takeover is no member more");
    let create = |n: usize| {
        let action = Action::Ensure {
            config: config(&[ORDERS]),
            offsets: Vec::new(),
            only_new: false,
        };
        Call::Group(group(&format!("g{n}")), action)
    };
    for n in 1..GROUPS_MAX {
        let (events, _) = f.coordinator.handle(0, create(n), &f.topics).unwrap();
        events
            .into_iter()
            .for_each(|event| f.coordinator.apply(event));
    }
    let refused = f.coordinator.handle(0, create(GROUPS_MAX), &f.topics);
    too_many(refused, "groups", GROUPS_MAX);
}

#[test]
fn the_largest_group_fits_into_an_event() {
    let mut f = Fixture::empty();
    let topics: Vec<_> = (0..=TOPICS_MAX as u8).map(|n| TopicId([n; 16])).collect();
    f.topics
        .0
        .extend(topics.iter().map(|topic| (*topic, 1_000)));
    too_many(f.ensure(config(&topics), &[]), "topics", TOPICS_MAX);
    let topics = &topics[..TOPICS_MAX];
    f.topics.0.insert(topics[0], 1_001);
    too_many(f.ensure(config(topics), &[]), "partitions", PARTITIONS_MAX);
    f.topics.0.insert(topics[0], 1_000);
    f.ensure(config(topics), &[]).unwrap();
    // Far on in a long life, so that no number is short.
    let ids = topics.iter().flat_map(|topic| {
        (0..1_000).map(|partition| PartitionId {
            topic: *topic,
            partition,
        })
    });
    let offsets = ids.map(|id| (id, u64::MAX >> 8)).collect();
    f.act(Action::Reset {
        offsets,
        force: false,
        dry_run: false,
    })
    .unwrap();
    for n in 0..MEMBERS_MAX {
        let long = format!("{n:0NAME_BYTES_MAX$}");
        let call = Call::Group(group("g"), join(&long, Some(long.clone()), None));
        let (events, _) = f.coordinator.handle(0, call, &f.topics).unwrap();
        events
            .into_iter()
            .for_each(|event| f.coordinator.apply(event));
    }
    for event in snapshot(&f.coordinator) {
        let bytes = event.value().unwrap().len();
        assert!(bytes < EVENT_BYTES_MAX, "{bytes}");
    }
}
