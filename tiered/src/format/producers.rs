//! The batches of producers, so that a new leader knows what it has already had.

use std::collections::VecDeque;

use headwater_record::Producer;

use super::codec::Reader;
use super::crc32c;

/// At most so many batches are kept, the last ones.
const ENTRIES_MAX: usize = 100_000;
const ENTRY_BYTES: usize = 30;

/// One batch that has a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerBatch {
    /// Who wrote it, and the sequence number of its first record.
    pub producer: Producer,
    /// Offset of its first record.
    pub base_offset: u64,
    /// How many records it had when it was written. Compaction may have taken some, or all.
    pub record_count: u32,
    /// Its highest timestamp, of what is left, milliseconds since the epoch.
    pub max_timestamp_ms: i64,
}

/// The last batches of producers, in the order of their offsets.
#[derive(Default)]
pub(crate) struct Producers(VecDeque<ProducerBatch>);

impl Producers {
    pub fn add(&mut self, batch: ProducerBatch) {
        if self.0.len() == ENTRIES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(batch);
    }

    pub fn encode(&self, base_offset: u64, out: &mut Vec<u8>) {
        let from = out.len();
        for batch in &self.0 {
            let offset = (batch.base_offset - base_offset) as u32;
            out.extend_from_slice(&batch.producer.id.to_le_bytes());
            out.extend_from_slice(&batch.producer.epoch.to_le_bytes());
            out.extend_from_slice(&batch.producer.base_sequence.to_le_bytes());
            out.extend_from_slice(&offset.to_le_bytes());
            out.extend_from_slice(&batch.record_count.to_le_bytes());
            out.extend_from_slice(&batch.max_timestamp_ms.to_le_bytes());
        }
        let crc = crc32c(&out[from..]);
        out.extend_from_slice(&crc.to_le_bytes());
    }

    /// Reads the block; `None` if it is damaged.
    pub fn decode(bytes: &[u8], base_offset: u64) -> Option<Vec<ProducerBatch>> {
        let (entries, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c(entries) != u32::from_le_bytes(*crc) || entries.len() % ENTRY_BYTES != 0 {
            return None;
        }
        let mut reader = Reader(entries);
        (0..entries.len() / ENTRY_BYTES)
            .map(|_| {
                Some(ProducerBatch {
                    producer: Producer {
                        id: reader.i64()?,
                        epoch: reader.i16()?,
                        base_sequence: reader.i32()?,
                    },
                    base_offset: base_offset + u64::from(reader.u32()?),
                    record_count: reader.u32()?,
                    max_timestamp_ms: reader.i64()?,
                })
            })
            .collect()
    }
}
