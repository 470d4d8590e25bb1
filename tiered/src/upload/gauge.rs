//! Checks the batches of a segment and measures them while they go by.

use headwater_record::{BATCH_HEADER_BYTES, BatchHeader, BatchView, DecodeError};
use sha2::{Digest, Sha256};

use super::UploadError;
use crate::format::{
    DATA_BYTES_MAX, Descriptor, IndexBuilder, KeyPages, Keys, Measured, ProducerBatch, Producers,
    hex,
};

/// A length beyond this is no length: it is not waited for.
const BATCH_BYTES_MAX: usize = 64 << 20;

pub(super) struct Gauge<'a> {
    descriptor: &'a Descriptor,
    /// One past the last offset seen.
    next_offset: u64,
    position: u64,
    sha256: Sha256,
    index: IndexBuilder,
    producers: Producers,
    /// Collected for compacted topics alone.
    keys: Option<Keys>,
    record_count: u64,
    first_timestamp_ms: Option<i64>,
    max_timestamp_ms: i64,
}

impl<'a> Gauge<'a> {
    pub fn new(descriptor: &'a Descriptor) -> Self {
        Self {
            descriptor,
            next_offset: descriptor.base_offset,
            position: 0,
            sha256: Sha256::new(),
            index: IndexBuilder::new(),
            producers: Producers::default(),
            keys: descriptor.compacted.then(Keys::default),
            record_count: 0,
            first_timestamp_ms: None,
            max_timestamp_ms: i64::MIN,
        }
    }

    /// Takes the whole batches at the front of `bytes`, and says how many bytes they are.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, UploadError> {
        let mut taken = 0;
        while let Some(batch_bytes) = self.next_batch(&bytes[taken..])? {
            taken += batch_bytes;
        }
        self.sha256.update(&bytes[..taken]);
        self.index.add_bytes(&bytes[..taken]);
        Ok(taken)
    }

    /// Takes one batch; `None` if more bytes are needed for it.
    fn next_batch(&mut self, bytes: &[u8]) -> Result<Option<usize>, UploadError> {
        if bytes.len() < BATCH_HEADER_BYTES {
            return Ok(None);
        }
        let header = BatchView::header_of(bytes).map_err(|error| self.damage(&error))?;
        self.check_place(&header)?;
        let batch = match BatchView::parse(bytes) {
            Err(DecodeError::Truncated { .. }) => return Ok(None),
            parsed => parsed.map_err(|error| self.damage(&error))?.0,
        };
        batch
            .check_crc()
            .map_err(|error| self.damage_to(header.next_offset(), &error))?;
        if let Some(keys) = &mut self.keys {
            keys.add(&batch, self.descriptor.base_offset);
        }
        self.measure(&header);
        Ok(Some(header.batch_bytes))
    }

    fn check_place(&self, header: &BatchHeader) -> Result<(), UploadError> {
        let (offset, next_offset) = (header.base_offset, header.next_offset());
        if offset < self.next_offset || next_offset > self.descriptor.end_offset {
            return Err(self.damage(&format_args!(
                "a batch says that it has offsets {offset}..{next_offset}"
            )));
        }
        let epoch = self.descriptor.epoch_at(offset);
        if epoch.is_some_and(|epoch| i64::from(header.leader_epoch) != i64::from(epoch)) {
            return Err(self.damage(&format_args!(
                "the batch at offset {offset} says that it is of epoch {}",
                header.leader_epoch
            )));
        }
        if header.batch_bytes > BATCH_BYTES_MAX
            || self.position + header.batch_bytes as u64 > DATA_BYTES_MAX
        {
            return Err(self.damage(&format_args!(
                "the batch at offset {offset} says that it has {} bytes",
                header.batch_bytes
            )));
        }
        Ok(())
    }

    fn measure(&mut self, header: &BatchHeader) {
        let base_offset = self.descriptor.base_offset;
        self.index.add_batch(
            (header.base_offset - base_offset) as u32,
            self.position as u32,
            self.max_timestamp_ms,
        );
        if header.producer.id >= 0 {
            self.producers.add(ProducerBatch {
                producer: header.producer,
                base_offset: header.base_offset,
                // Offsets are given without gaps: compaction takes records, and not these.
                record_count: header.last_offset_delta + 1,
                max_timestamp_ms: header.max_timestamp_ms,
            });
        }
        self.position += header.batch_bytes as u64;
        self.next_offset = header.next_offset();
        self.record_count += u64::from(header.record_count);
        if header.record_count > 0 {
            self.first_timestamp_ms
                .get_or_insert(header.base_timestamp_ms);
            self.max_timestamp_ms = self.max_timestamp_ms.max(header.max_timestamp_ms);
        }
    }

    /// What was wrong with the batch that should come next.
    fn damage(&self, detail: &dyn std::fmt::Display) -> UploadError {
        self.damage_to(self.descriptor.end_offset, detail)
    }

    fn damage_to(&self, to: u64, detail: &dyn std::fmt::Display) -> UploadError {
        UploadError::Damaged {
            from: self.next_offset,
            to,
            detail: format!("{detail}, at byte {} of the segment", self.position),
        }
    }

    /// The data ended inside a batch.
    pub fn cut_off(&self, left_bytes: usize) -> UploadError {
        self.damage(&format_args!(
            "the last {left_bytes} bytes are no whole batch"
        ))
    }

    /// What was found, and what it makes of the parts behind the data. The producers' block is written
    /// to `out`.
    pub fn finish(self, out: &mut Vec<u8>) -> (Measured, KeyPages, IndexBuilder) {
        self.producers.encode(self.descriptor.base_offset, out);
        let first_tombstone = self.keys.as_ref().and_then(Keys::first_tombstone);
        let keys = self.keys.map(Keys::into_pages).unwrap_or_default();
        let measured = Measured {
            record_count: self.record_count,
            first_timestamp_ms: self.first_timestamp_ms.unwrap_or(-1),
            max_timestamp_ms: match self.first_timestamp_ms {
                Some(_) => self.max_timestamp_ms,
                None => -1,
            },
            data_bytes: self.position,
            data_sha256: hex(&self.sha256.finalize()),
            keys_bytes: keys.bytes(),
            first_tombstone,
        };
        (measured, keys, self.index)
    }
}
