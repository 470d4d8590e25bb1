//! Disks that fail, fill up, or rot.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_log::disk::Disk;
use headwater_log::disk::crash::{CrashDisk, Fault};
use headwater_log::{AppendError, FailureKind, Log, Recovery};

use crate::support::{Heard, SEGMENT_BYTES, append, batch, id, open, options, read_all};

const DIR: &str = "/data";

fn opened(disk: &CrashDisk) -> (Log, Recovery, Arc<Heard>) {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    open(&shared, options(Path::new(DIR))).unwrap()
}

/// With a journal that does not roll or get its checkpoint in a test.
fn opened_roomy(disk: &CrashDisk) -> (Log, Recovery, Arc<Heard>) {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut options = options(Path::new(DIR));
    options.journal_file_bytes = Some(1 << 20);
    options.checkpoint_journal_bytes = Some(2 << 20);
    open(&shared, options).unwrap()
}

/// Twenty small batches in each of three partitions; base offsets and bytes of the first.
fn filled(log: &Log) -> Vec<(u64, Vec<u8>)> {
    for seed in 0..60 {
        append(
            &log.partition(id(seed as u32 % 3)),
            batch(seed, 2, 200, seed as i64),
        );
    }
    read_all(&log.partition(id(0)), 0).0
}

fn file(disk: &CrashDisk, matches: impl Fn(&str) -> bool) -> PathBuf {
    let files = disk.files().into_iter();
    files
        .into_iter()
        .find(|path| matches(path.to_str().unwrap()))
        .expect("there is such a file")
}

#[test]
fn a_failed_sync_is_final() {
    for number in 0..25 {
        let disk = CrashDisk::new();
        let (log, _, heard) = opened(&disk);
        disk.plan(Fault::ErrorAtSync(number));
        let mut appended = 0;
        for seed in 0..40 {
            let partition = log.partition(id(seed as u32 % 2));
            let Ok(at) = partition.append(batch(seed, 1, 300, 0), 1, SEGMENT_BYTES) else {
                break;
            };
            if partition.wait_durable(at.last_offset + 1).is_err() {
                break;
            }
            appended += 1;
            if seed % 10 == 9 && log.checkpoint().is_err() {
                break;
            }
        }
        assert!(appended < 40, "sync {number} failed and nobody noticed");
        while heard.failures.lock().is_empty() {
            std::thread::yield_now();
        }
        let failures = heard.failures.lock().clone();
        assert_eq!(failures.len(), 1);
        assert!(matches!(
            failures[0].kind,
            FailureKind::JournalSync | FailureKind::SegmentSync | FailureKind::Checkpoint
        ));
        assert_eq!(
            log.partition(id(0))
                .append(batch(0, 1, 1, 0), 1, SEGMENT_BYTES),
            Err(AppendError::Failed)
        );
        assert_eq!(log.failure().as_ref(), Some(&failures[0]));
        drop(log);
        disk.crash(number);
        let (log, _, _) = opened(&disk);
        for (id, end) in heard.ends.lock().iter() {
            assert!(log.partition(*id).durable_end() >= *end);
            assert_eq!(read_all(&log.partition(*id), 0).1, []);
        }
    }
}

#[test]
fn a_full_disk_refuses_appends_and_recovers_by_itself() {
    let disk = CrashDisk::new();
    let (log, _, heard) = opened(&disk);
    let partition = log.partition(id(0));
    disk.set_capacity(16 << 20);
    let mut expected = Vec::new();
    let mut add = |seed: u64| {
        let made = batch(seed, 1, 1500, 0);
        let bytes = made.as_bytes()[21..].to_vec();
        let at = partition.append(made, 1, SEGMENT_BYTES)?;
        expected.push((at.base_offset, bytes));
        Ok::<_, AppendError>(())
    };
    let refused = (0..50_000).find_map(|seed| add(seed).err());
    assert_eq!(refused, Some(AppendError::StorageFull));
    assert_eq!(
        partition.append(batch(1, 1, 1, 0), 1, SEGMENT_BYTES),
        Err(AppendError::StorageFull)
    );
    assert!(log.stats().storage_full);
    disk.set_capacity(1 << 40);
    let mut seed = 100_000;
    while add(seed).is_err() {
        std::thread::sleep(std::time::Duration::from_millis(20));
        seed += 1;
    }
    partition.wait_durable(partition.next_offset()).unwrap();
    assert_eq!(read_all(&partition, 0), (expected.clone(), vec![]));
    log.checkpoint().unwrap();
    assert_eq!(read_all(&partition, 0), (expected.clone(), vec![]));
    assert!(heard.failures.lock().is_empty());
    drop((log, partition));
    disk.crash(3);
    let (log, _, _) = opened(&disk);
    assert_eq!(read_all(&log.partition(id(0)), 0), (expected, vec![]));
}

#[test]
fn trimming_works_on_a_full_disk_and_makes_room() {
    let disk = CrashDisk::new();
    let (log, _, _) = opened(&disk);
    let partition = log.partition(id(0));
    disk.set_capacity(16 << 20);
    while partition
        .append(batch(1, 1, 1500, 0), 1, SEGMENT_BYTES)
        .is_ok()
    {}
    let end = partition.next_offset();
    assert_eq!(partition.trim(end - 1), Ok(end - 1));
    while partition
        .append(batch(2, 1, 1500, 0), 1, SEGMENT_BYTES)
        .is_err()
    {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(read_all(&partition, end - 1).0.len(), 2);
}

/// A bit of a segment flips: what was hit is reported, everything else is read.
fn flip_in_segment(sealed: bool) {
    // All that the CRC of the first batch does not cover, and some of the rest.
    for bit in (0..21 * 8).chain((0..40).map(|step| step * 1231 + 5)) {
        let disk = CrashDisk::new();
        let (log, _, _) = opened(&disk);
        let expected = filled(&log);
        let segments = log.partition(id(0)).segments();
        log.close().unwrap();
        let hit = if sealed {
            segments[segments.len() / 2]
        } else {
            *segments.last().unwrap()
        };
        assert_eq!(hit.sealed, sealed);
        let name = format!("/0/{:020}.log", hit.base_offset);
        assert!(disk.flip(&file(&disk, |path| path.ends_with(&name)), bit));
        let (log, recovery, _) = opened(&disk);
        assert!(!recovery.rebuilt);
        let (found, damaged) = read_all(&log.partition(id(0)), 0);
        let [(from, to)] = damaged[..] else {
            panic!("bit {bit}: {damaged:?}")
        };
        assert!(from >= hit.base_offset && to <= hit.end_offset);
        let rest: Vec<_> = expected
            .into_iter()
            .filter(|(base, _)| *base < from || *base >= to)
            .collect();
        assert!(
            found == rest,
            "bit {bit}: everything but the damage is read"
        );
        assert_eq!(to - from, 2, "bit {bit}: one batch was hit");
        assert!(log.stats().corrupt_batches > 0);
    }
}

#[test]
fn a_flipped_bit_in_a_sealed_segment_is_never_served() {
    flip_in_segment(true);
}

#[test]
fn a_flipped_bit_in_the_active_segment_is_never_served() {
    flip_in_segment(false);
}

#[test]
fn a_damaged_index_is_built_again() {
    for bit in (0..30).map(|step| step * 37 + 3) {
        let disk = CrashDisk::new();
        let (log, _, _) = opened(&disk);
        let expected = filled(&log);
        log.close().unwrap();
        for path in disk
            .files()
            .iter()
            .filter(|path| path.to_str().unwrap().ends_with(".index"))
        {
            assert!(disk.flip(path, bit));
        }
        let (log, _, _) = opened(&disk);
        assert_eq!(read_all(&log.partition(id(0)), 0), (expected, vec![]));
    }
}

#[test]
fn a_damaged_checkpoint_is_replaced_by_a_scan() {
    for bit in (0..30).map(|step| step * 97 + 1) {
        let disk = CrashDisk::new();
        let (log, _, _) = opened(&disk);
        filled(&log);
        log.checkpoint().unwrap();
        for seed in 100..110 {
            append(&log.partition(id(0)), batch(seed, 2, 200, 0));
        }
        let expected: Vec<_> = (0..3)
            .map(|number| read_all(&log.partition(id(number)), 0))
            .collect();
        drop(log);
        disk.crash(bit);
        assert!(disk.flip(Path::new("/data/checkpoint"), bit));
        let (log, recovery, _) = opened(&disk);
        assert!(recovery.rebuilt);
        for (number, expected) in expected.iter().enumerate() {
            assert!(
                read_all(&log.partition(id(number as u32)), 0) == *expected,
                "bit {bit}"
            );
        }
        log.close().unwrap();
        assert!(!opened(&disk).1.rebuilt);
    }
}

#[test]
fn a_lost_identity_is_taken_from_the_checkpoint() {
    let disk = CrashDisk::new();
    let (log, _, _) = opened(&disk);
    let (expected, uuid) = (filled(&log), log.data_dir_uuid());
    drop(log);
    assert!(disk.flip(Path::new("/data/data_dir.json"), 200));
    let (log, _, _) = opened(&disk);
    assert_eq!(log.data_dir_uuid(), uuid);
    assert_eq!(read_all(&log.partition(id(0)), 0).0, expected);
}

#[test]
fn damage_in_the_middle_of_the_journal_loses_what_it_hit_only() {
    for step in 0..60 {
        let disk = CrashDisk::new();
        let (log, _, _) = opened_roomy(&disk);
        let mut expected = Vec::new();
        for seed in 0..20 {
            append(&log.partition(id(1)), batch(1000 + seed, 1, 300, 0));
            let made = batch(seed, 1, 300, 0);
            let bytes = made.as_bytes()[21..].to_vec();
            expected.push((append(&log.partition(id(0)), made).0, bytes));
        }
        drop(log);
        disk.crash(step);
        // Each append was a group of a block: hit one in the middle, header, frame or payload.
        let journal = file(&disk, |path| path.ends_with("1.journal"));
        let at = [20, 70, 150, 300][step as usize % 4];
        let group = 1 + step / 4;
        assert!(disk.flip(&journal, (group * 4096 + at) * 8));
        if group >= 7 {
            continue;
        }
        let (log, recovery, _) = opened_roomy(&disk);
        let (found, damaged) = read_all(&log.partition(id(0)), 0);
        assert_eq!(recovery.damaged_groups, 1, "step {step}");
        assert_eq!(recovery.torn_bytes, 0);
        let hit = |base: u64| {
            damaged
                .iter()
                .any(|(from, to)| (*from..*to).contains(&base))
        };
        let rest: Vec<_> = expected
            .iter()
            .filter(|(base, _)| !hit(*base))
            .cloned()
            .collect();
        assert!(found == rest, "step {step}: {damaged:?}");
        let lost = damaged.len() + log.partition(id(1)).damaged().len();
        // A group's header is not needed to save its frames; a frame's own bytes are.
        assert_eq!(lost, usize::from(at != 20), "step {step}");
        assert_eq!(log.partition(id(0)).next_offset(), 20);
        assert_eq!(append(&log.partition(id(0)), batch(1, 1, 1, 0)).0, 20);
        let before = read_all(&log.partition(id(0)), 0);
        log.close().unwrap();
        let (log, recovery, _) = opened_roomy(&disk);
        assert_eq!(recovery.damaged.len(), lost);
        assert_eq!(read_all(&log.partition(id(0)), 0), before);
    }
}

#[test]
fn the_last_group_torn_is_cut_off() {
    let disk = CrashDisk::new();
    let (log, _, _) = opened_roomy(&disk);
    for seed in 0..5 {
        append(&log.partition(id(0)), batch(seed, 1, 100, 0));
    }
    drop(log);
    let journal = file(&disk, |path| path.ends_with("1.journal"));
    assert!(disk.flip(&journal, (4 * 4096 + 150) * 8));
    for round in 0..3 {
        let (log, recovery, _) = opened_roomy(&disk);
        assert_eq!(recovery.damaged_groups, 0, "round {round}");
        assert_eq!(
            recovery.torn_bytes,
            if round == 0 { 4096 } else { 0 },
            "round {round}"
        );
        assert_eq!(log.partition(id(0)).next_offset(), 4 + round);
        append(&log.partition(id(0)), batch(round, 1, 100, 0));
    }
}
