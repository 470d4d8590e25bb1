//! From records to batches, one a partition, in one pass over the request.

use headwater_broker::PartitionBatch;
use headwater_record::{BatchBuilder, JsonRecord, Producer, partition_for_key};

use crate::{
    limits::{JSON_DEPTH_MAX, KEY_BYTES_MAX, RECORD_HEADERS_MAX, RECORDS_MAX},
    metadata::Topic,
    problem::{Code, Problem},
};

const NO_BATCH: u16 = u16::MAX;

/// Encodes the records of one request.
pub struct Encoder<'a> {
    topic: &'a Topic,
    now_ms: i64,
    /// Where records go that name no partition and have no key.
    keyless_partition: u32,
    bytes_hint: usize,
    batches: Vec<(u32, BatchBuilder)>,
    /// Partition to index in `batches`, for topics with several.
    batch_of: Vec<u16>,
    slots: Vec<Slot>,
    sizes: Vec<BatchSize>,
    payload_bytes: usize,
}

/// What is in a batch.
#[derive(Debug, Clone, Copy, Default)]
pub struct BatchSize {
    /// Its records.
    pub records: u64,
    /// Bytes of keys, values and headers.
    pub payload_bytes: u64,
}

/// Where one record of the request went.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    /// Index of its batch.
    pub batch: u16,
    /// Its timestamp in milliseconds.
    pub timestamp_ms: i64,
}

/// The request, encoded.
pub struct Encoded {
    /// One batch a partition.
    pub batches: Vec<PartitionBatch>,
    /// One slot a record, in the request's order.
    pub slots: Vec<Slot>,
    /// One size a batch.
    pub sizes: Vec<BatchSize>,
    /// Bytes of keys, values and headers.
    pub payload_bytes: usize,
}

impl<'a> Encoder<'a> {
    /// An encoder for `topic`; `bytes_hint` is about how large the batch will be.
    pub fn new(topic: &'a Topic, now_ms: i64, keyless_partition: u32, bytes_hint: usize) -> Self {
        let partitions = topic.partitions() as usize;
        let lookup = if partitions > 1 { partitions } else { 0 };
        Self {
            topic,
            now_ms,
            keyless_partition,
            bytes_hint: bytes_hint + 256,
            batches: Vec::new(),
            batch_of: vec![NO_BATCH; lookup],
            slots: Vec::new(),
            sizes: Vec::new(),
            payload_bytes: 0,
        }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// The topic has no such partition, or is compacted and the record has no key.
    pub fn push(&mut self, record: &JsonRecord<'_>) -> Result<(), Problem> {
        let partitions = self.topic.partitions();
        if record.key.is_none() && self.topic.settings.is_compacted() {
            let why = "records of a compacted topic need a key";
            return Err(Problem::new(Code::KeyRequired, "").at("key", "required", why));
        }
        let partition = match (record.partition, record.key) {
            (Some(partition), _) if partition >= partitions => {
                return Err(partition_out_of_range("partition", partitions));
            }
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_for_key(key, partitions),
            (None, None) => self.keyless_partition,
        };
        let batch = self.batch_index(partition);
        let new = record.to_new(self.now_ms);
        self.batches[usize::from(batch)].1.push(&new);
        self.slots.push(Slot {
            batch,
            timestamp_ms: new.timestamp_ms,
        });
        let payload_bytes = record.payload_bytes();
        self.payload_bytes += payload_bytes;
        let size = &mut self.sizes[usize::from(batch)];
        size.records += 1;
        size.payload_bytes += payload_bytes as u64;
        Ok(())
    }

    /// How many records it holds.
    pub fn record_count(&self) -> usize {
        self.slots.len()
    }

    /// The finished batches.
    pub fn finish(self, producer: Producer) -> Encoded {
        let compression = self.topic.settings.compression.into();
        let batches = self
            .batches
            .into_iter()
            .map(|(partition, builder)| PartitionBatch {
                partition,
                batch: builder.finish(producer, compression),
            })
            .collect();
        Encoded {
            batches,
            slots: self.slots,
            sizes: self.sizes,
            payload_bytes: self.payload_bytes,
        }
    }

    fn batch_index(&mut self, partition: u32) -> u16 {
        let known = match self.batch_of.get(partition as usize) {
            Some(&index) => index,
            None if self.batches.is_empty() => NO_BATCH,
            None => 0,
        };
        if known != NO_BATCH {
            return known;
        }
        // A request over many partitions has small batches; its first may take it all.
        let share = if self.batch_of.is_empty() {
            self.bytes_hint
        } else {
            1024
        };
        let index = self.batches.len() as u16;
        self.batches
            .push((partition, BatchBuilder::with_capacity(share)));
        self.sizes.push(BatchSize::default());
        if let Some(slot) = self.batch_of.get_mut(partition as usize) {
            *slot = index;
        }
        index
    }
}

/// A record names a partition that the topic does not have.
pub fn partition_out_of_range(pointer: &str, partitions: u32) -> Problem {
    Problem::invalid(
        pointer,
        "out_of_range",
        format!("the topic's partitions are 0 to {}", partitions - 1),
    )
}

/// The limits of a record that goes into `topic`.
pub fn json_limits(topic: &Topic) -> headwater_record::JsonLimits {
    headwater_record::JsonLimits {
        record_bytes_max: topic.settings.max_record_bytes as usize,
        key_bytes_max: KEY_BYTES_MAX,
        headers_max: RECORD_HEADERS_MAX,
        records_max: RECORDS_MAX,
        depth_max: JSON_DEPTH_MAX,
    }
}
