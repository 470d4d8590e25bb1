//! A broker in memory, and a host of sessions that hands them to the test.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use headwater_broker::{
    Acks, Answer, Broker, CoordinateError, CopyState, Fetch, FetchError, Fetched, Held, Holdings,
    LeaderSession, NodeError, PartitionBatch, PartitionId, PartitionState, ProduceError, Produced,
    SessionHost, TopicId,
};
use headwater_groups::{Call, Coordinator, Reply, Topics};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

#[derive(Default)]
pub struct Memory {
    pub partitions: Mutex<HashMap<PartitionId, Vec<Bytes>>>,
    pub grown: Notify,
    /// Fetches that wait.
    pub waiting: AtomicUsize,
    /// Produces that arrived.
    pub received: AtomicUsize,
    /// What produces are answered instead; `None` in it hangs after the append.
    pub answer: Mutex<Option<Option<ProduceError>>>,
    /// What everything else is answered instead.
    pub refuse: Mutex<Option<FetchError>>,
    changed: Notify,
    /// What coordinators are asked, and the answers.
    pub groups: Mutex<Coordinated>,
}

/// A coordinator without a log, and what it answers instead.
#[derive(Default)]
pub struct Coordinated {
    pub coordinator: Coordinator,
    pub instead: Option<CoordinateError>,
    /// What it was asked last, and said.
    pub last: Option<(String, Result<Reply, CoordinateError>)>,
}

/// Every topic has four partitions.
struct Four;

impl Topics for Four {
    fn partitions(&self, topic: TopicId) -> Option<u32> {
        (topic != DELETED).then_some(4)
    }
}

/// But this one, which is deleted.
pub const DELETED: TopicId = TopicId([13; 16]);

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Memory {
    fn read(&self, fetch: &Fetch) -> Vec<Result<Fetched, FetchError>> {
        let partitions = self.partitions.lock();
        let read = |partition, offset: u64| {
            let topic = fetch.topic;
            let batches = partitions.get(&PartitionId { topic, partition });
            let batches = batches.map(Vec::as_slice).unwrap_or_default();
            Ok(Fetched {
                batches: batches.iter().skip(offset as usize).cloned().collect(),
                log_start: 0,
                high_watermark: batches.len() as u64,
            })
        };
        let positions = fetch.positions.iter();
        positions.map(|at| read(at.partition, at.offset)).collect()
    }

    fn refused(&self) -> Option<FetchError> {
        self.refuse.lock().clone()
    }
}

impl Broker for Memory {
    fn produce(
        &self,
        topic: TopicId,
        batches: Vec<PartitionBatch>,
        _acks: Acks,
    ) -> Answer<'_, Vec<Result<Produced, ProduceError>>> {
        Box::pin(async move {
            self.received.fetch_add(1, Ordering::SeqCst);
            let answer = self.answer.lock().clone();
            if let Some(Some(error)) = answer {
                return vec![Err(error); batches.len()];
            }
            let mut answers = Vec::new();
            for PartitionBatch { partition, batch } in batches {
                let mut partitions = self.partitions.lock();
                let log = partitions
                    .entry(PartitionId { topic, partition })
                    .or_default();
                answers.push(Ok(Produced {
                    base_offset: log.len() as u64,
                    duplicate: false,
                    original: None,
                }));
                log.push(batch.freeze());
            }
            self.changed.notify_waiters();
            if answer.is_some() {
                std::future::pending::<()>().await;
            }
            answers
        })
    }

    fn fetch(&self, fetch: Fetch) -> Answer<'_, Vec<Result<Fetched, FetchError>>> {
        Box::pin(async move {
            if let Some(error) = self.refused() {
                return vec![Err(error); fetch.positions.len()];
            }
            self.waiting.fetch_add(1, Ordering::SeqCst);
            let _waiting = Waiting(&self.waiting);
            let deadline = tokio::time::Instant::now() + fetch.wait;
            loop {
                let changed = self.changed.notified();
                let read = self.read(&fetch);
                let empty = read.iter().flatten().all(|part| part.batches.is_empty());
                if !empty || tokio::time::timeout_at(deadline, changed).await.is_err() {
                    return read;
                }
            }
        })
    }

    fn partition_states(
        &self,
        topic: TopicId,
        partitions: Vec<u32>,
    ) -> Answer<'_, Vec<Result<PartitionState, FetchError>>> {
        let logs = self.partitions.lock();
        let states = partitions.into_iter().map(|partition| {
            let log = logs.get(&PartitionId { topic, partition });
            let log = log.ok_or(FetchError::UnknownPartition)?;
            Ok(PartitionState {
                log_start: 1,
                high_watermark: log.len() as u64,
                hot_bytes: log.iter().map(|batch| batch.len() as u64).sum(),
                cold_bytes: 9,
                hot_start: 4,
                cold_start: Some(2),
                backlog_bytes: 5,
            })
        });
        Box::pin(std::future::ready(states.collect()))
    }

    fn offset_for_time(&self, _: PartitionId, at_ms: i64) -> Answer<'_, Result<u64, FetchError>> {
        let answer = self.refused().map_or(Ok((at_ms + 10) as u64), Err);
        Box::pin(std::future::ready(answer))
    }

    fn find_key(&self, id: PartitionId, key: Bytes) -> Answer<'_, Result<Option<u64>, FetchError>> {
        let found = (!key.is_empty()).then(|| u64::from(id.partition) + key.len() as u64);
        let answer = self.refused().map_or(Ok(found), Err);
        Box::pin(std::future::ready(answer))
    }

    fn trim(&self, _: PartitionId, before: u64) -> Answer<'_, Result<u64, FetchError>> {
        let answer = self.refused().map_or(Ok(before), Err);
        Box::pin(std::future::ready(answer))
    }

    fn confirm(
        &self,
        _topic: TopicId,
        partitions: Vec<u32>,
    ) -> Answer<'_, Vec<Result<(), FetchError>>> {
        let refused = self.refused();
        let answer = |_| refused.clone().map_or(Ok(()), Err);
        let answers = partitions.into_iter().map(answer).collect();
        Box::pin(std::future::ready(answers))
    }

    fn coordinate(
        &self,
        log: PartitionId,
        call: Call,
    ) -> Answer<'_, Result<Reply, CoordinateError>> {
        let mut groups = self.groups.lock();
        let asked = format!("{log} {call:?}");
        let answer = match groups.instead.clone() {
            Some(instead) => Err(instead),
            None => match groups.coordinator.handle(1_000, call, &Four) {
                Ok((events, reply)) => {
                    for event in events {
                        groups.coordinator.apply(event);
                    }
                    Ok(reply)
                }
                Err(refused) => Err(CoordinateError::Refused(refused)),
            },
        };
        groups.last = Some((asked, answer.clone()));
        Box::pin(std::future::ready(answer))
    }

    fn holdings(&self, moving_only: bool) -> Answer<'_, Result<Holdings, FetchError>> {
        let logs = self.partitions.lock();
        let held = |(id, log): (&PartitionId, &Vec<Bytes>)| Held {
            id: *id,
            bytes: log.iter().map(|batch| batch.len() as u64).sum(),
            high_watermark: log.len() as u64,
            copied: moving_only.then_some(1),
        };
        let led: Vec<_> = logs.iter().map(held).collect();
        let bytes = led.iter().map(|held| held.bytes).sum();
        let holdings = self.refused().map_or(Ok(Holdings { bytes, led }), Err);
        Box::pin(std::future::ready(holdings))
    }

    fn copy(&self, id: PartitionId) -> Answer<'_, Result<CopyState, FetchError>> {
        let copy = match self.refused() {
            Some(error) => Err(error),
            None => Ok(CopyState {
                log_start: u64::from(id.partition),
                end: 1 << 50,
                epochs: vec![(1, 3), (i32::MAX, 1 << 49)],
            }),
        };
        Box::pin(std::future::ready(copy))
    }

    fn topic_grew(&self, _: TopicId) {
        self.grown.notify_one();
    }

    fn drop_topic(&self, _: TopicId, _: u32) -> Answer<'_, Result<(), NodeError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Hands sessions to whoever waits for them.
pub struct Host(pub mpsc::UnboundedSender<LeaderSession>);

impl SessionHost for Host {
    fn serve_follower(&self, session: LeaderSession) {
        self.0.send(session).unwrap();
    }
}
