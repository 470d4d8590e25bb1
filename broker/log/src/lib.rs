//! One disk: its journal and the partition logs on it.
//!
//! [`Log::open`] opens a data directory; [`Log::partition`] gives a [`PartitionLog`] to append to
//! and read from. An append queues its batch for the one journal of the disk and returns; the
//! [`Listener`] hears when batches are durable. Segments, per partition, are written behind that,
//! and synced by checkpoints. The README has the picture.
//!
//! Everything blocks where it must; nothing here knows of an async runtime.

mod behind;
mod checkpoint;
mod codec;
mod core;
pub mod disk;
mod error;
mod flush;
mod id;
mod journal;
mod log;
mod options;
mod partition;
mod recover;
mod segment;
mod stats;

pub use disk::{Disk, File, RealDisk};
pub use error::{AppendError, Failure, FailureKind, LogError, OpenError, ReadError};
pub use id::{PartitionId, TopicId, TopicIdError};
pub use log::Log;
pub use options::{ClockMs, Listener, LogOptions, Retained, Retention};
pub use partition::{Appended, PartitionLog, ProducerBatch, SealedSegment};
pub use recover::Recovery;
pub use segment::SegmentInfo;
pub use stats::{LogStats, SYNC_BUCKETS};
