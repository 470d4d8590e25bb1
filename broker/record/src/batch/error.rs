use std::fmt;

use super::Compression;

/// Why bytes are not a batch. Never says that memory was touched beyond its bounds: there is no
/// such state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end before the batch does: more may come, or the write was torn.
    Truncated {
        /// Bytes that the batch says it has, or the header size if even that is missing.
        needed: usize,
        /// Bytes that were there.
        have: usize,
    },
    /// The format version is not 2.
    Magic(i8),
    /// The length field is below what a header takes, or negative.
    Length(i32),
    /// A header field is outside its range; the text names it.
    Header(&'static str),
    /// The content is not what was written.
    Crc {
        /// The checksum in the header.
        stored: u32,
        /// The checksum of the bytes.
        computed: u32,
    },
    /// The compression code (0 to 7) is not known.
    Compression(u8),
    /// The compressed records do not inflate.
    Inflate(Compression),
    /// The records inflate to more bytes than the caller allows.
    TooLarge {
        /// What the caller allows.
        bytes_max: usize,
    },
    /// A record contradicts the format; the text says how.
    Record {
        /// Which record, from 0.
        index: u32,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Bytes are left over after the last record, or after the batch where one alone is expected.
    TrailingBytes(usize),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { needed, have } => {
                write!(f, "batch is cut off: {have} of {needed} bytes")
            }
            Self::Magic(magic) => write!(f, "batch format {magic} is not 2"),
            Self::Length(length) => write!(f, "batch length {length} is impossible"),
            Self::Header(field) => write!(f, "batch header field out of range: {field}"),
            Self::Crc { stored, computed } => {
                write!(
                    f,
                    "batch checksum is {computed:08x}, its header says {stored:08x}"
                )
            }
            Self::Compression(code) => write!(f, "compression code {code} is not known"),
            Self::Inflate(compression) => write!(f, "records do not inflate as {compression}"),
            Self::TooLarge { bytes_max } => {
                write!(f, "records inflate to more than {bytes_max} bytes")
            }
            Self::Record { index, reason } => write!(f, "record {index}: {reason}"),
            Self::TrailingBytes(n) => write!(f, "{n} bytes are left over"),
        }
    }
}

impl std::error::Error for DecodeError {}
