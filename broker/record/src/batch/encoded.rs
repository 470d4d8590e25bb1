use bytes::Bytes;

use super::header::BatchHeader;
use super::{BatchView, DecodeError, Producer};

/// An encoded, checked batch whose base offset and leader epoch are not yet final: both lie
/// outside the CRC, so a leader sequences a batch by patching them.
#[derive(Debug, Clone)]
pub struct Batch {
    bytes: Vec<u8>,
    header: BatchHeader,
}

impl Batch {
    pub(super) fn from_parts(bytes: Vec<u8>, header: BatchHeader) -> Self {
        Self { bytes, header }
    }

    /// Takes bytes that must be exactly one batch: header, length and CRC are checked.
    ///
    /// The records are not walked; [`BatchView::check_records`] does that where the writer is not
    /// trusted.
    ///
    /// # Errors
    /// Whatever is wrong with the header or the CRC; [`DecodeError::TrailingBytes`] if more follows.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, DecodeError> {
        let bytes = bytes.into();
        let (view, used) = BatchView::parse(&bytes)?;
        if used != bytes.len() {
            return Err(DecodeError::TrailingBytes(bytes.len() - used));
        }
        view.check_crc()?;
        let header = *view.header();
        Ok(Self { bytes, header })
    }

    /// How many records it holds.
    pub fn record_count(&self) -> u32 {
        self.header.record_count
    }

    /// Offset of the last record less the base offset.
    pub fn last_offset_delta(&self) -> u32 {
        self.header.last_offset_delta
    }

    /// The highest record timestamp, milliseconds since the epoch.
    pub fn max_timestamp_ms(&self) -> i64 {
        self.header.max_timestamp_ms
    }

    /// Who wrote it.
    pub fn producer(&self) -> Producer {
        self.header.producer
    }

    /// The whole header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Bytes of the whole batch; never below 61.
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Sets the offset of the first record.
    ///
    /// # Panics
    /// At 2^63 and above: offsets stay below 2^53.
    pub fn set_base_offset(&mut self, base_offset: u64) {
        assert!(base_offset < 1 << 63, "offsets stay below 2^53");
        self.header.base_offset = base_offset;
        self.bytes[0..8].copy_from_slice(&base_offset.to_be_bytes());
    }

    /// Sets the epoch of the leader that sequences the batch.
    pub fn set_leader_epoch(&mut self, leader_epoch: i32) {
        self.header.leader_epoch = leader_epoch;
        self.bytes[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
    }

    /// The bytes so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A view over the bytes, to read the records.
    pub fn view(&self) -> BatchView<'_> {
        BatchView::from_parts(&self.bytes, self.header)
    }

    /// The final bytes, shared from here on; nothing is copied.
    pub fn freeze(self) -> Bytes {
        Bytes::from(self.bytes)
    }
}
