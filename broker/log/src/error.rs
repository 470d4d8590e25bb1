//! Errors, grouped by what the caller must do.

use std::fmt;
use std::io;

use crate::id::PartitionId;

/// What the disk did that ended this log.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum FailureKind {
    /// A write to the journal, or making a journal file, failed.
    JournalWrite,
    /// A sync of the journal failed: what it held may or may not be on the disk.
    JournalSync,
    /// A write to a segment failed for another reason than a full disk.
    SegmentWrite,
    /// A sync of a segment or of its directory failed.
    SegmentSync,
    /// The checkpoint could not be written.
    Checkpoint,
    /// One of the log's own threads panicked.
    Panic,
}

/// The log has failed, for good: nothing is retried, the process should stop.
///
/// After a failed sync the kernel may have dropped the dirty pages and may report the next sync
/// as good, so the only way on is a restart and recovery.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct Failure {
    /// What failed.
    pub kind: FailureKind,
    /// Which file, and what the operating system said.
    pub detail: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.detail)
    }
}

/// Why nothing was appended or changed. All but [`AppendError::Failed`] mean: certainly not written.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum AppendError {
    /// The disk is down to its reserve; try again when space returned. Nothing was queued.
    StorageFull,
    /// The log has failed or was closed; what was queued may or may not be durable.
    Failed,
    /// The partition was dropped from this disk.
    Dropped,
    /// The bytes are no whole batches, one after the other with nothing between, or a CRC is wrong.
    Invalid,
    /// A batch does not begin where the one before it, or the log, ends.
    OutOfSequence {
        /// Where it had to begin.
        expected: u64,
        /// Where it begins.
        found: u64,
    },
    /// A batch is of a lower leader epoch than the one before it.
    StaleEpoch {
        /// The epoch before.
        last: i32,
        /// The batch's.
        found: i32,
    },
    /// The log cannot be cut before what is on this disk; [`crate::PartitionLog::reset`] can move that.
    BelowStart {
        /// The first offset on this disk.
        local_start: u64,
    },
    /// What was said to come before the log is none: its epochs do not grow, or it begins too late.
    NoHistory,
    /// A truncation took away what was waited for.
    Truncated,
    /// The disk did not give the batches around the place to cut at; nothing was changed.
    Unreadable,
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AppendError::StorageFull => f.write_str("the disk is down to its reserve"),
            AppendError::Failed => f.write_str("the log has failed or was closed"),
            AppendError::Dropped => f.write_str("the partition was dropped"),
            AppendError::Invalid => f.write_str("the bytes are no whole batches"),
            AppendError::OutOfSequence { expected, found } => {
                write!(f, "a batch begins at offset {found} and not at {expected}")
            }
            AppendError::StaleEpoch { last, found } => {
                write!(
                    f,
                    "a batch of epoch {found} comes after one of epoch {last}"
                )
            }
            AppendError::BelowStart { local_start } => {
                write!(
                    f,
                    "this disk has the log from {local_start} on and cannot cut it before that"
                )
            }
            AppendError::NoHistory => f.write_str("this cannot come before the log"),
            AppendError::Truncated => f.write_str("the end of the log was cut off"),
            AppendError::Unreadable => f.write_str("the place to cut at could not be read"),
        }
    }
}

impl std::error::Error for AppendError {}

/// Why nothing could be read.
#[derive(Clone, Eq, PartialEq, Debug)]
pub enum ReadError {
    /// The offset is not in the log.
    OutOfRange {
        /// The first offset of the log.
        log_start: u64,
        /// One past the last appended offset.
        end: u64,
    },
    /// The offset is in the log, but no longer on this disk.
    NotLocal {
        /// The first offset on this disk.
        local_start: u64,
    },
    /// What was stored at `[from, to)` cannot be trusted; reading goes on at `to`.
    Corrupt {
        /// The first unreadable offset asked for.
        from: u64,
        /// The next offset that can be tried.
        to: u64,
    },
    /// What was opened for reading was cut off since.
    Truncated,
    /// The disk answered with an error; the text says which file.
    Io(String),
    /// The partition was dropped from this disk.
    Dropped,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::OutOfRange { log_start, end } => {
                write!(f, "offset is outside [{log_start}, {end})")
            }
            ReadError::NotLocal { local_start } => {
                write!(f, "this disk has the log from {local_start} on only")
            }
            ReadError::Truncated => f.write_str("what was opened was cut off"),
            ReadError::Corrupt { from, to } => write!(f, "offsets [{from}, {to}) are damaged"),
            ReadError::Io(detail) => write!(f, "reading failed: {detail}"),
            ReadError::Dropped => f.write_str("the partition was dropped"),
        }
    }
}

impl std::error::Error for ReadError {}

/// Why a maintenance call (checkpoint, close) did not do its work.
#[derive(Clone, Eq, PartialEq, Debug)]
pub enum LogError {
    /// No space for it now; what is durable stays durable, and it is tried again by itself.
    StorageFull,
    /// The log has failed.
    Failed(Failure),
    /// The log was closed.
    Closed,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::StorageFull => f.write_str("the disk is full"),
            LogError::Failed(failure) => write!(f, "the log has failed: {failure}"),
            LogError::Closed => f.write_str("the log was closed"),
        }
    }
}

impl std::error::Error for LogError {}

/// Why a data directory was not opened. Nothing in it was deleted.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has it open.
    Locked,
    /// Written by a newer version of this program.
    Version {
        /// The file that says so.
        file: String,
        /// The version found there.
        found: u32,
        /// The newest version understood here.
        supported: u32,
    },
    /// The journal holds a kind of frame this version does not know.
    UnknownFrame {
        /// The number of the kind.
        kind: u8,
        /// The partition it is about.
        partition: PartitionId,
    },
    /// The directory's identity is lost and cannot be recovered from elsewhere.
    Damaged {
        /// What is damaged.
        what: String,
    },
    /// The operating system refused.
    Io {
        /// What was being done.
        context: String,
        /// What it said.
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn io(context: impl Into<String>) -> impl FnOnce(io::Error) -> OpenError {
        let context = context.into();
        move |source| OpenError::Io { context, source }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Locked => f.write_str("the data directory is open in another process"),
            OpenError::Version {
                file,
                found,
                supported,
            } => {
                write!(
                    f,
                    "{file} has format version {found}; this program knows up to {supported}"
                )
            }
            OpenError::UnknownFrame { kind, partition } => {
                write!(
                    f,
                    "the journal holds a frame of unknown kind {kind} for {partition}"
                )
            }
            OpenError::Damaged { what } => write!(f, "the data directory is damaged: {what}"),
            OpenError::Io { context, source } => write!(f, "{context}: {source}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OpenError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Whether an error says "no space", which is never corruption and may pass.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
