//! Durable appends and replay, beside what the disk gives without a log.
//!
//! Method: `cargo bench -p headwater-log`, optionally with a directory as argument (else a
//! temporary one) and `--quick`. Each figure is one run of some seconds against a fresh data
//! directory on the real disk. 64 threads append one batch each, wait until it is durable, and
//! append the next; partitions are taken in turn. The baseline, in the same run, is one thread
//! that writes the same bytes to one preallocated file at growing offsets and calls fdatasync
//! after each write: once with one batch a sync, once with 64. The disk of a shared machine
//! changes from minute to minute: compare figures of one run only.
#![allow(clippy::print_stdout)]

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use headwater_log::disk::{Disk, Open, RealDisk};
use headwater_log::{Failure, Listener, Log, LogOptions, PartitionId, TopicId};
use headwater_record::{Batch, BatchBuilder, Compression, Headers, NewRecord, Producer};

const THREADS: usize = 64;
const SEGMENT_BYTES: u64 = 512 << 20;

struct Quiet;

impl Listener for Quiet {
    fn durable(&self, _ends: &[(PartitionId, u64)]) {}
    fn failed(&self, failure: &Failure) {
        panic!("{failure}");
    }
}

fn batch(value_bytes: usize, records: usize) -> Batch {
    let value = vec![b'x'; value_bytes];
    let mut builder = BatchBuilder::with_capacity(records * (value_bytes + 32));
    for _ in 0..records {
        builder.push(&NewRecord {
            key: None,
            value: Some(&value),
            json: false,
            timestamp_ms: 0,
            server_timestamp: false,
            headers: Headers::NONE,
        });
    }
    builder.finish(Producer::NONE, Compression::None)
}

fn open(dir: &Path) -> (Log, headwater_log::Recovery) {
    Log::open(Arc::new(RealDisk), LogOptions::new(dir), Arc::new(Quiet)).expect("it opens")
}

fn id(partition: usize) -> PartitionId {
    PartitionId {
        topic: TopicId([1; 16]),
        partition: partition as u32,
    }
}

/// Appends per second and MB/s.
fn durable(dir: &Path, partitions: usize, made: &Batch, run: Duration) -> (f64, f64) {
    let (log, _) = open(dir);
    let all: Vec<_> = (0..partitions)
        .map(|number| log.partition(id(number)))
        .collect();
    let (turn, count) = (AtomicU64::new(0), AtomicU64::new(0));
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while started.elapsed() < run {
                    let turn = turn.fetch_add(1, Ordering::Relaxed) as usize;
                    let partition = &all[turn % all.len()];
                    let at = partition
                        .append(made.clone(), 1, SEGMENT_BYTES)
                        .expect("appends");
                    partition.wait_durable(at.last_offset + 1).expect("durable");
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    let rate = count.load(Ordering::Relaxed) as f64 / seconds;
    let stats = log.stats();
    println!(
        "    {} syncs, mean {:.0} us; {:.0} frames a sync; {} checkpoints",
        stats.syncs,
        stats.sync_seconds / stats.syncs as f64 * 1e6,
        stats.frames as f64 / stats.syncs as f64,
        stats.checkpoints
    );
    drop((all, log));
    (rate, rate * made.len() as f64 / 1e6)
}

/// Batches per second and MB/s of plain write + fdatasync.
fn baseline(dir: &Path, made: &Batch, a_sync: usize, run: Duration) -> (f64, f64) {
    const FILE_BYTES: u64 = 64 << 20;
    std::fs::create_dir_all(dir).expect("a directory");
    let file = RealDisk
        .open(&dir.join("baseline"), Open::Create)
        .expect("a file");
    file.preallocate(FILE_BYTES).expect("space");
    let zeros = vec![0; 1 << 20];
    for at in 0..FILE_BYTES >> 20 {
        file.write_vectored_at(&[IoSlice::new(&zeros)], at << 20)
            .expect("writes");
    }
    file.sync_data().expect("syncs");
    let slices: Vec<_> = (0..a_sync).map(|_| IoSlice::new(made.as_bytes())).collect();
    let step = (made.len() * a_sync).next_multiple_of(4096) as u64;
    let (mut at, mut syncs) = (0, 0_u64);
    let started = Instant::now();
    while started.elapsed() < run {
        file.write_vectored_at(&slices, at).expect("writes");
        file.sync_data().expect("syncs");
        at = if at + 2 * step > FILE_BYTES {
            0
        } else {
            at + step
        };
        syncs += 1;
    }
    let rate = (syncs * a_sync as u64) as f64 / started.elapsed().as_secs_f64();
    (rate, rate * made.len() as f64 / 1e6)
}

/// Time to open a directory whose journal holds about `bytes` that no checkpoint covers.
fn replay(dir: &Path, bytes: u64, made: &Batch, partitions: usize) {
    {
        let mut options = LogOptions::new(dir);
        options.checkpoint_journal_bytes = Some(4 * bytes);
        options.checkpoint_idle = Duration::from_secs(3600);
        let (log, _) = Log::open(Arc::new(RealDisk), options, Arc::new(Quiet)).expect("it opens");
        let mut written = 0;
        let mut turn = 0;
        while written < bytes {
            let partition = log.partition(id(turn % partitions));
            let at = partition
                .append(made.clone(), 1, SEGMENT_BYTES)
                .expect("appends");
            written += made.len() as u64;
            turn += 1;
            if written >= bytes {
                partition.wait_durable(at.last_offset + 1).expect("durable");
            }
        }
        // Dropped, not closed: as after kill -9.
    }
    let started = Instant::now();
    let (log, recovery) = open(dir);
    println!(
        "  open after kill: {:.0} ms for {:.0} MB of journal, {} batches (checkpoint {:.1} ms, sync \
         {:.1} ms, replay {:.0} ms)",
        started.elapsed().as_secs_f64() * 1e3,
        recovery.journal_bytes as f64 / 1e6,
        recovery.batches,
        recovery.checkpoint_elapsed.as_secs_f64() * 1e3,
        recovery.sync_elapsed.as_secs_f64() * 1e3,
        recovery.replay_elapsed.as_secs_f64() * 1e3,
    );
    drop(log);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let run = Duration::from_secs(if quick { 1 } else { 4 });
    let given = arguments
        .iter()
        .find(|argument| !argument.starts_with('-'))
        .map(PathBuf::from);
    let root = tempfile::Builder::new()
        .prefix("headwater-log-bench")
        .tempdir_in(given.unwrap_or_else(std::env::temp_dir))
        .expect("a directory");
    let mut number = 0;
    let mut fresh = || {
        number += 1;
        root.path().join(number.to_string())
    };
    for (name, made) in [("1 KiB", batch(1024, 1)), ("100 KiB", batch(1024, 100))] {
        println!("batches of {name}:");
        for a_sync in [1, 64] {
            let (rate, mb) = baseline(&fresh(), &made, a_sync, run);
            println!("  baseline, {a_sync} a sync: {rate:.0} batches/s, {mb:.0} MB/s");
        }
        for partitions in [1, 100, 2000] {
            let (rate, mb) = durable(&fresh(), partitions, &made, run);
            println!("  {partitions} partitions: {rate:.0} appends/s, {mb:.0} MB/s");
        }
    }
    let bytes = if quick { 64 << 20 } else { 256 << 20 };
    println!("replay, 100 KiB batches over 100 partitions:");
    replay(&fresh(), bytes, &batch(1024, 100), 100);
    println!("replay, 1 KiB batches over 2000 partitions:");
    replay(&fresh(), bytes, &batch(1024, 1), 2000);
    let started = Instant::now();
    let dir = fresh();
    let (log, _) = open(&dir);
    let partition = log.partition(id(0));
    let opened = started.elapsed();
    let at = partition
        .append(batch(1024, 1), 1, SEGMENT_BYTES)
        .expect("appends");
    partition.wait_durable(at.last_offset + 1).expect("durable");
    println!(
        "new directory: open {:.1} ms, first durable append {:.1} ms later",
        opened.as_secs_f64() * 1e3,
        (started.elapsed() - opened).as_secs_f64() * 1e3
    );
}
