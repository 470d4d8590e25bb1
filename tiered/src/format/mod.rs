//! An object: a segment's batches, and behind them what is needed to find something in them.
//!
//! ```text
//! object    = data | keys | producers | index | footer | trailer
//! data      = record batches as in the log, one after the other
//! keys      = page*                              of compacted topics: the last offset of each key
//! page      = (hash [16], offset u32)*           sorted; 204 of them, fewer in the last page
//!             | crc u32                          CRC-32C of the page's number u32 and its entries
//! producers = (id i64, epoch i16, base_sequence i32, offset u32, records u32, max_timestamp_ms i64)*
//!             | crc u32                          CRC-32C of the entries
//! index     = count u32 | (offset u32, position u32, max_timestamp_before_ms i64)*
//!             | count u32 | (crc u32)*           CRC-32C of each 256 KiB of the data
//! footer    = JSON: the descriptor, and what was measured
//! trailer   = data_bytes u64 | keys and producers, bytes u32 | index_bytes u32 | footer_bytes u32
//!             | format u32 | crc u32 | magic [8]   CRC-32C of index, footer and trailer up to here
//! ```
//! Little endian, but for the batches, which are Kafka's. Offsets are relative to the descriptor's
//! base offset, positions to the front of the object. As the data comes first, whatever reads a
//! Kafka segment reads an object up to where the data ends.
//!
//! A key's hash is the first 128 bits of its SHA-256. As hashes are spread evenly, a page is found by
//! the hash alone. The footer says how many bytes the keys have; 0 is no block, as in objects of topics
//! that are not compacted, in those written before there were such blocks, and where there were too
//! many keys. A block without keys has one page.
//!
//! The producers' block stands before the index and has a checksum of its own, because readers want
//! index and footer with one request and the producers, which may be megabytes, only after an
//! election. The checksums of blocks are there because a batch's own leaves out its offset, its
//! length and its epoch, and because they name the damage.

mod cleaning;
mod codec;
mod footer;
mod index;
mod keys;
mod producers;
mod trailer;

pub use cleaning::{Cleaned, Cleaning};
pub use footer::{Descriptor, Footer, Measured, Named, TopicId};
pub(crate) use footer::{FOOTER_BYTES_MAX, hex};
pub(crate) use index::{Index, IndexBuilder, Place};
pub(crate) use keys::{KeyBlock, KeyHash, KeyLayout, KeyPage, KeyPages, Keys, Lookup, each_keyed};
pub use producers::ProducerBatch;
pub(crate) use producers::Producers;
pub(crate) use trailer::{TRAILER_BYTES, Tail, Trailer};

/// The version written, and the only one understood.
pub const FORMAT: u32 = 1;

/// Bytes of data that one checksum of the index covers. Readers cache blocks of this size.
pub const BLOCK_BYTES: u64 = 256 << 10;

/// Most bytes of data in one object; positions in it are 32 bits.
pub const DATA_BYTES_MAX: u64 = 2 << 30;

/// Most bytes that a batch may inflate to where its keys are looked at.
pub(crate) const DECODED_BYTES_MAX: usize = 128 << 20;

/// CRC-32C (Castagnoli), as in the batches.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}
