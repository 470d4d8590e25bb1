use super::header::{BatchHeader, CRC_FROM};
use super::{BATCH_HEADER_BYTES, Compression, DecodeError, RecordIter};

/// A borrowed batch: magic, lengths and header fields are checked, the CRC only on demand.
#[derive(Debug, Clone, Copy)]
pub struct BatchView<'a> {
    bytes: &'a [u8],
    header: BatchHeader,
}

impl<'a> BatchView<'a> {
    pub(super) fn from_parts(bytes: &'a [u8], header: BatchHeader) -> Self {
        Self { bytes, header }
    }

    /// The header at the front of `bytes`, of which only the first 61 are needed.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] below 61 bytes, or the first field out of range.
    pub fn header_of(bytes: &[u8]) -> Result<BatchHeader, DecodeError> {
        BatchHeader::read(bytes)
    }

    /// The batch at the front of `bytes` and the bytes it takes; more may follow it.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if the batch is longer than `bytes`, or the first header field
    /// out of range.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, usize), DecodeError> {
        let header = BatchHeader::read(bytes)?;
        let needed = header.batch_bytes;
        let bytes = bytes.get(..needed).ok_or(DecodeError::Truncated {
            needed,
            have: bytes.len(),
        })?;
        Ok((Self { bytes, header }, needed))
    }

    /// Compares the CRC with the bytes.
    ///
    /// # Errors
    /// [`DecodeError::Crc`] if they differ.
    pub fn check_crc(&self) -> Result<(), DecodeError> {
        let computed = crc_fast::crc32_iscsi(&self.bytes[CRC_FROM..]);
        let stored = self.header.crc;
        if computed == stored {
            Ok(())
        } else {
            Err(DecodeError::Crc { stored, computed })
        }
    }

    /// Walks all records, so that reading them later cannot fail.
    ///
    /// # Errors
    /// As [`records`](Self::records) and its iterator.
    pub fn check_records(&self, decoded_bytes_max: usize) -> Result<(), DecodeError> {
        let mut scratch = Vec::new();
        BatchView {
            bytes: self.bytes,
            header: self.header,
        }
        .records(&mut scratch, decoded_bytes_max)?
        .try_for_each(|record| record.map(drop))
    }

    /// The header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The offset after the batch's last.
    pub fn next_offset(&self) -> u64 {
        self.header.next_offset()
    }

    /// The whole batch.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The records. Compressed ones are inflated into `scratch`, whose content is lost; plain ones
    /// are read where they are.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`] as soon as they inflate to more than `decoded_bytes_max` bytes,
    /// [`DecodeError::Inflate`] if they do not inflate at all.
    pub fn records(
        &self,
        scratch: &'a mut Vec<u8>,
        decoded_bytes_max: usize,
    ) -> Result<RecordIter<'a>, DecodeError> {
        let section = &self.bytes[BATCH_HEADER_BYTES..];
        let records = match self.header.compression() {
            Compression::None => section,
            compression => {
                compression.inflate(section, scratch, decoded_bytes_max)?;
                scratch.as_slice()
            }
        };
        Ok(RecordIter::new(records, &self.header))
    }
}

/// Iterates over batches that lie one after the other. The first error is the last item.
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    bytes: &'a [u8],
    at: usize,
    failed: bool,
}

impl<'a> Batches<'a> {
    /// Over all of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            failed: false,
        }
    }

    /// Where the next batch begins; after an error, where the bad one does.
    pub fn position(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<BatchView<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.bytes[self.at..];
        if self.failed || rest.is_empty() {
            return None;
        }
        match BatchView::parse(rest) {
            Ok((view, used)) => {
                self.at += used;
                Some(Ok(view))
            }
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}
