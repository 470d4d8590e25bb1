//! Appends, truncations, resets and segments dropped from this disk, crashed at every write and every
//! sync: a log is afterwards as it was after some call, and not before the last one that was
//! acknowledged.

use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;

use headwater_log::disk::crash::{CrashDisk, Fault};
use headwater_log::disk::{Disk, Open};
use headwater_log::{Log, OpenError, PartitionLog, ReadError, Recovery};

use crate::support::{Heard, SEGMENT_BYTES, Stored, batch, id, open, options, read_all, stored};

const DIR: &str = "/data";
const PARTITIONS: u32 = 2;

/// A log at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Moment {
    log_start: u64,
    local_start: u64,
    end: u64,
    epochs: Vec<(i32, u64)>,
    batches: Stored,
}

impl Moment {
    fn of(partition: &PartitionLog, context: &str) -> Moment {
        let (log_start, local_start) = (partition.log_start(), partition.local_start());
        let (batches, damaged) = read_all(partition, local_start);
        assert_eq!(damaged, [], "{context}");
        if log_start < local_start {
            let cold = partition.read(log_start, u64::MAX, 1);
            assert_eq!(cold, Err(ReadError::NotLocal { local_start }));
        }
        assert_eq!(partition.durable_end(), partition.next_offset());
        Moment {
            log_start,
            local_start,
            end: partition.next_offset(),
            epochs: partition.epochs(),
            batches,
        }
    }

    fn append(&mut self, end: u64, epoch: i32, bytes: &[u8]) {
        if self.epochs.last().is_none_or(|(last, _)| *last < epoch) {
            self.epochs.push((epoch, self.end));
        }
        self.batches.push((self.end, bytes[21..].to_vec()));
        self.end = end;
    }

    fn cut(&mut self, end: u64) {
        self.batches.retain(|(base, _)| *base < end);
        self.epochs.retain(|(_, start)| *start < end);
        self.end = end;
    }

    /// Whether this may be what there is after `wanted`. Without the checkpoint, what lies before the
    /// local start may not be known.
    fn fits(&self, wanted: &Moment, lost: bool) -> bool {
        if !lost || wanted.log_start == wanted.local_start {
            return self == wanted;
        }
        let local = |moment: &Moment| {
            let mut local = moment.clone();
            local.log_start = local.local_start;
            local.epochs.retain(|(_, start)| *start > local.local_start);
            local
        };
        self.log_start >= wanted.log_start && local(self) == local(wanted)
    }
}

/// All moments of a partition, and which of them is acknowledged.
struct History {
    moments: Vec<Moment>,
    acknowledged: usize,
    /// The moment after the last cut that returned.
    cut: usize,
    seen_tried: i32,
    seen: i32,
}

impl History {
    fn new() -> History {
        History {
            moments: vec![Moment::default()],
            acknowledged: 0,
            cut: 0,
            seen_tried: -1,
            seen: -1,
        }
    }

    fn now(&self) -> Moment {
        self.moments.last().unwrap().clone()
    }

    fn acknowledge(&mut self) {
        self.acknowledged = self.moments.len() - 1;
    }

    /// What the listener heard is acknowledged too.
    fn heard(&mut self, end: u64) {
        let after = self.moments.iter().skip(self.cut);
        let at = after.clone().position(|moment| moment.end == end).unwrap();
        self.acknowledged = self.acknowledged.max(self.cut + at);
    }
}

fn crash_options() -> headwater_log::LogOptions {
    let mut options = options(Path::new(DIR));
    options.tail_memory_bytes = 3 << 10;
    options
}

fn reopen(disk: &CrashDisk) -> Result<(Log, Recovery, Arc<Heard>), OpenError> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    open(&shared, crash_options())
}

fn random(seed: u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5555;
    for shift in [30, 27, 31] {
        state = (state ^ (state >> shift)).wrapping_mul(0x94d0_49bb_1331_11eb);
    }
    state >> 7
}

/// Calls until the end or the crash: `None` then.
fn work(log: &Log, heard: &Heard, model: &mut [History], plan: u64) -> Option<()> {
    for step in 0..80_u64 {
        let chance = random(plan * 1000 + step);
        let number = (chance % u64::from(PARTITIONS)) as u32;
        let chance = chance / 16;
        let history = &mut model[number as usize];
        let partition = log.partition(id(number));
        let mut now = history.now();
        let epoch = now.epochs.last().map_or(1, |(epoch, _)| *epoch) + (chance % 3 / 2) as i32;
        let bytes = [20, 300, 900, 5000][(chance % 7 % 4) as usize];
        match chance / 16 % 20 {
            0..=4 => {
                let mut all = Vec::new();
                for more in 0..1 + chance % 3 {
                    let one = stored(batch(step * 9 + more, 2, bytes, 0), now.end, epoch);
                    now.append(now.end + 2, epoch, &one);
                    history.moments.push(now.clone());
                    all.extend_from_slice(&one);
                }
                let _ = partition.append_sequenced(all.into(), SEGMENT_BYTES).ok()?;
            }
            5..=8 => {
                let made = batch(step * 9 + 5, 1 + (step % 3) as u32, bytes, 0);
                let one = stored(made.clone(), now.end, epoch);
                now.append(now.end + u64::from(made.record_count()), epoch, &one);
                history.moments.push(now);
                let _ = partition.append(made, epoch, SEGMENT_BYTES).ok()?;
            }
            9..=11 if now.end > now.local_start => {
                let back = match chance / 256 % 4 {
                    0 => now.end - now.local_start,
                    _ => 1 + chance / 1024 % (now.end - now.local_start).min(12),
                };
                let to = now.end - back;
                let ends = now.batches.iter().skip(1).map(|(base, _)| *base);
                let end = ends.take_while(|end| *end <= to).last();
                now.cut(end.unwrap_or(now.local_start));
                let end = now.end;
                if end == now.log_start {
                    now.epochs.clear();
                }
                history.moments.push(now);
                assert_eq!(partition.truncate(to).ok()?, end);
                heard.ends.lock().remove(&id(number));
                history.acknowledge();
                history.cut = history.acknowledged;
            }
            12 if (chance / 256).is_multiple_of(3) => {
                let start = chance / 1024 % 60;
                let log_start = start - chance / 65536 % 3 * start / 4;
                let cold = [(3, log_start), (5, log_start + (start - log_start) / 2)];
                let cold = cold[..2 * usize::from(log_start + 1 < start)].to_vec();
                now = Moment {
                    log_start,
                    local_start: start,
                    end: start,
                    epochs: cold.clone(),
                    batches: Vec::new(),
                };
                history.moments.push(now);
                partition.reset_with_history(log_start, start, &cold).ok()?;
                heard.ends.lock().remove(&id(number));
                history.acknowledge();
                history.cut = history.acknowledged;
            }
            13 => {
                history.seen_tried = history.seen_tried.max(step as i32);
                log.note_seen_epochs(&[(id(number), step as i32)]).ok()?;
                history.seen = history.seen.max(step as i32);
            }
            14 => log.checkpoint().ok()?,
            15..=18 => {
                partition.wait_durable(now.end).ok()?;
                history.acknowledge();
                let below = now.local_start + chance / 1024 % (now.end - now.local_start + 1);
                if chance.is_multiple_of(3) {
                    partition.seal_if_begun_by(i64::MAX);
                }
                let segments = partition.segments().into_iter();
                let gone = segments.take_while(|it| it.sealed && it.end_offset <= below);
                now.local_start = gone.last().map_or(now.local_start, |last| last.end_offset);
                now.batches.retain(|(base, _)| *base >= now.local_start);
                let local_start = now.local_start;
                history.moments.push(now);
                let dropped = partition.drop_local(below).ok()?;
                assert_eq!(dropped.local_start, local_start);
                history.acknowledge();
            }
            _ => {
                partition.wait_durable(now.end).ok()?;
                history.acknowledge();
            }
        }
    }
    Some(())
}

fn lose_checkpoint(disk: &CrashDisk, seed: u64) {
    // Before the directory has its name nothing was acknowledged, and opening says no.
    if disk.bytes(&Path::new(DIR).join("data_dir.json")).is_some() {
        disk.flip(&Path::new(DIR).join("checkpoint"), seed);
    }
}

fn all(log: &Log, context: &str) -> Vec<Moment> {
    (0..PARTITIONS)
        .map(|number| Moment::of(&log.partition(id(number)), context))
        .collect()
}

/// A moment without its bytes.
fn outline(moment: &Moment) -> String {
    let bases: Vec<_> = moment.batches.iter().map(|(base, _)| *base).collect();
    format!(
        "{} {} to {}, epochs {:?}, batches at {bases:?}",
        moment.log_start, moment.local_start, moment.end, moment.epochs
    )
}

fn same(found: &[Moment], expected: &[Moment], lost: bool, context: &str) {
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            found.fits(expected, lost),
            "{context}: {} and not {}, or other bytes",
            outline(found),
            outline(expected)
        );
    }
}

fn check(log: &Log, model: &[History], lost: bool, context: &str) -> Vec<Moment> {
    let found = all(log, context);
    for (number, (found, history)) in found.iter().zip(model).enumerate() {
        let possible = &history.moments[history.acknowledged..];
        assert!(
            possible.iter().any(|moment| found.fits(moment, lost)),
            "{context}: {number} is {}; may be {:#?}",
            outline(found),
            possible.iter().map(outline).collect::<Vec<_>>()
        );
        let seen = log.partition(id(number as u32)).seen_epoch();
        assert!(seen <= history.seen_tried, "{context}");
        assert!(lost || seen >= history.seen, "{context}: seen {seen}");
    }
    found
}

/// One run up to a fault, a crash, and what is there then. False: the fault never came.
fn run(fault: Fault, lost: bool, seed: u64, plan: u64) -> bool {
    let disk = CrashDisk::new();
    let mut model: Vec<_> = (0..PARTITIONS).map(|_| History::new()).collect();
    disk.plan(fault);
    if let Ok((log, _, heard)) = reopen(&disk) {
        work(&log, &heard, &mut model, plan);
        drop(log);
        for (number, history) in model.iter_mut().enumerate() {
            if let Some(end) = heard.ends.lock().get(&id(number as u32)) {
                history.heard(*end);
            }
        }
    }
    let came = disk.has_crashed();
    disk.crash(seed);
    if lost {
        lose_checkpoint(&disk, seed);
    }
    let context = format!("{fault:?}, lost {lost}, seed {seed}, plan {plan}");
    let opened = |disk: &CrashDisk| {
        let opened = reopen(disk);
        opened
            .unwrap_or_else(|error| panic!("{context}: {error}"))
            .0
    };
    let first = {
        let disk = disk.fork();
        let log = opened(&disk);
        let mut found = check(&log, &model, lost, &context);
        let expected = found.clone();
        // And it goes on: what is appended now is there after a clean stop, and so is nothing else,
        // even if the segments alone have to say it.
        for (number, moment) in found.iter_mut().enumerate() {
            let partition = log.partition(id(number as u32));
            let one = stored(batch(99, 1, 50, 0), moment.end, 90);
            moment.append(moment.end + 1, 90, &one);
            let _ = partition.append_sequenced(one, SEGMENT_BYTES).unwrap();
        }
        log.close().unwrap();
        same(&all(&opened(&disk), &context), &found, false, &context);
        lose_checkpoint(&disk, seed);
        same(
            &all(&opened(&disk), &context),
            &found,
            true,
            &format!("{context}, by segments"),
        );
        expected
    };
    // A crash during recovery, and more: the same again.
    let faults = [
        Fault::CrashAtWrite(seed % 9),
        Fault::CrashAtSync(seed % 5),
        Fault::CrashAtWrite(seed % 23),
        Fault::CrashAtSync(seed % 11),
    ];
    for (round, fault) in faults.into_iter().enumerate() {
        disk.plan(fault);
        if let Ok((log, _, _)) = reopen(&disk) {
            let _ = log.checkpoint();
        }
        let seed = seed.wrapping_add(round as u64 * 7919 + 1);
        disk.crash(seed);
        if lost {
            lose_checkpoint(&disk, seed);
        }
        let log = opened(&disk.fork());
        let context = format!("{context}, round {round}");
        same(&all(&log, &context), &first, lost, &context);
    }
    came
}

/// A run for every place a fault can come at, and a few more, since the log's threads do not
/// always write in the same order.
fn every(fault: impl Fn(u64) -> Fault, lost: bool) {
    for plan in 0..4 {
        let (mut number, mut missed) = (0, 0);
        while missed < 3 {
            if !run(fault(number), lost, number * 31 + 7 + plan, plan) {
                missed += 1;
            }
            number += 1;
        }
        assert!(number > 40, "the work got to {number} operations only");
    }
}

#[test]
fn cuts_and_a_crash_at_every_write() {
    every(Fault::CrashAtWrite, false);
}

#[test]
fn cuts_and_a_crash_at_every_sync() {
    every(Fault::CrashAtSync, false);
}

#[test]
fn cuts_and_a_crash_at_every_write_and_the_checkpoint_lost() {
    every(Fault::CrashAtWrite, true);
}

#[test]
fn cuts_and_a_crash_at_every_sync_and_the_checkpoint_lost() {
    every(Fault::CrashAtSync, true);
}

/// For an hour of doubt: `cargo test -p headwater-log for_a_minute -- --ignored`.
#[test]
#[ignore = "takes a minute"]
fn cuts_and_crashes_anywhere_for_a_minute() {
    let started = std::time::Instant::now();
    let mut seed = std::process::id().into();
    while started.elapsed().as_secs() < 60 {
        seed += 1;
        let number = random(seed) % 150;
        let fault = match seed % 3 {
            0 => Fault::CrashAtWrite(u64::MAX),
            1 => Fault::CrashAtSync(number),
            _ => Fault::CrashAtWrite(number),
        };
        run(fault, seed % 5 < 2, seed, seed / 7);
    }
}

#[test]
fn cuts_and_a_power_cut_without_warning_for_many_plans() {
    for plan in 0..400 {
        run(
            Fault::CrashAtWrite(u64::MAX),
            plan % 2 == 0,
            plan,
            10 + plan,
        );
    }
}

#[test]
fn a_torn_file_that_a_power_cut_brings_back_below_the_start_goes() {
    let disk = CrashDisk::new();
    let (log, _, _) = reopen(&disk).unwrap();
    let partition = log.partition(id(0));
    for step in 0..6 {
        let made = batch(step, 2, 5000, 0);
        let _ = partition.append(made, 1, SEGMENT_BYTES).unwrap();
    }
    partition.wait_durable(12).unwrap();
    log.checkpoint().unwrap();
    let first = "00000000000000000000.log";
    let mut files = disk.files().into_iter();
    let first = files.find(|path| path.ends_with(first));
    let first = first.expect("the first segment is written");
    let start = partition.drop_local(8).unwrap().local_start;
    assert!(start > 0);
    let before = Moment::of(&partition, "before");
    drop((partition, log));
    disk.crash(1);
    let torn = disk.open(&first, Open::Create).unwrap();
    torn.write_vectored_at(&[IoSlice::new(&[7; 100])], 0)
        .unwrap();
    lose_checkpoint(&disk, 1);
    for _ in 0..2 {
        let (log, _, _) = reopen(&disk).unwrap();
        let found = Moment::of(&log.partition(id(0)), "after");
        assert!(found.fits(&before, true), "{}", outline(&found));
        assert!(!disk.files().contains(&first));
        log.close().unwrap();
        lose_checkpoint(&disk, 2);
    }
}
