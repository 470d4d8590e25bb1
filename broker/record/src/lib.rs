//! What a batch is: Kafka's record batch, and JSON to and from it.
//!
//! Everything between a gateway's socket and an object in a bucket is one format, the record batch
//! of magic 2. [`batch`] builds, checks and reads it; [`json`] turns the text of a produce request
//! straight into it, with no tree in between, and writes records back as JSON; [`partition`] is
//! Kafka's default partitioner.
//!
//! The crate is pure: no input or output, no clock, no tasks. Reading never panics, whatever the
//! bytes are.
#![deny(unsafe_code)]

pub mod batch;
pub mod json;
pub mod partition;

pub use batch::{
    BATCH_HEADER_BYTES, Batch, BatchBuilder, BatchHeader, BatchView, Batches, Compression,
    DecodeError, Headers, HeadersIter, NewRecord, Producer, RECORD_JSON, RECORD_SERVER_TIMESTAMP,
    RecordHeader, RecordIter, RecordView, Retained, records_equal,
};
pub use json::{
    Acks, JsonError, JsonErrorKind, JsonLimits, JsonRecord, JsonScratch, ParseError, ProduceBody,
    ValueKind, WriteOptions, check_json, parse_produce, parse_record, write_record,
};
pub use partition::{murmur2, partition_for_key};
