//! A log whose older part has left this disk, or was never on it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use headwater_log::disk::Disk;
use headwater_log::disk::crash::CrashDisk;
use headwater_log::{AppendError, Log, PartitionLog, ReadError, Retention};

use crate::support::{SEGMENT_BYTES, batch, id, open, options, read_all};

const DIR: &str = "/data";

fn opened(disk: &CrashDisk) -> Log {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut options = options(Path::new(DIR));
    options.journal_file_bytes = Some(1 << 20);
    options.checkpoint_journal_bytes = Some(2 << 20);
    options.checkpoint_idle = Duration::from_secs(3600);
    open(&shared, options).unwrap().0
}

/// Forty records of one batch each, a new epoch with every tenth; the time of each is its offset.
fn filled(log: &Log) -> Arc<PartitionLog> {
    let partition = log.partition(id(0));
    for offset in 0..40 {
        let made = batch(offset, 1, 300, offset as i64);
        let epoch = 1 + (offset / 10) as i32;
        let at = partition.append(made, epoch, SEGMENT_BYTES).unwrap();
        assert_eq!(at.base_offset, offset);
    }
    partition.wait_durable(40).unwrap();
    partition
}

const EPOCHS: [(i32, u64); 4] = [(1, 0), (2, 10), (3, 20), (4, 30)];

/// Where the log starts, where it starts here, where it ends.
fn bounds(partition: &PartitionLog) -> (u64, u64, u64) {
    let (log_start, local_start) = (partition.log_start(), partition.local_start());
    assert_eq!(partition.durable_end(), partition.next_offset());
    (log_start, local_start, partition.next_offset())
}

/// Every way from the log at hand to a later one: at once, with or without a checkpoint, after a crash.
fn after_each_restart(disk: &CrashDisk, check: impl Fn(&PartitionLog, &str)) {
    for way in ["dropped", "closed", "crashed", "checkpointed and crashed"] {
        let disk = disk.fork();
        let log = opened(&disk);
        match way {
            "closed" => log.close().unwrap(),
            "checkpointed and crashed" => log.checkpoint().unwrap(),
            _ => drop(log),
        }
        if way.ends_with("crashed") {
            disk.crash(3);
        }
        check(&opened(&disk).partition(id(0)), way);
    }
}

fn lose_checkpoint(disk: &CrashDisk) {
    assert!(disk.flip(&Path::new(DIR).join("checkpoint"), 9));
}

fn segment_files(disk: &CrashDisk) -> usize {
    let files = disk.files().into_iter();
    files
        .filter(|path| path.extension().is_some_and(|kind| kind == "log"))
        .count()
}

#[test]
fn what_left_this_disk_is_in_the_log_and_not_here() {
    for written in [false, true] {
        let disk = CrashDisk::new();
        let log = opened(&disk);
        let partition = filled(&log);
        if written {
            log.checkpoint().unwrap();
        }
        let (before, all) = (partition.segments(), read_all(&partition, 0).0);
        let dropped = partition.drop_local(26).unwrap();
        let gone = before.iter().take_while(|it| it.end_offset <= 26);
        let (count, bytes) = gone.fold((0, 0), |(count, bytes), it| (count + 1, bytes + it.bytes));
        assert!(count > 2);
        let start = before[count].base_offset;
        assert_eq!((dropped.log_start, dropped.local_start), (0, start));
        assert_eq!((dropped.segments, dropped.bytes), (count, bytes));
        assert_eq!(partition.segments(), before[count..]);
        let check = |partition: &PartitionLog, way: &str| {
            assert_eq!(bounds(partition), (0, start, 40), "{way}");
            let not_local = ReadError::NotLocal { local_start: start };
            for from in [0, start - 1] {
                let tried = partition.try_read(from, 40, 9000);
                assert_eq!(tried, Some(Err(not_local.clone())), "{way}");
                assert_eq!(partition.read(from, 40, 9000), Err(not_local.clone()));
                assert_eq!(partition.read_cached(from, 40, 9000), None, "{way}");
            }
            let (found, holes) = read_all(partition, start);
            assert!(found == all[start as usize..], "{way}");
            assert_eq!(holes, [], "{way}");
            assert_eq!(partition.offset_for_time(3, 40), Ok(Some(start)), "{way}");
            assert_eq!(partition.offset_for_time(33, 40), Ok(Some(33)), "{way}");
            assert_eq!(partition.epochs(), EPOCHS, "{way}");
            assert_eq!(partition.end_offset_for(1), Some((1, 10)), "{way}");
            assert_eq!(
                partition.bytes(),
                before[count..].iter().map(|it| it.bytes).sum()
            );
            assert!(partition.log_start_is_known(), "{way}");
        };
        check(&partition, "at once");
        drop((log, partition));
        after_each_restart(&disk, check);
    }
}

#[test]
fn a_log_may_leave_this_disk_as_a_whole() {
    let disk = CrashDisk::new();
    let log = opened(&disk);
    let partition = filled(&log);
    // Not the segment that is appended to.
    let open = partition.segments().last().copied().unwrap();
    let dropped = partition.drop_local(u64::MAX).unwrap();
    assert_eq!(dropped.local_start, open.base_offset);
    assert!(partition.seal_if_begun_by(i64::MAX));
    assert_eq!(partition.drop_local(39).unwrap().segments, 0);
    assert_eq!(partition.drop_local(40).unwrap().local_start, 40);
    drop((log, partition));
    let check = |partition: &PartitionLog, way: &str| {
        assert_eq!(bounds(partition), (0, 40, 40), "{way}");
        assert_eq!((partition.bytes(), partition.segments()), (0, vec![]));
        assert_eq!(partition.read(40, 41, 1), Ok(vec![]), "{way}");
        assert_eq!(partition.epochs(), EPOCHS, "{way}");
        assert_eq!(partition.end_offset_for(9), Some((4, 40)), "{way}");
        assert_eq!(partition.offset_for_time(0, 40), Ok(None), "{way}");
    };
    after_each_restart(&disk, check);
    let log = opened(&disk);
    let partition = log.partition(id(0));
    // A cut that takes all that is here leaves what is not.
    let below = Err(AppendError::BelowStart { local_start: 40 });
    assert_eq!(partition.truncate(39), below);
    let at = partition
        .append(batch(7, 1, 10, 0), 5, SEGMENT_BYTES)
        .unwrap();
    assert_eq!(at.base_offset, 40);
    assert_eq!(partition.truncate(40), Ok(40));
    check(&partition, "cut");
    drop((log, partition));
    after_each_restart(&disk, check);
}

#[test]
fn retention_takes_nothing_that_is_not_safe_elsewhere() {
    let disk = CrashDisk::new();
    let log = opened(&disk);
    let partition = filled(&log);
    log.checkpoint().unwrap();
    let nothing = Retention {
        ms: Some(0),
        bytes: Some(0),
    };
    let local = partition.retain_local(i64::MAX, &nothing, 15).unwrap();
    assert!(local.segments > 0 && local.local_start <= 15 && local.log_start == 0);
    // The end of what the store has: not even all that has expired goes behind it.
    let gone = partition
        .retain(i64::MAX, &nothing, local.local_start)
        .unwrap();
    assert_eq!((gone.segments, gone.log_start), (0, 0));
    assert_eq!(partition.drop_local(local.local_start).unwrap().segments, 0);
    // A trim of what is not here removes nothing here.
    let files = segment_files(&disk);
    assert_eq!(partition.trim(5), Ok(5));
    assert_eq!(bounds(&partition), (5, local.local_start, 40));
    assert_eq!(segment_files(&disk), files);
    let read = partition.read(4, 40, 1);
    assert!(matches!(
        read,
        Err(ReadError::OutOfRange { log_start: 5, .. })
    ));
    assert_eq!(partition.epochs(), EPOCHS);
    // One of what is here takes all that is before it.
    let gone = partition.retain(i64::MAX, &nothing, 30).unwrap();
    assert!(gone.segments > 0 && (20..=30).contains(&gone.log_start));
    assert_eq!(gone.local_start, gone.log_start);
    assert!(segment_files(&disk) < files);
    let wanted = (gone.log_start, gone.log_start, 40);
    assert_eq!(bounds(&partition), wanted);
    assert_eq!(partition.epochs(), EPOCHS[2..]);
    drop((log, partition));
    after_each_restart(&disk, |partition, way| {
        assert_eq!(bounds(partition), wanted, "{way}");
    });
}

#[test]
fn local_retention_goes_by_age_and_size() {
    let disk = CrashDisk::new();
    let log = opened(&disk);
    let partition = filled(&log);
    let by_age = Retention {
        ms: Some(10),
        bytes: None,
    };
    let kept = partition.retain_local(30, &by_age, 40).unwrap();
    assert!((17..=20).contains(&kept.local_start), "{kept:?}");
    let by_size = Retention {
        ms: None,
        bytes: Some(3000),
    };
    let kept = partition.retain_local(30, &by_size, 40).unwrap();
    assert!(kept.segments > 0 && (3000..3000 + SEGMENT_BYTES).contains(&partition.bytes()));
    assert_eq!(bounds(&partition), (0, kept.local_start, 40));
}

#[test]
fn a_log_that_lost_its_checkpoint_is_told_its_history() {
    let disk = CrashDisk::new();
    let log = opened(&disk);
    let partition = filled(&log);
    let start = partition.drop_local(26).unwrap().local_start;
    drop(partition);
    log.close().unwrap();
    // Recycles the journal, which would tell too.
    drop(opened(&disk));
    lose_checkpoint(&disk);
    let log = opened(&disk);
    let partition = log.partition(id(0));
    assert_eq!(bounds(&partition), (start, start, 40));
    assert!(!partition.log_start_is_known());
    let wrong = partition.extend_history(3, &[(2, 10), (1, 20)]);
    assert_eq!(wrong, Err(AppendError::NoHistory));
    assert_eq!(partition.extend_history(3, &EPOCHS), Ok(3));
    let told = |partition: &PartitionLog, way: &str| {
        assert_eq!(bounds(partition), (3, start, 40), "{way}");
        assert_eq!(partition.epochs(), EPOCHS, "{way}");
        assert!(partition.log_start_is_known(), "{way}");
    };
    told(&partition, "at once");
    drop((log, partition));
    // No checkpoint has kept it.
    let log = opened(&disk);
    let partition = log.partition(id(0));
    assert!(!partition.log_start_is_known());
    assert_eq!(partition.extend_history(3, &EPOCHS), Ok(3));
    log.checkpoint().unwrap();
    drop((log, partition));
    after_each_restart(&disk, told);
    // What is known is not changed by an old story, nor is a trim.
    let log = opened(&disk);
    let partition = log.partition(id(0));
    assert_eq!(partition.extend_history(0, &[]), Ok(3));
    told(&partition, "told again");
    assert_eq!(partition.trim(12), Ok(12));
    drop((log, partition));
    lose_checkpoint(&disk);
    let log = opened(&disk);
    let partition = log.partition(id(0));
    assert!(!partition.log_start_is_known());
    assert_eq!(partition.extend_history(3, &EPOCHS), Ok(12));
    assert_eq!(bounds(&partition), (12, start, 40));
    assert_eq!(partition.epochs(), EPOCHS[1..]);
}

#[test]
fn a_copy_begins_behind_what_its_leader_has_elsewhere() {
    let disk = CrashDisk::new();
    let log = opened(&disk);
    let partition = filled(&log);
    let refused = [
        partition.reset_with_history(101, 100, &[]),
        partition.reset_with_history(5, 100, &[(1, 5), (1, 9)]),
        partition.reset_with_history(5, 100, &[(1, 5), (2, 5)]),
    ];
    assert_eq!(refused, [Err(AppendError::NoHistory); 3]);
    assert_eq!(bounds(&partition), (0, 0, 40));
    let leaders = [(1, 0), (2, 4), (3, 70), (5, 100), (6, 130)];
    partition.reset_with_history(5, 100, &leaders).unwrap();
    let check = |partition: &PartitionLog, way: &str| {
        assert_eq!(bounds(partition), (5, 100, 100), "{way}");
        // What the leader has at and behind the local start comes with its batches.
        assert_eq!(partition.epochs(), leaders[1..3], "{way}");
        assert_eq!(partition.end_offset_for(2), Some((2, 70)), "{way}");
        assert_eq!(partition.end_offset_for(5), Some((3, 100)), "{way}");
        assert_eq!(
            partition.read(99, 200, 1),
            Err(ReadError::NotLocal { local_start: 100 })
        );
    };
    check(&partition, "at once");
    drop((log, partition));
    after_each_restart(&disk, check);
    // The journal has it even if the checkpoint is lost.
    lose_checkpoint(&disk);
    let log = opened(&disk);
    let partition = log.partition(id(0));
    check(&partition, "rebuilt");
    assert!(partition.log_start_is_known());
    let at = partition
        .append(batch(1, 2, 10, 0), 5, SEGMENT_BYTES)
        .unwrap();
    assert_eq!(at.base_offset, 100);
    assert_eq!(partition.end_offset_for(3), Some((3, 100)));
    assert_eq!(partition.last_epoch(), Some(5));
}
