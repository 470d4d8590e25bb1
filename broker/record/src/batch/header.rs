use std::ops::Range;

use super::{BATCH_HEADER_BYTES, Compression, DecodeError};

/// Bytes before the part that the length field counts: base offset and the length itself.
pub(super) const PREFIX_BYTES: usize = 12;
/// Where the CRC stands.
const CRC_AT: Range<usize> = 17..CRC_FROM;
/// Where the part that the CRC covers begins.
pub(super) const CRC_FROM: usize = 21;

const MAGIC: i8 = 2;
const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

/// Who wrote a batch, so that a repeated request is told from a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Producer {
    /// The producer's id; -1 is none.
    pub id: i64,
    /// Fences older instances of the same producer; -1 is none.
    pub epoch: i16,
    /// The number of the first record in the producer's sequence; -1 is none.
    pub base_sequence: i32,
}

impl Producer {
    /// A batch that nobody needs to recognise again.
    pub const NONE: Self = Self {
        id: -1,
        epoch: -1,
        base_sequence: -1,
    };
}

/// The first 61 bytes of a batch, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the batch's first record, below 2^63.
    pub base_offset: u64,
    /// Bytes of the whole batch, header included; at least 61.
    pub batch_bytes: usize,
    /// Epoch of the leader that gave it its offset; -1 before that.
    pub leader_epoch: i32,
    /// CRC-32C of everything from byte 21 on.
    pub crc: u32,
    /// The attribute bits as they stand.
    pub attributes: i16,
    /// Offset of the last record less the base offset.
    pub last_offset_delta: u32,
    /// What record timestamps are relative to, milliseconds since the epoch.
    pub base_timestamp_ms: i64,
    /// The highest record timestamp, milliseconds since the epoch.
    pub max_timestamp_ms: i64,
    /// Who wrote the batch.
    pub producer: Producer,
    /// How many records follow; 0 only where compaction removed them all.
    pub record_count: u32,
}

impl BatchHeader {
    /// Reads and checks the first 61 bytes; what follows them does not matter.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let Some(raw) = bytes.first_chunk::<BATCH_HEADER_BYTES>() else {
            return Err(DecodeError::Truncated {
                needed: BATCH_HEADER_BYTES,
                have: bytes.len(),
            });
        };
        let magic = field::<1>(raw, 16)[0] as i8;
        if magic != MAGIC {
            return Err(DecodeError::Magic(magic));
        }
        let length = i32::from_be_bytes(field(raw, 8));
        let batch_bytes = usize::try_from(length).map_or(0, |length| length + PREFIX_BYTES);
        if batch_bytes < BATCH_HEADER_BYTES {
            return Err(DecodeError::Length(length));
        }
        let header = Self {
            base_offset: u64::try_from(i64::from_be_bytes(field(raw, 0)))
                .map_err(|_| DecodeError::Header("base offset"))?,
            batch_bytes,
            leader_epoch: i32::from_be_bytes(field(raw, 12)),
            crc: u32::from_be_bytes(field(raw, 17)),
            attributes: i16::from_be_bytes(field(raw, 21)),
            last_offset_delta: u32::try_from(i32::from_be_bytes(field(raw, 23)))
                .map_err(|_| DecodeError::Header("last offset delta"))?,
            base_timestamp_ms: i64::from_be_bytes(field(raw, 27)),
            max_timestamp_ms: i64::from_be_bytes(field(raw, 35)),
            producer: Producer {
                id: i64::from_be_bytes(field(raw, 43)),
                epoch: i16::from_be_bytes(field(raw, 51)),
                base_sequence: i32::from_be_bytes(field(raw, 53)),
            },
            record_count: u32::try_from(i32::from_be_bytes(field(raw, 57)))
                .map_err(|_| DecodeError::Header("record count"))?,
        };
        Compression::from_attributes(header.attributes)?;
        if header.record_count > header.last_offset_delta.saturating_add(1) {
            return Err(DecodeError::Header("record count beyond the last offset"));
        }
        Ok(header)
    }

    /// The 61 bytes of this header.
    pub(super) fn to_bytes(self) -> [u8; BATCH_HEADER_BYTES] {
        let mut raw = [0; BATCH_HEADER_BYTES];
        let length = i32::try_from(self.batch_bytes - PREFIX_BYTES)
            .expect("limits keep a batch far below 2 GiB");
        raw[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        raw[8..12].copy_from_slice(&length.to_be_bytes());
        raw[12..16].copy_from_slice(&self.leader_epoch.to_be_bytes());
        raw[16..17].copy_from_slice(&MAGIC.to_be_bytes());
        raw[17..21].copy_from_slice(&self.crc.to_be_bytes());
        raw[21..23].copy_from_slice(&self.attributes.to_be_bytes());
        raw[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        raw[27..35].copy_from_slice(&self.base_timestamp_ms.to_be_bytes());
        raw[35..43].copy_from_slice(&self.max_timestamp_ms.to_be_bytes());
        raw[43..51].copy_from_slice(&self.producer.id.to_be_bytes());
        raw[51..53].copy_from_slice(&self.producer.epoch.to_be_bytes());
        raw[53..57].copy_from_slice(&self.producer.base_sequence.to_be_bytes());
        raw[57..61].copy_from_slice(&self.record_count.to_be_bytes());
        raw
    }

    /// Makes a batch of this header and the records that stand in `bytes` behind the room for it:
    /// compresses them if asked, and if that makes them smaller, then fills in length, compression
    /// and CRC.
    pub(super) fn seal(mut self, mut bytes: Vec<u8>, compression: Compression) -> (Vec<u8>, Self) {
        let mut used = Compression::None;
        if compression != Compression::None {
            let records = &bytes[BATCH_HEADER_BYTES..];
            if let Some(compressed) = compression.compress(records, BATCH_HEADER_BYTES) {
                bytes = compressed;
                used = compression;
            }
        }
        self.batch_bytes = bytes.len();
        self.attributes = used.to_attributes(self.attributes);
        bytes[..BATCH_HEADER_BYTES].copy_from_slice(&self.to_bytes());
        self.crc = crc_fast::crc32_iscsi(&bytes[CRC_FROM..]);
        bytes[CRC_AT].copy_from_slice(&self.crc.to_be_bytes());
        (bytes, self)
    }

    /// The offset after the batch's last.
    pub fn next_offset(&self) -> u64 {
        self.base_offset + u64::from(self.last_offset_delta) + 1
    }

    /// How the records are compressed.
    pub fn compression(&self) -> Compression {
        Compression::from_attributes(self.attributes).expect("checked when the header was read")
    }

    /// The batch is part of a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// The batch marks the end of a transaction or the like and holds no client's records.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// Every record's timestamp is [`max_timestamp_ms`](Self::max_timestamp_ms).
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }
}

#[inline(always)]
fn field<const N: usize>(raw: &[u8; BATCH_HEADER_BYTES], at: usize) -> [u8; N] {
    *raw[at..]
        .first_chunk()
        .expect("every field lies inside the header")
}
