/// Buffers that parsing uses again for each record: keys with escapes, headers, decoded base64.
///
/// Keep one per connection or thread; it holds no state between calls.
#[derive(Debug, Default)]
pub struct JsonScratch {
    /// A key that had escapes or was base64.
    pub(super) key: Vec<u8>,
    /// A value that had escapes or was base64.
    pub(super) value: Vec<u8>,
    /// Text between its escapes and its base64.
    pub(super) unescaped: Vec<u8>,
    pub(super) headers: HeaderScratch,
}

/// The headers of the record being read.
#[derive(Debug, Default)]
pub(super) struct HeaderScratch {
    /// As they stand in a batch.
    pub(super) encoded: Vec<u8>,
    /// How many are in `encoded`.
    pub(super) count: usize,
    /// Bytes of their names and values.
    pub(super) payload_bytes: usize,
    /// The names of the object being read, one after the other.
    pub(super) names: Vec<u8>,
    /// Where each of them ends.
    pub(super) name_ends: Vec<usize>,
    /// The value being read, if it had escapes or was base64.
    pub(super) value: Vec<u8>,
}

impl JsonScratch {
    /// Empty buffers; they grow on first use.
    pub fn new() -> Self {
        Self::default()
    }

    /// A single huge record must not hold its memory for as long as a connection lives.
    pub(super) fn shrink(&mut self) {
        const KEPT_BYTES: usize = 1 << 20;
        let headers = &mut self.headers;
        for buffer in [
            &mut self.key,
            &mut self.value,
            &mut self.unescaped,
            &mut headers.encoded,
            &mut headers.names,
            &mut headers.value,
        ] {
            if buffer.capacity() > KEPT_BYTES {
                buffer.clear();
                buffer.shrink_to(KEPT_BYTES);
            }
        }
    }
}

impl HeaderScratch {
    pub(super) fn clear(&mut self) {
        self.encoded.clear();
        self.count = 0;
        self.payload_bytes = 0;
    }
}
