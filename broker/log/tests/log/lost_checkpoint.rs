//! Two faults at once: the power goes in the middle of a checkpoint, and its file is lost.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use headwater_log::disk::Disk;
use headwater_log::disk::crash::{CrashDisk, Fault};
use headwater_log::{Log, Recovery};

use crate::support::{SEGMENT_BYTES, Stored, append, batch, id, open, options, read_all};

const DIR: &str = "/data";
const PARTITIONS: u32 = 3;
/// What survives a crash is chosen by a seed; so many are tried for each place it comes at.
const SEEDS: u64 = 12;
/// Bytes at the front of a batch that its CRC does not cover, and [`content`] leaves out.
const PATCHED_BYTES: u64 = 21;

/// Writes segments and takes checkpoints only when it is told to, so that every run does the same.
fn opened(disk: &CrashDisk) -> (Log, Recovery) {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut options = options(Path::new(DIR));
    options.journal_file_bytes = Some(16 << 10);
    options.checkpoint_journal_bytes = Some(1 << 20);
    options.tail_memory_bytes = 32 << 20;
    options.checkpoint_idle = Duration::from_secs(3600);
    let (log, recovery, _) = open(&shared, options).unwrap();
    (log, recovery)
}

/// Appends to every partition in turn, each batch in a journal group of its own.
fn fill(log: &Log, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let number = (seed % u64::from(PARTITIONS)) as u32;
        append(&log.partition(id(number)), batch(seed, 2, 200, 0));
    }
}

fn content(log: &Log) -> Vec<Stored> {
    let all = (0..PARTITIONS).map(|number| {
        let partition = log.partition(id(number));
        let (batches, damaged) = read_all(&partition, partition.local_start());
        assert_eq!(damaged, [], "{}", partition.id());
        batches
    });
    all.collect()
}

/// Does `last` on copies of the disk, with the power going at each of its writes and syncs in
/// turn; loses the checkpoint too, opens again, and lets `check` see what is there.
fn power_cuts_in(before: &CrashDisk, last: impl Fn(&Log), check: impl Fn(&Log, &str)) {
    for fault in [Fault::CrashAtWrite, Fault::CrashAtSync] {
        let mut number = 0;
        while (0..SEEDS).all(|seed| power_cut(before, fault(number), seed, &last, &check)) {
            number += 1;
            assert!(number < 1000, "what is to be cut off comes to an end");
        }
        assert!(number > 0, "there was something to cut off");
    }
}

/// False: the fault never came.
fn power_cut(
    before: &CrashDisk,
    fault: Fault,
    seed: u64,
    last: impl Fn(&Log),
    check: impl Fn(&Log, &str),
) -> bool {
    let disk = before.fork();
    let (log, _) = opened(&disk);
    disk.plan(fault);
    last(&log);
    drop(log);
    let came = disk.has_crashed();
    let context = format!("{fault:?}, seed {seed}");
    disk.crash(seed);
    assert!(disk.flip(&Path::new(DIR).join("checkpoint"), seed * 97));
    let (log, recovery) = opened(&disk);
    assert!(recovery.rebuilt);
    check(&log, &context);
    // And it goes on from there.
    for number in 0..2 {
        let partition = log.partition(id(number));
        let end = partition.next_offset();
        assert_eq!(append(&partition, batch(7, 1, 50, 0)).0, end, "{context}");
    }
    let expected = content(&log);
    match seed % 2 {
        0 => log.close().unwrap(),
        _ => drop(log),
    }
    assert!(content(&opened(&disk).0) == expected, "{context}");
    came
}

#[test]
fn nothing_is_lost_with_the_first_checkpoint() {
    let disk = CrashDisk::new();
    let (log, _) = opened(&disk);
    fill(&log, 0..48);
    let expected = content(&log);
    drop(log);
    let checkpoint = |log: &Log| drop(log.checkpoint());
    power_cuts_in(&disk, checkpoint, |log, context| {
        assert!(content(log) == expected, "{context}");
    });
}

#[test]
fn nothing_is_lost_with_a_later_checkpoint() {
    let disk = CrashDisk::new();
    let (log, _) = opened(&disk);
    fill(&log, 0..48);
    log.checkpoint().unwrap();
    fill(&log, 48..96);
    let expected = content(&log);
    drop(log);
    let checkpoint = |log: &Log| drop(log.checkpoint());
    power_cuts_in(&disk, checkpoint, |log, context| {
        assert!(content(log) == expected, "{context}");
    });
}

#[test]
fn a_log_trimmed_to_its_end_goes_on_where_it_was() {
    for checkpointed in [false, true] {
        let disk = CrashDisk::new();
        let (log, _) = opened(&disk);
        fill(&log, 0..48);
        if checkpointed {
            log.checkpoint().unwrap();
        }
        let (trimmed, others) = (log.partition(id(0)).next_offset(), content(&log));
        drop(log);
        let trim = |log: &Log| {
            let partition = log.partition(id(0));
            let _ = partition.trim(trimmed).is_ok() && log.checkpoint().is_ok();
            // Into the next journal files, so that none of them tells of the trim.
            for seed in 0..10 {
                let partition = log.partition(id(1 + seed % 2));
                let appended = partition.append(batch(seed.into(), 2, 200, 0), 1, SEGMENT_BYTES);
                let _ = appended.map(|at| partition.wait_durable(at.last_offset + 1));
            }
            let _ = log.checkpoint();
        };
        power_cuts_in(&disk, trim, |log, context| {
            let partition = log.partition(id(0));
            assert_eq!(partition.next_offset(), trimmed, "{context}");
            let found = content(log);
            assert!(others[0].ends_with(&found[0]), "{context}");
            assert!(found[1].starts_with(&others[1]), "{context}");
            assert!(found[2].starts_with(&others[2]), "{context}");
        });
    }
}

/// Its files are all there or gone, and its owner can tell it what it had.
#[test]
fn a_log_that_leaves_the_disk_is_here_or_elsewhere() {
    let disk = CrashDisk::new();
    let (log, _) = opened(&disk);
    fill(&log, 0..48);
    log.checkpoint().unwrap();
    let (end, before) = (log.partition(id(0)).next_offset(), content(&log));
    drop(log);
    let drop_local = |log: &Log| {
        let partition = log.partition(id(0));
        partition.seal_if_begun_by(i64::MAX);
        let _ = partition.drop_local(end).is_ok() && log.checkpoint().is_ok();
    };
    power_cuts_in(&disk, drop_local, |log, context| {
        let partition = log.partition(id(0));
        let (local_start, found) = (partition.local_start(), content(log));
        assert!([0, end].contains(&local_start), "{context}: {local_start}");
        let here = if local_start == 0 {
            &before[0][..]
        } else {
            &[]
        };
        assert!(found[0] == here, "{context}");
        assert!(found[1..] == before[1..], "{context}");
        assert_eq!(partition.next_offset(), end, "{context}");
        assert_eq!(partition.extend_history(0, &[(1, 0)]), Ok(0), "{context}");
        assert_eq!(partition.epochs(), [(1, 0)], "{context}");
    });
}

/// Rot in what the journal does not have any more is reported, and costs one batch, wherever in
/// it the bit is; rot in what the journal has is made good.
#[test]
fn a_rotten_batch_is_a_hole_unless_the_journal_has_it() {
    let disk = CrashDisk::new();
    let (log, _) = opened(&disk);
    fill(&log, 0..48);
    let (before, segments) = (
        content(&log).swap_remove(0),
        log.partition(id(0)).segments(),
    );
    log.close().unwrap();
    let end = segments.last().unwrap().end_offset;
    let mut position = 0;
    for (number, (base, bytes)) in before.iter().enumerate() {
        let within = segments.iter().rev().find(|it| it.base_offset <= *base);
        let segment = within.unwrap().base_offset;
        if segment == *base {
            position = 0;
        }
        // All that the CRC does not cover, and some of what it does.
        let bytes = PATCHED_BYTES + bytes.len() as u64;
        let bits = (0..PATCHED_BYTES * 8).chain((PATCHED_BYTES * 8..bytes * 8).step_by(997));
        for bit in bits {
            let disk = disk.fork();
            let name = format!("{}/{segment:020}.log", id(0).partition);
            let mut files = disk.files().into_iter();
            let path = files.find(|path| path.ends_with(&name)).unwrap();
            assert!(disk.flip(&path, position * 8 + bit));
            assert!(disk.flip(&Path::new(DIR).join("checkpoint"), 0));
            let context = format!("batch {number}, bit {bit}");
            let (log, recovery) = opened(&disk);
            let (found, holes) = read_all(&log.partition(id(0)), 0);
            let reported = recovery.damaged.iter().map(|hole| (hole.1, hole.2));
            assert!(reported.eq(holes.iter().copied()), "{context}");
            let hit = |base: &u64| holes.iter().any(|(from, to)| (from..to).contains(&base));
            let rest: Vec<_> = before.iter().filter(|(base, _)| !hit(base)).collect();
            assert!(rest.iter().copied().eq(&found), "{context}");
            assert!(rest.len() + 1 >= before.len(), "{context}");
            let last = number + 1 == before.len();
            assert!(!last || holes.is_empty(), "{context}: the journal has it");
            // And it goes on from there.
            let partition = log.partition(id(0));
            assert_eq!(append(&partition, batch(9, 1, 9, 0)).0, end, "{context}");
            log.close().unwrap();
            let (log, again) = opened(&disk);
            assert!(!again.rebuilt, "{context}");
            assert_eq!(again.damaged, recovery.damaged, "{context}");
            let (later, _) = read_all(&log.partition(id(0)), 0);
            assert_eq!(later.len(), found.len() + 1, "{context}");
        }
        position += bytes;
    }
}

/// Group numbers in the headers of all journal files, see `journal/format.rs`.
fn groups(disk: &CrashDisk) -> Vec<u64> {
    let files = disk.files().into_iter();
    let journal = files.filter(|path| path.starts_with("/data/journal"));
    let bytes: Vec<u8> = journal
        .flat_map(|path| disk.bytes(&path).unwrap())
        .collect();
    let headers = bytes
        .chunks(4096)
        .filter(|block| block.starts_with(b"HWJG"));
    headers
        .map(|block| u64::from_le_bytes(block[16..24].try_into().unwrap()))
        .collect()
}

#[test]
fn group_numbers_never_come_again() {
    let disk = CrashDisk::new();
    let (log, _) = opened(&disk);
    fill(&log, 0..48);
    log.close().unwrap();
    // All journal files are recycled: what is in them are leftovers.
    drop(opened(&disk));
    let before = groups(&disk);
    assert!(disk.flip(&Path::new(DIR).join("checkpoint"), 0));
    let (log, recovery) = opened(&disk);
    assert!(recovery.rebuilt && recovery.groups == 0);
    append(&log.partition(id(0)), batch(0, 1, 10, 0));
    let fresh = groups(&disk);
    let new: Vec<_> = fresh
        .iter()
        .filter(|group| !before.contains(group))
        .collect();
    assert_eq!(new.len(), 1, "{before:?} {fresh:?}");
    assert!(
        before.iter().all(|group| group < new[0]),
        "{before:?} {new:?}"
    );
}
