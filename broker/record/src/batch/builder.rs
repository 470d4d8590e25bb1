use super::header::BatchHeader;
use super::varint;
use super::{BATCH_HEADER_BYTES, Batch, Compression, NewRecord, Producer};

/// Most bytes of a record before its key: length, attributes, two deltas, key length.
const RECORD_PREFIX_BYTES_MAX: usize = 1 + 4 * varint::BYTES_MAX;

/// Writes records one after the other into the bytes that will be the batch.
///
/// The header's room is kept free at the front and filled by [`finish`](Self::finish), so nothing
/// is copied twice unless the records are compressed.
#[derive(Debug)]
pub struct BatchBuilder {
    bytes: Vec<u8>,
    record_count: u32,
    base_timestamp_ms: i64,
    max_timestamp_ms: i64,
}

impl BatchBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// An empty builder with room for `bytes` bytes of records, so that a caller who knows the
    /// size of a request's body saves the growing.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut buffer = Vec::with_capacity(BATCH_HEADER_BYTES + bytes);
        buffer.resize(BATCH_HEADER_BYTES, 0);
        Self {
            bytes: buffer,
            record_count: 0,
            base_timestamp_ms: 0,
            max_timestamp_ms: 0,
        }
    }

    /// Appends a record. Header names must be UTF-8, or the batch will not decode.
    ///
    /// The batch must stay below 2 GiB and 2^31 records: the format has no more.
    #[inline]
    pub fn push(&mut self, record: &NewRecord<'_>) {
        debug_assert!(
            record
                .headers
                .iter()
                .all(|header| str::from_utf8(header.name).is_ok())
        );
        if self.record_count == 0 {
            self.base_timestamp_ms = record.timestamp_ms;
            self.max_timestamp_ms = record.timestamp_ms;
        } else {
            self.max_timestamp_ms = self.max_timestamp_ms.max(record.timestamp_ms);
        }
        // Wraps where a reader wraps back: any pair of timestamps survives.
        let timestamp_delta = record.timestamp_ms.wrapping_sub(self.base_timestamp_ms);
        let offset_delta = i64::from(self.record_count);
        let key_bytes = record.key.map_or(-1, |key| key.len() as i64);
        let header_count = record.headers.len() as i64;
        let length = 1
            + varint::len(timestamp_delta)
            + varint::len(offset_delta)
            + varint::len_of_bytes(record.key)
            + varint::len_of_bytes(record.value)
            + varint::len(header_count)
            + record.headers.encoded_bytes();

        let mut prefix = [0; RECORD_PREFIX_BYTES_MAX];
        let mut end = varint::put(&mut prefix, 0, length as i64);
        prefix[end] = record.attributes();
        end = varint::put(&mut prefix, end + 1, timestamp_delta);
        end = varint::put(&mut prefix, end, offset_delta);
        end = varint::put(&mut prefix, end, key_bytes);

        self.bytes.reserve(length + varint::BYTES_MAX);
        self.bytes.extend_from_slice(&prefix[..end]);
        if let Some(key) = record.key {
            self.bytes.extend_from_slice(key);
        }
        varint::write_bytes(&mut self.bytes, record.value);
        if header_count == 0 {
            self.bytes.push(0);
        } else {
            varint::write(&mut self.bytes, header_count);
            record.headers.write(&mut self.bytes);
        }
        self.record_count += 1;
    }

    /// Records so far.
    pub fn record_count(&self) -> u32 {
        self.record_count
    }

    /// Bytes so far, the 61 of the header included, before any compression.
    pub fn encoded_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no record yet.
    pub fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// Compresses the records if asked (and if that makes them smaller), fills in the header and
    /// its CRC.
    ///
    /// Do not finish an empty builder: a batch without records still takes an offset.
    pub fn finish(self, producer: Producer, compression: Compression) -> Batch {
        let header = BatchHeader {
            base_offset: 0,
            batch_bytes: self.bytes.len(),
            leader_epoch: -1,
            crc: 0,
            attributes: 0,
            last_offset_delta: self.record_count.saturating_sub(1),
            base_timestamp_ms: self.base_timestamp_ms,
            max_timestamp_ms: self.max_timestamp_ms,
            producer,
            record_count: self.record_count,
        };
        let (bytes, header) = header.seal(self.bytes, compression);
        Batch::from_parts(bytes, header)
    }
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}
