//! Segments of compacted topics, and what is known of them.

use bytes::Bytes;
use headwater_record::{
    BatchBuilder, BatchView, Compression, Headers, NewRecord, Producer, RecordView,
};
use headwater_tiered::SegmentRef;

use crate::source::{Random, Source, descriptor};

/// One record of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub offset: u64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub timestamp_ms: i64,
}

impl Kept {
    pub fn of(record: &RecordView<'_>) -> Self {
        Self {
            offset: record.offset,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            timestamp_ms: record.timestamp_ms,
        }
    }

    pub fn is_tombstone(&self) -> bool {
        self.key.is_some() && self.value.is_none()
    }
}

/// One batch of a model: what it was written with.
#[derive(Debug, Clone)]
pub struct Written {
    pub offset: u64,
    pub producer: i64,
    pub records: Vec<Kept>,
}

impl Written {
    pub fn end(&self) -> u64 {
        self.offset + self.records.len() as u64
    }

    pub fn build(&self, compression: Compression) -> Bytes {
        let mut builder = BatchBuilder::new();
        for record in &self.records {
            builder.push(&NewRecord {
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                json: false,
                timestamp_ms: record.timestamp_ms,
                server_timestamp: false,
                headers: Headers::NONE,
            });
        }
        let producer = Producer {
            id: self.producer,
            epoch: 0,
            base_sequence: 3,
        };
        let mut batch = builder.finish(producer, compression);
        batch.set_base_offset(self.offset);
        batch.set_leader_epoch(5);
        batch.freeze()
    }
}

/// Random batches without gaps: few keys, tombstones, records without a key.
pub fn written(random: &mut Random, base_offset: u64, batches: u64, keys: u64) -> Vec<Written> {
    let mut offset = base_offset;
    (0..batches)
        .map(|_| {
            let count = 1 + random.below(5);
            let records = (offset..offset + count).map(|offset| {
                let key = format!("key-{}", random.below(keys)).into_bytes();
                let bytes = random.below(60) as usize;
                Kept {
                    offset,
                    key: (random.below(8) > 0).then_some(key),
                    value: (random.below(5) > 0).then(|| random.bytes(bytes)),
                    timestamp_ms: random.below(1_000) as i64,
                }
            });
            let records = records.collect();
            let batch = Written {
                offset,
                producer: random.below(3) as i64 - 1,
                records,
            };
            offset += count;
            batch
        })
        .collect()
}

/// What is uploaded of a compacted topic.
pub fn source(random: &mut Random, batches: &[Written]) -> Source {
    let (first, last) = (&batches[0], &batches[batches.len() - 1]);
    let mut described = descriptor(first.offset, last.end());
    described.compacted = true;
    let build = |batch: &Written| {
        let compression = match random.below(2) {
            0 => Compression::None,
            _ => Compression::Lz4,
        };
        batch.build(compression)
    };
    Source {
        descriptor: described,
        batches: batches.iter().map(build).collect(),
    }
}

/// The records of batches.
pub fn records(batches: &[Bytes]) -> Vec<Kept> {
    let mut records = Vec::new();
    for batch in batches {
        let (batch, _) = BatchView::parse(batch).unwrap();
        let mut scratch = Vec::new();
        for record in batch.records(&mut scratch, 1 << 20).unwrap() {
            records.push(Kept::of(&record.unwrap()));
        }
    }
    records
}

/// The descriptor of an object that takes the place of `sources`.
pub fn merged(sources: &[SegmentRef]) -> headwater_tiered::Descriptor {
    let mut described = descriptor(
        sources[0].base_offset,
        sources[sources.len() - 1].end_offset,
    );
    described.compacted = true;
    described
}
