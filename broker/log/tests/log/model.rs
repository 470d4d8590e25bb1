//! Any sequence of calls, against a list in memory.

use std::path::Path;
use std::sync::Arc;

use headwater_log::disk::crash::CrashDisk;
use headwater_log::disk::{Disk, RealDisk};
use headwater_log::{AppendError, Log, PartitionLog, ReadError, Retention};
use proptest::prelude::*;

use crate::support::{Heard, SEGMENT_BYTES, batch, id, open, options, read_all, stored};

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
    Sequenced {
        partition: u32,
        batches: u64,
        bytes: usize,
        epoch_up: i32,
    },
    Truncate {
        partition: u32,
        percent: u64,
    },
    Reset {
        partition: u32,
        start: u64,
    },
    ResetWithHistory {
        partition: u32,
        start: u64,
        cold: u64,
    },
    DropLocal {
        partition: u32,
        percent: u64,
    },
    RetainLocalBytes {
        partition: u32,
        bytes: u64,
        percent: u64,
    },
    Seal {
        partition: u32,
    },
    Seen {
        partition: u32,
        epoch: i32,
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
        1 => (partition.clone(), 0..120_u64)
            .prop_map(|(partition, percent)| Call::OffsetForTime { partition, percent }),
        6 => (partition.clone(), 1..4_u64, 0..900_usize, 0..2_i32).prop_map(
            |(partition, batches, bytes, epoch_up)| {
                Call::Sequenced { partition, batches, bytes, epoch_up }
            }),
        3 => (partition.clone(), prop_oneof![0..101_u64, 80..101_u64])
            .prop_map(|(partition, percent)| Call::Truncate { partition, percent }),
        1 => (partition.clone(), 0..60_u64)
            .prop_map(|(partition, start)| Call::Reset { partition, start }),
        1 => (partition.clone(), 0..60_u64, 0..30_u64).prop_map(|(partition, start, cold)| {
            Call::ResetWithHistory { partition, start, cold }
        }),
        3 => (partition.clone(), 0..101_u64)
            .prop_map(|(partition, percent)| Call::DropLocal { partition, percent }),
        1 => (partition.clone(), 0..8000_u64, 0..101_u64).prop_map(|(partition, bytes, percent)| {
            Call::RetainLocalBytes { partition, bytes, percent }
        }),
        2 => partition.clone().prop_map(|partition| Call::Seal { partition }),
        1 => (partition, 0..9_i32).prop_map(|(partition, epoch)| Call::Seen { partition, epoch }),
        1 => Just(Call::Checkpoint),
        1 => any::<bool>().prop_map(|clean| Call::Reopen { clean }),
    ];
    prop::collection::vec(call, 1..120)
}

/// Batches of a partition: base, end, first timestamp, bytes; and the epochs of them.
struct Expected {
    batches: Vec<(u64, u64, i64, Vec<u8>)>,
    epochs: Vec<(i32, u64)>,
    log_start: u64,
    local_start: u64,
    end: u64,
    seen: i32,
}

impl Default for Expected {
    fn default() -> Expected {
        Expected {
            batches: Vec::new(),
            epochs: Vec::new(),
            log_start: 0,
            local_start: 0,
            end: 0,
            seen: -1,
        }
    }
}

impl Expected {
    fn at(&self, percent: u64) -> u64 {
        self.log_start + (self.end - self.log_start) * percent / 100
    }

    fn epoch(&self) -> i32 {
        self.epochs.last().map_or(1, |(epoch, _)| *epoch)
    }

    fn push(&mut self, base: u64, end: u64, epoch: i32, now_ms: i64, raw: Vec<u8>) {
        assert_eq!(base, self.end);
        if self.epochs.last().is_none_or(|(last, _)| *last < epoch) {
            self.epochs.push((epoch, base));
        }
        self.end = end;
        self.batches.push((base, end, now_ms, raw));
    }

    fn reset(&mut self, start: u64) {
        self.batches.clear();
        self.epochs.clear();
        (self.log_start, self.local_start, self.end) = (start, start, start);
    }

    fn truncate(&mut self, to: u64) {
        if to >= self.end {
            return;
        }
        self.batches.retain(|(_, end, _, _)| *end <= to);
        let end = self.batches.last().map_or(0, |(_, end, _, _)| *end);
        if end <= self.local_start && self.log_start == self.local_start {
            self.reset(self.log_start);
        } else {
            self.end = end.max(self.local_start);
            self.epochs.retain(|(_, start)| *start < self.end);
        }
    }

    fn trim(&mut self, to: u64) {
        self.log_start = to;
        self.local_start = self.local_start.max(to);
    }

    /// Where the local part is to start when what is below `below` may go, and how many bytes go.
    fn dropped(&self, log: &PartitionLog, below: u64, keep_bytes: u64) -> (u64, u64) {
        let (mut start, mut gone) = (self.local_start, 0);
        let total = log.bytes();
        for segment in log.segments() {
            let spare = total - gone - segment.bytes >= keep_bytes;
            if !segment.sealed || segment.end_offset > below || !spare {
                break;
            }
            start = segment.end_offset;
            gone += segment.bytes;
        }
        (start, gone)
    }

    /// The epochs that the log is to tell.
    fn told(&self) -> Vec<(i32, u64)> {
        let ends = self.epochs.iter().skip(1).map(|(_, start)| *start);
        let ends = ends.chain([u64::MAX]);
        let known = self.epochs.iter().copied().zip(ends);
        known
            .filter(|(_, end)| *end > self.log_start)
            .map(|(known, _)| known)
            .collect()
    }

    fn live(&self) -> impl Iterator<Item = &(u64, u64, i64, Vec<u8>)> {
        self.batches
            .iter()
            .filter(|(_, end, _, _)| *end > self.local_start)
    }
}

fn reopened(disk: &Arc<dyn Disk>, dir: &Path) -> (Log, Arc<Heard>) {
    let (log, recovery, heard) = open(disk, options(dir)).unwrap();
    assert!(recovery.damaged.is_empty() && recovery.torn_bytes == 0 && !recovery.rebuilt);
    (log, heard)
}

fn follow(disk: Arc<dyn Disk>, dir: &Path, calls: Vec<Call>) {
    let (mut log, mut heard) = reopened(&disk, dir);
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
                let expected = &mut model[partition as usize];
                let epoch = expected.epoch();
                let at = log
                    .partition(id(partition))
                    .append(made, epoch, SEGMENT_BYTES)
                    .unwrap();
                expected.push(at.base_offset, at.last_offset + 1, epoch, now_ms, raw);
            }
            Call::Sequenced {
                partition,
                batches,
                bytes,
                epoch_up,
            } => {
                let expected = &mut model[partition as usize];
                let (base, epoch) = (expected.end, expected.epoch() + epoch_up);
                let mut all = Vec::new();
                for number in 0..batches {
                    let made = batch(step as u64 * 7 + number, 2, bytes, now_ms);
                    let at = expected.end;
                    let one = stored(made, at, epoch);
                    expected.push(at, at + 2, epoch, now_ms, one[21..].to_vec());
                    all.extend_from_slice(&one);
                }
                let log = log.partition(id(partition));
                let at = log.append_sequenced(all.into(), SEGMENT_BYTES).unwrap();
                assert_eq!((at.base_offset, at.last_offset), (base, expected.end - 1));
            }
            Call::Truncate { partition, percent } => {
                let expected = &mut model[partition as usize];
                let to = expected.at(percent).max(expected.local_start);
                expected.truncate(to);
                let log = log.partition(id(partition));
                assert_eq!(log.truncate(to), Ok(expected.end));
                heard.ends.lock().remove(&id(partition));
                let bytes: u64 = log.segments().iter().map(|segment| segment.bytes).sum();
                assert_eq!(log.bytes(), bytes);
                let past = log.read(expected.end + 1, u64::MAX, 1);
                assert!(matches!(past, Err(ReadError::OutOfRange { .. })));
                let local_start = expected.local_start;
                let refused = Err(AppendError::BelowStart { local_start });
                assert!(local_start == 0 || log.truncate(local_start - 1) == refused);
            }
            Call::Reset { partition, start } => {
                model[partition as usize].reset(start);
                assert_eq!(log.partition(id(partition)).reset(start), Ok(()));
                heard.ends.lock().remove(&id(partition));
            }
            Call::ResetWithHistory {
                partition,
                start,
                cold,
            } => {
                let expected = &mut model[partition as usize];
                let (log_start, middle) = (start.saturating_sub(cold), start - cold.min(start) / 2);
                // The last of them begins where the local part does, and is not of before it.
                let epochs = [(0, log_start), (1, middle), (3, start), (4, start + 9)];
                let epochs: Vec<_> = epochs.into_iter().filter(|it| it.1 >= middle).collect();
                let grow = epochs.windows(2).all(|pair| pair[0].1 < pair[1].1);
                let log = log.partition(id(partition));
                let done = log.reset_with_history(log_start, start, &epochs);
                if !grow {
                    assert_eq!(done, Err(AppendError::NoHistory));
                    continue;
                }
                assert_eq!(done, Ok(()));
                expected.reset(start);
                expected.log_start = log_start;
                expected.epochs = epochs.into_iter().filter(|it| it.1 < start).collect();
                heard.ends.lock().remove(&id(partition));
            }
            Call::DropLocal { partition, percent } => {
                let expected = &mut model[partition as usize];
                let log = log.partition(id(partition));
                log.wait_durable(expected.end).unwrap();
                let below = expected.at(percent);
                let (start, bytes) = expected.dropped(&log, below, 0);
                let dropped = log.drop_local(below).unwrap();
                assert_eq!((dropped.local_start, dropped.bytes), (start, bytes));
                assert_eq!(dropped.log_start, expected.log_start);
                expected.local_start = start;
            }
            Call::RetainLocalBytes {
                partition,
                bytes,
                percent,
            } => {
                let expected = &mut model[partition as usize];
                let log = log.partition(id(partition));
                log.wait_durable(expected.end).unwrap();
                let below = expected.at(percent);
                let (start, gone) = expected.dropped(&log, below, bytes);
                let keep = Retention {
                    ms: None,
                    bytes: Some(bytes),
                };
                let kept = log.retain_local(now_ms, &keep, below).unwrap();
                assert_eq!((kept.local_start, kept.bytes), (start, gone));
                expected.local_start = start;
            }
            Call::Seal { partition } => {
                let log = log.partition(id(partition));
                let open = log.segments().last().is_some_and(|last| !last.sealed);
                assert_eq!(log.seal_if_begun_by(i64::MAX), open);
                assert!(log.segments().iter().all(|segment| segment.sealed));
            }
            Call::Seen { partition, epoch } => {
                let seen: Vec<_> = (0..=partition).map(|number| (id(number), epoch)).collect();
                log.note_seen_epochs(&seen).unwrap();
                for expected in &mut model[..=partition as usize] {
                    expected.seen = expected.seen.max(epoch);
                }
            }
            Call::Read {
                partition,
                percent,
                bytes_max,
            } => {
                let expected = &model[partition as usize];
                let from = expected.at(percent);
                let log = log.partition(id(partition));
                let found = match log.read(from, expected.end, bytes_max) {
                    Err(ReadError::NotLocal { local_start }) => {
                        assert!(from < local_start && local_start == expected.local_start);
                        assert!(log.read_cached(from, expected.end, bytes_max).is_none());
                        continue;
                    }
                    found => found.unwrap(),
                };
                assert!(from >= expected.local_start);
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
                expected.trim(expected.at(percent));
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
                        expected.end,
                    )
                    .unwrap();
                assert!(kept.log_start >= expected.log_start);
                assert!(log.bytes() >= bytes.min(before));
                assert_eq!(log.bytes(), before - kept.bytes);
                expected.trim(kept.log_start);
            }
            Call::RetainTime { partition, back_ms } => {
                let expected = &mut model[partition as usize];
                let log = log.partition(id(partition));
                log.wait_durable(expected.end).unwrap();
                let keep = Retention {
                    ms: Some(back_ms),
                    bytes: None,
                };
                let kept = log.retain(now_ms, &keep, expected.end).unwrap();
                let newest_kept = now_ms - back_ms as i64;
                for (_, end, timestamp, _) in expected.live() {
                    assert!(*end > kept.log_start || *timestamp < newest_kept);
                }
                expected.trim(kept.log_start);
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
                        *offset >= expected.local_start && Some(*offset) >= late && late.is_some()
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
                (log, heard) = reopened(&disk, dir);
            }
        }
        for (number, expected) in model.iter().enumerate() {
            let partition = log.partition(id(number as u32));
            assert_eq!(partition.log_start(), expected.log_start);
            assert_eq!(partition.local_start(), expected.local_start);
            assert_eq!(partition.next_offset(), expected.end);
            assert_eq!(partition.seen_epoch(), expected.seen);
            let told = expected.told();
            assert_eq!(partition.epochs(), told);
            assert_eq!(partition.last_epoch(), told.last().map(|(epoch, _)| *epoch));
            for epoch in 0..5 {
                let found = told.iter().rposition(|(known, _)| *known <= epoch);
                let end = |at: usize| told.get(at + 1).map_or(expected.end, |next| next.1);
                let wanted = found.map(|at| (told[at].0, end(at)));
                assert_eq!(partition.end_offset_for(epoch), wanted);
            }
            if expected.log_start > 0 {
                let before = partition.read(expected.log_start - 1, u64::MAX, 1);
                assert!(matches!(before, Err(ReadError::OutOfRange { .. })));
            }
            let local_start = expected.local_start;
            if expected.log_start < local_start {
                let cold = Err(ReadError::NotLocal { local_start });
                assert_eq!(partition.read(expected.log_start, u64::MAX, 1), cold);
                assert_eq!(partition.try_read(local_start - 1, 0, 1), Some(cold));
            }
        }
    }
    for (number, expected) in model.iter().enumerate() {
        let (found, holes) = read_all(&log.partition(id(number as u32)), expected.local_start);
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
