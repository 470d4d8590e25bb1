//! A workload, crashed at every write and every sync: what was promised is there afterwards.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use headwater_log::disk::Disk;
use headwater_log::disk::crash::{CrashDisk, Fault};
use headwater_log::{Log, LogOptions, PartitionId};

use crate::support::{Heard, SEGMENT_BYTES, Stored, batch, id, open, options, read_all};

const DIR: &str = "/data";
const PARTITIONS: u32 = 3;

/// One partition from its making to its dropping, and what was promised of it.
#[derive(Default, Clone)]
struct Life {
    /// Base offset, end, bytes.
    batches: Vec<(u64, u64, Vec<u8>)>,
    durable: u64,
    trim_tried: u64,
    trim_acked: u64,
    drop_tried: bool,
    drop_acked: bool,
}

type Model = HashMap<PartitionId, Vec<Life>>;

fn crash_options() -> LogOptions {
    let mut options = options(Path::new(DIR));
    options.tail_memory_bytes = 4 << 10;
    options
}

/// Appends, trims, checkpoints and drops until the end or the crash.
fn work(log: &Log, heard: &Heard, model: &mut Model) {
    for step in 0..90_u64 {
        let id = id((step % u64::from(PARTITIONS)) as u32);
        let lives = model.entry(id).or_default();
        if lives.last().is_none_or(|life| life.drop_acked) {
            lives.push(Life::default());
        }
        let life = lives.last_mut().unwrap();
        let partition = log.partition(id);
        let (records, bytes) = (
            1 + (step % 4) as u32,
            [20, 300, 900, 6000][(step % 7 % 4) as usize],
        );
        let made = batch(step, records, bytes, step as i64);
        let raw = made.as_bytes()[21..].to_vec();
        let Ok(appended) = partition.append(made, 1 + (step / 30) as i32, SEGMENT_BYTES) else {
            return;
        };
        life.batches
            .push((appended.base_offset, appended.last_offset + 1, raw));
        if step % 5 == 4 && partition.wait_durable(appended.last_offset + 1).is_err() {
            return;
        }
        if step % 13 == 12 {
            let end = partition.next_offset();
            life.trim_tried = if step % 39 == 38 { end } else { end / 2 };
            match partition.trim(life.trim_tried) {
                Ok(start) => life.trim_acked = start,
                Err(_) => return,
            }
        }
        if step % 24 == 23 && log.checkpoint().is_err() {
            return;
        }
        if step % 31 == 30 {
            life.drop_tried = true;
            if log.drop_partitions(&[id]).is_err() {
                return;
            }
            life.drop_acked = true;
            heard.ends.lock().remove(&id);
        }
    }
}

/// What becomes of the checkpoint file in a crash.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Checkpoint {
    Kept,
    /// A second fault: it is gone, or damaged.
    Lost,
}

impl Checkpoint {
    fn after_crash(self, disk: &CrashDisk, seed: u64) {
        // Before the directory has its name nothing was acknowledged, and opening says no.
        let named = disk.bytes(&Path::new(DIR).join("data_dir.json")).is_some();
        if self == Checkpoint::Kept || !named {
            return;
        }
        let path = Path::new(DIR).join("checkpoint");
        if seed.is_multiple_of(2) {
            disk.flip(&path, seed);
        } else if disk.remove(&path).is_ok() {
            disk.sync_dir(Path::new(DIR)).unwrap();
        }
    }
}

/// What is there, and that it is what may be there.
fn check(
    log: &Log,
    model: &Model,
    checkpoint: Checkpoint,
    context: &str,
) -> HashMap<PartitionId, (u64, Stored)> {
    let mut content = HashMap::new();
    for (id, lives) in model {
        let mut life = lives.last().unwrap().clone();
        let found = log.existing(*id).filter(|log| log.next_offset() > 0);
        let Some(partition) = found else {
            let gone = life.drop_tried || life.durable == 0;
            assert!(
                gone,
                "{context}: {id} is gone, {} was durable",
                life.durable
            );
            continue;
        };
        if life.drop_acked {
            life = Life::default();
        }
        let (start, end) = (partition.log_start(), partition.next_offset());
        let (batches, damaged) = read_all(&partition, start);
        assert_eq!(damaged, [], "{context}: {id} is damaged");
        // A start inside a segment is in the checkpoint only, once the journal is free of it.
        assert!(
            start >= life.trim_acked || checkpoint == Checkpoint::Lost,
            "{context}: {id} starts at {start}"
        );
        assert!(
            start <= life.trim_tried.max(life.trim_acked),
            "{context}: {id} starts at {start}"
        );
        assert!(
            end >= life.durable,
            "{context}: {id} ends at {end}, {} durable",
            life.durable
        );
        let expected = life
            .batches
            .iter()
            .filter(|(_, last, _)| *last > start && *last <= end);
        let expected: Vec<_> = expected
            .map(|(base, _, bytes)| (*base, bytes.clone()))
            .collect();
        assert!(batches == expected, "{context}: {id} has other batches");
        let last = life
            .batches
            .iter()
            .rfind(|(_, last, _)| *last <= end)
            .map_or(0, |last| last.1);
        assert!(
            end == last.max(start),
            "{context}: {id} ends inside a batch"
        );
        let known_start = match checkpoint {
            Checkpoint::Kept => start,
            Checkpoint::Lost => life.trim_tried,
        };
        let batches = batches.into_iter().filter(|(base, _)| *base >= known_start);
        content.insert(*id, (end, batches.collect()));
    }
    content
}

fn reopen(disk: &CrashDisk) -> Result<(Log, Arc<Heard>), headwater_log::OpenError> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    open(&shared, crash_options()).map(|(log, _, heard)| (log, heard))
}

/// One run up to a fault, a crash, and what is there then. False: the fault never came.
fn run(fault: Option<Fault>, checkpoint: Checkpoint, seed: u64) -> bool {
    let disk = CrashDisk::new();
    let mut model = Model::new();
    disk.plan(fault.unwrap_or(Fault::CrashAtWrite(u64::MAX)));
    if let Ok((log, heard)) = reopen(&disk) {
        work(&log, &heard, &mut model);
        drop(log);
        for (id, end) in heard.ends.lock().iter() {
            model.get_mut(id).unwrap().last_mut().unwrap().durable = *end;
        }
    }
    let came = disk.has_crashed();
    disk.crash(seed);
    checkpoint.after_crash(&disk, seed);
    let context = format!("{fault:?}, checkpoint {checkpoint:?}, seed {seed}");
    let first = {
        let disk = disk.fork();
        let (log, _) = reopen(&disk).unwrap_or_else(|error| panic!("{context}: {error}"));
        let content = check(&log, &model, checkpoint, &context);
        // And it goes on: what is appended now is there after a clean stop.
        let partition = log.partition(id(0));
        let before = partition.next_offset();
        let appended = partition
            .append(batch(1, 1, 50, 0), 9, SEGMENT_BYTES)
            .unwrap();
        assert_eq!(appended.base_offset, before, "{context}");
        log.close().unwrap();
        let (log, _) = reopen(&disk).unwrap();
        assert_eq!(log.partition(id(0)).durable_end(), before + 1, "{context}");
        content
    };
    // A crash during recovery, and one more: the same again.
    for (round, fault) in [
        Fault::CrashAtWrite(seed % 7),
        Fault::CrashAtSync(seed % 5),
        Fault::CrashAtSync(seed % 11),
    ]
    .into_iter()
    .enumerate()
    {
        disk.plan(fault);
        if let Ok((log, _)) = reopen(&disk) {
            let _ = log.checkpoint();
        }
        let seed = seed.wrapping_add(round as u64 * 7919 + 1);
        disk.crash(seed);
        checkpoint.after_crash(&disk, seed);
        let (log, _) = reopen(&disk.fork()).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert!(
            check(&log, &model, checkpoint, &context) == first,
            "{context}: recovered something else"
        );
    }
    came
}

#[test]
fn crash_at_every_write() {
    every(Fault::CrashAtWrite, Checkpoint::Kept);
}

#[test]
fn crash_at_every_sync() {
    every(Fault::CrashAtSync, Checkpoint::Kept);
}

#[test]
fn crash_at_every_write_and_the_checkpoint_lost() {
    every(Fault::CrashAtWrite, Checkpoint::Lost);
}

#[test]
fn crash_at_every_sync_and_the_checkpoint_lost() {
    every(Fault::CrashAtSync, Checkpoint::Lost);
}

#[test]
fn power_cut_and_the_checkpoint_lost_for_many_seeds() {
    for seed in 0..150 {
        run(None, Checkpoint::Lost, seed);
    }
}

#[test]
fn power_cut_without_warning_for_many_seeds() {
    for seed in 0..150 {
        run(None, Checkpoint::Kept, seed);
    }
}

/// A run for every place a fault can come at, and a few more, since the log's threads do not
/// always write in the same order.
fn every(fault: impl Fn(u64) -> Fault, checkpoint: Checkpoint) {
    let (mut number, mut missed) = (0, 0);
    while missed < 3 {
        if !run(Some(fault(number)), checkpoint, number * 31 + 7) {
            missed += 1;
        }
        number += 1;
    }
    assert!(number > 60, "the workload got to {number} operations only");
}
