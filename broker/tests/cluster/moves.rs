//! Copies that move while they are written to.

use std::{path::PathBuf, time::Duration};

use headwater_broker::{Acks, Broker, BrokerId, PartitionId, ProduceError};
use headwater_record::Producer;

use crate::{
    brokers::{Brokers, batch, partition, produce},
    numbered,
};

/// Writes these values in their order, wherever the leader is. Nothing fails for good.
async fn write_anywhere(brokers: &Brokers, id: PartitionId, values: &[String]) {
    for value in values {
        let written = async || {
            let Some(leader) = brokers.metadata.row(id).leader else {
                return false;
            };
            let node = brokers.node(leader.broker);
            match produce(&node, id, batch(value, Producer::NONE), Acks::Quorum).await {
                Ok(_) => true,
                Err(ProduceError::NotLeader) => false,
                Err(error) => panic!("{error}"),
            }
        };
        brokers.until("written", written).await;
    }
}

/// Waits until a partition's copies are on these brokers and nowhere else, the first of them leading.
async fn until_on(brokers: &Brokers, id: PartitionId, expected: &[BrokerId]) {
    let there = async || {
        let row = brokers.metadata.row(id);
        row.replicas == expected
            && row.target.is_none()
            && row.in_sync.len() == expected.len()
            && row.leader.map(|leader| leader.broker) == Some(expected[0])
    };
    brokers.until("moved", there).await;
}

/// Where a broker would have a partition's segments.
fn directory(brokers: &Brokers, at: BrokerId, id: PartitionId) -> PathBuf {
    let partitions = brokers.dir(at).join("log/partitions");
    partitions
        .join(id.topic.to_string())
        .join(id.partition.to_string())
}

async fn until_gone(brokers: &Brokers, at: BrokerId, id: PartitionId) {
    let gone = async || !directory(brokers, at, id).exists();
    brokers.until("deleted", gone).await;
}

/// Bytes of all copies on a broker.
async fn bytes(brokers: &Brokers, at: BrokerId) -> u64 {
    let held = brokers.node(at).holdings(false).await;
    held.expect("answered").bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_move_there_and_back_under_writes_that_do_not_fail() {
    let brokers = Brokers::start(&[1, 2, 3, 4]).await;
    let id = partition(1, 0);
    brokers.metadata.create(id, &[1, 2, 3], 2);
    let values = numbered(0..600);
    let moving = async {
        for target in [[4, 2, 3], [1, 2, 3]] {
            brokers.metadata.relocate(id, &target);
            until_on(&brokers, id, &target).await;
            let left = 5 - target[0];
            let empty = async || bytes(&brokers, left).await == 0;
            brokers.until("empty", empty).await;
            until_gone(&brokers, left, id).await;
        }
    };
    tokio::join!(write_anywhere(&brokers, id, &values), moving);
    assert_eq!(brokers.values(1, id).await, values);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_drains_is_left_with_nothing() {
    let brokers = Brokers::start(&[1, 2, 3, 4]).await;
    // More than may come at once, one of them a sole copy.
    let replicas = |n: u32| match n {
        0 => vec![3],
        n => vec![n % 3 + 1, (n + 1) % 3 + 1],
    };
    for n in 0..30 {
        let id = partition(1, n);
        brokers.metadata.create(id, &replicas(n), 1);
        write_anywhere(&brokers, id, &numbered(0..10)).await;
    }
    brokers.metadata.drain(3);
    for n in 0..30 {
        let left = async || {
            let row = brokers.metadata.row(partition(1, n));
            !row.replicas.contains(&3) && row.target.is_none()
        };
        brokers.until("left", left).await;
        until_gone(&brokers, 3, partition(1, n)).await;
    }
    let empty = async || bytes(&brokers, 3).await == 0;
    brokers.until("empty", empty).await;
    brokers.stop(3).await;
    for n in 0..30 {
        let id = partition(1, n);
        write_anywhere(&brokers, id, &numbered(10..20)).await;
        let leader = brokers.metadata.row(id).leader.expect("led").broker;
        assert_eq!(brokers.values(leader, id).await, numbered(0..20));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_away_deletes_what_moved_meanwhile_and_no_more() {
    let brokers = Brokers::start(&[1, 2, 3]).await;
    let (moves, stays) = (partition(1, 0), partition(1, 1));
    for id in [moves, stays] {
        brokers.metadata.create(id, &[1, 2], 1);
        write_anywhere(&brokers, id, &numbered(0..10)).await;
    }
    brokers.metadata.fence(1);
    brokers.stop(1).await;
    brokers.metadata.relocate(moves, &[3, 2]);
    until_on(&brokers, moves, &[3, 2]).await;
    assert!(directory(&brokers, 1, moves).exists());
    brokers.add(1).await;
    until_gone(&brokers, 1, moves).await;
    until_on(&brokers, stays, &[1, 2]).await;
    assert_eq!(brokers.values(1, stays).await, numbered(0..10));
    assert_eq!(brokers.values(3, moves).await, numbered(0..10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_far_a_move_has_come_is_told() {
    let brokers = Brokers::start(&[1, 2, 3]).await;
    let id = partition(1, 0);
    brokers.metadata.create(id, &[1, 2], 1);
    write_anywhere(&brokers, id, &numbered(0..10)).await;
    let moving = async |at| {
        let held = brokers.node(at).holdings(true).await.expect("answered");
        held.led.iter().map(|held| held.copied).collect::<Vec<_>>()
    };
    assert_eq!(moving(1).await, []);
    brokers.cut_off(3).await;
    brokers.metadata.relocate(id, &[1, 3]);
    let begun = async || moving(1).await == [Some(0)];
    brokers.until("begun", begun).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(moving(1).await, [Some(0)]);
    brokers.heal();
    until_on(&brokers, id, &[1, 3]).await;
    assert_eq!(moving(1).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_names_nobody_removes_nothing() {
    let brokers = Brokers::start(&[1, 2]).await;
    let id = partition(1, 0);
    brokers.metadata.create(id, &[1], 1);
    write_anywhere(&brokers, id, &numbered(0..10)).await;
    brokers.metadata.blank(id);
    let refused = async || {
        let node = brokers.node(1);
        produce(&node, id, batch("refused", Producer::NONE), Acks::Quorum).await
            == Err(ProduceError::NotLeader)
    };
    brokers.until("nobody leads", refused).await;
    assert!(bytes(&brokers, 1).await > 0);
    // Nor does it after a restart.
    brokers.stop(1).await;
    assert!(directory(&brokers, 1, id).exists());
    brokers.add(1).await;
    brokers.metadata.drain(2);
    brokers
        .until("the row is looked at", async || {
            brokers.node(1).incarnation() == Some(2)
        })
        .await;
    assert!(directory(&brokers, 1, id).exists());
}
