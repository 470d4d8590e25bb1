//! What the tests share: batches, a listener that remembers, a log in a directory.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use headwater_log::disk::Disk;
use headwater_log::{
    Failure, Listener, Log, LogOptions, OpenError, PartitionId, PartitionLog, ReadError, Recovery,
    TopicId,
};
use headwater_record::{Batch, BatchBuilder, BatchView, Compression, Headers, NewRecord, Producer};
use parking_lot::Mutex;

/// Segments in tests hold a few batches each.
pub const SEGMENT_BYTES: u64 = 1500;

/// Batches by base offset, without the part of the header that appending patches.
pub type Stored = Vec<(u64, Vec<u8>)>;
/// Damaged ranges [from, to).
pub type Holes = Vec<(u64, u64)>;

/// Remembers what it was told.
#[derive(Default)]
pub struct Heard {
    pub ends: Mutex<HashMap<PartitionId, u64>>,
    pub failures: Mutex<Vec<Failure>>,
}

impl Listener for Heard {
    fn durable(&self, ends: &[(PartitionId, u64)]) {
        assert!(
            self.failures.lock().is_empty(),
            "nothing becomes durable after a failure"
        );
        let mut known = self.ends.lock();
        for (id, end) in ends {
            let before = known.insert(*id, *end);
            assert!(
                before.is_none_or(|before| before <= *end),
                "durable ends grow"
            );
        }
    }

    fn failed(&self, failure: &Failure) {
        self.failures.lock().push(failure.clone());
    }
}

pub fn id(partition: u32) -> PartitionId {
    PartitionId {
        topic: TopicId([7; 16]),
        partition,
    }
}

/// A batch of `records` records whose bytes are made from `seed`, `value_bytes` long each.
pub fn batch(seed: u64, records: u32, value_bytes: usize, timestamp_ms: i64) -> Batch {
    keyed_batch(seed, records, value_bytes, timestamp_ms, Producer::NONE)
}

pub fn keyed_batch(
    seed: u64,
    records: u32,
    value_bytes: usize,
    timestamp_ms: i64,
    producer: Producer,
) -> Batch {
    let mut builder = BatchBuilder::new();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for number in 0..records {
        let mut value = Vec::with_capacity(value_bytes);
        while value.len() < value_bytes {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            value.extend_from_slice(&state.to_le_bytes());
        }
        value.truncate(value_bytes);
        builder.push(&NewRecord {
            key: None,
            value: Some(&value),
            json: false,
            timestamp_ms: timestamp_ms + i64::from(number),
            server_timestamp: false,
            headers: Headers::NONE,
        });
    }
    builder.finish(producer, Compression::None)
}

/// A batch as a leader of `epoch` has stored it at `base`.
pub fn stored(made: Batch, base: u64, epoch: i32) -> Bytes {
    let mut made = made;
    made.set_base_offset(base);
    made.set_leader_epoch(epoch);
    made.freeze()
}

/// Small files, so that a few appends reach every corner.
pub fn options(dir: &Path) -> LogOptions {
    let mut options = LogOptions::new(dir);
    options.journal_file_bytes = Some(32 << 10);
    options.checkpoint_journal_bytes = Some(128 << 10);
    options.tail_memory_bytes = 16 << 10;
    options
}

pub fn open(
    disk: &Arc<dyn Disk>,
    options: LogOptions,
) -> Result<(Log, Recovery, Arc<Heard>), OpenError> {
    let heard = Arc::new(Heard::default());
    let (log, recovery) = Log::open(disk.clone(), options, heard.clone())?;
    Ok((log, recovery, heard))
}

/// Appends and waits; the offsets.
pub fn append(partition: &Arc<PartitionLog>, batch: Batch) -> (u64, u64) {
    let appended = partition.append(batch, 1, SEGMENT_BYTES).unwrap();
    partition.wait_durable(appended.last_offset + 1).unwrap();
    (appended.base_offset, appended.last_offset)
}

/// Every batch from `from` on: base offset and bytes without the header's patched part. Damage is
/// passed over and returned beside.
pub fn read_all(partition: &PartitionLog, from: u64) -> (Stored, Holes) {
    let (mut batches, mut damaged) = (Vec::new(), Vec::new());
    let mut from = from;
    loop {
        match partition.read(from, u64::MAX, 700) {
            Ok(found) if found.is_empty() => return (batches, damaged),
            Ok(found) => {
                for bytes in found {
                    let (view, used) = BatchView::parse(&bytes).unwrap();
                    assert_eq!(used, bytes.len());
                    view.check_crc().unwrap();
                    assert!(view.next_offset() > from);
                    from = view.next_offset();
                    batches.push((view.header().base_offset, bytes[21..].to_vec()));
                }
            }
            Err(ReadError::Corrupt { from: bad, to }) => {
                assert!(
                    bad == from && to > from,
                    "damage moves a reader on: {bad} {to} {from}"
                );
                damaged.push((bad, to));
                from = to;
            }
            Err(error) => panic!("reading {} at {from}: {error}", partition.id()),
        }
    }
}
