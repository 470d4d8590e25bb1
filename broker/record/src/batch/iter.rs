use super::header::BatchHeader;
use super::headers::check_encoded;
use super::varint::Reader;
use super::{DecodeError, Headers, RecordView};

/// Iterates over the records of a batch. The first error is the last item.
#[derive(Debug, Clone)]
pub struct RecordIter<'a> {
    reader: Reader<'a>,
    base_offset: u64,
    base_timestamp_ms: i64,
    /// Every record's timestamp, where the broker's clock replaces the producer's.
    append_timestamp_ms: Option<i64>,
    last_offset_delta: u32,
    index: u32,
    record_count: u32,
    /// The lowest offset delta that the next record may have.
    next_delta: i64,
}

impl<'a> RecordIter<'a> {
    pub(super) fn new(records: &'a [u8], header: &BatchHeader) -> Self {
        Self {
            reader: Reader::new(records),
            base_offset: header.base_offset,
            base_timestamp_ms: header.base_timestamp_ms,
            append_timestamp_ms: header
                .is_log_append_time()
                .then_some(header.max_timestamp_ms),
            last_offset_delta: header.last_offset_delta,
            index: 0,
            record_count: header.record_count,
            next_delta: 0,
        }
    }

    /// Records not yet read, if none of them is bad.
    pub fn left(&self) -> u32 {
        self.record_count - self.index
    }

    /// What is not yet read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.reader.rest()
    }

    #[inline]
    fn read(&mut self) -> Result<RecordView<'a>, &'static str> {
        const CUT: &str = "the record is cut off";
        let length = self.reader.number().ok_or("the length is cut off")?;
        let mut record = Reader::new(self.reader.take(length).ok_or(CUT)?);
        let attributes = record.byte().ok_or(CUT)?;
        let timestamp_delta = record.number().ok_or(CUT)?;
        let delta = record.number().ok_or(CUT)?;
        if delta < self.next_delta || delta > i64::from(self.last_offset_delta) {
            return Err("the offset is out of order");
        }
        let key = record.nullable_bytes().ok_or("the key is cut off")?;
        let value = record.nullable_bytes().ok_or("the value is cut off")?;
        let headers = match record.rest() {
            [0] => Headers::NONE,
            _ => {
                let count = record.number().ok_or("the header count is cut off")?;
                check_encoded(record.rest(), count)?
            }
        };
        self.next_delta = delta + 1;
        let timestamp_ms = self
            .append_timestamp_ms
            .unwrap_or_else(|| self.base_timestamp_ms.wrapping_add(timestamp_delta));
        Ok(RecordView {
            offset_delta: delta as u32,
            offset: self.base_offset + delta as u64,
            timestamp_ms,
            attributes,
            key,
            value,
            headers,
        })
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<RecordView<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.index == self.record_count {
            let left_over = self.reader.rest().len();
            self.reader = Reader::new(&[]);
            return (left_over > 0).then_some(Err(DecodeError::TrailingBytes(left_over)));
        }
        let index = self.index;
        match self.read() {
            Ok(record) => {
                self.index += 1;
                Some(Ok(record))
            }
            Err(reason) => {
                self.index = self.record_count;
                self.reader = Reader::new(&[]);
                Some(Err(DecodeError::Record { index, reason }))
            }
        }
    }
}
