//! Shared groups. Offsets are relative to the one before and ranges are gaps and lengths, so that
//! settling a thousand neighbours takes a few dozen bytes.

use std::ops::Range;

use headwater_log::{PartitionId, TopicId};
use prost::Message;

use super::topic_id;
use crate::error::CorruptEvent;
use crate::limits::WINDOW_RECORDS_MAX;
use crate::shared::types::Cause;
use crate::shared::{Changes, Piece, RecordState, Step, Tried};

const COUNTS: u32 = 1;
const MOVED: u32 = 2;
const LEASED: u32 = 3;
const CHANGED: u32 = 4;
const KNOWN: u32 = 5;
const REDRIVEN: u32 = 6;

/// A step of any kind, with the fields that its kind has.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StepMessage {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(uint64, tag = "2")]
    epoch: u64,
    #[prost(uint64, tag = "3")]
    dropped: u64,
    #[prost(int64, tag = "4")]
    at_ms: i64,
    #[prost(uint32, tag = "5")]
    lease_ms: u32,
    #[prost(message, repeated, tag = "6")]
    partitions: Vec<PartitionMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct PartitionMessage {
    /// None: that of the partition before.
    #[prost(bytes = "vec", tag = "1")]
    topic: Vec<u8>,
    #[prost(uint32, tag = "2")]
    partition: u32,
    /// Where it is moved to, or its floor.
    #[prost(uint64, optional, tag = "3")]
    position: Option<u64>,
    #[prost(uint64, tag = "4")]
    fence: u64,
    /// What is leased, settled or moved back: of each range the gap before it, and its length.
    #[prost(uint64, repeated, tag = "5")]
    ranges: Vec<u64>,
    #[prost(uint64, repeated, tag = "6")]
    nacked: Vec<u64>,
    #[prost(uint32, repeated, tag = "7")]
    nacked_ms: Vec<u32>,
    #[prost(uint64, repeated, tag = "8")]
    extended: Vec<u64>,
    #[prost(uint32, repeated, tag = "9")]
    extended_ms: Vec<u32>,
    /// Records that died, or all that were tried.
    #[prost(message, repeated, tag = "10")]
    records: Vec<RecordMessage>,
    #[prost(uint64, repeated, tag = "11")]
    released: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct RecordMessage {
    #[prost(uint64, tag = "1")]
    offset: u64,
    #[prost(uint64, tag = "2")]
    lease: u64,
    #[prost(uint32, tag = "3")]
    attempts: u32,
    #[prost(uint32, optional, tag = "4")]
    lease_ms: Option<u32>,
    #[prost(int64, optional, tag = "5")]
    until_ms: Option<i64>,
    /// 1: expired, 2: nacked, 3: rejected.
    #[prost(uint32, tag = "6")]
    cause: u32,
    #[prost(string, tag = "7")]
    reason: String,
}

pub(super) fn step_message(step: &Step) -> StepMessage {
    match step {
        Step::Counts { epoch, dropped } => StepMessage {
            kind: COUNTS,
            epoch: *epoch,
            dropped: *dropped,
            ..StepMessage::default()
        },
        Step::Moved { epoch, positions } => StepMessage {
            kind: MOVED,
            epoch: *epoch,
            partitions: partitions(positions, |position| PartitionMessage {
                position: *position,
                ..PartitionMessage::default()
            }),
            ..StepMessage::default()
        },
        Step::Leased {
            epoch,
            at_ms,
            lease_ms,
            runs,
        } => StepMessage {
            kind: LEASED,
            epoch: *epoch,
            at_ms: *at_ms,
            lease_ms: *lease_ms,
            partitions: partitions(runs, |run| PartitionMessage {
                ranges: gaps(run),
                ..PartitionMessage::default()
            }),
            ..StepMessage::default()
        },
        Step::Changed {
            at_ms,
            dropped,
            partitions: changes,
        } => StepMessage {
            kind: CHANGED,
            at_ms: *at_ms,
            dropped: *dropped,
            partitions: partitions(changes, changes_message),
            ..StepMessage::default()
        },
        Step::Known(pieces) => {
            let pieces: Vec<_> = pieces
                .iter()
                .map(|piece| (piece.partition, piece))
                .collect();
            StepMessage {
                kind: KNOWN,
                partitions: partitions(&pieces, |piece| piece_message(piece)),
                ..StepMessage::default()
            }
        }
        Step::Redriven(letters) => StepMessage {
            kind: REDRIVEN,
            partitions: partitions(letters, |letters| PartitionMessage {
                ranges: gaps(letters),
                ..PartitionMessage::default()
            }),
            ..StepMessage::default()
        },
    }
}

/// Names each partition, a topic once.
fn partitions<T>(
    of: &[(PartitionId, T)],
    message: impl Fn(&T) -> PartitionMessage,
) -> Vec<PartitionMessage> {
    let mut before: Option<TopicId> = None;
    let named = of.iter().map(|(id, it)| {
        let topic = match before.replace(id.topic) == Some(id.topic) {
            true => Vec::new(),
            false => id.topic.0.to_vec(),
        };
        PartitionMessage {
            topic,
            partition: id.partition,
            ..message(it)
        }
    });
    named.collect()
}

fn changes_message(changes: &Changes) -> PartitionMessage {
    let (nacked, nacked_ms) = distances(&changes.nacked);
    let (extended, extended_ms) = distances(&changes.extended);
    let records = changes.dead.iter().map(|(offset, cause, reason)| {
        let mut record = RecordMessage {
            offset: *offset,
            ..RecordMessage::default()
        };
        record.set_death(*cause, reason);
        record
    });
    PartitionMessage {
        ranges: gaps(&changes.settled),
        nacked,
        nacked_ms,
        extended,
        extended_ms,
        records: records.collect(),
        released: changes.released.clone(),
        ..PartitionMessage::default()
    }
}

fn piece_message(piece: &Piece) -> PartitionMessage {
    let records = piece.tried.iter().map(|(offset, tried)| {
        let mut record = RecordMessage {
            offset: *offset,
            lease: tried.lease,
            attempts: tried.attempts,
            ..RecordMessage::default()
        };
        match &tried.state {
            RecordState::Leased { lease_ms } => record.lease_ms = Some(*lease_ms),
            RecordState::Nacked { until_ms } => record.until_ms = Some(*until_ms),
            RecordState::Dead { cause, reason } => record.set_death(*cause, reason),
        }
        record
    });
    PartitionMessage {
        position: Some(piece.floor),
        fence: piece.fence,
        ranges: gaps(&piece.settled),
        records: records.collect(),
        ..PartitionMessage::default()
    }
}

fn gaps(ranges: &[Range<u64>]) -> Vec<u64> {
    let mut end = 0;
    let pairs = ranges.iter().flat_map(|range| {
        let gap = range.start - end;
        end = range.end;
        [gap, range.end - range.start]
    });
    pairs.collect()
}

fn distances(items: &[(u64, u32)]) -> (Vec<u64>, Vec<u32>) {
    let mut before = 0;
    let split = items.iter().map(|(offset, value)| {
        let distance = offset - before;
        before = *offset;
        (distance, *value)
    });
    split.unzip()
}

impl RecordMessage {
    fn set_death(&mut self, cause: Cause, reason: &str) {
        self.cause = match cause {
            Cause::Expired => 1,
            Cause::Nacked => 2,
            Cause::Rejected => 3,
        };
        reason.clone_into(&mut self.reason);
    }

    fn cause(&self) -> Result<Cause, CorruptEvent> {
        match self.cause {
            1 => Ok(Cause::Expired),
            2 => Ok(Cause::Nacked),
            3 => Ok(Cause::Rejected),
            other => Err(CorruptEvent(format!("unknown cause {other}"))),
        }
    }
}

pub(super) fn step(message: StepMessage) -> Result<Step, CorruptEvent> {
    let StepMessage {
        kind,
        epoch,
        dropped,
        at_ms,
        lease_ms,
        partitions,
    } = message;
    Ok(match kind {
        COUNTS => Step::Counts { epoch, dropped },
        MOVED => Step::Moved {
            epoch,
            positions: each(partitions, |_, message| Ok(message.position))?,
        },
        LEASED => Step::Leased {
            epoch,
            at_ms,
            lease_ms,
            runs: each(partitions, |_, message| leased(&message.ranges))?,
        },
        CHANGED => Step::Changed {
            at_ms,
            dropped,
            partitions: each(partitions, |_, message| changes(message))?,
        },
        KNOWN => {
            let pieces = each(partitions, piece)?;
            Step::Known(pieces.into_iter().map(|(_, piece)| piece).collect())
        }
        REDRIVEN => Step::Redriven(each(partitions, |_, message| ranges(&message.ranges))?),
        other => return Err(CorruptEvent(format!("unknown step {other}"))),
    })
}

fn each<T>(
    messages: Vec<PartitionMessage>,
    read: impl Fn(PartitionId, PartitionMessage) -> Result<T, CorruptEvent>,
) -> Result<Vec<(PartitionId, T)>, CorruptEvent> {
    let mut before = None;
    let each = messages.into_iter().map(|message| {
        let topic = match (before, message.topic.as_slice()) {
            (Some(before), []) => before,
            (_, bytes) => topic_id(bytes)?,
        };
        before = Some(topic);
        let id = PartitionId {
            topic,
            partition: message.partition,
        };
        Ok((id, read(id, message)?))
    });
    each.collect()
}

fn changes(message: PartitionMessage) -> Result<Changes, CorruptEvent> {
    let dead = message.records.into_iter().map(|record| {
        let cause = record.cause()?;
        Ok((record.offset, cause, record.reason.into()))
    });
    Ok(Changes {
        settled: ranges(&message.ranges)?,
        nacked: offsets(&message.nacked, &message.nacked_ms)?,
        extended: offsets(&message.extended, &message.extended_ms)?,
        dead: dead.collect::<Result<_, _>>()?,
        released: message.released,
    })
}

fn piece(partition: PartitionId, message: PartitionMessage) -> Result<Piece, CorruptEvent> {
    let tried = message.records.into_iter().map(|record| {
        let state = match (record.lease_ms, record.until_ms) {
            (Some(lease_ms), _) => RecordState::Leased { lease_ms },
            (None, Some(until_ms)) => RecordState::Nacked { until_ms },
            (None, None) => RecordState::Dead {
                cause: record.cause()?,
                reason: record.reason.into(),
            },
        };
        let tried = Tried {
            lease: record.lease,
            attempts: record.attempts,
            state,
            due_ms: None,
        };
        Ok((record.offset, tried))
    });
    Ok(Piece {
        partition,
        fence: message.fence,
        floor: message.position.unwrap_or(0),
        settled: ranges(&message.ranges)?,
        tried: tried.collect::<Result<_, _>>()?,
    })
}

fn ranges(gaps: &[u64]) -> Result<Vec<Range<u64>>, CorruptEvent> {
    let mut before = 0u64;
    let ranges = gaps.chunks(2).map(|pair| {
        let [gap, length] = pair else {
            return None;
        };
        let start = before.checked_add(*gap)?;
        before = start.checked_add(*length)?;
        Some(start..before)
    });
    let ranges: Option<_> = ranges.collect();
    ranges.ok_or_else(|| CorruptEvent("ranges that cannot be".to_owned()))
}

/// Each offset of these becomes something in memory.
fn leased(gaps: &[u64]) -> Result<Vec<Range<u64>>, CorruptEvent> {
    let ranges = ranges(gaps)?;
    let records: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    match records <= WINDOW_RECORDS_MAX as u64 {
        true => Ok(ranges),
        false => Err(CorruptEvent("more leases than can be".to_owned())),
    }
}

fn offsets(distances: &[u64], values: &[u32]) -> Result<Vec<(u64, u32)>, CorruptEvent> {
    let mut offset = 0u64;
    let offsets = distances.iter().zip(values).map(|(distance, value)| {
        offset = offset.checked_add(*distance)?;
        Some((offset, *value))
    });
    let is_whole = distances.len() == values.len();
    let offsets: Option<_> = offsets.collect();
    let offsets = offsets.filter(|_| is_whole);
    offsets.ok_or_else(|| CorruptEvent("offsets that cannot be".to_owned()))
}
