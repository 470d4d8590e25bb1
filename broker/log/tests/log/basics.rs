//! Appending, reading, reopening on a real disk.

use std::sync::Arc;

use headwater_log::disk::{Disk, RealDisk};
use headwater_log::{OpenError, ReadError, Retention};
use headwater_record::Producer;

use crate::support::{append, batch, id, keyed_batch, open, options, read_all};

fn real() -> (tempfile::TempDir, Arc<dyn Disk>) {
    (tempfile::tempdir().unwrap(), Arc::new(RealDisk))
}

#[test]
fn what_is_appended_is_read_back_and_survives_reopening() {
    let (dir, disk) = real();
    let mut expected = Vec::new();
    {
        let (log, recovery, heard) = open(&disk, options(dir.path())).unwrap();
        assert!(recovery.fresh);
        let partition = log.partition(id(0));
        for seed in 0..300 {
            let made = batch(seed, 1 + (seed % 3) as u32, 100, 1000 + seed as i64);
            let bytes = made.as_bytes()[21..].to_vec();
            let (base, _) = append(&partition, made);
            expected.push((base, bytes));
        }
        assert_eq!(read_all(&partition, 0), (expected.clone(), vec![]));
        let end = partition.next_offset();
        assert_eq!(heard.ends.lock()[&id(0)], end);
        assert_eq!(partition.durable_end(), end);
        assert_eq!(
            partition.read(end + 1, u64::MAX, 1),
            Err(ReadError::OutOfRange { log_start: 0, end })
        );
        assert!(matches!(
            open(&disk, options(dir.path())),
            Err(OpenError::Locked)
        ));
        // Dropped without being closed: as after kill -9.
    }
    for clean in [true, false, true] {
        let (log, recovery, _) = open(&disk, options(dir.path())).unwrap();
        assert_eq!((recovery.torn_bytes, recovery.damaged_groups), (0, 0));
        let partition = log.existing(id(0)).unwrap();
        assert_eq!(read_all(&partition, 0), (expected.clone(), vec![]));
        let made = batch(1000 + expected.len() as u64, 2, 50, 5);
        let bytes = made.as_bytes()[21..].to_vec();
        let (base, _) = append(&partition, made);
        expected.push((base, bytes));
        if clean {
            log.close().unwrap();
        }
    }
    let (log, recovery, _) = open(&disk, options(dir.path())).unwrap();
    assert_eq!(recovery.groups, 0, "closed cleanly: nothing to do again");
    assert_eq!(read_all(&log.partition(id(0)), 0).0, expected);
}

#[test]
fn trim_and_retention_remove_whole_segments() {
    let (dir, disk) = real();
    let (log, _, _) = open(&disk, options(dir.path())).unwrap();
    let partition = log.partition(id(3));
    for seed in 0..40 {
        append(&partition, batch(seed, 1, 400, seed as i64 * 10));
    }
    log.checkpoint().unwrap();
    let before = partition.segments().len();
    assert_eq!(partition.trim(10), Ok(10));
    assert!(partition.segments().len() < before);
    assert!(matches!(
        partition.read(9, 40, 1),
        Err(ReadError::OutOfRange { log_start: 10, .. })
    ));
    assert_eq!(partition.offset_for_time(0, 40), Ok(Some(10)));
    assert_eq!(partition.offset_for_time(155, 40), Ok(Some(16)));
    assert_eq!(partition.offset_for_time(391, 40), Ok(None));
    // Not even all that has expired goes, if it is not committed.
    let expired = Retention {
        ms: Some(1),
        bytes: Some(0),
    };
    let uncommitted = partition.retain(1_000_000, &expired, 10).unwrap();
    assert_eq!((uncommitted.segments, uncommitted.log_start), (0, 10));
    let committed = partition.retain(1_000_000, &expired, 20).unwrap();
    assert!(committed.segments > 0 && (11..=20).contains(&committed.log_start));
    let kept = partition
        .retain(
            i64::MAX,
            &Retention {
                ms: None,
                bytes: Some(3000),
            },
            40,
        )
        .unwrap();
    assert!(kept.segments > 0 && partition.bytes() >= 3000 && partition.bytes() < 3000 + 1500);
    let all = partition
        .retain(
            1_000_000,
            &Retention {
                ms: Some(1),
                bytes: None,
            },
            40,
        )
        .unwrap();
    assert_eq!((all.log_start, partition.bytes()), (40, 0));
    drop(log);
    let (log, _, _) = open(&disk, options(dir.path())).unwrap();
    let partition = log.existing(id(3)).unwrap();
    assert_eq!((partition.log_start(), partition.next_offset()), (40, 40));
    assert_eq!(append(&partition, batch(99, 1, 10, 0)), (40, 40));
    assert_eq!(read_all(&partition, 40).0.len(), 1);
}

#[test]
fn dropped_partitions_are_gone_and_may_come_again() {
    let (dir, disk) = real();
    let (log, _, _) = open(&disk, options(dir.path())).unwrap();
    let old = log.partition(id(1));
    for seed in 0..10 {
        append(&old, batch(seed, 1, 400, 0));
    }
    log.checkpoint().unwrap();
    log.drop_partitions(&[id(1), id(2)]).unwrap();
    assert!(log.existing(id(1)).is_none());
    assert_eq!(old.read(0, 10, 1), Err(ReadError::Dropped));
    let new = log.partition(id(1));
    append(&new, batch(77, 1, 10, 0));
    let expected = read_all(&new, 0);
    drop((log, old, new));
    let (log, _, _) = open(&disk, options(dir.path())).unwrap();
    let new = log.existing(id(1)).unwrap();
    assert_eq!((read_all(&new, 0), new.next_offset()), (expected, 1));
    log.drop_partitions(&[id(1)]).unwrap();
    drop(log);
    assert_eq!(
        std::fs::read_dir(dir.path().join("partitions"))
            .unwrap()
            .count(),
        0
    );
    let (log, _, _) = open(&disk, options(dir.path())).unwrap();
    assert!(log.partitions().is_empty());
}

#[test]
fn recent_producers_are_found_in_memory_and_on_disk() {
    let (dir, disk) = real();
    let (log, _, _) = open(&disk, options(dir.path())).unwrap();
    let partition = log.partition(id(0));
    for seed in 0..60 {
        let id = if seed % 3 == 0 { seed as i64 } else { -1 };
        let producer = Producer {
            id,
            epoch: 0,
            base_sequence: 0,
        };
        append(&partition, keyed_batch(seed, 2, 300, 0, producer));
    }
    let check = |partition: &headwater_log::PartitionLog| {
        for max in [0, 1, 5, 20, 100] {
            let found = partition.recent_producers(max, 0).unwrap();
            let ids: Vec<i64> = found.iter().map(|found| found.producer.id).collect();
            let all: Vec<i64> = (0..60).filter(|id| id % 3 == 0).collect();
            assert_eq!(ids, all[all.len() - max.min(all.len())..], "{max}");
            assert!(
                found
                    .iter()
                    .all(|found| found.base_offset == found.producer.id as u64 * 2)
            );
        }
        assert!(partition.recent_producers(5, i64::MAX).unwrap().is_empty());
    };
    check(&partition);
    drop((log, partition));
    let (log, _, _) = open(&disk, options(dir.path())).unwrap();
    check(&log.partition(id(0)));
    log.close().unwrap();
    let (log, _, _) = open(&disk, options(dir.path())).unwrap();
    check(&log.partition(id(0)));
}
