//! Reading the journal after a crash: what was acknowledged, what was torn, what is damaged.
//!
//! There is at most one group whose sync was not over, the last. So a bad group with nothing
//! valid behind it is that one: torn, and dropped as a whole, since nobody was told of it. A bad
//! group with a valid one behind it that names it (or one of its like) as its predecessor was
//! acknowledged: it is damaged, its whole frames are saved one by one. A bad group that its
//! successor skips was cut off by an earlier recovery.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use super::Position;
use super::format::{BLOCK, FRAME_HEADER, FrameHeader, GROUP_HEADER, GroupHeader, Seal};
use crate::disk::{Disk, File, Open};
use crate::error::OpenError;

/// Bytes read at once.
const WINDOW: u64 = 1 << 20;

/// A journal file that may hold groups: its number, size and place.
pub(crate) struct Source {
    pub seq: u64,
    pub bytes: u64,
    file: Arc<dyn File>,
}

/// What reading the journal found, beside the frames.
#[derive(Default, Debug)]
pub(crate) struct Outcome {
    /// The last whole group, or where the checkpoint was.
    pub position: Position,
    /// The highest group number seen in any header, of leftovers too.
    pub group_max: u64,
    pub groups: u64,
    pub bytes: u64,
    /// Bytes of the torn group, as far as its header tells.
    pub torn_bytes: u64,
    /// Acknowledged groups that were not whole.
    pub damaged_groups: u64,
    /// Files with groups that no checkpoint covers.
    pub needed: HashSet<u64>,
}

/// A frame to be done again.
pub(crate) struct Frame<'a> {
    pub header: FrameHeader,
    pub payload: &'a [u8],
    pub time_ms: i64,
}

/// A stretch of a file that is no whole group.
struct Bad {
    source: usize,
    position: u64,
    bytes: u64,
    header: Option<GroupHeader>,
}

struct Window<'a> {
    source: &'a Source,
    start: u64,
    buffer: &'a mut Vec<u8>,
}

impl Window<'_> {
    fn get(&mut self, position: u64, bytes: u64) -> Result<&[u8], OpenError> {
        let held = self.start..self.start + self.buffer.len() as u64;
        if !(held.start <= position && position + bytes <= held.end) {
            let wanted = bytes
                .max(WINDOW)
                .min(self.source.bytes.saturating_sub(position));
            self.buffer.resize(wanted as usize, 0);
            let seq = self.source.seq;
            let read = self.source.file.read_at(self.buffer, position);
            let read = read.map_err(OpenError::io(format!("reading journal file {seq}")))?;
            self.buffer.truncate(read);
            self.start = position;
        }
        let from = (position - self.start) as usize;
        Ok(self
            .buffer
            .get(from..from + bytes as usize)
            .unwrap_or_default())
    }
}

/// The journal files from `seq_min` on, by number.
pub(crate) fn sources(
    disk: &dyn Disk,
    files: impl Iterator<Item = u64>,
    path: impl Fn(u64) -> std::path::PathBuf,
) -> Result<Vec<Source>, OpenError> {
    let mut sources = Vec::new();
    for seq in files {
        let path: &Path = &path(seq);
        let opened = disk
            .open(path, Open::Write)
            .and_then(|file| Ok((file.len()?, file)));
        let (bytes, file) = opened.map_err(OpenError::io(path.display().to_string()))?;
        sources.push(Source { seq, bytes, file });
    }
    sources.sort_by_key(|source| source.seq);
    Ok(sources)
}

impl Source {
    /// Makes what was read durable, so that nothing recovered can be lost by the next crash.
    pub fn sync(&self) -> Result<(), OpenError> {
        self.file
            .sync_data()
            .map_err(OpenError::io(format!("syncing journal file {}", self.seq)))
    }
}

/// Goes through the journal from a position (`None`: from the very front), giving every frame of
/// every whole group, and what can be saved of damaged ones, to `apply`.
pub(crate) fn read(
    sources: &[Source],
    start: Option<Position>,
    seal: Seal,
    mut apply: impl FnMut(Frame<'_>) -> Result<(), OpenError>,
) -> Result<Outcome, OpenError> {
    let mut outcome = Outcome {
        position: start.unwrap_or_default(),
        ..Outcome::default()
    };
    outcome.group_max = outcome.position.group;
    let mut last = start.map(|position| position.group);
    let mut bad: Vec<Bad> = Vec::new();
    let mut buffer = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        let mut position = match start {
            Some(start) if source.seq < start.file => continue,
            Some(start) if source.seq == start.file => start.offset,
            _ => 0,
        };
        buffer.clear();
        let mut window = Window {
            source,
            start: position,
            buffer: &mut buffer,
        };
        while position + BLOCK as u64 <= source.bytes {
            let head = window.get(position, GROUP_HEADER as u64)?;
            let header = decode(head, source.seq, seal)?;
            // Those of a file's earlier uses count too: when they are all there is, numbers go on
            // after them, so that no leftover frame passes for one of a later group.
            let number_here = header.map_or(0, |header| header.group);
            outcome.group_max = outcome.group_max.max(number_here);
            let Some(header) = header.filter(|header| fits(header, source, position, last)) else {
                if next_follows(sources, number, last, seal)? {
                    break;
                }
                match bad.last_mut() {
                    Some(Bad {
                        source,
                        position: from,
                        bytes,
                        header: None,
                    }) if *source == number && *from + *bytes == position => {
                        *bytes += BLOCK as u64;
                    }
                    _ => {
                        let bytes = BLOCK as u64;
                        bad.push(Bad {
                            source: number,
                            position,
                            bytes,
                            header: None,
                        });
                    }
                }
                position += BLOCK as u64;
                continue;
            };
            let whole = frames_of(window.get(position, header.bytes)?, &header, seal);
            let Some(frames) = whole else {
                bad.push(Bad {
                    source: number,
                    position,
                    bytes: header.bytes,
                    header: Some(header),
                });
                position += header.bytes;
                continue;
            };
            if let Some(last) = last.filter(|last| header.previous > *last) {
                outcome.damaged_groups += header.previous - last;
                let lost = (last + 1)..=header.previous;
                for bad in &bad {
                    outcome.needed.insert(sources[bad.source].seq);
                    salvage(
                        &sources[bad.source],
                        bad,
                        &lost,
                        header.time_ms,
                        seal,
                        &mut apply,
                    )?;
                }
            }
            bad.clear();
            let group = window.get(position, header.bytes)?;
            for (frame, at) in frames {
                let payload = &group[at..at + frame.length as usize];
                apply(Frame {
                    header: frame,
                    payload,
                    time_ms: header.time_ms,
                })?;
            }
            last = Some(header.group);
            position += header.bytes;
            outcome.groups += 1;
            outcome.bytes += header.bytes;
            outcome.needed.insert(source.seq);
            outcome.position = Position {
                file: source.seq,
                offset: position,
                group: header.group,
            };
        }
    }
    outcome.torn_bytes = bad
        .iter()
        .filter(|bad| bad.header.is_some())
        .map(|bad| bad.bytes)
        .sum();
    Ok(outcome)
}

fn decode(head: &[u8], file: u64, seal: Seal) -> Result<Option<GroupHeader>, OpenError> {
    GroupHeader::decode(head, seal).map_err(|found| OpenError::Version {
        file: format!("journal file {file}"),
        found,
        supported: super::format::FORMAT,
    })
}

/// Whether a header is of a group that was written here and comes after the last.
fn fits(header: &GroupHeader, source: &Source, position: u64, last: Option<u64>) -> bool {
    header.file == source.seq
        && last.is_none_or(|last| header.group > last)
        && header.bytes >= BLOCK as u64
        && header.bytes.is_multiple_of(BLOCK as u64)
        && position + header.bytes <= source.bytes
}

/// Whether the next file begins with the group that follows the last: then the rest of this file
/// was never used.
fn next_follows(
    sources: &[Source],
    number: usize,
    last: Option<u64>,
    seal: Seal,
) -> Result<bool, OpenError> {
    let (Some(next), Some(last)) = (sources.get(number + 1), last) else {
        return Ok(false);
    };
    let mut head = [0; GROUP_HEADER];
    let read = next.file.read_at(&mut head, 0);
    read.map_err(OpenError::io(format!("reading journal file {}", next.seq)))?;
    let header = decode(&head, next.seq, seal)?;
    Ok(header.is_some_and(|header| fits(&header, next, 0, Some(last)) && header.previous == last))
}

/// The frames of a group and where their payloads are, if the group is whole.
fn frames_of(group: &[u8], header: &GroupHeader, seal: Seal) -> Option<Vec<(FrameHeader, usize)>> {
    let mut frames = Vec::with_capacity(header.frames.min(1 << 16) as usize);
    let mut at = GROUP_HEADER;
    for _ in 0..header.frames {
        let (frame, payload) = FrameHeader::whole(group.get(at..)?, header.group, seal)?;
        frames.push((frame, at + FRAME_HEADER));
        at += FRAME_HEADER + payload.len();
    }
    (at <= group.len()).then_some(frames)
}

/// Gives the whole frames in a damaged stretch to `apply`.
fn salvage(
    source: &Source,
    bad: &Bad,
    groups: &std::ops::RangeInclusive<u64>,
    time_ms: i64,
    seal: Seal,
    apply: &mut impl FnMut(Frame<'_>) -> Result<(), OpenError>,
) -> Result<(), OpenError> {
    let time_ms = bad.header.map_or(time_ms, |header| header.time_ms);
    let mut bytes = vec![0; bad.bytes as usize];
    let read = source.file.read_at(&mut bytes, bad.position);
    let read = read.map_err(OpenError::io(format!(
        "reading journal file {}",
        source.seq
    )))?;
    bytes.truncate(read);
    let mut at = 0;
    while at + FRAME_HEADER <= bytes.len() {
        let rest = &bytes[at..];
        let header =
            FrameHeader::decode(rest, seal).filter(|header| groups.contains(&header.group));
        let Some(header) = header else {
            at += 1;
            continue;
        };
        match FrameHeader::whole(rest, header.group, seal) {
            Some((header, payload)) => {
                apply(Frame {
                    header,
                    payload,
                    time_ms,
                })?;
                at += FRAME_HEADER + payload.len();
            }
            // Its payload is damaged; what follows may not be.
            None => at += FRAME_HEADER,
        }
    }
    Ok(())
}
