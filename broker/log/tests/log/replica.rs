//! What a replica needs: sequenced appends, cuts, epochs, reading what is not durable yet.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use headwater_log::disk::Disk;
use headwater_log::disk::crash::CrashDisk;
use headwater_log::{AppendError, Log, PartitionLog, ReadError};
use headwater_record::BatchView;

use crate::support::{Heard, SEGMENT_BYTES, append, batch, id, open, options, read_all, stored};

const DIR: &str = "/data";

fn opened(disk: &CrashDisk) -> (Log, Arc<Heard>) {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut options = options(Path::new(DIR));
    options.journal_file_bytes = Some(1 << 20);
    options.checkpoint_journal_bytes = Some(2 << 20);
    options.checkpoint_idle = Duration::from_secs(3600);
    let (log, _, heard) = open(&shared, options).unwrap();
    (log, heard)
}

/// Batches of two records each from `base` on, one after the other.
fn run(base: u64, epochs: &[i32]) -> Bytes {
    let each = epochs.iter().enumerate().map(|(number, epoch)| {
        let at = base + number as u64 * 2;
        stored(batch(at * 100 + *epoch as u64, 2, 150, 0), at, *epoch)
    });
    each.collect::<Vec<_>>().concat().into()
}

fn add(partition: &Arc<PartitionLog>, epochs: &[i32]) -> Bytes {
    let bytes = run(partition.next_offset(), epochs);
    let at = partition.append_sequenced(bytes.clone(), SEGMENT_BYTES);
    partition.wait_durable(at.unwrap().last_offset + 1).unwrap();
    bytes
}

fn everything(partition: &PartitionLog) -> Vec<u8> {
    let (mut all, mut from) = (Vec::new(), partition.log_start());
    loop {
        let found = partition.read(from, u64::MAX, 1000).unwrap();
        let Some(last) = found.last() else { return all };
        from = BatchView::parse(last).unwrap().0.next_offset();
        found.iter().for_each(|bytes| all.extend_from_slice(bytes));
    }
}

#[test]
fn sequenced_batches_are_stored_as_they_are() {
    let disk = CrashDisk::new();
    let (log, heard) = opened(&disk);
    let partition = log.partition(id(0));
    let mut expected = add(&partition, &[1, 1, 3, 3, 3]).to_vec();
    expected.extend_from_slice(&add(&partition, &[3, 4, 9]));
    assert_eq!(heard.ends.lock()[&id(0)], 16);
    assert_eq!(everything(&partition), expected);
    assert_eq!(partition.epochs(), [(1, 0), (3, 4), (4, 12), (9, 14)]);
    drop((log, partition));
    let (log, _) = opened(&disk);
    let partition = log.existing(id(0)).unwrap();
    assert_eq!(everything(&partition), expected);
    assert_eq!(partition.last_epoch(), Some(9));
}

#[test]
fn what_is_not_in_sequence_is_refused_as_a_whole() {
    let disk = CrashDisk::new();
    let (log, _) = opened(&disk);
    let partition = log.partition(id(0));
    let before = add(&partition, &[3, 3]);
    let refused = |bytes: Bytes| {
        partition
            .append_sequenced(bytes, SEGMENT_BYTES)
            .unwrap_err()
    };
    let out_of = |expected, found| AppendError::OutOfSequence { expected, found };
    let stale = |last, found| AppendError::StaleEpoch { last, found };
    assert_eq!(refused(Bytes::new()), AppendError::Invalid);
    assert_eq!(refused(run(6, &[3])), out_of(4, 6));
    assert_eq!(refused(run(2, &[3])), out_of(4, 2));
    assert_eq!(refused(run(4, &[2])), stale(3, 2));
    assert_eq!(refused(run(4, &[5, 4])), stale(5, 4));
    let gap = [run(4, &[3]), run(8, &[3])].concat();
    assert_eq!(refused(gap.into()), out_of(6, 8));
    let good = run(4, &[3, 3]);
    assert_eq!(refused(good.slice(..good.len() - 1)), AppendError::Invalid);
    let mut rotten = good.to_vec();
    *rotten.last_mut().unwrap() ^= 1;
    assert_eq!(refused(rotten.into()), AppendError::Invalid);
    assert_eq!(partition.next_offset(), 4);
    assert_eq!(everything(&partition), before);
    assert!(partition.append_sequenced(good, SEGMENT_BYTES).is_ok());
}

/// From memory, from a sealed segment, from the middle of one, and from the start of one.
#[test]
fn what_was_cut_off_is_gone_and_its_offsets_are_given_again() {
    for (to, end) in (0..=40).map(|to: u64| (to, to / 2 * 2)) {
        for (checkpointed, closed) in [(false, false), (true, false), (true, true)] {
            let disk = CrashDisk::new();
            let (mut log, mut heard) = opened(&disk);
            let first = add(&log.partition(id(0)), &[1; 20]);
            if closed {
                log.close().unwrap();
                (log, heard) = opened(&disk);
            } else if checkpointed {
                log.checkpoint().unwrap();
            }
            let partition = log.partition(id(0));
            let context = format!("to {to}, {checkpointed} {closed}");
            assert_eq!(partition.truncate(to), Ok(end), "{context}");
            heard.ends.lock().clear();
            assert_eq!(partition.next_offset(), end, "{context}");
            assert_eq!(partition.durable_end(), end, "{context}");
            assert_eq!(
                partition.read(end + 1, u64::MAX, 1),
                Err(ReadError::OutOfRange { log_start: 0, end }),
                "{context}"
            );
            let kept = first.len() / 20 * (end as usize / 2);
            let mut expected = first[..kept].to_vec();
            assert!(everything(&partition) == expected, "{context}");
            // Others in the same place, of the same length.
            expected.extend_from_slice(&add(&partition, &[2; 20]));
            assert!(everything(&partition) == expected, "{context}");
            let known = partition.end_offset_for(1);
            assert_eq!(known, (end > 0).then_some((1, end)), "{context}");
            let segments = partition.segments();
            for (crash, rebuilt) in [(false, false), (true, false), (false, true), (true, true)] {
                let disk = disk.fork();
                if crash {
                    disk.crash(to);
                } else {
                    let (log, _) = opened(&disk);
                    log.close().unwrap();
                }
                if rebuilt {
                    disk.flip(Path::new("/data/checkpoint"), 9);
                }
                let (log, _) = opened(&disk);
                let partition = log.partition(id(0));
                let context = format!("{context}, {crash} {rebuilt}");
                assert!(everything(&partition) == expected, "{context}");
                assert_eq!(partition.damaged(), [], "{context}");
                let found = partition.segments().len();
                assert_eq!(found, segments.len(), "{context}");
            }
        }
    }
}

#[test]
fn a_reset_log_starts_anywhere() {
    for start in [0, 7, 40, 1000] {
        let disk = CrashDisk::new();
        let (log, heard) = opened(&disk);
        let partition = log.partition(id(0));
        add(&partition, &[1; 20]);
        log.note_seen_epochs(&[(id(0), 8)]).unwrap();
        log.checkpoint().unwrap();
        partition.reset(start).unwrap();
        heard.ends.lock().clear();
        assert_eq!((partition.bytes(), partition.last_epoch()), (0, None));
        assert_eq!(partition.seen_epoch(), 8);
        for round in 0..3 {
            let disk = disk.fork();
            let (log, _) = opened(&disk);
            match round {
                0 => drop(log),
                _ => log.close().unwrap(),
            }
            if round == 2 {
                disk.flip(Path::new("/data/checkpoint"), 9);
            }
            let (log, _) = opened(&disk);
            let partition = log.partition(id(0));
            let known = (partition.log_start(), partition.next_offset());
            assert_eq!(known, (start, start), "round {round}");
            assert_eq!(partition.durable_end(), start, "round {round}");
            let added = add(&partition, &[2]);
            assert_eq!(everything(&partition), added, "round {round}");
            assert!(round == 2 || partition.seen_epoch() == 8);
        }
        assert_eq!(partition.truncate(start), Ok(start));
        log.drop_partitions(&[id(0)]).unwrap();
        assert_eq!(partition.truncate(0), Err(AppendError::Dropped));
        assert_eq!(partition.reset(0), Err(AppendError::Dropped));
        assert_eq!(log.partition(id(0)).seen_epoch(), -1);
    }
}

#[test]
fn the_epochs_seen_of_many_partitions_are_one_group() {
    let disk = CrashDisk::new();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (log, _, _) = open(&shared, headwater_log::LogOptions::new(DIR)).unwrap();
    let seen: Vec<_> = (0..10_000).map(|number| (id(number), 5)).collect();
    let (_, before) = disk.operations();
    log.note_seen_epochs(&seen).unwrap();
    let (_, after) = disk.operations();
    assert!(after - before <= 3, "{} syncs", after - before);
    let lower: Vec<_> = seen.iter().map(|(id, _)| (*id, 4)).collect();
    log.note_seen_epochs(&lower).unwrap();
    assert_eq!(disk.operations().1, after, "nothing new, nothing written");
    let check = |log: &Log| {
        let all = seen.iter().map(|(id, _)| log.partition(*id).seen_epoch());
        assert!(all.eq(seen.iter().map(|(_, epoch)| *epoch)));
    };
    drop(log);
    disk.crash(2);
    let (log, _) = opened(&disk);
    check(&log);
    log.close().unwrap();
    check(&opened(&disk).0);
}

#[test]
fn what_is_not_durable_yet_is_read_from_memory() {
    let disk = CrashDisk::new();
    let (log, _) = opened(&disk);
    let partition = log.partition(id(0));
    add(&partition, &[1, 1]);
    // Whether its sync is over by now is all the same.
    let bytes = run(4, &[1, 2, 2]);
    let appended = partition.append_sequenced(bytes.clone(), SEGMENT_BYTES);
    assert_eq!(appended.unwrap().last_offset, 9);
    let end = partition.next_offset();
    assert_eq!(end, 10);
    let found = partition.try_read(4, end, usize::MAX).unwrap().unwrap();
    assert_eq!(found.concat(), bytes);
    let found = partition.read(4, end, usize::MAX).unwrap();
    assert_eq!(found.concat(), bytes);
    assert_eq!(partition.end_offset_for(1), Some((1, 6)));
    partition.wait_durable(end).unwrap();
}

#[test]
fn a_hole_goes_with_what_is_cut_off() {
    let disk = CrashDisk::new();
    let (log, _) = opened(&disk);
    for seed in 0..20 {
        append(&log.partition(id(0)), batch(seed, 1, 300, 0));
    }
    drop(log);
    disk.crash(0);
    let journal = Path::new("/data/journal").join(format!("{:020}.journal", 1));
    assert!(disk.flip(&journal, (7 * 4096 + 150) * 8));
    let (log, _) = opened(&disk);
    let partition = log.partition(id(0));
    assert_eq!(partition.damaged(), [(7, 8)]);
    for (to, end, holes) in [(12, 12, 1), (9, 9, 1), (8, 7, 0), (3, 3, 0)] {
        let disk = disk.fork();
        let (log, _) = opened(&disk);
        let partition = log.partition(id(0));
        assert_eq!(partition.truncate(to), Ok(end), "{to}");
        assert_eq!(partition.damaged().len(), holes, "{to}");
        append(&partition, batch(99, 1, 300, 0));
        let expected = (read_all(&partition, 0), partition.damaged());
        drop((log, partition));
        for closed in [false, true] {
            let (log, _) = opened(&disk);
            let partition = log.partition(id(0));
            assert_eq!((read_all(&partition, 0), partition.damaged()), expected);
            if closed {
                log.close().unwrap();
            }
        }
        let (log, _) = opened(&disk);
        let partition = log.partition(id(0));
        assert_eq!((read_all(&partition, 0), partition.damaged()), expected);
    }
}

#[test]
fn who_waits_for_what_is_cut_off_hears_of_it() {
    let disk = CrashDisk::new();
    let (log, _) = opened(&disk);
    let partition = log.partition(id(0));
    add(&partition, &[1, 1]);
    assert_eq!(partition.truncate(2), Ok(2));
    assert_eq!(partition.wait_durable(4), Err(AppendError::Truncated));
    assert_eq!(partition.wait_durable(2), Ok(()));
}

#[test]
fn a_full_disk_does_not_refuse_a_cut() {
    let disk = CrashDisk::new();
    let (log, heard) = opened(&disk);
    let partition = log.partition(id(0));
    disk.set_capacity(16 << 20);
    while partition
        .append(batch(1, 1, 1500, 0), 1, SEGMENT_BYTES)
        .is_ok()
    {}
    assert_eq!(partition.truncate(10), Ok(10));
    heard.ends.lock().clear();
    while partition
        .append(batch(2, 1, 1500, 0), 1, SEGMENT_BYTES)
        .is_err()
    {
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(read_all(&partition, 0).0.len(), 11);
}
