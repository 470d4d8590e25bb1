use std::{sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use headwater_broker::{
    Acks, Broker, Fetch, FetchError, FetchPosition, Network, PartitionId, ProduceError,
};

use crate::world::{Caller, Server, TOPIC, batch};

pub fn fetch_of(offset: u64, wait: Duration) -> Fetch {
    Fetch {
        topic: TOPIC,
        positions: vec![FetchPosition {
            partition: 3,
            offset,
            records_max: usize::MAX,
            bytes_max: usize::MAX,
        }],
        bytes_max: usize::MAX,
        wait,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_arrive_byte_by_byte() {
    let server = Server::start().await;
    let caller = Caller::of(server.address);
    let broker = caller.client.broker(1).unwrap();
    let mut written = Vec::new();
    for (seed, bytes) in [0, 1, 1_000, 300_000, 9 << 20].into_iter().enumerate() {
        let batch = batch(3, bytes, seed as u64);
        written.push(Bytes::copy_from_slice(batch.batch.as_bytes()));
        let answers = broker.produce(TOPIC, vec![batch], Acks::Quorum).await;
        let produced = answers.into_iter().next().unwrap().unwrap();
        assert_eq!(produced.base_offset, seed as u64);
        assert!(!produced.duplicate && produced.original.is_none());
    }
    let there: Vec<_> = server.broker.partitions.lock().values().cloned().collect();
    assert!(there == std::slice::from_ref(&written));
    let fetched = broker.fetch(fetch_of(0, Duration::ZERO)).await;
    let fetched = fetched.into_iter().next().unwrap().unwrap();
    assert_eq!((fetched.log_start, fetched.high_watermark), (0, 5));
    assert!(fetched.batches == written);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_ends_with_the_first_record_and_with_its_caller() {
    let server = Server::start().await;
    let caller = Caller::of(server.address);
    let broker = caller.client.broker(1).unwrap();
    let waiting = async |count| {
        while server.broker.waiting.load(Ordering::SeqCst) != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let poll = tokio::spawn({
        let broker = broker.clone();
        async move { broker.fetch(fetch_of(0, Duration::from_secs(50))).await }
    });
    waiting(1).await;
    broker
        .produce(TOPIC, vec![batch(3, 10, 0)], Acks::Quorum)
        .await;
    let fetched = poll.await.unwrap().remove(0).unwrap();
    assert_eq!(fetched.batches.len(), 1);
    // Nothing comes: the wait is kept.
    let started = std::time::Instant::now();
    let empty = broker.fetch(fetch_of(1, Duration::from_millis(200))).await;
    assert!(empty[0].as_ref().unwrap().batches.is_empty());
    assert!(started.elapsed() >= Duration::from_millis(200));
    // The caller goes away: so does its wait on the other side.
    let poll = tokio::spawn({
        let broker = broker.clone();
        async move { broker.fetch(fetch_of(1, Duration::from_secs(50))).await }
    });
    waiting(1).await;
    poll.abort();
    waiting(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_calls_arrive() {
    let server = Server::start().await;
    let caller = Caller::of(server.address);
    let broker = caller.client.broker(1).unwrap();
    let id = PartitionId {
        topic: TOPIC,
        partition: 3,
    };
    broker
        .produce(TOPIC, vec![batch(3, 10, 0)], Acks::None)
        .await;
    let states = broker.partition_states(TOPIC, vec![3, 4]).await;
    let state = states[0].as_ref().unwrap();
    assert_eq!((state.log_start, state.high_watermark), (1, 1));
    assert!(state.hot_bytes > 70);
    assert_eq!(state.cold_bytes, 9);
    assert_eq!((state.hot_start, state.cold_start), (4, Some(2)));
    assert_eq!(state.backlog_bytes, 5);
    assert_eq!(states[1], Err(FetchError::UnknownPartition));
    assert_eq!(broker.offset_for_time(id, -3).await, Ok(7));
    assert_eq!(broker.confirm(TOPIC, vec![3]).await, [Ok(())]);
    let copy = broker.copy(id).await;
    assert_eq!(copy, server.broker.copy(id).await);
    assert_eq!(copy.expect("a copy").log_start, 3);
    assert_eq!(broker.trim(id, 1 << 50).await, Ok(1 << 50));
    broker.topic_grew(TOPIC);
    server.broker.grown.notified().await;
    for moving_only in [false, true] {
        let holdings = broker.holdings(moving_only).await.unwrap();
        assert_eq!((holdings.bytes, holdings.led.len()), (state.hot_bytes, 1));
        let held = holdings.led[0];
        assert_eq!(
            (held.id, held.bytes, held.high_watermark),
            (id, holdings.bytes, 1)
        );
        assert_eq!(held.copied, moving_only.then_some(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_of_the_other_broker_is_told_as_it_is() {
    let server = Server::start().await;
    let caller = Caller::of(server.address);
    let broker = caller.client.broker(1).unwrap();
    let errors = [
        ProduceError::UnknownPartition,
        ProduceError::NotLeader,
        ProduceError::ProducerReused,
        ProduceError::StorageFull,
        ProduceError::Overloaded,
        ProduceError::Unreachable,
        ProduceError::Unknown,
    ];
    for error in errors {
        *server.broker.answer.lock() = Some(Some(error.clone()));
        let batches = vec![batch(0, 9, 0), batch(1, 9, 0)];
        let answers = broker.produce(TOPIC, batches, Acks::Quorum).await;
        assert_eq!(answers.len(), 2);
        assert!(
            answers
                .iter()
                .all(|answer| answer.as_ref().err() == Some(&error))
        );
    }
    let errors = [
        FetchError::UnknownPartition,
        FetchError::NotLeader,
        FetchError::OutOfRange {
            log_start: 5,
            high_watermark: 1 << 52,
        },
        FetchError::Corrupt { from: 3, to: 8 },
        FetchError::Unavailable("it is so".into()),
        FetchError::Unreachable("it is far".into()),
        FetchError::NotConfirmed,
    ];
    let id = PartitionId {
        topic: TOPIC,
        partition: 3,
    };
    for error in errors {
        *server.broker.refuse.lock() = Some(error.clone());
        let fetched = broker.fetch(fetch_of(0, Duration::ZERO)).await;
        assert_eq!(fetched[0].as_ref().err(), Some(&error));
        assert_eq!(broker.trim(id, 0).await, Err(error.clone()));
        assert_eq!(broker.copy(id).await, Err(error.clone()));
        let confirmed = broker.confirm(TOPIC, vec![3, 4]).await;
        assert_eq!(confirmed, vec![Err(error.clone()); 2]);
        assert_eq!(broker.offset_for_time(id, 0).await, Err(error));
    }
}
