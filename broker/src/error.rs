//! What can go wrong, grouped by what the caller must do.

use std::fmt;

use headwater_groups::GroupError;

/// A produce that was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProduceError {
    /// Nothing was written: this node does not know the partition.
    UnknownPartition,
    /// Nothing was written: another broker leads, or none does now.
    NotLeader,
    /// Nothing was written: fewer copies are in sync than an acknowledgement needs.
    TooFewInSync,
    /// Nothing was written: the producer id was used for other records.
    ProducerReused,
    /// Nothing was written: the disk is full up to its reserve.
    StorageFull,
    /// Nothing was written: the disk does not keep up with what is in memory.
    Overloaded,
    /// Nothing was written: the broker that leads could not be reached.
    Unreachable,
    /// The outcome is unknown: the log failed or the node is stopping after the append, or the
    /// request was sent to another broker and its answer did not come.
    Unknown,
}

impl fmt::Display for ProduceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownPartition => "unknown partition",
            Self::NotLeader => "not the leader of this partition",
            Self::TooFewInSync => "too few copies are in sync",
            Self::ProducerReused => "the producer id was used for other records",
            Self::StorageFull => "storage is full",
            Self::Overloaded => "the disk does not keep up",
            Self::Unreachable => "the broker that leads cannot be reached",
            Self::Unknown => "the append was not acknowledged, and may have happened",
        })
    }
}

impl std::error::Error for ProduceError {}

/// A call to a group's coordinator that was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoordinateError {
    /// The group refuses it: nothing changed.
    Refused(GroupError),
    /// Nothing was done: this node does not know the partition, or it is not one of the group log.
    UnknownPartition,
    /// Nothing was done: another broker leads, or none does now.
    NotLeader,
    /// Nothing was done: fewer copies are in sync than an acknowledgement needs.
    TooFewInSync,
    /// Nothing was done: the disk is full up to its reserve.
    StorageFull,
    /// Nothing was done: the coordinator has as many calls as it can hold, or the disk does not keep up.
    Overloaded,
    /// Nothing was done: the group log cannot be read.
    Unavailable(String),
    /// Nothing was done: the broker that leads could not be reached.
    Unreachable(String),
    /// The outcome is unknown: the coordinator's term ended after it had appended what the call changes,
    /// or the answer of another broker did not come.
    Unknown,
}

impl fmt::Display for CoordinateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::UnknownPartition => f.write_str("unknown partition of the group log"),
            Self::NotLeader => f.write_str("not the group's coordinator"),
            Self::TooFewInSync => f.write_str("too few copies are in sync"),
            Self::StorageFull => f.write_str("storage is full"),
            Self::Overloaded => f.write_str("the coordinator has too many calls"),
            Self::Unavailable(why) => write!(f, "the group log cannot be read: {why}"),
            Self::Unreachable(why) => f.write_str(why),
            Self::Unknown => f.write_str("the call was not acknowledged, and may have been done"),
        }
    }
}

impl std::error::Error for CoordinateError {}

/// A read that could not be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchError {
    /// This node does not know the partition.
    UnknownPartition,
    /// Another broker leads, or none does now.
    NotLeader,
    /// The offset is outside `log_start..=high_watermark`.
    OutOfRange {
        /// The oldest offset that can be read.
        log_start: u64,
        /// The offset after the newest record that can be read.
        high_watermark: u64,
    },
    /// The stored bytes of `from..to` fail their checksum; `to` can be read again.
    Corrupt {
        /// First offset of the damaged range.
        from: u64,
        /// First readable offset after it.
        to: u64,
    },
    /// The log failed or the node is stopping.
    Unavailable(String),
    /// The broker that was asked cannot be reached, or did not answer.
    Unreachable(String),
    /// Another may lead by now: not everybody who could has said in time that they follow.
    NotConfirmed,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPartition => f.write_str("unknown partition"),
            Self::NotLeader => f.write_str("not the leader of this partition"),
            Self::OutOfRange {
                log_start,
                high_watermark,
            } => {
                write!(f, "offset outside {log_start}..={high_watermark}")
            }
            Self::Corrupt { from, to } => write!(f, "stored bytes of {from}..{to} are damaged"),
            Self::Unavailable(why) => write!(f, "the log cannot be read: {why}"),
            Self::Unreachable(why) => f.write_str(why),
            Self::NotConfirmed => f.write_str("not confirmed to lead"),
        }
    }
}

impl std::error::Error for FetchError {}

/// A node that could not start or stop, or a management call on it that failed.
#[derive(Debug)]
pub struct NodeError(pub String);

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NodeError {}
