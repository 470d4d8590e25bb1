//! Sealed segments in any object store: written, checked, found and read again.
//!
//! [`Store`] is a bucket, a directory or memory, opened by URL. [`Store::upload`] checks a segment's
//! batches while it sends them and answers with a [`SegmentRef`], the row that the metadata keeps;
//! [`Store::verify`] compares an object with its row, [`Store::verify_written`] does so right after it
//! was written. A broker's one [`ColdReader`] reads batches through a bounded cache.
//! [`Store::compact`] makes objects anew without what later records supersede, and
//! [`ColdReader::find_key`] finds the last record of a key. [`format`] draws the object.
//!
//! Every call ends in bounded time, and nothing is kept that is not bounded in bytes. Errors say
//! what the caller can do; none of them holds a credential.
#![deny(unsafe_code)]

mod bandwidth;
mod compact;
mod error;
pub mod format;
mod key;
mod read;
mod scan;
mod segment_ref;
mod store;
mod upload;
mod verify;

pub use bandwidth::Bandwidth;
pub use compact::{Compaction, LatestKeys};
pub use error::{StoreError, StoreErrorKind};
pub use format::{Cleaned, Cleaning, Descriptor, Footer, Measured, Named, ProducerBatch, TopicId};
pub use key::SegmentKey;
pub use read::{ColdReader, ColdReaderOptions, ColdStats, ReadError};
pub use segment_ref::SegmentRef;
pub use store::{Bounds, CLAIM_KEY, Inspected, Listed, Probe, Store, StoreOptions};
pub use upload::UploadError;
pub use verify::VerifyError;
