//! Appending: all partitions of a request queue first, then one wait covers them.

use std::{sync::Arc, time::Duration};

use headwater_log::{PartitionId, TopicId};
use headwater_record::Producer;

use super::Node;
use crate::{
    broker::{Acks, PartitionBatch, Produced},
    error::{FetchError, ProduceError},
    partition::{Comparison, Partition, Pending},
    placement::TopicPlacement,
};

/// How long an append waits for the disk to catch up.
const ROOM_WAIT: Duration = Duration::from_secs(2);
/// How often it looks; the log is behind by tens of megabytes then.
const ROOM_POLL: Duration = Duration::from_millis(2);

impl Node {
    pub(super) async fn produce_batches(
        &self,
        topic: TopicId,
        batches: Vec<PartitionBatch>,
        acks: Acks,
    ) -> Vec<Result<Produced, ProduceError>> {
        let Some(placement) = self.placement.topic(topic) else {
            return vec![Err(ProduceError::UnknownPartition); batches.len()];
        };
        if let Err(error) = self.room().await {
            return vec![Err(error); batches.len()];
        }
        let producer = batches
            .first()
            .map_or(Producer::NONE, |first| first.batch.producer());
        if producer.id >= 0 {
            return self.produce_once(&placement, producer, batches, acks).await;
        }
        let pending: Vec<_> = batches
            .into_iter()
            .map(|PartitionBatch { partition, batch }| {
                let epoch = placement
                    .partitions
                    .get(partition as usize)
                    .map_or(0, |p| p.epoch);
                let partition = self.writable(topic, partition)?;
                let pending = partition.append(
                    batch,
                    epoch,
                    placement.settings.segment_bytes,
                    0, // without a producer there is no window to expire
                )?;
                Ok((partition, pending))
            })
            .collect();
        let mut produced = Vec::with_capacity(pending.len());
        for pending in pending {
            produced.push(match pending {
                Ok((partition, pending)) => {
                    acknowledge(&partition, &pending, acks)
                        .await
                        .map(|()| Produced {
                            base_offset: pending.base_offset,
                            duplicate: false,
                            original: None,
                        })
                }
                Err(error) => Err(error),
            });
        }
        produced
    }

    /// A produce whose producer id says which request it is: what the log has is not appended again.
    async fn produce_once(
        &self,
        placement: &TopicPlacement,
        producer: Producer,
        batches: Vec<PartitionBatch>,
        acks: Acks,
    ) -> Vec<Result<Produced, ProduceError>> {
        let refused = |error: ProduceError| vec![Err(error); batches.len()];
        match self.reused(placement, producer, &batches).await {
            Ok(false) => {}
            Ok(true) => return refused(ProduceError::ProducerReused),
            Err(error) => return refused(error),
        }
        let now_ms = self.clock.now_ms();
        let mut pending = Vec::with_capacity(batches.len());
        for PartitionBatch {
            partition: number,
            batch,
        } in batches
        {
            let epoch = placement
                .partitions
                .get(number as usize)
                .map_or(0, |p| p.epoch);
            let outcome = self.writable(placement.id, number).and_then(|partition| {
                let pending =
                    partition.append(batch, epoch, placement.settings.segment_bytes, now_ms)?;
                Ok((partition, pending))
            });
            pending.push(outcome);
        }
        let mut produced = Vec::with_capacity(pending.len());
        for outcome in pending {
            produced.push(match outcome {
                Ok((partition, pending)) => settle(&partition, pending, acks).await,
                Err(error) => Err(error),
            });
        }
        produced
    }

    /// Whether the producer id already stands for other records in any partition of the topic.
    async fn reused(
        &self,
        placement: &TopicPlacement,
        producer: Producer,
        batches: &[PartitionBatch],
    ) -> Result<bool, ProduceError> {
        for number in 0..placement.partitions.len() as u32 {
            let wanted = batches.iter().find(|batch| batch.partition == number);
            let id = PartitionId {
                topic: placement.id,
                partition: number,
            };
            if wanted.is_none() && self.log.existing(id).is_none() {
                continue;
            }
            let partition = match self.writable(placement.id, number) {
                Ok(partition) => partition,
                Err(_) if wanted.is_none() => continue,
                Err(error) => return Err(error),
            };
            let now_ms = self.clock.now_ms();
            partition.load_window(now_ms).await?;
            let Some(base_offset) = partition.known_producer(producer, now_ms) else {
                continue;
            };
            let Some(wanted) = wanted else {
                return Ok(true);
            };
            if let Comparison::Different = partition.compare(base_offset, &wanted.batch).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Waits a little while the disk is behind, so that memory stays bounded. No lock is held, and no
    /// thread: the disk is what everybody waits for then.
    async fn room(&self) -> Result<(), ProduceError> {
        if !self.log.crowded() {
            return Ok(());
        }
        let room = async {
            while self.log.crowded() {
                tokio::time::sleep(ROOM_POLL).await;
            }
        };
        tokio::time::timeout(ROOM_WAIT, room)
            .await
            .map_err(|_| ProduceError::Overloaded)
    }

    fn writable(&self, topic: TopicId, partition: u32) -> Result<Arc<Partition>, ProduceError> {
        self.partition(PartitionId { topic, partition })
            .map_err(|error| match error {
                FetchError::NotLeader => ProduceError::NotLeader,
                _ => ProduceError::UnknownPartition,
            })
    }
}

/// Waits for what the caller asked for.
async fn acknowledge(
    partition: &Partition,
    pending: &Pending,
    acks: Acks,
) -> Result<(), ProduceError> {
    match acks {
        Acks::None => Ok(()),
        // A leader alone in its in-sync set: its own disk is the quorum.
        Acks::Leader | Acks::Quorum => partition.committed(pending.end).await,
    }
}

/// Answers an idempotent append: a duplicate waits for the original to be committed, like the
/// original, and is answered with it.
async fn settle(
    partition: &Partition,
    pending: Pending,
    acks: Acks,
) -> Result<Produced, ProduceError> {
    let base_offset = pending.base_offset;
    let Some(repeated) = &pending.repeated else {
        acknowledge(partition, &pending, acks).await?;
        return Ok(Produced {
            base_offset,
            duplicate: false,
            original: None,
        });
    };
    let original = match partition.compare(base_offset, repeated).await? {
        Comparison::Same(original) => Some(original),
        Comparison::Gone => None,
        // Another request with this key won the race.
        Comparison::Different => return Err(ProduceError::ProducerReused),
    };
    Ok(Produced {
        base_offset,
        duplicate: true,
        original,
    })
}
