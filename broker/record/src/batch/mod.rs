//! The record batch: Kafka's message format of magic 2.
//!
//! Source: the Kafka protocol guide, "Record Batch". All numbers are big-endian; `varint` is a
//! zig-zag variable-length number.
//!
//! ```text
//!  0  base offset            i64   outside the CRC: the leader sets it
//!  8  length of what follows i32   from byte 12 on
//! 12  leader epoch           i32   outside the CRC: the leader sets it
//! 16  magic                  i8    2
//! 17  CRC-32C                u32   of everything from byte 21 to the end
//! 21  attributes             i16   bits 0-2 compression, 3 log append time, 4 transactional,
//!                                  5 control, 6 delete horizon
//! 23  last offset delta      i32
//! 27  base timestamp         i64   milliseconds since the epoch
//! 35  max timestamp          i64
//! 43  producer id            i64   -1: none
//! 51  producer epoch         i16
//! 53  base sequence          i32
//! 57  record count           i32
//! 61  records, compressed together if the attributes say so, each:
//!       length varint · attributes i8 · timestamp delta varint · offset delta varint
//!       · key length varint (-1: none) · key · value length varint (-1: none) · value
//!       · header count varint · headers, each:
//!           name length varint · name (UTF-8) · value length varint (-1: none) · value
//! ```
//!
//! Kafka leaves the record attributes unused; here bit 0 is [`RECORD_JSON`] and bit 1
//! [`RECORD_SERVER_TIMESTAMP`].

mod builder;
mod compression;
mod encoded;
mod error;
mod header;
mod headers;
mod iter;
mod new_record;
mod record;
mod retain;
pub(crate) mod varint;
mod view;

pub use builder::BatchBuilder;
pub use compression::{Compression, UnknownCompression};
pub use encoded::Batch;
pub use error::DecodeError;
pub use header::{BatchHeader, Producer};
pub use headers::{Headers, HeadersIter, RecordHeader};
pub use iter::RecordIter;
pub use new_record::NewRecord;
pub use record::{RecordView, records_equal};
pub use retain::Retained;
pub use view::{BatchView, Batches};

/// Bytes of a batch before its first record.
pub const BATCH_HEADER_BYTES: usize = 61;

/// Record attribute bit: the value is JSON that the gateway checked, so a reader need not.
pub const RECORD_JSON: u8 = 1;

/// Record attribute bit: the timestamp was set by the server, not by the client, so a repeated
/// request may carry another one and still be the same request.
pub const RECORD_SERVER_TIMESTAMP: u8 = 1 << 1;
