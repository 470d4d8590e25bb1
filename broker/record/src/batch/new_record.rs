use super::{Headers, RECORD_JSON, RECORD_SERVER_TIMESTAMP};

/// One record as handed to the builder.
#[derive(Debug, Clone, Copy)]
pub struct NewRecord<'a> {
    /// The key, or none.
    pub key: Option<&'a [u8]>,
    /// The value; none is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The value is JSON that was checked: it will be written out as it is.
    pub json: bool,
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// The timestamp was set by the server.
    pub server_timestamp: bool,
    /// Names must be UTF-8.
    pub headers: Headers<'a>,
}

impl NewRecord<'_> {
    /// Bytes of key, value, header names and header values together.
    pub fn payload_bytes(&self) -> usize {
        self.key.map_or(0, <[u8]>::len)
            + self.value.map_or(0, <[u8]>::len)
            + self.headers.payload_bytes()
    }

    #[inline(always)]
    pub(super) fn attributes(&self) -> u8 {
        (if self.json { RECORD_JSON } else { 0 })
            | (if self.server_timestamp {
                RECORD_SERVER_TIMESTAMP
            } else {
                0
            })
    }
}
