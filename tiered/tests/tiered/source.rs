//! Segments to upload, and what is known of them.

use std::io;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use headwater_record::{
    BatchBuilder, BatchView, Batches, Compression, Headers, NewRecord, Producer,
};
use headwater_tiered::{
    ColdReader, ColdReaderOptions, Descriptor, Named, SegmentKey, SegmentRef, Store, TopicId,
};

/// A segment before it is uploaded.
#[derive(Debug, Clone)]
pub struct Source {
    pub descriptor: Descriptor,
    pub batches: Vec<Bytes>,
}

/// What one batch is to be.
#[derive(Debug, Clone)]
pub struct Batch {
    pub offset: u64,
    pub epoch: u32,
    pub producer: Producer,
    pub compression: Compression,
    /// Timestamp and value of each record.
    pub records: Vec<(i64, Vec<u8>)>,
}

impl Batch {
    pub fn build(&self) -> Bytes {
        let mut builder = BatchBuilder::new();
        for (timestamp_ms, value) in &self.records {
            builder.push(&NewRecord {
                key: None,
                value: Some(value),
                json: false,
                timestamp_ms: *timestamp_ms,
                server_timestamp: false,
                headers: Headers::NONE,
            });
        }
        let mut batch = builder.finish(self.producer, self.compression);
        batch.set_base_offset(self.offset);
        batch.set_leader_epoch(self.epoch as i32);
        batch.freeze()
    }
}

pub fn descriptor(base_offset: u64, end_offset: u64) -> Descriptor {
    let named = |name: &str| Named {
        id: format!("id-of-{name}"),
        name: name.to_owned(),
    };
    Descriptor {
        organization: named("acme"),
        project: named("shop"),
        topic: named("orders"),
        topic_id: TopicId([7; 16]),
        partitions: 12,
        replication_factor: 3,
        settings: r#"{"retention_ms":1000}"#.to_owned(),
        settings_version: 3,
        partition: 4,
        base_offset,
        end_offset,
        leader_epoch: 5,
        epochs: vec![(5, 0)],
        written_at_ms: 1_700_000_000_000,
        compacted: false,
        broker_id: "broker-1".to_owned(),
    }
}

impl Source {
    /// About `bytes` of data from `base_offset` on, without gaps, in batches of `batch_bytes`.
    pub fn dense(base_offset: u64, bytes: usize, batch_bytes: usize) -> Self {
        let mut random = Random(base_offset + 1);
        let mut batches = Vec::new();
        let (mut offset, mut have) = (base_offset, 0);
        while have < bytes {
            let records = (0..3)
                .map(|_| (offset as i64, random.bytes(batch_bytes / 3)))
                .collect();
            let batch = Batch {
                offset,
                epoch: 5,
                producer: Producer {
                    id: (offset % 2) as i64 - 1,
                    epoch: 1,
                    base_sequence: offset as i32,
                },
                compression: Compression::None,
                records,
            }
            .build();
            have += batch.len();
            offset += 3;
            batches.push(batch);
        }
        Self {
            descriptor: descriptor(base_offset, offset),
            batches,
        }
    }

    pub fn data(&self) -> Bytes {
        let mut data = BytesMut::new();
        for batch in &self.batches {
            data.extend_from_slice(batch);
        }
        data.freeze()
    }

    /// The data in chunks that fit nothing.
    pub fn chunks(&self) -> impl Stream<Item = io::Result<Bytes>> + use<> {
        chunks(self.data())
    }

    pub async fn upload(&self, store: &Store) -> SegmentRef {
        let key = SegmentKey::fresh(&self.descriptor);
        store
            .upload(&key, &self.descriptor, self.chunks(), None)
            .await
            .expect("the upload succeeds")
    }

    /// The first batch that ends behind `offset`.
    pub fn batch_at(&self, offset: u64) -> Option<&Bytes> {
        let at = self
            .batches
            .partition_point(|batch| next_offset(batch) <= offset);
        self.batches.get(at)
    }
}

pub fn chunks(data: Bytes) -> impl Stream<Item = io::Result<Bytes>> {
    const CHUNK_BYTES: usize = 100_003;
    let chunks = (0..data.len()).step_by(CHUNK_BYTES);
    stream::iter(
        chunks
            .map(|from| Ok(data.slice(from..data.len().min(from + CHUNK_BYTES))))
            .collect::<Vec<_>>(),
    )
}

pub fn next_offset(batch: &[u8]) -> u64 {
    BatchView::header_of(batch).unwrap().next_offset()
}

pub fn base_offset(batch: &[u8]) -> u64 {
    BatchView::header_of(batch).unwrap().base_offset
}

/// The batches that lie in `data`.
pub fn split(data: &Bytes) -> Vec<Bytes> {
    Batches::new(data)
        .map(|batch| data.slice_ref(batch.unwrap().as_bytes()))
        .collect()
}

/// A reader with a cache of its own, which goes with the directory.
pub fn reader(store: &Store, cache_bytes_max: u64) -> (ColdReader, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let options = ColdReaderOptions::new(dir.path(), cache_bytes_max);
    (ColdReader::new(store.clone(), options), dir)
}

/// Reads on from `offset` to the end.
pub async fn read_all(
    reader: &ColdReader,
    segments: &[SegmentRef],
    mut offset: u64,
    max_bytes: usize,
) -> Vec<Bytes> {
    let mut all = Vec::new();
    loop {
        let first = segments.partition_point(|segment| segment.end_offset <= offset);
        let batches = reader
            .read(&segments[first..], offset, max_bytes)
            .await
            .expect("the read succeeds");
        let Some(last) = batches.last() else {
            return all;
        };
        offset = next_offset(last);
        all.extend(batches);
    }
}

/// Numbers that look like chance and are the same in each run.
pub struct Random(pub u64);

impl Random {
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 27)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.number() as u8).collect()
    }
}
