//! Segments of records of a kilobyte, and a store to bring them to.

use bytes::{Bytes, BytesMut};
use headwater_record::{BatchBuilder, Compression, Headers, NewRecord, Producer};
use headwater_tiered::{Descriptor, Named, TopicId};

const SEGMENT_BYTES: usize = 64 << 20;
const BATCH_RECORDS: u64 = 100;

/// What the command line says, or else a directory below `dir`: the store's URL, and how many bytes.
pub fn arguments(dir: &std::path::Path) -> (String, usize) {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let url = words.first().cloned();
    let url = url.unwrap_or_else(|| format!("file://{}/store", dir.display()));
    let mib: usize = words.get(1).map_or(512, |mib| mib.parse().unwrap());
    (url, mib << 20)
}

/// So many bytes of segments that follow on one another.
pub fn segments(bytes: usize) -> Vec<(Descriptor, Bytes)> {
    let value: Vec<u8> = (0..1024u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let mut offset = 0;
    let segments = (0..bytes.div_ceil(SEGMENT_BYTES)).map(|_| {
        let base_offset = offset;
        let mut data = BytesMut::with_capacity(SEGMENT_BYTES + (1 << 20));
        while data.len() < SEGMENT_BYTES {
            let mut builder = BatchBuilder::with_capacity(110 << 10);
            for _ in 0..BATCH_RECORDS {
                builder.push(&NewRecord {
                    key: None,
                    value: Some(&value),
                    json: false,
                    timestamp_ms: offset as i64,
                    server_timestamp: false,
                    headers: Headers::NONE,
                });
            }
            let mut batch = builder.finish(Producer::NONE, Compression::None);
            batch.set_base_offset(offset);
            batch.set_leader_epoch(1);
            data.extend_from_slice(batch.as_bytes());
            offset += BATCH_RECORDS;
        }
        (descriptor(base_offset, offset), data.freeze())
    });
    segments.collect()
}

/// The middle one.
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

fn descriptor(base_offset: u64, end_offset: u64) -> Descriptor {
    let named = |name: &str| Named {
        id: name.to_owned(),
        name: name.to_owned(),
    };
    Descriptor {
        organization: named("bench"),
        project: named("bench"),
        topic: named("bench"),
        topic_id: TopicId([1; 16]),
        partitions: 1,
        replication_factor: 3,
        settings: "{}".to_owned(),
        settings_version: 1,
        partition: 0,
        base_offset,
        end_offset,
        leader_epoch: 1,
        epochs: Vec::new(),
        written_at_ms: 0,
        compacted: false,
        broker_id: "bench".to_owned(),
    }
}
