//! Readers, the flusher, checkpoints and trims, while a log is cut and grows again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use headwater_log::disk::crash::CrashDisk;
use headwater_log::disk::{Disk, RealDisk};
use headwater_log::{Log, PartitionLog, ReadError};
use headwater_record::{Batch, BatchView, Producer};

use crate::support::{Heard, SEGMENT_BYTES, id, keyed_batch, open, options, read_all, stored};

/// The batch of an epoch at an offset: all of it follows from these two. Some lengths are the same
/// in all epochs and some are not.
fn made(base: u64, epoch: i32) -> Batch {
    let producer = Producer {
        id: i64::from(epoch),
        epoch: 0,
        base_sequence: 0,
    };
    let bytes = 100 + (base % 3) as usize * 200 + (epoch % 2) as usize * 8;
    let seed = base * 1_000_003 + epoch as u64;
    keyed_batch(seed, 1 + (base % 2) as u32, bytes, base as i64, producer)
}

fn check(batches: &[bytes::Bytes]) -> u64 {
    let (mut expected, mut epoch) = (None, i32::MIN);
    for bytes in batches {
        let (view, _) = BatchView::parse(bytes).unwrap();
        let header = view.header();
        assert!(expected.is_none_or(|end| end == header.base_offset));
        assert!(epoch <= header.leader_epoch, "epochs fall in one answer");
        let wanted = stored(
            made(header.base_offset, header.leader_epoch),
            header.base_offset,
            header.leader_epoch,
        );
        assert!(*bytes == wanted, "mixed bytes at {}", header.base_offset);
        (expected, epoch) = (Some(header.next_offset()), header.leader_epoch);
    }
    expected.unwrap_or(0)
}

fn read(partition: &PartitionLog, random: u64) -> u64 {
    let (start, end) = (partition.log_start(), partition.next_offset());
    let from = start + random % (end.saturating_sub(start) + 2);
    let mut last = 0;
    match partition.read(from, u64::MAX, 3000) {
        Ok(batches) => last = check(&batches),
        Err(ReadError::OutOfRange { .. }) => {}
        Err(error) => panic!("reading at {from}: {error}"),
    }
    if let Some(batches) = partition.read_cached(from, u64::MAX, 3000) {
        check(&batches);
    }
    if let Some(Ok(batches)) = partition.try_read(from, u64::MAX, 3000) {
        check(&batches);
    }
    if random.is_multiple_of(16) {
        partition.offset_for_time(from as i64, u64::MAX).unwrap();
        for found in partition.recent_producers(20, 0).unwrap() {
            assert!(found.producer.id > 0);
        }
    }
    last
}

fn next(random: &mut u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random >> 8
}

/// Appends, cuts off, appends again; the batches that are there in the end.
fn write(partition: &Arc<PartitionLog>, heard: &Heard, until: Instant) -> Vec<(u64, i32)> {
    let (mut there, mut random, mut epoch) = (Vec::<(u64, i32)>::new(), 88_u64, 1);
    while Instant::now() < until {
        for _ in 0..next(&mut random) % 20 {
            let mut bytes = Vec::new();
            let mut base = partition.next_offset();
            for _ in 0..1 + next(&mut random) % 4 {
                let one = made(base, epoch);
                there.push((base, epoch));
                let records = u64::from(one.record_count());
                bytes.extend_from_slice(&stored(one, base, epoch));
                base += records;
            }
            let _ = partition
                .append_sequenced(bytes.into(), SEGMENT_BYTES)
                .unwrap();
        }
        let (start, end) = (partition.log_start(), partition.next_offset());
        let back = match next(&mut random) % 8 {
            0 => next(&mut random) % (end - start + 1),
            _ => (next(&mut random) % 12).min(end - start),
        };
        let cut = match next(&mut random) % 40 {
            0 => {
                let start = next(&mut random) % 300;
                partition.reset(start).unwrap();
                start
            }
            // A trim may have overtaken it.
            _ => match partition.truncate(end - back) {
                Ok(cut) => cut,
                Err(_) => continue,
            },
        };
        heard.ends.lock().clear();
        assert_eq!(cut, partition.next_offset());
        there.retain(|(base, _)| *base < cut && partition.log_start() < cut);
        epoch += 1;
    }
    there
}

fn race(disk: &Arc<dyn Disk>, dir: &Path) {
    let open = || {
        let mut options = options(dir);
        options.tail_memory_bytes = 8 << 10;
        open(disk, options).unwrap()
    };
    let (log, _, heard): (Log, _, _) = open();
    let partition = log.partition(id(0));
    let (done, read_to) = (AtomicBool::new(false), AtomicU64::new(0));
    let there = thread::scope(|scope| {
        for seed in 1..4_u64 {
            let (partition, done, read_to) = (&partition, &done, &read_to);
            scope.spawn(move || {
                let mut random = seed * 0x9e37_79b9;
                while !done.load(Ordering::Relaxed) {
                    read_to.fetch_max(read(partition, next(&mut random)), Ordering::Relaxed);
                }
            });
        }
        scope.spawn(|| {
            let mut round = 0;
            while !done.load(Ordering::Relaxed) {
                log.checkpoint().unwrap();
                round += 1;
                if round % 16 == 0 {
                    let (start, end) = (partition.log_start(), partition.durable_end());
                    partition
                        .trim(start + end.saturating_sub(start) / 3)
                        .unwrap();
                }
                thread::sleep(Duration::from_millis(2));
            }
        });
        let until = Instant::now() + Duration::from_secs(4);
        let there = write(&partition, &heard, until);
        done.store(true, Ordering::Relaxed);
        there
    });
    assert!(read_to.load(Ordering::Relaxed) > 0);
    assert!(heard.failures.lock().is_empty());
    assert_eq!(log.stats().corrupt_batches, 0);
    partition.wait_durable(partition.next_offset()).unwrap();
    let start = partition.log_start();
    let content = |log: &Log| {
        let partition = log.partition(id(0));
        assert_eq!(partition.log_start(), start);
        read_all(&partition, start)
    };
    let expected = content(&log);
    let wanted = there.iter().map(|(base, epoch)| {
        let made = made(*base, *epoch);
        (
            *base,
            u64::from(made.record_count()),
            made.as_bytes()[21..].to_vec(),
        )
    });
    let wanted: Vec<_> = wanted
        .filter(|(base, records, _)| base + records > start)
        .map(|(base, _, bytes)| (base, bytes))
        .collect();
    assert!(expected == (wanted, vec![]));
    drop((log, partition));
    let (log, _, _) = open();
    assert!(content(&log) == expected);
    log.close().unwrap();
    assert!(content(&open().0) == expected);
}

#[test]
fn readers_see_one_history_at_a_time_in_memory() {
    race(
        &(Arc::new(CrashDisk::new()) as Arc<dyn Disk>),
        Path::new("/data"),
    );
}

#[test]
fn readers_see_one_history_at_a_time_on_the_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    race(&(Arc::new(RealDisk) as Arc<dyn Disk>), dir.path());
}
