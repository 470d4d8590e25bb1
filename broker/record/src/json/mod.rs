//! JSON to and from record batches, with no tree in between.
//!
//! Reading is one pass of a validating scanner (`scan.rs`): the envelope around a record is taken
//! apart, a record's `value` is checked for grammar and depth and then kept byte for byte, so
//! repeated names, `1e400`, escapes and long integers in it survive. Writing puts a checked value
//! back as it is.
//!
//! Grammar: RFC 8259. Pointers in errors: RFC 6901.

mod base64;
mod check;
mod error;
mod escape;
mod field;
mod headers;
mod limits;
mod produce;
mod record;
mod refuse;
mod scan;
mod scratch;
mod special;
mod text;
mod write;

pub use check::check_json;
pub use error::{JsonError, JsonErrorKind, ParseError};
pub use limits::JsonLimits;
pub use produce::{Acks, ProduceBody, parse_produce};
pub use record::{JsonRecord, ValueKind, parse_record};
pub use scratch::JsonScratch;
pub use write::{WriteOptions, write_record};
