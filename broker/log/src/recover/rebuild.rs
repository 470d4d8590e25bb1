//! Without a checkpoint: what the segments themselves say.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::Recovery;
use crate::core::Core;
use crate::disk::{Entry, Open, Wait};
use crate::error::OpenError;
use crate::id::{PartitionId, TopicId};
use crate::journal::format::{Kind, Seal};
use crate::journal::reader::{self, Source};
use crate::partition::{NEVER_SEEN, PartitionEntry, PartitionLog, SegmentEntry};
use crate::segment::scan::{Found, Order, SegmentFile};

/// Makes the partitions' states from a scan of all segments, every CRC checked. Names of unknown
/// form are reported and left alone.
///
/// The journal wins over the scan: it was synced when the segments, and their names, may not
/// have been, so that a power cut may have torn what it has whole. Its files are recycled from
/// the oldest on ([`JournalFiles::recycle`](crate::journal::files::JournalFiles::recycle)), which
/// leaves it unbroken from its first batch of a partition to the end. Up to that batch the scan
/// counts, and finds nothing torn, since that was checkpointed: segments are whole but for rot.
/// From that batch on the journal alone counts. So no state made here may reach beyond it, or
/// replay would pass over what the journal has as known already. A truncation in the journal is
/// such a place too, and a reset leaves the scan nothing to say; what they removed may be there
/// still, or again.
///
/// Not known any more: a log start inside a segment, and the epochs seen but for those that the
/// journal has. Nor what lies before the first segment: nothing, or a part of the log that is not on
/// this disk. The log start is its base until the owner says more
/// ([`PartitionLog::extend_history`]).
pub(super) fn scan(
    core: &Arc<Core>,
    sources: &[Source],
    seal: Seal,
    recovery: &mut Recovery,
) -> Result<(), OpenError> {
    let mut in_journal: HashMap<PartitionId, JournalFirst> = HashMap::new();
    reader::read(sources, None, seal, |frame| {
        let id = frame.header.partition;
        match Kind::of(frame.header.kind) {
            Some(Kind::Append) => {
                in_journal.entry(id).or_insert(JournalFirst {
                    offset: frame.header.base_offset,
                    epoch: frame.header.epoch,
                });
            }
            Some(Kind::Truncate) => {
                let first = in_journal.entry(id).or_insert(JournalFirst::END);
                first.offset = first.offset.min(frame.header.base_offset);
            }
            Some(Kind::Reset | Kind::ResetWithHistory) => {
                in_journal.entry(id).or_insert(JournalFirst::END).offset = 0;
            }
            Some(Kind::Drop) => {
                in_journal.remove(&id);
            }
            _ => {}
        }
        Ok(())
    })?;
    let root = core.paths.partitions.clone();
    for (topic_name, topic_dir) in directories(core, &root, recovery)? {
        let Ok(topic) = topic_name.parse::<TopicId>() else {
            recovery.ignored.push(topic_dir);
            continue;
        };
        for (name, dir) in directories(core, &topic_dir, recovery)? {
            let Some(partition) = name.parse().ok().filter(|n: &u32| n.to_string() == name) else {
                recovery.ignored.push(dir);
                continue;
            };
            let id = PartitionId { topic, partition };
            let journal = in_journal.get(&id).copied();
            if let Some(entry) = scan_partition(core, id, &dir, journal, recovery)? {
                PartitionLog::restore(core, entry).mark_dirty();
            }
        }
    }
    Ok(())
}

/// Removes files below the start of what was found and done again. A power cut may bring back names
/// that were removed, with torn content that was never synced: the next scan, whose journal does not
/// tell of the start any more, would take them for the start of the log, and a hole behind it.
pub(super) fn remove_strays(core: &Arc<Core>) -> Result<(), OpenError> {
    let partitions: Vec<_> = core.partitions.read().values().cloned().collect();
    for partition in partitions {
        let known: HashSet<u64> = partition
            .segments()
            .iter()
            .map(|it| it.base_offset)
            .collect();
        let dir = core.paths.partition(partition.id());
        let entries = match core.disk.list(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(OpenError::io(dir.display().to_string()))?,
        };
        for entry in entries {
            let (stem, kind) = entry.name.split_once('.').unwrap_or((&entry.name, ""));
            let base = stem.parse::<u64>().ok().filter(|_| stem.len() == 20);
            let is_stray = base.is_some_and(|base| {
                matches!(kind, "log" | "index")
                    && base < partition.local_start()
                    && !known.contains(&base)
            });
            if is_stray {
                let path = dir.join(&entry.name);
                let removed = core.disk.remove(&path);
                removed.map_err(OpenError::io(path.display().to_string()))?;
                core.dirty_dirs.lock().insert(dir.clone());
            }
        }
    }
    Ok(())
}

fn list(core: &Core, dir: &Path) -> Result<Vec<Entry>, OpenError> {
    core.disk
        .list(dir)
        .map_err(OpenError::io(dir.display().to_string()))
}

fn directories(
    core: &Core,
    dir: &Path,
    recovery: &mut Recovery,
) -> Result<Vec<(String, std::path::PathBuf)>, OpenError> {
    let mut found = Vec::new();
    for entry in list(core, dir)? {
        let path = dir.join(&entry.name);
        if entry.directory {
            found.push((entry.name, path));
        } else {
            recovery.ignored.push(path);
        }
    }
    Ok(found)
}

fn scan_partition(
    core: &Arc<Core>,
    id: PartitionId,
    dir: &Path,
    journal: Option<JournalFirst>,
    recovery: &mut Recovery,
) -> Result<Option<PartitionEntry>, OpenError> {
    let limit = journal.map_or(u64::MAX, |first| first.offset);
    let mut bases = Vec::new();
    for entry in list(core, dir)? {
        let (stem, kind) = entry.name.split_once('.').unwrap_or((&entry.name, ""));
        match (stem.len(), stem.parse::<u64>(), kind) {
            (20, Ok(base), "log") if base < limit => bases.push(base),
            (20, Ok(_), "log") => {}
            (20, Ok(_), "index") => {}
            _ => recovery.ignored.push(dir.join(&entry.name)),
        }
    }
    bases.sort_unstable();
    // Empty segments in front are where the log once ended, trimmed as a whole.
    let mut trimmed_to = None;
    while let Some(base) = bases.first().copied() {
        if open_segment(core, id, base)?.written > 0 {
            break;
        }
        trimmed_to = Some(base);
        bases.remove(0);
    }
    let journal_first = journal.map(|first| first.offset);
    let Some(first) = bases.first().copied().or(journal_first).or(trimmed_to) else {
        return Ok(None);
    };
    let mut entry = PartitionEntry {
        id,
        log_start: first,
        log_start_min: 0,
        local_start: first,
        next_offset: first,
        committed: first,
        seen_epoch: NEVER_SEEN,
        epochs: Vec::new(),
        damaged: Vec::new(),
        segments: Vec::new(),
    };
    let (mut order, now_ms) = (Order::new(first), core.now_ms());
    for base in bases {
        let file = open_segment(core, id, base)?;
        let scanned = file.whole_batches(0, |found| {
            if found.header.base_offset >= base
                && found.header.next_offset() <= limit
                && let Some(found) = order.add(found)
            {
                keep(&mut entry, &found, now_ms);
            }
            true
        });
        scanned.map_err(OpenError::io(format!("{id} segment {base}")))?;
    }
    if let Some(found) = order.last(journal.map_or(i32::MAX, |first| first.epoch)) {
        keep(&mut entry, &found, now_ms);
    }
    if let Some((_, sealed)) = entry.segments.split_last_mut() {
        sealed.iter_mut().for_each(|segment| segment.sealed = true);
    }
    Ok(Some(entry))
}

fn open_segment(core: &Core, id: PartitionId, base: u64) -> Result<SegmentFile, OpenError> {
    let path = core.paths.segment(id, base);
    let opened = core
        .disk
        .open(&path, Open::Read)
        .and_then(|file| Ok((file.len()?, file)));
    let (written, file) = opened.map_err(OpenError::io(path.display().to_string()))?;
    Ok(SegmentFile {
        wait: Wait::Allowed,
        file,
        base,
        written,
        end: u64::MAX,
    })
}

/// The journal's first batch of a partition, or the first that it cuts off.
#[derive(Copy, Clone)]
struct JournalFirst {
    offset: u64,
    epoch: i32,
}

impl JournalFirst {
    const END: JournalFirst = JournalFirst {
        offset: u64::MAX,
        epoch: i32::MAX,
    };
}

/// Adds a batch at the end; what is missing before it is a hole.
fn keep(entry: &mut PartitionEntry, found: &Found, now_ms: i64) {
    let header = &found.header;
    if header.base_offset > entry.next_offset {
        entry.damaged.push((entry.next_offset, header.base_offset));
    }
    let epoch = entry.epochs.last().map(|(epoch, _)| *epoch);
    if epoch.is_none_or(|epoch| epoch < header.leader_epoch) {
        entry.epochs.push((header.leader_epoch, header.base_offset));
    }
    entry.next_offset = header.next_offset();
    if entry.segments.last().map(|segment| segment.base) != Some(found.segment) {
        entry.segments.push(SegmentEntry {
            base: found.segment,
            end: found.segment,
            bytes: 0,
            max_timestamp_ms: i64::MIN,
            first_append_ms: now_ms,
            last_append_ms: now_ms,
            keyed_batches: 0,
            sealed: false,
        });
    }
    let segment = entry
        .segments
        .last_mut()
        .expect("a segment was just made sure of");
    segment.end = header.next_offset();
    segment.bytes = found.position + header.batch_bytes as u64;
    segment.max_timestamp_ms = segment.max_timestamp_ms.max(header.max_timestamp_ms);
    segment.keyed_batches += u32::from(header.producer.id >= 0);
}
