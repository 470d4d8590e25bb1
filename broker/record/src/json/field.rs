//! The fields of a record, and which of them exclude each other.

/// A field of the record; the number is its bit in the set of those seen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Key,
    KeyBase64,
    Value,
    ValueText,
    ValueBase64,
    Headers,
    HeadersBase64,
    Timestamp,
    Partition,
    Offset,
    Topic,
}

impl Field {
    #[inline(always)]
    pub(super) fn from_name(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"key" => Self::Key,
            b"value" => Self::Value,
            b"timestamp" => Self::Timestamp,
            b"headers" => Self::Headers,
            b"partition" => Self::Partition,
            b"offset" => Self::Offset,
            b"topic" => Self::Topic,
            b"key_base64" => Self::KeyBase64,
            b"value_text" => Self::ValueText,
            b"value_base64" => Self::ValueBase64,
            b"headers_base64" => Self::HeadersBase64,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::KeyBase64 => "key_base64",
            Self::Value => "value",
            Self::ValueText => "value_text",
            Self::ValueBase64 => "value_base64",
            Self::Headers => "headers",
            Self::HeadersBase64 => "headers_base64",
            Self::Timestamp => "timestamp",
            Self::Partition => "partition",
            Self::Offset => "offset",
            Self::Topic => "topic",
        }
    }

    #[inline(always)]
    pub(super) fn bit(self) -> u16 {
        1 << self as u16
    }

    /// The fields of which a record has at most one, this among them.
    #[inline(always)]
    pub(super) fn alternatives(self) -> u16 {
        match self {
            Self::Key | Self::KeyBase64 => Self::Key.bit() | Self::KeyBase64.bit(),
            Self::Value | Self::ValueText | Self::ValueBase64 => VALUES,
            _ => self.bit(),
        }
    }
}

/// The fields of which a record has exactly one.
pub(super) const VALUES: u16 =
    1 << Field::Value as u16 | 1 << Field::ValueText as u16 | 1 << Field::ValueBase64 as u16;
