//! The journal: the one place where an append becomes durable.

pub(crate) mod committer;
pub(crate) mod files;
pub(crate) mod format;
pub(crate) mod queue;
pub(crate) mod reader;

/// A place between two groups: everything before it is covered by a checkpoint.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub(crate) struct Position {
    /// Number of the file.
    pub file: u64,
    /// Bytes into it.
    pub offset: u64,
    /// Number of the last group before the place.
    pub group: u64,
}
