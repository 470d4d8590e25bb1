//! Any sequence of calls, against a list in memory.

use std::path::Path;
use std::sync::Arc;

use headwater_log::disk::crash::CrashDisk;
use headwater_log::disk::{Disk, RealDisk};
use headwater_log::{Log, ReadError, Retention};
use proptest::prelude::*;

use crate::support::{SEGMENT_BYTES, batch, id, open, options, read_all};

#[derive(Clone, Debug)]
enum Call {
    Append {
        partition: u32,
        records: u32,
        bytes: usize,
    },
    Read {
        partition: u32,
        percent: u64,
        bytes_max: usize,
    },
    Trim {
        partition: u32,
        percent: u64,
    },
    RetainBytes {
        partition: u32,
        bytes: u64,
    },
    RetainTime {
        partition: u32,
        back_ms: u64,
    },
    OffsetForTime {
        partition: u32,
        percent: u64,
    },
    Checkpoint,
    Reopen {
        clean: bool,
    },
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let partition = 0..3_u32;
    let call = prop_oneof![
        12 => (partition.clone(), 1..4_u32, prop_oneof![0..200_usize, 200..3000_usize])
            .prop_map(|(partition, records, bytes)| Call::Append { partition, records, bytes }),
        4 => (partition.clone(), 0..101_u64, 1..5000_usize)
            .prop_map(|(partition, percent, bytes_max)| Call::Read { partition, percent, bytes_max }),
        1 => (partition.clone(), 0..101_u64)
            .prop_map(|(partition, percent)| Call::Trim { partition, percent }),
        1 => (partition.clone(), 0..8000_u64)
            .prop_map(|(partition, bytes)| Call::RetainBytes { partition, bytes }),
        1 => (partition.clone(), 0..40_u64)
            .prop_map(|(partition, back_ms)| Call::RetainTime { partition, back_ms }),
        1 => (partition, 0..120_u64)
            .prop_map(|(partition, percent)| Call::OffsetForTime { partition, percent }),
        1 => Just(Call::Checkpoint),
        1 => any::<bool>().prop_map(|clean| Call::Reopen { clean }),
    ];
    prop::collection::vec(call, 1..120)
}

/// Batches of a partition: base, end, first timestamp, bytes.
#[derive(Default)]
struct Expected {
    batches: Vec<(u64, u64, i64, Vec<u8>)>,
    log_start: u64,
    end: u64,
}

impl Expected {
    fn at(&self, percent: u64) -> u64 {
        self.log_start + (self.end - self.log_start) * percent / 100
    }

    fn live(&self) -> impl Iterator<Item = &(u64, u64, i64, Vec<u8>)> {
        self.batches
            .iter()
            .filter(|(_, end, _, _)| *end > self.log_start)
    }
}

fn reopened(disk: &Arc<dyn Disk>, dir: &Path) -> Log {
    let (log, recovery, _) = open(disk, options(dir)).unwrap();
    assert!(recovery.damaged.is_empty() && recovery.torn_bytes == 0 && !recovery.rebuilt);
    log
}

fn follow(disk: Arc<dyn Disk>, dir: &Path, calls: Vec<Call>) {
    let mut log = reopened(&disk, dir);
    let mut model: [Expected; 3] = Default::default();
    for (step, call) in calls.into_iter().enumerate() {
        let now_ms = step as i64;
        match call {
            Call::Append {
                partition,
                records,
                bytes,
            } => {
                let made = batch(step as u64, records, bytes, now_ms);
                let raw = made.as_bytes()[21..].to_vec();
                let at = log
                    .partition(id(partition))
                    .append(made, 1, SEGMENT_BYTES)
                    .unwrap();
                let expected = &mut model[partition as usize];
                assert_eq!(at.base_offset, expected.end);
                expected.end = at.last_offset + 1;
                expected
                    .batches
                    .push((at.base_offset, expected.end, now_ms, raw));
            }
            Call::Read {
                partition,
                percent,
                bytes_max,
            } => {
                let expected = &model[partition as usize];
                let from = expected.at(percent);
                let found = log
                    .partition(id(partition))
                    .read(from, expected.end, bytes_max)
                    .unwrap();
                let wanted: Vec<_> = expected
                    .batches
                    .iter()
                    .filter(|batch| batch.1 > from)
                    .collect();
                assert_eq!(found.is_empty(), wanted.is_empty());
                for (bytes, wanted) in found.iter().zip(&wanted) {
                    assert_eq!(bytes[21..], wanted.3);
                }
                let total: usize = found.iter().map(|bytes| bytes.len()).sum();
                assert!(found.len() <= 1 || total <= bytes_max);
            }
            Call::Trim { partition, percent } => {
                let expected = &mut model[partition as usize];
                expected.log_start = expected.at(percent);
                let start = log.partition(id(partition)).trim(expected.log_start);
                assert_eq!(start, Ok(expected.log_start));
            }
            Call::RetainBytes { partition, bytes } => {
                let expected = &mut model[partition as usize];
                let log = log.partition(id(partition));
                log.wait_durable(expected.end).unwrap();
                let before = log.bytes();
                let kept = log
                    .retain(
                        now_ms,
                        &Retention {
                            ms: None,
                            bytes: Some(bytes),
                        },
                    )
                    .unwrap();
                assert!(kept.log_start >= expected.log_start);
                assert!(log.bytes() >= bytes.min(before));
                assert_eq!(log.bytes(), before - kept.bytes);
                expected.log_start = kept.log_start;
            }
            Call::RetainTime { partition, back_ms } => {
                let expected = &mut model[partition as usize];
                let log = log.partition(id(partition));
                log.wait_durable(expected.end).unwrap();
                let keep = Retention {
                    ms: Some(back_ms),
                    bytes: None,
                };
                let kept = log.retain(now_ms, &keep).unwrap();
                let newest_kept = now_ms - back_ms as i64;
                for (_, end, timestamp, _) in expected.live() {
                    assert!(*end > kept.log_start || *timestamp < newest_kept);
                }
                expected.log_start = kept.log_start;
            }
            Call::OffsetForTime { partition, percent } => {
                let expected = &model[partition as usize];
                let time = now_ms * percent as i64 / 100;
                let found = log
                    .partition(id(partition))
                    .offset_for_time(time, expected.end)
                    .unwrap();
                let wanted = expected.live().find_map(|(base, end, first, _)| {
                    let late = (*base..*end).find(|offset| first + (offset - base) as i64 >= time);
                    (*base..*end).find(|offset| {
                        *offset >= expected.log_start && Some(*offset) >= late && late.is_some()
                    })
                });
                assert_eq!(found, wanted);
            }
            Call::Checkpoint => log.checkpoint().unwrap(),
            Call::Reopen { clean } => {
                if clean {
                    log.close().unwrap();
                } else {
                    drop(log);
                }
                log = reopened(&disk, dir);
            }
        }
        for (number, expected) in model.iter().enumerate() {
            let partition = log.partition(id(number as u32));
            assert_eq!(partition.log_start(), expected.log_start);
            assert_eq!(partition.next_offset(), expected.end);
            if expected.log_start > 0 {
                let before = partition.read(expected.log_start - 1, u64::MAX, 1);
                assert!(matches!(before, Err(ReadError::OutOfRange { .. })));
            }
        }
    }
    for (number, expected) in model.iter().enumerate() {
        let (found, holes) = read_all(&log.partition(id(number as u32)), expected.log_start);
        assert_eq!(holes, []);
        let wanted: Vec<_> = expected
            .live()
            .map(|(base, _, _, bytes)| (*base, bytes.clone()))
            .collect();
        assert!(found == wanted);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn any_calls_on_a_disk_in_memory(calls in calls()) {
        follow(Arc::new(CrashDisk::new()), Path::new("/data"), calls);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn any_calls_on_the_real_disk(calls in calls()) {
        let dir = tempfile::tempdir().unwrap();
        follow(Arc::new(RealDisk), dir.path(), calls);
    }
}
