//! Consumer groups over brokers that come and go.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use headwater_broker::{Acks, Broker, BrokerId, CoordinateError, Node, PartitionId, ProduceError};
use headwater_groups::{
    Action, Call, Config, Description, GroupError, GroupId, Kind, Mark, Owned, Reply, Start,
};
use headwater_record::Producer;

use crate::{
    brokers::{Brokers, batch, partition, produce},
    metadata::GROUP_LOG,
};

pub const LOG: PartitionId = PartitionId {
    topic: GROUP_LOG,
    partition: 0,
};
const PARTITIONS: u32 = 4;

pub fn group(action: Action) -> Call {
    named("g", action)
}

pub fn named(name: &str, action: Action) -> Call {
    let id = GroupId {
        project: "main".to_owned(),
        name: name.to_owned(),
    };
    Call::Group(id, action)
}

pub fn ensure() -> Action {
    Action::Ensure {
        config: Config {
            topics: vec![partition(1, 0).topic],
            kind: Kind::Partitioned,
            start: Start::Earliest,
            lease_ms: 10_000,
        },
        offsets: Vec::new(),
        only_new: false,
    }
}

fn join(lease_ms: u32) -> Action {
    Action::Join {
        member: "m".to_owned(),
        instance: None,
        lease_ms: Some(lease_ms),
    }
}

pub fn poll(epoch: u64, commit: Vec<Mark>) -> Action {
    Action::Poll {
        member: "m".to_owned(),
        epoch,
        commit,
    }
}

pub fn mark(owned: &Owned, next_offset: u64) -> Mark {
    Mark {
        partition: owned.partition,
        stint: owned.stint,
        next_offset,
    }
}

/// Brokers with a group log on these, and a topic to read.
pub async fn start(ids: &[BrokerId], log: &[BrokerId]) -> Brokers {
    let brokers = Brokers::start(ids).await;
    for n in 0..PARTITIONS {
        brokers.metadata.create(partition(1, n), &ids[..1], 1);
    }
    brokers
        .metadata
        .create(LOG, log, if log.len() > 2 { 2 } else { 1 });
    brokers
}

/// Asks whoever leads by the metadata, again and again, as gateways do with what may be done twice.
pub async fn ask(brokers: &Brokers, call: Call) -> Result<Reply, GroupError> {
    let mut answer = None;
    let answered = async || {
        let leader = brokers.metadata.row(LOG).leader;
        let Some(node) = leader.and_then(|leader| brokers.find(leader.broker)) else {
            return false;
        };
        match node.coordinate(LOG, call.clone()).await {
            Ok(reply) => answer = Some(Ok(reply)),
            Err(CoordinateError::Refused(error)) => answer = Some(Err(error)),
            Err(CoordinateError::NotLeader | CoordinateError::Unknown) => return false,
            Err(error) => panic!("{error}"),
        }
        true
    };
    brokers.until("answered", answered).await;
    answer.expect("an answer")
}

pub async fn act(brokers: &Brokers, action: Action) -> Reply {
    ask(brokers, group(action)).await.expect("done")
}

pub async fn describe(brokers: &Brokers) -> Description {
    match act(brokers, Action::Describe).await {
        // The leases are not in the log.
        Reply::Described(mut description) => {
            description
                .members
                .iter_mut()
                .for_each(|member| member.expires_at_ms = 0);
            description
        }
        other => panic!("{other:?}"),
    }
}

/// Joins for as long as can be, and answers the epoch and what is owned.
pub async fn joined(brokers: &Brokers) -> (u64, Vec<Owned>) {
    joined_for(brokers, 300_000).await
}

async fn joined_for(brokers: &Brokers, lease_ms: u32) -> (u64, Vec<Owned>) {
    act(brokers, ensure()).await;
    let Reply::Joined { epoch, .. } = act(brokers, join(lease_ms)).await else {
        panic!("not joined");
    };
    polled(brokers, epoch, Vec::new()).await
}

pub async fn polled(brokers: &Brokers, epoch: u64, commit: Vec<Mark>) -> (u64, Vec<Owned>) {
    match act(brokers, poll(epoch, commit)).await {
        Reply::Polled(polled) => (polled.epoch, polled.owned),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_outlives_every_coordinator() {
    let brokers = start(&[1, 2, 3], &[1, 2, 3]).await;
    let (mut epoch, mut owned) = joined(&brokers).await;
    assert_eq!(owned.len(), PARTITIONS as usize);
    let mut done = 0;
    for round in 0..6 {
        let leader = brokers.metadata.row(LOG).leader.expect("led").broker;
        for _ in 0..50 {
            done += 1;
            let commit = owned.iter().map(|owned| mark(owned, done)).collect();
            (epoch, owned) = polled(&brokers, epoch, commit).await;
            assert!(owned.iter().all(|owned| owned.committed == Some(done)));
        }
        let before = describe(&brokers).await;
        brokers.metadata.fence(leader);
        if round % 2 == 0 {
            brokers.stop(leader).await;
        }
        // Nothing moved, nobody was lost, and no commit.
        assert_eq!(describe(&brokers).await, before);
        match round % 2 {
            0 => drop(brokers.add(leader).await),
            _ => brokers.metadata.revive(leader),
        }
        brokers.until_in_sync(LOG, 3).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_is_deposed_answers_nothing() {
    let brokers = start(&[1, 2, 3], &[1, 2, 3]).await;
    let (epoch, owned) = joined(&brokers).await;
    brokers.cut_off(1).await;
    let node = brokers.node(1);
    let asked = |action| {
        let node = node.clone();
        tokio::spawn(async move { node.coordinate(LOG, group(action)).await })
    };
    let end = brokers.node(1).copy(LOG).await.expect("a copy").end;
    let committing = asked(poll(epoch, vec![mark(&owned[0], 7)]));
    // The read stands behind what cannot be committed.
    let appended = async || brokers.node(1).copy(LOG).await.expect("a copy").end > end;
    brokers.until("appended", appended).await;
    let reading = asked(Action::Positions);
    brokers.metadata.fence(1);
    let outcome = committing.await.expect("no panic");
    assert_eq!(outcome, Err(CoordinateError::Unknown));
    let outcome = reading.await.expect("no panic");
    assert_eq!(outcome, Err(CoordinateError::NotLeader));
    let outcome = asked(Action::Describe).await.expect("no panic");
    assert_eq!(outcome, Err(CoordinateError::NotLeader));
    let committed = describe(&brokers).await.positions;
    assert!(
        committed
            .iter()
            .all(|position| position.committed.is_none())
    );
    // With another instance under its name the next coordinator knows it no more.
    let other = Action::Join {
        member: "m".to_owned(),
        instance: Some("another".to_owned()),
        lease_ms: None,
    };
    act(&brokers, other).await;
    let fenced = ask(&brokers, group(poll(epoch, vec![mark(&owned[0], 9)]))).await;
    assert_eq!(fenced, Err(GroupError::MemberFenced));
    brokers.heal();
    let outcome = node.coordinate(LOG, group(Action::Describe)).await;
    assert_eq!(outcome, Err(CoordinateError::NotLeader));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_partitions_have_no_coordinator() {
    let brokers = start(&[1, 2], &[1]).await;
    let unknown = Err(CoordinateError::UnknownPartition);
    let node = brokers.node(1);
    let call = || group(Action::Describe);
    assert_eq!(node.coordinate(partition(1, 0), call()).await, unknown);
    let (topic, partition) = (GROUP_LOG, 1);
    let beyond = PartitionId { topic, partition };
    assert_eq!(node.coordinate(beyond, call()).await, unknown);
    let other = brokers.node(2).coordinate(LOG, call()).await;
    assert_eq!(other, Err(CoordinateError::NotLeader));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_few_copies_take_no_change() {
    let brokers = start(&[1, 2, 3], &[1, 2, 3]).await;
    let (epoch, owned) = joined(&brokers).await;
    let before = describe(&brokers).await;
    // What is refused here is refused there: its row comes later.
    let other = partition(10, 0);
    brokers.metadata.create(other, &[1, 2, 3], 2);
    brokers.write(1, other, "before").await;
    for gone in [2, 3] {
        brokers.stop(gone).await;
        brokers.metadata.discount(LOG, gone);
        brokers.metadata.discount(other, gone);
    }
    let heard = async || {
        let batch = batch("after", Producer::NONE);
        let outcome = produce(&brokers.node(1), other, batch, Acks::None).await;
        outcome == Err(ProduceError::TooFewInSync)
    };
    brokers.until("heard", heard).await;
    let call = group(poll(epoch, vec![mark(&owned[0], 7)]));
    let outcome = brokers.node(1).coordinate(LOG, call).await;
    assert_eq!(outcome, Err(CoordinateError::TooFewInSync));
    // Nothing of it has happened, here or in the log.
    assert_eq!(describe(&brokers).await, before);
    let end = brokers.node(1).copy(LOG).await.expect("a copy").end;
    assert_eq!(end, brokers.state(1, LOG).await.high_watermark);
}

/// Commits so many times, many calls under way at once.
async fn commit_many(node: &Arc<Node>, epoch: u64, owned: &[Owned], offsets: std::ops::Range<u64>) {
    let calls = offsets.map(|offset| {
        let call = group(poll(
            epoch,
            vec![mark(&owned[offset as usize % owned.len()], offset)],
        ));
        async move { node.coordinate(LOG, call).await.expect("committed") }
    });
    let calls = stream::iter(calls);
    calls.buffer_unordered(256).for_each(|_| async {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_stays_short_and_says_the_same() {
    let brokers = start(&[1, 2], &[1]).await;
    let (epoch, owned) = joined(&brokers).await;
    for n in 0..200 {
        let made = ask(&brokers, named(&format!("quiet-{n}"), ensure())).await;
        assert!(made.is_ok(), "{made:?}");
    }
    let node = brokers.node(1);
    commit_many(&node, epoch, &owned, 0..30_000).await;
    let trimmed = async || brokers.state(1, LOG).await.log_start > 10_000;
    brokers.until("trimmed", trimmed).await;
    let held = brokers.state(1, LOG).await;
    assert!(held.hot_bytes < 4 << 20, "{held:?}");
    let before = describe(&brokers).await;
    // A restart.
    brokers.stop(1).await;
    drop(node);
    brokers.add(1).await;
    assert_eq!(describe(&brokers).await, before);
    // A copy that begins where the log begins by now.
    brokers.metadata.relocate(LOG, &[2]);
    let moved = async || brokers.metadata.row(LOG).replicas == [2];
    brokers.until("moved", moved).await;
    assert_eq!(describe(&brokers).await, before);
    for n in 0..200 {
        let same = ask(&brokers, named(&format!("quiet-{n}"), Action::Describe)).await;
        assert!(same.is_ok(), "{same:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_trim_with_their_leader() {
    let brokers = start(&[1, 2, 3], &[1, 2, 3]).await;
    let (epoch, owned) = joined(&brokers).await;
    let node = brokers.node(1);
    commit_many(&node, epoch, &owned, 0..15_000).await;
    for at in [1, 2, 3] {
        let trimmed = async || {
            let copy = brokers.node(at).copy(LOG).await.expect("a copy");
            copy.log_start > 2_000
        };
        brokers.until("trimmed", trimmed).await;
    }
    let before = describe(&brokers).await;
    brokers.metadata.fence(1);
    brokers.stop(1).await;
    assert_eq!(describe(&brokers).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_end_by_the_clock_that_was_handed_in() {
    let brokers = start(&[1], &[1]).await;
    joined_for(&brokers, 10_000).await;
    let end = brokers.state(1, LOG).await.high_watermark;
    brokers.clock.advance(Duration::from_millis(9_500));
    // The call looks at the clock; nothing else is asked from here on.
    assert_eq!(describe(&brokers).await.members.len(), 1);
    let expired = async || brokers.state(1, LOG).await.high_watermark > end;
    brokers.until("expired", expired).await;
    assert!(describe(&brokers).await.members.is_empty());
}
