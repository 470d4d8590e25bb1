//! The committer thread: one group, one write, one sync, everybody who waited is done.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Position;
use super::files::Ready;
use super::format::{FORMAT, FrameHeader, GROUP_HEADER, GroupHeader, Kind, Seal, padded};
use super::queue::Queued;
use crate::codec::crc32c;
use crate::core::Core;
use crate::error::{FailureKind, is_full};
use crate::id::PartitionId;

/// Payloads below this many bytes are copied into the group's buffer, others are written from
/// where they are.
const COPY_BELOW_BYTES: usize = 4096;
/// Frames beyond this many bytes wait for the next group, so that a group's latency is bounded.
const GROUP_BYTES_MAX: u64 = 8 << 20;

const _: () = assert!(FORMAT == 1, "a new format needs a new encoder");

/// Where the journal is being written.
pub(crate) struct Committer {
    pub seal: Seal,
    /// The last group's number.
    pub group: u64,
    /// What the next group names as the one before it: the last that recovery kept.
    pub previous: u64,
    pub open: Option<(Ready, u64)>,
    pub file_bytes: u64,
    buffer: Vec<u8>,
    pieces: Vec<Piece>,
    ends: Vec<(PartitionId, u64)>,
}

/// One part of a group's bytes.
enum Piece {
    /// A range of the buffer.
    Buffer(Range<usize>),
    /// The payload of a frame.
    Payload(usize),
}

impl Committer {
    pub fn new(seal: Seal, group: u64, previous: u64, file_bytes: u64) -> Committer {
        Committer {
            seal,
            group,
            previous,
            open: None,
            file_bytes,
            buffer: Vec::new(),
            pieces: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Runs until the queue is stopped and empty, or the log fails.
    pub fn run(mut self, core: &Arc<Core>) {
        let group_bytes_max = GROUP_BYTES_MAX.min(self.file_bytes / 8);
        let mut frames = Vec::new();
        while core.queue.take(&mut frames) {
            let mut rest = &frames[..];
            while !rest.is_empty() {
                let count = group_len(rest, group_bytes_max);
                let (group, later) = rest.split_at(count);
                if !self.commit(core, group) {
                    return;
                }
                rest = later;
            }
            frames.clear();
        }
    }

    /// One group; false when the log has failed.
    fn commit(&mut self, core: &Arc<Core>, frames: &[Queued]) -> bool {
        let bytes = self.encode(core, frames);
        if let Err(error) = self.place(core, bytes) {
            core.fail(
                FailureKind::JournalWrite,
                format!("making a journal file: {error}"),
            );
            return false;
        }
        let Some((ready, offset)) = &mut self.open else {
            return false;
        };
        let header = GroupHeader {
            file: ready.seq,
            group: self.group + 1,
            previous: self.previous,
            bytes,
            time_ms: core.now_ms(),
            frames: frames.len() as u32,
        };
        self.buffer[..GROUP_HEADER].copy_from_slice(&header.encode(self.seal));
        let slices: Vec<IoSlice<'_>> = self
            .pieces
            .iter()
            .map(|piece| match piece {
                Piece::Buffer(range) => IoSlice::new(&self.buffer[range.clone()]),
                Piece::Payload(frame) => IoSlice::new(&frames[*frame].payload),
            })
            .collect();
        // A full disk refused the write, so nothing was promised: the same bytes go to the same
        // place as soon as there is space.
        while let Err(error) = ready.file.write_vectored_at(&slices, *offset) {
            if !is_full(&error) || !core.wait_for_space() {
                let detail = format!("journal file {}: {error}", ready.seq);
                core.fail(FailureKind::JournalWrite, detail);
                return false;
            }
        }
        let started = Instant::now();
        if let Err(error) = ready.file.sync_data() {
            core.fail(
                FailureKind::JournalSync,
                format!("journal file {}: {error}", ready.seq),
            );
            return false;
        }
        core.counters.synced(started.elapsed(), bytes);
        *offset += bytes;
        self.group += 1;
        self.previous = self.group;
        let position = Position {
            file: ready.seq,
            offset: *offset,
            group: self.group,
        };
        core.publish(|| self.complete(core, frames, position, bytes))
    }

    /// Lays the group out in the buffer and the pieces; returns its size. The header is left out.
    fn encode(&mut self, core: &Core, frames: &[Queued]) -> u64 {
        self.buffer.clear();
        self.buffer.resize(GROUP_HEADER, 0);
        self.pieces.clear();
        let (mut from, mut outside) = (0, 0);
        for (number, frame) in frames.iter().enumerate() {
            let header = FrameHeader {
                kind: frame.kind as u8,
                flags: frame.flags,
                partition: frame.partition.id(),
                epoch: frame.epoch,
                base_offset: frame.base_offset,
                group: self.group + 1,
                length: frame.payload.len() as u32,
                payload_crc: crc32c(&frame.payload),
            };
            header.encode(self.seal, &mut self.buffer);
            if frame.payload.len() < COPY_BELOW_BYTES {
                self.buffer.extend_from_slice(&frame.payload);
            } else {
                self.pieces.push(Piece::Buffer(from..self.buffer.len()));
                self.pieces.push(Piece::Payload(number));
                from = self.buffer.len();
                outside += frame.payload.len();
            }
        }
        let used = (self.buffer.len() + outside) as u64;
        let bytes = padded(used);
        self.buffer
            .resize(self.buffer.len() + (bytes - used) as usize, 0);
        if from < self.buffer.len() {
            self.pieces.push(Piece::Buffer(from..self.buffer.len()));
        }
        core.counters.frames(frames.len());
        bytes
    }

    /// Makes sure that the open file has room for `bytes`.
    fn place(&mut self, core: &Arc<Core>, bytes: u64) -> io::Result<()> {
        if let Some((ready, offset)) = &self.open {
            if offset + bytes <= ready.bytes {
                return Ok(());
            }
            core.journal.finished(ready.seq, ready.bytes);
            self.open = None;
        }
        core.check_space();
        loop {
            match core.journal.take(bytes) {
                Ok(ready) => {
                    self.open = Some((ready, 0));
                    return Ok(());
                }
                Err(error) if is_full(&error) => {
                    // A checkpoint gives finished files back.
                    core.checkpoints.request();
                    if !core.wait_for_space() {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Publishes what is durable now: partitions first, then the position a checkpoint may take,
    /// then those who wait.
    fn complete(&mut self, core: &Arc<Core>, frames: &[Queued], position: Position, bytes: u64) {
        self.ends.clear();
        let mut queued_bytes = 0;
        for frame in frames {
            queued_bytes += frame.bytes();
            let partition = &frame.partition;
            match frame.kind {
                Kind::Append => {
                    partition
                        .durable_end
                        .store(frame.end_offset, Ordering::Release);
                    match self.ends.last_mut() {
                        Some((id, end)) if *id == partition.id() => *end = frame.end_offset,
                        _ => self.ends.push((partition.id(), frame.end_offset)),
                    }
                }
                Kind::LogStart => partition.raise_log_start(frame.base_offset),
                Kind::LocalStart => partition.raise_local_start(frame.base_offset),
                Kind::Drop => partition.drop_durable.store(true, Ordering::Release),
                Kind::Truncate | Kind::Reset | Kind::ResetWithHistory => {
                    partition.cut();
                    // Those of before the cut: nobody may hear of them after it.
                    self.ends.retain(|(id, _)| *id != partition.id());
                }
                Kind::SeenEpoch => partition.seen(frame.epoch),
            }
            partition.mark_dirty();
        }
        core.flusher.committed(core, frames);
        core.checkpoints.committed(position, bytes);
        // Before those who wait go on: when a partition's drop returns, nothing more is heard of it.
        if !self.ends.is_empty() {
            core.listener.durable(&self.ends);
        }
        core.queue.complete(frames.len(), queued_bytes);
        core.wake_appenders();
    }
}

/// How many frames the next group takes: at least one.
fn group_len(frames: &[Queued], bytes_max: u64) -> usize {
    let mut bytes = 0;
    let fits = frames.iter().take_while(|frame| {
        bytes += frame.bytes() as u64;
        bytes <= bytes_max
    });
    fits.count().max(1)
}
