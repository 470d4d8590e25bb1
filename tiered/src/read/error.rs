use std::fmt;

use crate::error::{StoreError, StoreErrorKind};
use crate::segment_ref::SegmentRef;

/// Why batches could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// The object is damaged in the store.
    Corrupt {
        /// First offset that is not to be had.
        from: u64,
        /// Where reading goes on.
        to: u64,
        /// Which object, and what is wrong.
        detail: String,
    },
    /// The store, or the object is not there.
    Store(StoreError),
}

impl ReadError {
    /// An object that ends too early is damage, too.
    pub(crate) fn in_segment(self, segment: &SegmentRef) -> Self {
        match self {
            Self::Store(error) if error.kind() == StoreErrorKind::Corrupt => {
                Self::whole(segment, &error.to_string())
            }
            other => other,
        }
    }

    /// Nothing of the segment is to be had.
    pub(crate) fn whole(segment: &SegmentRef, detail: &str) -> Self {
        Self::Corrupt {
            from: segment.base_offset,
            to: segment.end_offset,
            detail: format!("{}: {detail}", segment.key),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt { from, to, detail } => {
                write!(f, "offsets {from}..{to} are damaged in the store: {detail}")
            }
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
