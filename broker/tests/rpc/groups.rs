//! Calls to coordinators: they arrive as they were made, and so do the answers.

use std::sync::Arc;

use headwater_broker::{Broker, CoordinateError, Network, PartitionId, TopicId};
use headwater_groups::{
    Action, Call, Config, GroupError, GroupId, Kind, Mark, Nack, Offer, Polled, Reject, Reply,
    Rules, Settlement, Start,
};

use crate::{
    memory::DELETED,
    world::{Caller, Server, TOPIC},
};

const LOG: PartitionId = PartitionId {
    topic: TOPIC,
    partition: 11,
};

fn orders(partition: u32) -> PartitionId {
    PartitionId {
        topic: TopicId([1; 16]),
        partition,
    }
}

fn ensure(topics: &[TopicId], lease_ms: u32) -> Action {
    let config = Config {
        topics: topics.to_vec(),
        kind: Kind::Partitioned,
        start: Start::Latest,
        lease_ms,
    };
    let offsets = (0..4).map(|n| (orders(n), u64::from(n) << 40)).collect();
    Action::Ensure {
        config,
        offsets,
        only_new: false,
    }
}

fn group(action: Action) -> Call {
    let id = GroupId {
        project: "main".to_owned(),
        name: "g".to_owned(),
    };
    Call::Group(id, action)
}

struct World {
    server: Server,
    broker: Arc<dyn Broker>,
    _caller: Caller,
}

impl World {
    async fn new() -> Self {
        let server = Server::start().await;
        let caller = Caller::of(server.address);
        Self {
            broker: caller.client.broker(1).unwrap(),
            server,
            _caller: caller,
        }
    }

    /// The answer, which is what the other broker said to what was asked.
    async fn ask(&self, call: Call) -> Result<Reply, CoordinateError> {
        let asked = format!("{LOG} {call:?}");
        let answer = self.broker.coordinate(LOG, call).await;
        let told = self.server.broker.groups.lock().last.take();
        assert_eq!(told, Some((asked, answer.clone())));
        answer
    }

    async fn act(&self, action: Action) -> Reply {
        self.ask(group(action)).await.expect("done")
    }

    async fn poll(&self, member: &str, epoch: u64, commit: Vec<Mark>) -> Polled {
        let member = member.to_owned();
        match self
            .act(Action::Poll {
                member,
                epoch,
                commit,
            })
            .await
        {
            Reply::Polled(polled) => polled,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_and_its_answer_arrive() {
    let world = World::new().await;
    let topics = [TopicId([1; 16])];
    for lease_ms in [10_000, 20_000, 20_000] {
        world.act(ensure(&topics, lease_ms)).await;
    }
    for (member, instance) in [("a", Some("first".to_owned())), ("b", None)] {
        let member = member.to_owned();
        let lease_ms = instance.is_none().then_some(12_345);
        world
            .act(Action::Join {
                member,
                instance,
                lease_ms,
            })
            .await;
    }
    world.act(Action::Describe).await;
    let first = world.poll("a", 2, Vec::new()).await;
    let second = world.poll("b", first.epoch, Vec::new()).await;
    assert!(!second.owned.is_empty() && second.owned[0].committed.is_some());
    let marks = second.owned.iter().chain(&first.owned).map(|owned| Mark {
        partition: owned.partition,
        stint: owned.stint,
        next_offset: 1 << 50,
    });
    let commit: Vec<_> = marks.collect();
    let third = world.poll("b", second.epoch, commit.clone()).await;
    assert!(!third.ignored.is_empty());
    let (member, epoch) = ("b".to_owned(), third.epoch);
    let renewal = Action::Renew {
        member: member.clone(),
        epoch,
    };
    world.act(renewal).await;
    world
        .act(Action::Commit {
            member: member.clone(),
            epoch,
            commit,
        })
        .await;
    world.act(Action::Positions).await;
    for (force, dry_run) in [(true, true), (true, false)] {
        let offsets = vec![(orders(1), 7), (orders(2), 0)];
        world
            .act(Action::Reset {
                offsets,
                force,
                dry_run,
            })
            .await;
    }
    let list = |after: Option<&str>| Call::List {
        project: "main".to_owned(),
        after: after.map(str::to_owned),
        max: 3,
    };
    for after in [None, Some("f"), Some("g")] {
        world.ask(list(after)).await.expect("a page");
    }
    let epoch = Some(third.epoch);
    world.act(Action::Leave { member, epoch }).await;
    let member = "a".to_owned();
    world
        .act(Action::Leave {
            member,
            epoch: None,
        })
        .await;
    assert_eq!(world.act(Action::Delete).await, Reply::Deleted);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_about_leases_and_its_answer_arrive() {
    let world = World::new().await;
    let rules = Rules {
        max_attempts: 1,
        dead_letters: Some(TopicId([2; 16])),
    };
    let Action::Ensure {
        mut config,
        offsets,
        only_new,
    } = ensure(&[TopicId([1; 16])], 10_000)
    else {
        panic!("it is one");
    };
    config.kind = Kind::Shared(rules);
    world
        .act(Action::Ensure {
            config,
            offsets,
            only_new,
        })
        .await;
    let lease = |lease_ms| Action::Lease {
        records_max: 9,
        lease_ms,
    };
    let Reply::Leased(first) = world.act(lease(None)).await else {
        panic!("a lease");
    };
    let offers = first.wants.iter().map(|want| Offer {
        partition: want.partition,
        log_start: want.from,
        from: want.from,
        records: vec![
            (want.from, None),
            (want.from + 2, Some(u64::MAX)),
            (want.from + 3, Some(7)),
        ],
        end: want.from + 4,
    });
    world.act(Action::Offer(offers.collect())).await;
    let Reply::Leased(second) = world.act(lease(Some(12_345))).await else {
        panic!("a lease");
    };
    let tokens: Vec<_> = second.leased.iter().map(|leased| leased.token).collect();
    let [ack, nacked, extended, rejected, released, ..] = tokens[..] else {
        panic!("{second:?}");
    };
    let settlement = Settlement {
        ack: vec![ack],
        nack: vec![Nack {
            token: nacked,
            delay_ms: 5,
            reason: "it rains".to_owned(),
        }],
        extend: vec![(extended, 20_000)],
        reject: vec![Reject {
            token: rejected,
            reason: String::new(),
        }],
        release: vec![released],
    };
    world.act(Action::Settle(settlement)).await;
    let Reply::DeadLetters(letters) = world.act(Action::DeadLetters { max: 10 }).await else {
        panic!("letters");
    };
    assert_eq!(letters.len(), 2);
    world.act(Action::Describe).await;
    world.act(Action::Positions).await;
    let list = Call::List {
        project: "main".to_owned(),
        after: None,
        max: 3,
    };
    world.ask(list).await.expect("a page");
    let written = letters.iter().map(|letter| letter.token).collect();
    world.act(Action::DeadLettered(written)).await;
    let letters = |partition| PartitionId {
        topic: TopicId([2; 16]),
        partition,
    };
    let moved = vec![
        (letters(0), vec![0..1, 3..1 << 50]),
        (letters(3), vec![7..9, 11..12]),
    ];
    world.act(Action::Redriven(moved.clone())).await;
    assert_eq!(world.act(Action::Redrives).await, Reply::Redrives(moved));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_told_as_it_is() {
    let world = World::new().await;
    let refused = [
        (Action::Describe, GroupError::NoGroup),
        (ensure(&[DELETED], 10_000), GroupError::NoTopic(DELETED)),
    ];
    for (action, expected) in refused {
        let answer = world.ask(group(action)).await;
        assert_eq!(answer, Err(CoordinateError::Refused(expected)));
    }
    let answer = world.ask(group(ensure(&[TopicId([1; 16])], 1))).await;
    let refusal = CoordinateError::Refused(GroupError::Invalid {
        field: "lease_ms",
        why: "must be 10 s to 300 s",
    });
    assert_eq!(answer, Err(refusal));
    let errors = [
        CoordinateError::Refused(GroupError::Exists),
        CoordinateError::Refused(GroupError::OtherKind),
        CoordinateError::Refused(GroupError::MembersActive),
        CoordinateError::Refused(GroupError::MemberFenced),
        CoordinateError::Refused(GroupError::MemberGone),
        CoordinateError::Refused(GroupError::NoPartition(orders(9))),
        CoordinateError::Refused(GroupError::TooMany {
            what: "groups",
            max: 10_000,
        }),
        CoordinateError::UnknownPartition,
        CoordinateError::NotLeader,
        CoordinateError::TooFewInSync,
        CoordinateError::StorageFull,
        CoordinateError::Overloaded,
        CoordinateError::Unavailable("it is so".into()),
        CoordinateError::Unreachable("it is far".into()),
        CoordinateError::Unknown,
    ];
    for error in errors {
        world.server.broker.groups.lock().instead = Some(error.clone());
        assert_eq!(world.ask(group(Action::Describe)).await, Err(error));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_never_sent_did_nothing() {
    let world = World::new().await;
    let World {
        server,
        broker,
        _caller,
    } = world;
    server.kill().await;
    let answer = broker.coordinate(LOG, group(Action::Delete)).await;
    assert!(
        matches!(answer, Err(CoordinateError::Unreachable(_))),
        "{answer:?}"
    );
}
