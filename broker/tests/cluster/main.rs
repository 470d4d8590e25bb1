//! Several real nodes with real logs in one process; the network is channels that can be cut, the
//! metadata is in memory.

mod brokers;
mod group_faults;
mod groups;
mod loss;
mod metadata;
mod moves;

use std::time::Duration;

use brokers::{Brokers, batch, keyed, partition, produce};
use headwater_broker::{Acks, Broker, BrokerId, FetchError, ProduceError};
use headwater_record::Producer;

fn numbered(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("value {n}")).collect()
}

/// What is committed is these values, and no others.
async fn assert_values(brokers: &Brokers, at: BrokerId, expected: &[String]) {
    let values = brokers.values(at, partition(1, 0)).await;
    let differs = values.iter().zip(expected).position(|(a, b)| a != b);
    assert_eq!((values.len(), differs), (expected.len(), None));
}

async fn write(brokers: &Brokers, at: BrokerId, range: std::ops::Range<u32>) {
    for value in numbered(range) {
        brokers.write(at, partition(1, 0), &value).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_is_on_every_copy() {
    let brokers = Brokers::start(&[1, 2, 3]).await;
    let id = partition(1, 0);
    brokers.metadata.create(id, &[1, 2, 3], 2);
    write(&brokers, 1, 0..100).await;
    assert_values(&brokers, 1, &numbered(0..100)).await;
    for follower in [2, 3] {
        let node = brokers.node(follower);
        let answer = produce(&node, id, batch("elsewhere", Producer::NONE), Acks::Quorum).await;
        assert_eq!(answer, Err(ProduceError::NotLeader));
    }
    // Whoever leads next has all of it, and goes on.
    brokers.metadata.fence(1);
    brokers.stop(1).await;
    write(&brokers, 2, 100..200).await;
    assert_values(&brokers, 2, &numbered(0..200)).await;
    let row = brokers.metadata.row(id);
    assert_eq!((row.epoch, row.in_sync.as_slice()), (2, &[2, 3][..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_comes_back_catches_up_and_leads_again() {
    let brokers = Brokers::start(&[1, 2, 3]).await;
    let id = partition(1, 0);
    brokers.metadata.create(id, &[1, 2, 3], 2);
    write(&brokers, 1, 0..50).await;
    brokers.metadata.fence(1);
    brokers.stop(1).await;
    write(&brokers, 2, 50..100).await;
    brokers.add(1).await;
    brokers.until_in_sync(id, 3).await;
    // It is the preferred leader.
    let home = async || brokers.metadata.row(id).leader.map(|l| l.broker) == Some(1);
    brokers.until("home", home).await;
    write(&brokers, 1, 100..150).await;
    assert_values(&brokers, 1, &numbered(0..150)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_acknowledges_nothing_and_loses_what_it_took() {
    let brokers = Brokers::start(&[1, 2, 3]).await;
    let id = partition(1, 0);
    brokers.metadata.create(id, &[1, 2, 3], 2);
    write(&brokers, 1, 0..20).await;
    brokers.cut_off(1).await;
    let alone = tokio::spawn({
        let node = brokers.node(1);
        async move { produce(&node, id, batch("alone", Producer::NONE), Acks::Quorum).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    brokers.metadata.fence(1);
    assert_eq!(alone.await.expect("answered"), Err(ProduceError::Unknown));
    write(&brokers, 2, 20..40).await;
    brokers.heal();
    brokers.until_in_sync(id, 2).await;
    assert_values(&brokers, 2, &numbered(0..40)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_is_confirmed_by_everybody_who_may_lead_by_now() {
    let brokers = Brokers::start(&[1, 2, 3]).await;
    let (id, single) = (partition(1, 0), partition(2, 0));
    brokers.metadata.create(id, &[1, 2, 3], 2);
    brokers.metadata.create(single, &[1], 1);
    write(&brokers, 1, 0..5).await;
    brokers.write(1, single, "alone").await;
    let node = brokers.node(1);
    let calls = (0..100).map(|_| node.confirm(id.topic, vec![0, 1]));
    for answers in futures_util::future::join_all(calls).await {
        assert_eq!(answers, [Ok(()), Err(FetchError::UnknownPartition)]);
    }
    let follower = brokers.node(2).confirm(id.topic, vec![0]).await;
    assert_eq!(follower, [Err(FetchError::NotLeader)]);
    // Those who are away may lead by now.
    brokers.cut_off(1).await;
    assert_eq!(brokers.state(1, id).await.high_watermark, 5);
    let answers = node.confirm(id.topic, vec![0]).await;
    assert_eq!(answers, [Err(FetchError::NotConfirmed)]);
    assert_eq!(node.confirm(single.topic, vec![0]).await, [Ok(())]);
    brokers.metadata.fence(1);
    write(&brokers, 2, 5..10).await;
    assert_eq!(brokers.node(2).confirm(id.topic, vec![0]).await, [Ok(())]);
    let answers = node.confirm(id.topic, vec![0]).await;
    assert_eq!(answers, [Err(FetchError::NotLeader)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_only_the_database_hears_resigns() {
    let brokers = Brokers::start(&[1, 2, 3]).await;
    let id = partition(1, 0);
    brokers.metadata.create(id, &[1, 2, 3], 2);
    write(&brokers, 1, 0..20).await;
    brokers.cut_off(1).await;
    let node = brokers.node(1);
    let alone = produce(&node, id, batch("alone", Producer::NONE), Acks::Quorum).await;
    assert_eq!(alone, Err(ProduceError::Unknown));
    let row = brokers.metadata.row(id);
    let next = row.leader.map(|leader| leader.broker).expect("a leader");
    assert!(next != 1 && row.epoch == 2, "{row:?}");
    write(&brokers, next, 20..40).await;
    // It lives, by the metadata's word, and is the preferred leader: it does not come home like that.
    brokers.until_in_sync(id, 2).await;
    assert!(!brokers.metadata.row(id).in_sync.contains(&1));
    brokers.heal();
    let home = async || brokers.metadata.row(id).leader.map(|l| l.broker) == Some(1);
    brokers.until("home", home).await;
    write(&brokers, 1, 40..50).await;
    assert_values(&brokers, 1, &numbered(0..50)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_broke_unnoticed_takes_nothing_from_the_next() {
    let brokers = Brokers::start(&[1, 2]).await;
    brokers.metadata.create(partition(1, 0), &[1, 2], 2);
    for n in 0..20 {
        write(&brokers, 1, 10 * n..10 * n + 10).await;
        brokers.lose_sessions();
    }
    write(&brokers, 1, 200..210).await;
    assert_values(&brokers, 1, &numbered(0..210)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_that_do_not_come_leave_down_to_the_minimum() {
    let brokers = Brokers::start(&[1, 2, 3]).await;
    let id = partition(1, 0);
    brokers.metadata.create(id, &[1, 2, 3], 2);
    write(&brokers, 1, 0..5).await;
    brokers.cut_off(3).await;
    // The leader waits for it, asks it to leave, and acknowledges.
    write(&brokers, 1, 5..10).await;
    assert_eq!(brokers.metadata.row(id).in_sync, [1, 2]);
    brokers.cut_off(2).await;
    let node = brokers.node(1);
    let refused = produce(&node, id, batch("lonely", Producer::NONE), Acks::Leader).await;
    assert_eq!(refused, Ok(10));
    assert_eq!(brokers.metadata.row(id).in_sync, [1, 2]);
    assert_values(&brokers, 1, &numbered(0..10)).await;
    brokers.heal();
    brokers.until_in_sync(id, 3).await;
    let mut expected = numbered(0..10);
    expected.push("lonely".into());
    assert_values(&brokers, 1, &expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_is_known_to_the_next_leader() {
    let brokers = Brokers::start(&[1, 2, 3]).await;
    let id = partition(1, 0);
    brokers.metadata.create(id, &[1, 2, 3], 2);
    for n in 0..10 {
        let offset = produce(&brokers.node(1), id, batch("once", keyed(n)), Acks::Quorum).await;
        assert_eq!(offset, Ok(n));
    }
    brokers.metadata.fence(1);
    brokers.stop(1).await;
    for n in 0..10 {
        let offset = brokers.produce(2, id, || batch("once", keyed(n))).await;
        assert_eq!(offset, Ok(n));
    }
    let other = produce(&brokers.node(2), id, batch("twice", keyed(1)), Acks::Quorum).await;
    assert_eq!(other, Err(ProduceError::ProducerReused));
    assert_eq!(brokers.values(2, id).await.len(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_hands_over_without_a_failure() {
    let brokers = Brokers::start(&[1, 2, 3]).await;
    let id = partition(1, 0);
    brokers.metadata.create(id, &[1, 2, 3], 2);
    write(&brokers, 1, 0..10).await;
    let node = brokers.node(1);
    let writing = tokio::spawn({
        let (one, two) = (node.clone(), brokers.node(2));
        async move {
            let mut refused = 0;
            for value in numbered(10..200) {
                loop {
                    let record = || batch(&value, Producer::NONE);
                    let mut outcome = produce(&one, id, record(), Acks::Quorum).await;
                    if outcome == Err(ProduceError::NotLeader) {
                        outcome = produce(&two, id, record(), Acks::Quorum).await;
                    }
                    match outcome {
                        Ok(_) => break,
                        // Nothing was written: it may be sent again.
                        Err(ProduceError::NotLeader) => refused += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
            }
            refused
        }
    });
    tokio::time::sleep(Duration::from_millis(30)).await;
    node.leave().await;
    assert_eq!(brokers.metadata.row(id).leader.map(|l| l.broker), Some(2));
    writing.await.expect("written");
    assert_eq!(brokers.metadata.row(id).in_sync, [2, 3]);
    assert_values(&brokers, 2, &numbered(0..200)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_partitions_change_hands_at_once() {
    let brokers = Brokers::start(&[1, 2, 3]).await;
    for n in 0..1000 {
        brokers.metadata.create(partition(2, n), &[1, 2, 3], 2);
    }
    for n in (0..1000).step_by(100) {
        brokers.write(1, partition(2, n), "here").await;
    }
    brokers.metadata.fence(1);
    brokers.stop(1).await;
    for n in (0..1000).step_by(50) {
        brokers.write(2, partition(2, n), "there").await;
    }
    assert_eq!(
        brokers.values(2, partition(2, 100)).await,
        ["here", "there"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_trimmed_stays_trimmed_under_every_next_leader() {
    let brokers = Brokers::start(&[1, 2, 3]).await;
    let id = partition(1, 0);
    brokers.metadata.create(id, &[1, 2, 3], 1);
    write(&brokers, 1, 0..50).await;
    // The followers hear of the last high watermark with a heartbeat; after that there is nothing that
    // the trim could be told with.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(brokers.node(1).trim(id, 30).await, Ok(30));
    tokio::time::sleep(Duration::from_secs(1)).await;
    for (gone, next) in [(1, 2), (2, 3)] {
        brokers.metadata.fence(gone);
        brokers.stop(gone).await;
        let leads = async || brokers.metadata.row(id).leader.map(|l| l.broker) == Some(next);
        brokers.until("led", leads).await;
        let state = brokers.state(next, id).await;
        assert_eq!((state.log_start, state.high_watermark), (30, 50));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_waits_for_the_copies() {
    let brokers = Brokers::start(&[1, 2, 3]).await;
    let id = partition(1, 0);
    brokers.metadata.create(id, &[1, 2, 3], 2);
    write(&brokers, 1, 0..5).await;
    brokers.cut_off(2).await;
    brokers.cut_off(3).await;
    let node = brokers.node(1);
    let large = "x".repeat(600_000);
    for offset in 5..15 {
        let written = produce(&node, id, batch(&large, Producer::NONE), Acks::Leader).await;
        assert_eq!(written, Ok(offset));
    }
    brokers.metadata.retain(1_000_000);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let state = brokers.state(1, id).await;
    assert_eq!((state.log_start, state.high_watermark), (0, 5));
    brokers.heal();
    brokers.until_in_sync(id, 3).await;
    let removed = async || brokers.state(1, id).await.log_start > 5;
    brokers.until("removed", removed).await;
}
