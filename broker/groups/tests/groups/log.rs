//! The log: what is read back, deleting, listing, snapshots.

use headwater_groups::{Action, Call, Coordinator, CorruptEvent, Event, GroupError, Reply};

use crate::support::{Fixture, ORDERS, PAYMENTS, config, group, mark, record, replayed, snapshot};

#[test]
fn bytes_that_are_no_event_are_an_error_and_change_nothing() {
    let f = Fixture::new(2);
    let mut coordinator = f.coordinator.clone();
    let (key, value) = &f.log[0];
    let value = value.as_deref().unwrap();
    let bad: [(&[u8], Option<&[u8]>); 6] = [
        (b"", Some(value)),
        (b"x", Some(value)),
        (b"g\x00\x09main", Some(value)),
        (b"f", None),
        (key, Some(b"")),
        (key, Some(&value[..value.len() - 1])),
    ];
    for (key, value) in bad {
        let refused: Result<(), CorruptEvent> = coordinator.replay(key, value);
        assert!(refused.is_err(), "{key:?}");
    }
    assert_eq!(coordinator, f.coordinator);
}

#[test]
fn a_deleted_group_is_gone_and_its_epochs_are_never_used_again() {
    let mut f = Fixture::new(1);
    let old_epoch = f.join("a");
    let old = f.poll("a", old_epoch);
    assert_eq!(f.act(Action::Delete), Err(GroupError::MembersActive));
    f.leave("a", None).unwrap();
    assert_eq!(f.act(Action::Delete), Ok(Reply::Deleted));
    assert_eq!(f.act(Action::Delete), Err(GroupError::NoGroup));
    assert_eq!(f.try_poll("a", old_epoch, &[]), Err(GroupError::NoGroup));
    // Not even after a failover that reads a snapshot alone.
    let events = snapshot(&f.coordinator);
    f.log = events.iter().map(record).collect();
    f.fail_over();
    f.ensure(config(&[ORDERS]), &[]).unwrap();
    let epoch = f.join("a");
    assert!(epoch > old.epoch);
    assert_eq!(
        f.try_poll("a", old.epoch, &[]),
        Err(GroupError::MemberFenced)
    );
    let polled = f.try_poll("a", epoch, &[mark(&old.owned[0], 9)]).unwrap();
    assert_eq!(polled.ignored.len(), 1);
    assert_eq!(f.committed(0), None);
}

#[test]
fn groups_are_listed_by_project_in_pages() {
    let mut f = Fixture::new(1);
    for name in ["h", "b", "e"] {
        let action = Action::Ensure {
            config: config(&[ORDERS]),
            offsets: Vec::new(),
            only_new: false,
        };
        f.call(Call::Group(group(name), action)).unwrap();
    }
    let mut page = |project: &str, after: Option<&str>, max| {
        let call = Call::List {
            project: project.to_owned(),
            after: after.map(str::to_owned),
            max,
        };
        match f.call(call) {
            Ok(Reply::Page { groups, more }) => {
                let names = groups.into_iter().map(|group| group.name);
                (names.collect::<Vec<_>>().join(" "), more)
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(page("main", None, 3), ("b e g".to_owned(), true));
    assert_eq!(page("main", Some("g"), 3), ("h".to_owned(), false));
    assert_eq!(page("main", None, 4), ("b e g h".to_owned(), false));
    assert_eq!(page("other", None, 3), (String::new(), false));
}

#[test]
fn a_snapshot_between_other_events_and_what_follows_are_the_state() {
    let mut f = Fixture::new(2);
    let epoch = f.join("a");
    let owned = f.poll("a", epoch).owned;
    let mut cursor = headwater_groups::SnapshotCursor::default();
    let mut from = None;
    let mut next_offset = 0;
    while let Some((event, next)) = f.coordinator.snapshot_next(cursor) {
        from.get_or_insert(f.log.len());
        f.log.push(record(&event));
        cursor = next;
        next_offset += 1;
        f.try_poll("a", epoch, &[mark(&owned[0], next_offset)])
            .unwrap();
        // Groups that come meanwhile, before and behind where the snapshot is.
        for side in ["a", "z"] {
            let action = Action::Ensure {
                config: config(&[ORDERS]),
                offsets: Vec::new(),
                only_new: false,
            };
            f.call(Call::Group(group(&format!("{side}{next_offset}")), action))
                .unwrap();
            if next_offset > 6 {
                break;
            }
        }
        if next_offset > 20 {
            break;
        }
    }
    let from = from.unwrap();
    assert!(from > 0);
    for start in 0..=from {
        assert_eq!(replayed(&f.log[start..]), f.coordinator, "from {start}");
    }
}

#[test]
fn a_whole_group_stands_for_all_that_came_before_it() {
    let mut f = Fixture::new(3);
    f.topics.0.insert(PAYMENTS, 2);
    f.ensure(config(&[ORDERS, PAYMENTS]), &[]).unwrap();
    f.join("a");
    let with_member = f.log.len();
    let mut log: Vec<_> = snapshot(&f.coordinator).iter().map(record).collect();
    f.leave("a", None).unwrap();
    f.ensure(config(&[PAYMENTS]), &[]).unwrap();
    assert!(f.log.len() > with_member);
    // As if the log had been compacted by key.
    log.extend(snapshot(&f.coordinator).iter().map(record));
    assert_eq!(replayed(&log), f.coordinator);
}

#[test]
fn events_are_small_where_little_changes() {
    let mut f = Fixture::new(1_000);
    let epoch = f.join("a");
    let owned = f.poll("a", epoch).owned;
    f.try_poll("a", epoch, &[mark(&owned[500], 1 << 40)])
        .unwrap();
    let (_, value) = f.log.last().unwrap();
    assert!(value.as_ref().unwrap().len() < 64);
}

#[test]
fn what_the_log_refused_did_not_happen() {
    let mut f = Fixture::new(1);
    let action = Action::Join {
        member: "a".to_owned(),
        instance: None,
        lease_ms: None,
    };
    let call = Call::Group(group("g"), action);
    let refused: Result<(Vec<Event>, Reply), GroupError> =
        f.coordinator.handle(f.now_ms, call, &f.topics);
    assert_eq!(refused.unwrap().0.len(), 1);
    assert_eq!(f.loads(), [] as [usize; 0]);
    assert_eq!(f.coordinator.due_ms(), None);
    assert_eq!(replayed(&f.log), f.coordinator);
    assert_ne!(f.coordinator, Coordinator::new());
}
