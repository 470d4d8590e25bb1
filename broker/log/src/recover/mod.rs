//! Opening a data directory: the checkpoint, then the journal on top of it.

mod identity;
mod rebuild;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use headwater_record::BatchView;

use crate::checkpoint::Checkpoints;
use crate::checkpoint::format::{self, Checkpoint, Unusable};
use crate::core::{Core, Parts, Paths};
use crate::disk::{self, Disk, Space};
use crate::error::OpenError;
use crate::id::PartitionId;
use crate::journal::Position;
use crate::journal::committer::Committer;
use crate::journal::files::JournalFiles;
use crate::journal::format::{BLOCK, FLAG_ROLL, Kind, Seal};
use crate::journal::reader::{self, Frame, Outcome};
use crate::options::{Listener, LogOptions};
use crate::partition::{History, PartitionLog};

const MIB: u64 = 1 << 20;
/// Groups' numbers go on this much higher, beyond any torn group's whose header was lost.
const GROUP_STRIDE: u64 = 16;

/// What opening found and did.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    /// The directory was made just now.
    pub fresh: bool,
    /// The checkpoint was missing or damaged, and the segments were scanned instead.
    pub rebuilt: bool,
    /// Partitions there are.
    pub partitions: usize,
    /// Journal groups done again.
    pub groups: u64,
    /// Journal bytes gone through.
    pub journal_bytes: u64,
    /// Batches, and records in them, that were in the journal only.
    pub batches: u64,
    /// Records in those batches.
    pub records: u64,
    /// Bytes of a last group that was torn by the crash: nobody was told it was durable.
    pub torn_bytes: u64,
    /// Acknowledged journal groups that are damaged. What is whole in them was saved.
    pub damaged_groups: u64,
    /// Offset ranges [from, to) that are lost here; a replica may have them.
    pub damaged: Vec<(PartitionId, u64, u64)>,
    /// Names in the data directory that are not the log's; left alone.
    pub ignored: Vec<PathBuf>,
    /// Time to read the checkpoint, or to scan.
    pub checkpoint_elapsed: Duration,
    /// Time to sync what the journal held.
    pub sync_elapsed: Duration,
    /// Time to do the journal's frames again.
    pub replay_elapsed: Duration,
}

/// A log that is ready but for its threads.
pub(crate) struct Opened {
    pub core: Arc<Core>,
    pub committer: Committer,
    pub recovery: Recovery,
}

pub(crate) fn open(
    disk: Arc<dyn Disk>,
    options: LogOptions,
    listener: Arc<dyn Listener>,
) -> Result<Opened, OpenError> {
    let started = Instant::now();
    let paths = Paths::new(options.dir.clone());
    let made = disk.create_dir_all(&paths.dir);
    made.map_err(OpenError::io(paths.dir.display().to_string()))?;
    let lock = disk.lock(&paths.lock).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked,
        _ => OpenError::Io {
            context: "taking the directory's lock".into(),
            source: error,
        },
    })?;
    let space = disk
        .space(&paths.dir)
        .map_err(OpenError::io("asking for free space"))?;

    let (saved, damaged_checkpoint) = load_checkpoint(&*disk, &paths)?;
    let identity = identity::load(&*disk, &paths)?;
    let mut recovery = Recovery::default();
    let uuid = match (identity, &saved) {
        (Some(uuid), _) => uuid,
        (None, Some(saved)) => saved.uuid,
        (None, None) if damaged_checkpoint || identity::has_content(&*disk, &paths)? => {
            return Err(OpenError::Damaged {
                what: "data_dir.json and checkpoint are both lost, but there is data".into(),
            });
        }
        (None, None) => {
            recovery.fresh = true;
            identity::new_uuid()
        }
    };
    let saved = match saved {
        None if recovery.fresh => Some(identity::create(&*disk, &paths, uuid)?),
        saved => saved,
    };
    if identity.is_none() {
        identity::save(&*disk, &paths, uuid)?;
    }
    recovery.rebuilt = saved.is_none();

    let mut seqs: Vec<u64> = Vec::new();
    let names = disk
        .list(&paths.journal)
        .map_err(OpenError::io("listing the journal"))?;
    for entry in names {
        match JournalFiles::seq_of(&entry.name) {
            Some(seq) => seqs.push(seq),
            None => recovery.ignored.push(paths.journal.join(entry.name)),
        }
    }
    let (file_bytes, checkpoint_bytes) = sizes(&options, space);
    let covered = saved.as_ref().map(|saved| saved.position);
    let next_seq = seqs
        .iter()
        .copied()
        .max()
        .unwrap_or(0)
        .max(covered.unwrap_or_default().file);
    let journal = JournalFiles::new(
        disk.clone(),
        paths.journal.clone(),
        file_bytes,
        checkpoint_bytes,
        next_seq + 1,
    );
    let path = |seq| journal.path(seq);
    let sources = reader::sources(&*disk, seqs.iter().copied(), path)?;
    let wanted = |source: &&reader::Source| covered.is_none_or(|at| source.seq >= at.file);
    let syncing = Instant::now();
    recovery.checkpoint_elapsed = syncing - started;
    // Before anything is done on the strength of a frame: what is recovered must not be lost
    // again by the next crash.
    sources
        .iter()
        .filter(wanted)
        .try_for_each(reader::Source::sync)?;
    recovery.sync_elapsed = syncing.elapsed();

    let checkpoints = Checkpoints::new(
        checkpoint_bytes,
        options.checkpoint_idle,
        covered.unwrap_or_default(),
    );
    let parts = Parts {
        disk,
        paths,
        options,
        listener,
        uuid,
        journal,
        checkpoints,
        lock,
        space,
    };
    let core = Arc::new(Core::new(parts));
    let seal = Seal::new(&uuid);

    match saved {
        Some(saved) => {
            for entry in saved.partitions {
                PartitionLog::restore(&core, entry);
            }
        }
        None => {
            let scanning = Instant::now();
            tracing::error!("the checkpoint is missing or damaged: scanning all segments");
            rebuild::scan(&core, &sources, seal, &mut recovery)?;
            recovery.checkpoint_elapsed += scanning.elapsed();
        }
    }
    let replaying = Instant::now();
    let outcome = replay(&core, &sources, covered, seal, &mut recovery)?;
    recovery.replay_elapsed = replaying.elapsed();
    if recovery.rebuilt {
        rebuild::remove_strays(&core)?;
    }

    for source in &sources {
        core.journal.finished(source.seq, source.bytes);
    }
    let recycled = core.journal.recycle(|seq| !outcome.needed.contains(&seq));
    recycled.map_err(OpenError::io("recycling journal files"))?;
    if recovery.rebuilt || outcome.groups > 0 || outcome.damaged_groups > 0 {
        core.checkpoints.committed(outcome.position, outcome.bytes);
    }
    finish_report(&core, &outcome, &mut recovery);
    let last = outcome.position.group;
    let highest = outcome.group_max.max(last) + GROUP_STRIDE;
    let committer = Committer::new(seal, highest, last, file_bytes);
    Ok(Opened {
        core,
        committer,
        recovery,
    })
}

fn load_checkpoint(
    disk: &dyn Disk,
    paths: &Paths,
) -> Result<(Option<Checkpoint>, bool), OpenError> {
    let bytes = disk::read_all(disk, &paths.checkpoint).map_err(OpenError::io("checkpoint"))?;
    let Some(bytes) = bytes else {
        return Ok((None, false));
    };
    match Checkpoint::decode(&bytes) {
        Ok(saved) => Ok((Some(saved), false)),
        Err(Unusable::Damaged) => Ok((None, true)),
        Err(Unusable::Version(found)) => Err(OpenError::Version {
            file: "checkpoint".into(),
            found,
            supported: format::FORMAT,
        }),
    }
}

/// Size of a journal file, and journal bytes between checkpoints.
fn sizes(options: &LogOptions, space: Space) -> (u64, u64) {
    let file = options
        .journal_file_bytes
        .unwrap_or((space.total / 64).clamp(4 * MIB, 64 * MIB));
    let file = file.max(4 * BLOCK as u64).next_multiple_of(BLOCK as u64);
    let between = options
        .checkpoint_journal_bytes
        .unwrap_or((space.total / 16).min(128 * MIB).max(2 * file));
    (file, between)
}

/// Does every frame behind the checkpoint again.
fn replay(
    core: &Arc<Core>,
    sources: &[reader::Source],
    covered: Option<Position>,
    seal: Seal,
    recovery: &mut Recovery,
) -> Result<Outcome, OpenError> {
    let mut touched: HashMap<PartitionId, Arc<PartitionLog>> = HashMap::new();
    let outcome = reader::read(sources, covered, seal, |frame| {
        let id = frame.header.partition;
        let kind = Kind::of(frame.header.kind).ok_or(OpenError::UnknownFrame {
            kind: frame.header.kind,
            partition: id,
        })?;
        if kind == Kind::Drop {
            touched.remove(&id);
            drop_again(core, id);
            return Ok(());
        }
        let partition = touched.entry(id).or_insert_with(|| core.partition(id));
        let offset = frame.header.base_offset;
        match kind {
            Kind::Append | Kind::Drop => append_again(core, partition, &frame, recovery),
            Kind::LogStart => {
                partition.replay_log_start(offset);
                partition.remove_below_start();
            }
            Kind::LocalStart => {
                partition.replay_local_start(offset);
                partition.remove_below_start();
            }
            Kind::Truncate => {
                let cut = partition.replay_truncate(offset);
                cut.map_err(OpenError::io(format!("{id}: truncating to {offset}")))?;
            }
            Kind::Reset | Kind::ResetWithHistory => {
                let history = match kind {
                    Kind::Reset => Some(History::none(offset)),
                    _ => History::decode(frame.payload),
                };
                let history = history.ok_or_else(|| OpenError::Damaged {
                    what: format!("{id}: the history that a reset to {offset} left"),
                })?;
                let cut = partition.replay_reset(offset, history);
                cut.map_err(OpenError::io(format!("{id}: resetting to {offset}")))?;
            }
            Kind::SeenEpoch => partition.seen(frame.header.epoch),
        }
        // A full disk is no matter here: what is not written stays in memory and the journal.
        let _ = core.flusher.drain(core);
        match core.failed() {
            false => Ok(()),
            true => Err(OpenError::Io {
                context: core.why_stopped().to_string(),
                source: io::ErrorKind::Other.into(),
            }),
        }
    })?;
    for partition in touched.values() {
        partition.settle();
        partition.mark_dirty();
    }
    Ok(outcome)
}

fn append_again(
    core: &Arc<Core>,
    partition: &Arc<PartitionLog>,
    frame: &Frame<'_>,
    recovery: &mut Recovery,
) {
    if frame.header.base_offset < partition.next_offset() {
        return;
    }
    let fits = BatchView::header_of(frame.payload).ok().filter(|header| {
        header.base_offset == frame.header.base_offset && header.batch_bytes == frame.payload.len()
    });
    let Some(header) = fits else {
        tracing::error!(partition = %partition.id(), "a journal frame holds no batch");
        return;
    };
    let payload = Bytes::copy_from_slice(frame.payload);
    let roll = frame.header.flags & FLAG_ROLL != 0;
    partition.replay(&header, payload, roll, frame.time_ms);
    core.flusher
        .recovered(partition, header.next_offset(), header.batch_bytes);
    recovery.batches += 1;
    recovery.records += u64::from(header.record_count);
}

fn drop_again(core: &Arc<Core>, id: PartitionId) {
    let known = core.partitions.write().remove(&id);
    let partition = known.unwrap_or_else(|| PartitionLog::new(core.clone(), id));
    partition.remove_everything();
}

fn finish_report(core: &Core, outcome: &Outcome, recovery: &mut Recovery) {
    let partitions = core.partitions.read();
    for (id, partition) in partitions.iter() {
        let holes = partition.damaged();
        recovery
            .damaged
            .extend(holes.into_iter().map(|(from, to)| (*id, from, to)));
    }
    recovery.damaged.sort_unstable();
    recovery.partitions = partitions.len();
    recovery.groups = outcome.groups;
    recovery.journal_bytes = outcome.bytes;
    recovery.torn_bytes = outcome.torn_bytes;
    recovery.damaged_groups = outcome.damaged_groups;
    for (id, from, to) in &recovery.damaged {
        tracing::error!(partition = %id, from, to, "offsets are lost on this disk");
    }
    if outcome.damaged_groups > 0 {
        tracing::error!(
            groups = outcome.damaged_groups,
            "acknowledged journal groups are damaged"
        );
    }
    if outcome.torn_bytes > 0 {
        tracing::warn!(bytes = outcome.torn_bytes, "cut off a torn journal group");
    }
}
