use std::ops::Range;

use bytes::Bytes;

use super::header::BatchHeader;
use super::{BATCH_HEADER_BYTES, BatchView, Compression, DecodeError, RecordView};

/// What [`BatchView::retain`] leaves of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retained {
    /// Every record: the batch is good as it is. So is one that had none.
    All,
    /// The batch with some of its records.
    Some(Bytes),
    /// No record. [`BatchView::emptied`] is what is left if it is to be remembered.
    None,
}

impl BatchView<'_> {
    /// The batch with only the records that `keep` takes; the CRC of the old one is not compared.
    ///
    /// Offsets stay: base offset, last offset, and each record's bytes with its deltas are as they
    /// were. So are epoch, producer, base timestamp and attributes, but for the compression where it
    /// does not make what is left smaller. The highest timestamp becomes that of what is left, so
    /// that whoever looks for a time finds a record where the header promises one. If the broker set
    /// the timestamps they are all the highest, which stays.
    ///
    /// # Errors
    /// As [`records`](Self::records) and its iterator.
    pub fn retain(
        &self,
        decoded_bytes_max: usize,
        mut keep: impl FnMut(&RecordView<'_>) -> bool,
    ) -> Result<Retained, DecodeError> {
        let mut scratch = Vec::new();
        let mut records = self.records(&mut scratch, decoded_bytes_max)?;
        let section = records.rest();
        // Runs of records that stay.
        let mut kept: Vec<Range<usize>> = Vec::new();
        let (mut record_count, mut max_timestamp_ms, mut at) = (0, i64::MIN, 0);
        while let Some(record) = records.next() {
            let record = record?;
            let end = section.len() - records.rest().len();
            if keep(&record) {
                record_count += 1;
                max_timestamp_ms = max_timestamp_ms.max(record.timestamp_ms);
                match kept.last_mut() {
                    Some(run) if run.end == at => run.end = end,
                    _ => kept.push(at..end),
                }
            }
            at = end;
        }
        if record_count == self.header().record_count {
            return Ok(Retained::All);
        }
        if record_count == 0 {
            return Ok(Retained::None);
        }
        let kept_bytes: usize = kept.iter().map(Range::len).sum();
        let mut bytes = Vec::with_capacity(BATCH_HEADER_BYTES + kept_bytes);
        bytes.resize(BATCH_HEADER_BYTES, 0);
        for run in kept {
            bytes.extend_from_slice(&section[run]);
        }
        let header = BatchHeader {
            record_count,
            max_timestamp_ms,
            ..*self.header()
        };
        let (bytes, _) = header.seal(bytes, self.header().compression());
        Ok(Retained::Some(bytes.into()))
    }

    /// The batch's header alone, without any record: it takes the same offsets, and says who wrote
    /// them and when the last was written. That none is left is told by the count.
    pub fn emptied(&self) -> Bytes {
        let header = BatchHeader {
            record_count: 0,
            ..*self.header()
        };
        let (bytes, _) = header.seal(vec![0; BATCH_HEADER_BYTES], Compression::None);
        bytes.into()
    }
}
