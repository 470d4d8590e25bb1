//! What an object store is to get: which segments, and their bytes, whatever happens to the log.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use headwater_log::disk::crash::CrashDisk;
use headwater_log::disk::{Disk, RealDisk};
use headwater_log::{Log, LogOptions, PartitionLog, ReadError, SealedSegment};
use headwater_record::BatchView;

use crate::support::{Heard, SEGMENT_BYTES, append, batch, id, open, options};

const DIR: &str = "/data";

fn calm() -> LogOptions {
    let mut options = options(Path::new(DIR));
    options.journal_file_bytes = Some(1 << 20);
    options.checkpoint_journal_bytes = Some(2 << 20);
    options.tail_memory_bytes = 32 << 20;
    options.checkpoint_idle = Duration::from_secs(3600);
    options
}

fn opened(disk: &CrashDisk) -> Log {
    heard_of(disk).0
}

fn heard_of(disk: &CrashDisk) -> (Log, Arc<Heard>) {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (log, _, heard) = open(&shared, calm()).unwrap();
    (log, heard)
}

/// Thirty records of one batch each.
fn filled(log: &Log) -> Arc<PartitionLog> {
    let partition = log.partition(id(0));
    for offset in 0..30 {
        append(&partition, batch(offset, 1, 300, 0));
    }
    partition
}

/// The log's bytes from one offset to another, as readers get them.
fn read(partition: &PartitionLog, from: u64, end: u64) -> Vec<u8> {
    let (mut all, mut from) = (Vec::new(), from);
    while from < end {
        for bytes in partition.read(from, end, 1 << 20).unwrap() {
            from = BatchView::parse(&bytes).unwrap().0.next_offset();
            all.extend_from_slice(&bytes);
        }
    }
    all
}

/// A segment's bytes, in small pieces.
fn contents(segment: &SealedSegment) -> Result<Vec<u8>, ReadError> {
    let mut all = Vec::new();
    loop {
        let piece = segment.read_at(all.len() as u64, 700)?;
        if piece.is_empty() {
            assert_eq!(all.len() as u64, segment.bytes());
            return Ok(all);
        }
        all.extend_from_slice(&piece);
    }
}

#[test]
fn sealed_segments_follow_one_on_the_other() {
    let disk = CrashDisk::new();
    let log = opened(&disk);
    let partition = filled(&log);
    let all = partition.segments();
    let (open, sealed) = all.split_last().unwrap();
    assert!(!open.sealed && sealed.len() > 4);
    assert_eq!(partition.sealed_segments(0, u64::MAX).unwrap(), sealed);
    let second = sealed[1].base_offset;
    let third_end = sealed[2].end_offset;
    let found = |from, below| partition.sealed_segments(from, below).unwrap();
    assert_eq!(found(second, third_end), sealed[1..3]);
    assert_eq!(found(second, third_end - 1), sealed[1..2]);
    assert_eq!(found(second, second), []);
    // Where a copy with other segments came to: the first begins before that.
    assert_eq!(found(second + 1, third_end), sealed[1..3]);
    assert_eq!(found(open.base_offset, u64::MAX), []);
    assert!(partition.open_sealed(open.base_offset).unwrap().is_none());
    assert!(partition.open_sealed(30).unwrap().is_none());
    let local_start = partition.drop_local(third_end).unwrap().local_start;
    let cold = ReadError::NotLocal { local_start };
    assert_eq!(partition.sealed_segments(0, 30), Err(cold.clone()));
    assert_eq!(partition.open_sealed(0).unwrap_err(), cold);
    assert_eq!(found(local_start, u64::MAX), sealed[3..]);
    let beyond = partition.sealed_segments(31, 40);
    assert!(matches!(beyond, Err(ReadError::OutOfRange { .. })));
}

#[test]
fn a_hole_is_not_passed_over() {
    let disk = CrashDisk::new();
    drop(filled(&opened(&disk)));
    disk.crash(0);
    let journal = Path::new("/data/journal").join(format!("{:020}.journal", 1));
    assert!(disk.flip(&journal, (13 * 4096 + 150) * 8));
    let log = opened(&disk);
    let partition = log.partition(id(0));
    assert_eq!(partition.damaged(), [(13, 14)]);
    let good = partition.sealed_segments(0, u64::MAX).unwrap();
    let end = good.last().unwrap().end_offset;
    assert!(good.len() > 2 && end <= 13);
    let hole = ReadError::Corrupt { from: 13, to: 14 };
    assert_eq!(partition.sealed_segments(end, u64::MAX), Err(hole.clone()));
    assert_eq!(partition.sealed_segments(13, u64::MAX), Err(hole));
    let later = partition.sealed_segments(14, u64::MAX).unwrap();
    assert!(later.len() > 2);
}

#[test]
fn a_sealed_segment_is_read_as_it_is_wherever_its_bytes_are() {
    for (checkpointed, reopened) in [(false, false), (true, false), (false, true), (true, true)] {
        let disk = CrashDisk::new();
        let mut log = opened(&disk);
        filled(&log);
        if checkpointed {
            log.checkpoint().unwrap();
        }
        if reopened {
            drop(log);
            log = opened(&disk);
        }
        let partition = log.partition(id(0));
        for segment in partition.sealed_segments(0, u64::MAX).unwrap() {
            for from in segment.base_offset..segment.end_offset {
                let open = partition.open_sealed(from).unwrap().unwrap();
                assert_eq!(open.base_offset(), from);
                assert_eq!(open.end_offset(), segment.end_offset);
                let whole = from == segment.base_offset;
                assert_eq!(open.bytes() == segment.bytes, whole);
                let bytes = contents(&open).unwrap();
                assert!(bytes == read(&partition, from, segment.end_offset));
                assert_eq!(open.read_at(open.bytes() + 5, 10).unwrap().len(), 0);
            }
        }
    }
}

/// A batch that does not begin where it was asked for is told by where it begins.
#[test]
fn a_sealed_segment_opens_at_a_batch() {
    let disk = CrashDisk::new();
    let log = opened(&disk);
    let partition = log.partition(id(0));
    append(&partition, batch(1, 3, 100, 0));
    append(&partition, batch(2, 3, 100, 0));
    assert!(partition.seal_if_begun_by(i64::MAX));
    let open = partition.open_sealed(4).unwrap().unwrap();
    assert_eq!((open.base_offset(), open.end_offset()), (3, 6));
    assert!(contents(&open).unwrap() == read(&partition, 3, 6));
}

#[test]
fn an_open_segment_outlives_its_file_and_never_gives_other_bytes() {
    let disk = CrashDisk::new();
    let (log, heard) = heard_of(&disk);
    let partition = filled(&log);
    let sealed = partition.sealed_segments(0, u64::MAX).unwrap();
    let expected: Vec<_> = sealed
        .iter()
        .map(|it| read(&partition, it.base_offset, it.end_offset))
        .collect();
    let open: Vec<_> = sealed
        .iter()
        .map(|it| partition.open_sealed(it.base_offset).unwrap().unwrap())
        .collect();
    let readable = |range: std::ops::Range<usize>| {
        for at in range {
            assert!(contents(&open[at]).unwrap() == expected[at], "{at}");
        }
    };
    let last = sealed.len() - 1;
    partition.drop_local(sealed[0].end_offset).unwrap();
    partition.trim(sealed[1].end_offset).unwrap();
    readable(0..last + 1);
    // Behind all of them; then within the last.
    partition.truncate(sealed[last].end_offset).unwrap();
    heard.ends.lock().clear();
    append(&partition, batch(50, 1, 300, 0));
    readable(0..last + 1);
    let cut = sealed[last].base_offset + 1;
    assert_eq!(partition.truncate(cut), Ok(cut));
    heard.ends.lock().clear();
    for seed in 60..70 {
        append(&partition, batch(seed, 1, 300, 0));
    }
    log.checkpoint().unwrap();
    assert_eq!(contents(&open[last]), Err(ReadError::Truncated));
    readable(0..last);
    let again = partition.open_sealed(sealed[last].base_offset).unwrap();
    assert!(contents(&again.unwrap()).unwrap() != expected[last]);
    log.drop_partitions(&[id(0)]).unwrap();
    readable(0..last);
    let dropped = partition.open_sealed(20).unwrap_err();
    assert_eq!(dropped, ReadError::Dropped);
}

#[test]
fn a_segment_without_its_file_is_damage() {
    let disk = CrashDisk::new();
    let log = opened(&disk);
    filled(&log);
    log.close().unwrap();
    let mut files = disk.files().into_iter();
    let first = files.find(|path| path.ends_with(format!("{:020}.log", 0)));
    disk.remove(&first.unwrap()).unwrap();
    let log = opened(&disk);
    let partition = log.partition(id(0));
    let opened = partition.open_sealed(0);
    assert!(matches!(opened, Err(ReadError::Corrupt { from: 0, .. })));
    assert_eq!(log.stats().corrupt_batches, 1);
}

#[test]
fn a_quiet_log_is_sealed_by_the_age_of_its_first_append() {
    let disk = CrashDisk::new();
    let now_ms = Arc::new(AtomicI64::new(1000));
    let opened = || {
        let (shared, clock): (Arc<dyn Disk>, _) = (Arc::new(disk.clone()), now_ms.clone());
        let mut options = calm();
        options.clock_ms = Arc::new(move || clock.load(Ordering::Relaxed));
        open(&shared, options).unwrap().0
    };
    let log = opened();
    let partition = log.partition(id(0));
    assert!(!partition.seal_if_begun_by(i64::MAX), "there is none");
    append(&partition, batch(0, 1, 10, 0));
    now_ms.store(2000, Ordering::Relaxed);
    append(&partition, batch(1, 1, 10, 0));
    drop((log, partition));
    // From the journal, then from the checkpoint.
    for close in [true, false] {
        now_ms.fetch_add(1000, Ordering::Relaxed);
        let log = opened();
        let partition = log.partition(id(0));
        assert!(!partition.seal_if_begun_by(999));
        if close {
            log.close().unwrap();
            continue;
        }
        assert!(partition.seal_if_begun_by(1000));
        assert!(!partition.seal_if_begun_by(i64::MAX), "it is sealed");
        append(&partition, batch(2, 1, 10, 0));
    }
    let log = opened();
    let partition = log.partition(id(0));
    let segments = partition.segments();
    assert_eq!(segments.len(), 2);
    assert!(segments[0].sealed && segments[0].end_offset == 2);
    // The next one began when its first batch came.
    assert!(!partition.seal_if_begun_by(3999));
    assert!(partition.seal_if_begun_by(4000));
}

/// Goes from segment to segment as an upload would, and reads beside it, while all of it leaves the
/// disk.
fn race(disk: &Arc<dyn Disk>, dir: &Path) {
    const BATCHES: u64 = 3000;
    let mut options = options(dir);
    options.tail_memory_bytes = 8 << 10;
    let log = open(disk, options).unwrap().0;
    let partition = log.partition(id(0));
    let done = AtomicBool::new(false);
    let uploaded = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut from, mut found, mut gone) = (0, 0_u64, 0_u64);
            while !done.load(Ordering::Relaxed) {
                match partition.read(from, u64::MAX, 2000) {
                    Ok(batches) => {
                        found += batches.len() as u64;
                        from += 1 + batches.len() as u64 / 2;
                    }
                    Err(ReadError::NotLocal { local_start }) => {
                        assert!(from < local_start);
                        gone += 1;
                        from = local_start;
                    }
                    Err(error) => panic!("reading at {from}: {error}"),
                }
                // Back to where it is about to go.
                let end = partition.next_offset();
                if from >= end {
                    from = partition.local_start();
                }
            }
            (found, gone)
        });
        scope.spawn(|| {
            for seed in 0..BATCHES {
                let made = batch(seed, 1, 200, 0);
                let _ = partition.append(made, 1, SEGMENT_BYTES).unwrap();
            }
            partition.wait_durable(BATCHES).unwrap();
        });
        let (mut all, mut end) = (Vec::new(), 0);
        while end < BATCHES {
            partition.wait_durable(end + 1).unwrap_or_default();
            partition.seal_if_begun_by(i64::MAX);
            for segment in partition.sealed_segments(end, u64::MAX).unwrap() {
                let open = partition.open_sealed(segment.base_offset).unwrap().unwrap();
                // Gone before it is read.
                partition.drop_local(segment.end_offset).unwrap();
                assert_eq!(partition.local_start(), segment.end_offset);
                assert_eq!(open.base_offset(), end);
                end = open.end_offset();
                all.extend(contents(&open).unwrap());
            }
            if end % 7 == 0 {
                log.checkpoint().unwrap();
            }
        }
        done.store(true, Ordering::Relaxed);
        let (found, _) = reader.join().unwrap();
        assert!(found > 0);
        all
    });
    let (mut rest, mut next) = (&uploaded[..], 0);
    while !rest.is_empty() {
        let (view, used) = BatchView::parse(rest).unwrap();
        view.check_crc().unwrap();
        assert_eq!(view.header().base_offset, next);
        (rest, next) = (&rest[used..], view.next_offset());
    }
    assert_eq!(next, BATCHES);
    assert_eq!(log.stats().corrupt_batches, 0);
    assert_eq!(
        (partition.log_start(), partition.local_start()),
        (0, BATCHES)
    );
}

#[test]
fn all_of_a_log_is_read_while_it_leaves_the_disk_in_memory() {
    let disk: Arc<dyn Disk> = Arc::new(CrashDisk::new());
    race(&disk, Path::new(DIR));
}

#[test]
fn all_of_a_log_is_read_while_it_leaves_the_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    race(&disk, dir.path());
}
