use super::{
    BatchView, DecodeError, Headers, HeadersIter, NewRecord, RECORD_JSON, RECORD_SERVER_TIMESTAMP,
};

/// One record inside a batch, borrowed from its bytes (or from the bytes it was inflated into).
#[derive(Debug, Clone, Copy)]
pub struct RecordView<'a> {
    /// Offset less the batch's base offset.
    pub offset_delta: u32,
    /// Offset in the partition.
    pub offset: u64,
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// The attribute bits, [`RECORD_JSON`] and [`RECORD_SERVER_TIMESTAMP`].
    pub attributes: u8,
    /// The key, or none.
    pub key: Option<&'a [u8]>,
    /// The value; none is a tombstone.
    pub value: Option<&'a [u8]>,
    pub(super) headers: Headers<'a>,
}

impl<'a> RecordView<'a> {
    /// The value is JSON that a gateway checked.
    pub fn is_json(&self) -> bool {
        self.attributes & RECORD_JSON != 0
    }

    /// The timestamp was set by the server, not by the client.
    pub fn server_timestamp(&self) -> bool {
        self.attributes & RECORD_SERVER_TIMESTAMP != 0
    }

    /// Each header, in order. They were checked when the record was read.
    pub fn headers(&self) -> HeadersIter<'a> {
        self.headers.iter()
    }

    /// Bytes of key, value, header names and header values together.
    pub fn payload_bytes(&self) -> usize {
        self.to_new().payload_bytes()
    }

    /// The same record, to be put into another batch; the offset is lost.
    pub fn to_new(&self) -> NewRecord<'a> {
        NewRecord {
            key: self.key,
            value: self.value,
            json: self.is_json(),
            timestamp_ms: self.timestamp_ms,
            server_timestamp: self.server_timestamp(),
            headers: self.headers,
        }
    }

    /// Whether a client that sent this could have sent `other`: all is equal but for timestamps
    /// that the server set.
    fn equals(&self, other: &Self) -> bool {
        self.key == other.key
            && self.value == other.value
            && self.is_json() == other.is_json()
            && self.server_timestamp() == other.server_timestamp()
            && (self.server_timestamp() || self.timestamp_ms == other.timestamp_ms)
            && self.headers == other.headers
    }
}

/// Whether two batches hold the same records, so that a repeated request is told from another one
/// under the same name.
///
/// Compared are the count and per record key, value, headers, what the value is, and the
/// timestamp unless the server set it. Offsets, compression and the rest of the header do not
/// count.
///
/// # Errors
/// If either batch does not decode within `decoded_bytes_max` bytes.
pub fn records_equal(
    a: &BatchView<'_>,
    b: &BatchView<'_>,
    decoded_bytes_max: usize,
) -> Result<bool, DecodeError> {
    if a.header().record_count != b.header().record_count {
        return Ok(false);
    }
    let (mut scratch_a, mut scratch_b) = (Vec::new(), Vec::new());
    let mut records_b = b.records(&mut scratch_b, decoded_bytes_max)?;
    for record_a in a.records(&mut scratch_a, decoded_bytes_max)? {
        let record_a = record_a?;
        match records_b.next() {
            Some(record_b) if record_a.equals(&record_b?) => {}
            _ => return Ok(false),
        }
    }
    records_b.next().transpose().map(|left| left.is_none())
}
