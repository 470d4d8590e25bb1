//! One partition's log: a list of segments, a tail in memory, offsets.

mod append;
mod cut;
mod epochs;
mod flush;
mod history;
mod offload;
mod read;
mod retain;
mod sequenced;
mod snapshot;
mod starts;
mod walk;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use headwater_record::BatchHeader;
use parking_lot::Mutex;

pub use append::Appended;
use cut::Cut;
pub(crate) use epochs::NEVER_SEEN;
pub(crate) use history::History;
pub use offload::SealedSegment;
pub(crate) use snapshot::{PartitionEntry, SegmentEntry};
pub use walk::ProducerBatch;

use crate::core::Core;
use crate::error::AppendError;
use crate::id::PartitionId;
use crate::segment::cache::SegmentKey;
use crate::segment::{Segment, SegmentInfo};

static INSTANCES: AtomicU64 = AtomicU64::new(1);

/// One partition on one disk. Shared freely; appends are ordered by a short lock inside.
///
/// Invariants: `log_start <= local_start <= durable_end <= next_offset`; what is below `durable_end`
/// survives a crash; offsets are given once and never for other bytes, unless
/// [`PartitionLog::truncate`] or [`PartitionLog::reset`] took them back.
pub struct PartitionLog {
    id: PartitionId,
    core: Arc<Core>,
    /// This state's number in the process, for cache keys. Another one from each cut on: what was
    /// read before it is told from what is there after it. Changed under the lock on the state.
    instance: AtomicU64,
    next_offset: AtomicU64,
    log_start: AtomicU64,
    /// What `log_start` is at least; less only while it is unknown, see `log_start_is_known`.
    log_start_min: AtomicU64,
    local_start: AtomicU64,
    pub(crate) durable_end: AtomicU64,
    committed: AtomicU64,
    bytes: AtomicU64,
    dropped: AtomicBool,
    pub(crate) drop_durable: AtomicBool,
    seen_epoch: AtomicI32,
    /// On the list of what the next checkpoint has to write out.
    dirty: AtomicBool,
    /// Durable bytes that are in no segment file yet; for deciding when to flush, not exact.
    pub(crate) unwritten_bytes: AtomicUsize,
    /// On the flusher's list.
    pub(crate) ready: AtomicBool,
    state: Mutex<State>,
    /// Held while segment files are written, cut or removed, and while a checkpoint looks. Taken before
    /// `state`.
    writing: Mutex<()>,
    /// Held by what moves the start or the end of the log by a frame of its own, from before the
    /// frame is queued until its work is done. Taken before `writing`.
    reshaping: Mutex<()>,
}

/// A batch in memory.
struct TailBatch {
    bytes: Bytes,
    base: u64,
    end: u64,
    max_timestamp_ms: i64,
    /// Base offset of its segment, and its position in there.
    segment: u64,
    position: u64,
}

#[derive(Default)]
struct State {
    /// By base offset; appends go to the last.
    segments: VecDeque<Segment>,
    /// The newest batches, with no gap up to the next offset (but for holes). Everything from
    /// `written_end` on is in here.
    tail: VecDeque<TailBatch>,
    /// Batches below this offset are in segment files.
    written_end: u64,
    /// (leader epoch, first offset), both growing.
    epochs: Vec<(i32, u64)>,
    /// Holes [from, to) that recovery found, by offset.
    damaged: Vec<(u64, u64)>,
    /// Segments written since they were last synced.
    unsynced: Vec<u64>,
    /// The partition's directory exists and its name is, or will be, durable.
    directory_made: bool,
    /// A cut whose frame is queued: appends wait for it.
    cutting: Option<Cut>,
    /// A cut has left files, and index files of the segments from this one on, that are to go
    /// before anything is written.
    unclean: Option<u64>,
    /// What caches have of before a cut.
    stale_keys: Vec<SegmentKey>,
}

impl PartitionLog {
    pub(crate) fn new(core: Arc<Core>, id: PartitionId) -> Arc<PartitionLog> {
        Arc::new(PartitionLog {
            id,
            core,
            instance: AtomicU64::new(next_instance()),
            next_offset: AtomicU64::new(0),
            log_start: AtomicU64::new(0),
            log_start_min: AtomicU64::new(0),
            local_start: AtomicU64::new(0),
            durable_end: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            dropped: AtomicBool::new(false),
            drop_durable: AtomicBool::new(false),
            seen_epoch: AtomicI32::new(NEVER_SEEN),
            dirty: AtomicBool::new(false),
            unwritten_bytes: AtomicUsize::new(0),
            ready: AtomicBool::new(false),
            state: Mutex::default(),
            writing: Mutex::default(),
            reshaping: Mutex::default(),
        })
    }

    /// Which partition this is.
    pub fn id(&self) -> PartitionId {
        self.id
    }

    /// The offset that the next appended record gets.
    pub fn next_offset(&self) -> u64 {
        self.next_offset.load(Ordering::Acquire)
    }

    /// One past the last offset on stable storage.
    pub fn durable_end(&self) -> u64 {
        self.durable_end.load(Ordering::Acquire)
    }

    /// Bytes of all batches on this disk, whole segments counted.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The committed offset last set: a note for the owner that checkpoints keep. After a crash
    /// it may be older than what was set last; it never exceeds [`PartitionLog::durable_end`].
    pub fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// Notes the committed offset; kept by the next checkpoint, costs nothing now.
    pub fn set_committed(&self, offset: u64) {
        self.committed.store(offset, Ordering::Release);
    }

    /// Offset ranges [from, to) that recovery could not restore, by offset; reading them says
    /// [`crate::ReadError::Corrupt`]. A replica gets them back by [`PartitionLog::truncate`] to
    /// below the first, which forgets them, and fetching from there.
    pub fn damaged(&self) -> Vec<(u64, u64)> {
        self.state.lock().damaged.clone()
    }

    /// The segments on this disk, oldest first, the one being appended to included.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.state
            .lock()
            .segments
            .iter()
            .map(Segment::info)
            .collect()
    }

    /// Blocks until everything below `end`, which was appended, is on stable storage. That is not
    /// to say that it is what the caller appended, where others truncate.
    ///
    /// # Errors
    /// [`AppendError::Failed`] if the log fails or is closed before that,
    /// [`AppendError::Truncated`] if `end` is beyond the log.
    pub fn wait_durable(&self, end: u64) -> Result<(), AppendError> {
        let done = || self.durable_end() >= end;
        let gone = || self.next_offset() < end;
        self.core
            .queue
            .wait(|| done() || gone() || self.core.stopped());
        if done() {
            Ok(())
        } else if gone() {
            Err(AppendError::Truncated)
        } else {
            Err(AppendError::Failed)
        }
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }

    /// Puts the partition on the next checkpoint's list.
    pub(crate) fn mark_dirty(self: &Arc<Self>) {
        if !self.dirty.swap(true, Ordering::AcqRel) {
            self.core.checkpoints.add_dirty(self.clone());
        }
    }

    /// To be called before a checkpoint writes the partition out: what comes later marks it again.
    pub(crate) fn clear_dirty(&self) {
        self.dirty.store(false, Ordering::Release);
    }

    fn instance(&self) -> u64 {
        self.instance.load(Ordering::Acquire)
    }

    fn key(&self, base: u64) -> SegmentKey {
        (self.instance(), base)
    }
}

fn next_instance() -> u64 {
    INSTANCES.fetch_add(1, Ordering::Relaxed)
}

impl State {
    /// Adds a batch at the end, in a new segment if `roll` or if there is none.
    fn push(&mut self, header: &BatchHeader, bytes: Bytes, roll: bool, now_ms: i64) {
        if roll || self.segments.is_empty() {
            if let Some(last) = self.segments.back_mut() {
                last.sealed = true;
            }
            self.segments.push_back(Segment::new(header.base_offset));
        }
        if self
            .epochs
            .last()
            .is_none_or(|(epoch, _)| *epoch < header.leader_epoch)
        {
            self.epochs.push((header.leader_epoch, header.base_offset));
        }
        let segment = self
            .segments
            .back_mut()
            .expect("a segment was just made sure of");
        let position = segment.push(header, now_ms);
        self.tail.push_back(TailBatch {
            bytes,
            base: header.base_offset,
            end: header.next_offset(),
            max_timestamp_ms: header.max_timestamp_ms,
            segment: segment.base,
            position,
        });
    }

    fn segment_mut(&mut self, base: u64) -> Option<&mut Segment> {
        self.segments
            .binary_search_by_key(&base, |segment| segment.base)
            .ok()
            .map(|found| &mut self.segments[found])
    }

    /// The segment that an offset falls into.
    fn segment_of(&self, offset: u64) -> Option<usize> {
        self.segments
            .partition_point(|segment| segment.base <= offset)
            .checked_sub(1)
    }

    /// The hole an offset is in.
    fn hole(&self, offset: u64) -> Option<(u64, u64)> {
        self.damaged
            .iter()
            .copied()
            .find(|(from, to)| (*from..*to).contains(&offset))
    }

    /// The leader epoch that a batch at an offset must carry.
    fn epoch_at(&self, offset: u64) -> Option<i32> {
        let after = self.epochs.partition_point(|(_, start)| *start <= offset);
        self.epochs[..after].last().map(|(epoch, _)| *epoch)
    }
}
