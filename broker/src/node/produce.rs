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
/// How long a produce waits for its acknowledgement.
const ACK_WAIT: Duration = Duration::from_secs(25);

impl Node {
    pub(super) async fn produce_batches(
        &self,
        topic: TopicId,
        batches: Vec<PartitionBatch>,
        acks: Acks,
        placed: &mut (dyn FnMut() + Send),
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
        // Without a producer id, which says which request it is, there is no window to expire.
        let mut now_ms = 0;
        if producer.id >= 0 {
            let refused = |error| vec![Err(error); batches.len()];
            match self.reused(&placement, producer, &batches).await {
                Ok(false) => now_ms = self.clock.now_ms(),
                Ok(true) => return refused(ProduceError::ProducerReused),
                Err(error) => return refused(error),
            }
        }
        let mut pending = Vec::with_capacity(batches.len());
        for PartitionBatch { partition, batch } in batches {
            let outcome = self.writable(topic, partition).await;
            pending.push(outcome.and_then(|partition| {
                let pending = partition.append(batch, placement.settings.segment_bytes, now_ms)?;
                self.appended(&partition);
                Ok((partition, pending))
            }));
        }
        if pending.iter().all(Result::is_ok) {
            placed();
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
            let partition = match wanted {
                Some(_) => self.writable(placement.id, number).await?,
                None => match self.topics.existing(id) {
                    Some(partition) if partition.leads() => partition,
                    _ => continue,
                },
            };
            let now_ms = self.clock.now_ms();
            partition.load_window(now_ms, self.tier.get()).await?;
            let Some(known) = partition.known_producer(producer, now_ms) else {
                continue;
            };
            let Some(wanted) = wanted else {
                return Ok(true);
            };
            let compared = partition.compare(known.base_offset, known.term, &wanted.batch);
            if let Comparison::Different = compared.await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Waits a little while the disk is behind, so that memory stays bounded. No lock is held, and no
    /// thread: the disk is what everybody waits for then.
    pub(super) async fn room(&self) -> Result<(), ProduceError> {
        if !self.log.crowded() {
            return Ok(());
        }
        tokio::time::timeout(ROOM_WAIT, self.until_room())
            .await
            .map_err(|_| ProduceError::Overloaded)
    }

    /// Waits while the disk is behind.
    pub(super) async fn until_room(&self) {
        while self.log.crowded() {
            tokio::time::sleep(ROOM_POLL).await;
        }
    }

    async fn writable(
        &self,
        topic: TopicId,
        partition: u32,
    ) -> Result<Arc<Partition>, ProduceError> {
        let led = self.led(PartitionId { topic, partition }).await;
        led.map_err(|error| match error {
            FetchError::NotLeader => ProduceError::NotLeader,
            _ => ProduceError::UnknownPartition,
        })
    }

    /// Has the followers' progress looked after, if there are any.
    pub(super) fn appended(&self, partition: &Partition) {
        if partition.is_replicated() {
            self.look_after(partition);
        }
    }
}

/// Waits for what the caller asked for.
async fn acknowledge(
    partition: &Partition,
    pending: &Pending,
    acks: Acks,
) -> Result<(), ProduceError> {
    let reached = async {
        match acks {
            Acks::None => Ok(()),
            Acks::Leader => partition.durable(pending.end, pending.term).await,
            Acks::Quorum => partition.committed(pending.end, pending.term).await,
        }
    };
    if !partition.is_replicated() {
        return reached.await;
    }
    // Copies that do not come are asked to leave long before.
    tokio::time::timeout(ACK_WAIT, reached)
        .await
        .unwrap_or(Err(ProduceError::Unknown))
}

/// Answers an append: a duplicate waits for the original to be committed, like the original, and is
/// answered with it.
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
    let original = match partition
        .compare(base_offset, pending.term, repeated)
        .await?
    {
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
