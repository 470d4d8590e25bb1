//! What a leader does about its partition's segments in the object store, without the store, the metadata
//! or a disk: [`Node`](crate::Node) takes the steps, the simulation takes the same.
//!
//! In each term a leader looks at what is live, gives up what was intended before, and then brings one
//! sealed segment after the other on its way. After anything that failed, or may have, it looks again and
//! begins a way anew, with another name: nothing is gone on with from the middle.

use crate::manifest::{ColdSummary, Written};

/// What a leader knows of its partition in the object store.
#[derive(Debug, Clone, Copy)]
pub struct Cold {
    /// The term in which it is so: only its leader changes it.
    pub epoch: i32,
    /// What is live.
    pub summary: ColdSummary,
    /// Whether intents from before the look are given up.
    abandoned: bool,
    /// What ends at or before this has been retired.
    retired_below: u64,
    /// The oldest segment that retention keeps, as it was seen last.
    pub(crate) oldest: Option<Oldest>,
    /// Where the segments ended when it was last looked whether to compact them, and when to look again
    /// though they end there still, in milliseconds since the epoch.
    pub(crate) looked_at: Option<(u64, Option<i64>)>,
}

/// What retention judges a segment by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Oldest {
    pub max_timestamp_ms: i64,
    pub data_bytes: u64,
}

/// One step of a segment's way into the store. The next one is taken after this one was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Doom the intents of this term and of earlier ones.
    Abandon,
    /// Note a name that is new, and the segment's offsets.
    Intend,
    /// Write the object.
    Put,
    /// Read it back, and compare.
    Verify,
    /// Have the row go live.
    Publish,
}

/// What follows a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// The next step of the way.
    Step(Step),
    /// The segment is live: [`Cold::went_live`].
    Live,
    /// The way ends here, and what is known stays so: the term is over, or the intent was given up.
    Fenced,
    /// The way ends here. What is known may not be so any more: it is to be looked at again.
    Look,
}

impl Step {
    /// What follows, after the step was answered; `None` if it failed, or nobody knows.
    pub fn after(self, answer: Option<Written>) -> Next {
        match (self, answer) {
            (_, None | Some(Written::NotNext(_) | Written::NotThere)) => Next::Look,
            (_, Some(Written::Fenced)) => Next::Fenced,
            (Self::Abandon, Some(Written::Done)) => Next::Step(Self::Intend),
            (Self::Intend, Some(Written::Done)) => Next::Step(Self::Put),
            (Self::Put, Some(Written::Done)) => Next::Step(Self::Verify),
            (Self::Verify, Some(Written::Done)) => Next::Step(Self::Publish),
            (Self::Publish, Some(Written::Done)) => Next::Live,
        }
    }
}

impl Cold {
    /// What a look in a term has shown.
    pub fn new(epoch: i32, summary: ColdSummary) -> Self {
        Self {
            epoch,
            summary,
            abandoned: false,
            retired_below: 0,
            oldest: None,
            looked_at: None,
        }
    }

    /// What the next segment's way begins with.
    pub fn first_step(&self) -> Step {
        match self.abandoned {
            false => Step::Abandon,
            true => Step::Intend,
        }
    }

    /// Where the next segment begins. What neither the store nor the disk has is gone for good: trimmed,
    /// or removed before there was a store.
    pub fn next_offset(&self, local_start: u64) -> u64 {
        match self.summary.segments {
            0 => self.summary.end.max(local_start),
            _ => self.summary.end,
        }
    }

    /// What is below may leave disks: it is committed, and live in the store.
    pub fn may_drop_below(&self, high_watermark: u64) -> u64 {
        self.summary.end.min(high_watermark)
    }

    /// Where the log starts at least. What is below is in neither tier: an earlier leader trimmed it, and
    /// this one had not heard.
    pub fn log_start_min(&self, local_start: u64) -> u64 {
        self.summary.start.min(local_start)
    }

    /// Whether live segments may lie wholly below the start of the log.
    pub fn is_to_retire(&self, log_start: u64) -> bool {
        self.summary.segments > 0 && log_start > self.summary.start.max(self.retired_below)
    }

    /// A segment of so many bytes went live.
    pub fn went_live(&mut self, base_offset: u64, end_offset: u64, bytes: u64) {
        if self.summary.segments == 0 {
            self.summary.start = base_offset;
        }
        self.summary.end = end_offset;
        self.summary.bytes += bytes;
        self.summary.segments += 1;
        self.abandoned = true;
    }

    /// Intents from before the look were given up, without a segment's way.
    pub fn gave_up_intents(&mut self) {
        self.abandoned = true;
    }

    /// An intent may have been left behind: it is to be given up before the next one.
    pub fn left_intents(&mut self) {
        self.abandoned = false;
    }

    /// Whether it is to be looked at whether to compact the partition.
    pub fn is_to_look_at(&self, now_ms: i64) -> bool {
        self.looked_at.is_none_or(|(end, due_ms)| {
            end != self.summary.end || due_ms.is_some_and(|due| due <= now_ms)
        })
    }

    /// So many segments with so many bytes became one.
    pub fn was_compacted(&mut self, segments: u64, bytes: u64, left_bytes: u64) {
        let summary = &mut self.summary;
        summary.bytes = (summary.bytes + left_bytes).saturating_sub(bytes);
        summary.segments = (summary.segments + 1).saturating_sub(segments);
    }

    /// What lay wholly below `log_start` was retired; this is live since.
    pub fn retired(&mut self, log_start: u64, summary: ColdSummary) {
        self.summary = summary;
        self.retired_below = log_start;
    }
}
