//! Reading a segment file without believing it.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use headwater_record::{BATCH_HEADER_BYTES, BatchHeader, BatchView};

use super::index::{self, IndexEntry};
use crate::disk::{File, Wait};

/// Bytes read at once when only headers are wanted.
const HEADERS_WINDOW: u64 = 64 << 10;
/// Bytes read at once when looking for the next good batch.
const RESYNC_WINDOW: u64 = 1 << 20;
/// What is read beyond what was asked for, because an index entry is that far back.
const READ_AHEAD: u64 = 32 << 10;

/// A segment file and what must be true of batches in it.
pub(crate) struct SegmentFile {
    pub file: Arc<dyn File>,
    /// Offset of the first batch.
    pub base: u64,
    /// Bytes of the file that belong to the log.
    pub written: u64,
    /// One past the last offset that can be in these bytes.
    pub end: u64,
    /// Whether reads may wait for the device; if not, what is missing is an error.
    pub wait: Wait,
}

/// Why a walk over batches ended early.
#[derive(Debug)]
pub(crate) enum ScanError {
    /// What is at this position is not the batch that belongs there.
    Bad,
    Io(io::Error),
}

/// A batch whose CRC is right, wherever it belongs.
#[derive(Copy, Clone)]
pub(crate) struct Found {
    /// Base offset of the segment it is in.
    pub segment: u64,
    pub position: u64,
    pub header: BatchHeader,
}

/// Tells which batches found one after the other are what was written there. Offset and epoch are
/// not under the CRC: rot in them leaves a batch whole, but out of order with its neighbours.
pub(crate) struct Order {
    /// One past the last batch believed, and its epoch.
    next_offset: u64,
    epoch: i32,
    /// In order behind that, and believed unless what comes next speaks against it.
    last: Option<Found>,
}

impl Order {
    /// Batches from `next_offset` on are in order.
    pub fn new(next_offset: u64) -> Order {
        Order {
            next_offset,
            epoch: i32::MIN,
            last: None,
        }
    }

    /// Takes the next batch, and gives back the one before it if that is to be believed.
    pub fn add(&mut self, found: Found) -> Option<Found> {
        let (offset, epoch) = (found.header.base_offset, found.header.leader_epoch);
        if offset < self.next_offset || epoch < self.epoch {
            return None;
        }
        let overlaps = |last: &Found| offset < last.header.next_offset();
        let goes_on = |last: &Found| last.header.base_offset == self.next_offset;
        if self
            .last
            .is_some_and(|last| overlaps(&last) && goes_on(&last))
        {
            return None;
        }
        let last = self.last.replace(found).filter(|last| !overlaps(last));
        self.believe(last, epoch)
    }

    /// The batch added last, if what follows it is of `epoch`.
    pub fn last(&mut self, epoch: i32) -> Option<Found> {
        let last = self.last.take();
        self.believe(last, epoch)
    }

    fn believe(&mut self, last: Option<Found>, epoch: i32) -> Option<Found> {
        let last = last.filter(|last| last.header.leader_epoch <= epoch)?;
        self.next_offset = last.header.next_offset();
        self.epoch = last.header.leader_epoch;
        Some(last)
    }
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> ScanError {
        match error.kind() {
            // The file is shorter than what was written to it: damage, not a failing disk.
            io::ErrorKind::UnexpectedEof => ScanError::Bad,
            _ => ScanError::Io(error),
        }
    }
}

impl SegmentFile {
    fn chunk(&self, position: u64, bytes: u64) -> Result<Vec<u8>, ScanError> {
        let bytes = bytes.min(self.written.saturating_sub(position));
        let mut buffer = Vec::new();
        let read = self
            .file
            .read_more(&mut buffer, bytes as usize, position, self.wait)?;
        match read == bytes as usize {
            true => Ok(buffer),
            false => Err(ScanError::Bad),
        }
    }

    /// The header at a position if it can be the batch at `expected`.
    fn header(&self, bytes: &[u8], position: u64, expected: u64) -> Result<BatchHeader, ScanError> {
        let header = BatchView::header_of(bytes).map_err(|_| ScanError::Bad)?;
        let fits = header.base_offset == expected
            && header.next_offset() <= self.end
            && position + header.batch_bytes as u64 <= self.written;
        if fits {
            Ok(header)
        } else {
            Err(ScanError::Bad)
        }
    }

    /// Whole batches from the one that holds `from`, below `end`, about `bytes_max` in all. The
    /// batch at `position` must be the one at `expected`. Each batch is checked, by `accept` too;
    /// a bad one ends the run, and is an error only when it is the first.
    pub fn read(
        &self,
        mut position: u64,
        mut expected: u64,
        (from, end): (u64, u64),
        bytes_max: usize,
        accept: impl Fn(&BatchHeader) -> bool,
    ) -> Result<Vec<Bytes>, ScanError> {
        let mut want = bytes_max as u64 + READ_AHEAD;
        loop {
            let chunk = Bytes::from(self.chunk(position, want)?);
            let (mut found, mut total, mut at) = (Vec::new(), 0, 0);
            while let Some(rest) = chunk
                .get(at..)
                .filter(|rest| rest.len() >= BATCH_HEADER_BYTES)
            {
                let header = match self.header(rest, position + at as u64, expected) {
                    Ok(header) => header,
                    Err(_) if !found.is_empty() => return Ok(found),
                    Err(error) => return Err(error),
                };
                let wanted = header.next_offset() > from;
                if wanted && header.next_offset() > end {
                    return Ok(found);
                }
                if wanted {
                    if rest.len() < header.batch_bytes {
                        break;
                    }
                    let good =
                        BatchView::parse(rest).is_ok_and(|(view, _)| view.check_crc().is_ok());
                    if !good || !accept(&header) {
                        return if found.is_empty() {
                            Err(ScanError::Bad)
                        } else {
                            Ok(found)
                        };
                    }
                    total += header.batch_bytes;
                    if !found.is_empty() && total > bytes_max {
                        return Ok(found);
                    }
                    found.push(chunk.slice(at..at + header.batch_bytes));
                }
                expected = header.next_offset();
                at += header.batch_bytes;
            }
            if !found.is_empty() {
                return Ok(found);
            }
            // The batch is longer than the chunk, or lies behind it.
            position += at as u64;
            if position + BATCH_HEADER_BYTES as u64 > self.written {
                return Err(ScanError::Bad);
            }
            let raw = self.chunk(position, BATCH_HEADER_BYTES as u64)?;
            let header = self.header(&raw, position, expected)?;
            want = want.max(header.batch_bytes as u64);
        }
    }

    /// Hops over headers from `position`, where the batch at `expected` must be, until `visit`
    /// says stop (false), the bytes end, or a header does not fit; then says where and why.
    pub fn headers(
        &self,
        mut position: u64,
        mut expected: u64,
        mut visit: impl FnMut(u64, &BatchHeader) -> bool,
    ) -> Result<(), (u64, ScanError)> {
        let mut start = position;
        let mut window = Vec::new();
        while position < self.written {
            let inside = (position - start) as usize;
            if window.len() < inside + BATCH_HEADER_BYTES {
                start = position;
                window = self
                    .chunk(position, HEADERS_WINDOW)
                    .map_err(|error| (position, error))?;
            }
            let rest = &window[(position - start) as usize..];
            let header = self
                .header(rest, position, expected)
                .map_err(|error| (position, error))?;
            if !visit(position, &header) {
                return Ok(());
            }
            position += header.batch_bytes as u64;
            expected = header.next_offset();
        }
        Ok(())
    }

    /// As [`SegmentFile::headers`], but goes on behind damage at the next batch that is whole.
    pub fn headers_past_damage(
        &self,
        position: u64,
        expected: u64,
        mut visit: impl FnMut(u64, &BatchHeader) -> bool,
    ) -> io::Result<()> {
        let (mut position, mut expected) = (position, expected);
        loop {
            let mut last = expected;
            let walked = self.headers(position, expected, |at, header| {
                last = header.next_offset();
                visit(at, header)
            });
            match walked {
                Ok(()) => return Ok(()),
                Err((_, ScanError::Io(error))) => return Err(error),
                Err((bad, ScanError::Bad)) => {
                    let Some((at, header)) = self.resync(bad + 1, last, last)? else {
                        return Ok(());
                    };
                    (position, expected) = (at, header.base_offset);
                }
            }
        }
    }

    /// The first good batch at or after `position` that ends behind `from`. None there is below
    /// `expected`, and the one at `expected` is in its place.
    pub fn resync(
        &self,
        position: u64,
        expected: u64,
        from: u64,
    ) -> io::Result<Option<(u64, BatchHeader)>> {
        let mut order = Order::new(expected);
        let behind = |found: &Found| found.header.next_offset() > from;
        let mut first = None;
        self.whole_batches(position, |found| {
            if found.header.next_offset() <= self.end {
                first = order.add(found).filter(behind);
            }
            first.is_none()
        })?;
        let first = first.or_else(|| order.last(i32::MAX).filter(behind));
        Ok(first.map(|found| (found.position, found.header)))
    }

    /// Every whole batch (CRC included) from `position` on, whatever lies between them, until
    /// `visit` says stop (false). Where they belong is for [`Order`] to say.
    pub fn whole_batches(
        &self,
        mut position: u64,
        mut visit: impl FnMut(Found) -> bool,
    ) -> io::Result<()> {
        while position + BATCH_HEADER_BYTES as u64 <= self.written {
            let mut window = vec![0; RESYNC_WINDOW.min(self.written - position) as usize];
            let read = self.file.read_at(&mut window, position)?;
            window.truncate(read);
            if read < BATCH_HEADER_BYTES {
                return Ok(());
            }
            let mut at = 0;
            while at + BATCH_HEADER_BYTES <= window.len() {
                let here = position + at as u64;
                match self.whole_batch(&window[at..], here)? {
                    Some(header) => {
                        let found = Found {
                            segment: self.base,
                            position: here,
                            header,
                        };
                        if !visit(found) {
                            return Ok(());
                        }
                        at += header.batch_bytes;
                    }
                    None => at += 1,
                }
            }
            position += at as u64;
        }
        Ok(())
    }

    /// The batch at the front of `bytes` if all of it is good.
    fn whole_batch(&self, bytes: &[u8], at: u64) -> io::Result<Option<BatchHeader>> {
        let Ok(header) = BatchView::header_of(bytes) else {
            return Ok(None);
        };
        if at + header.batch_bytes as u64 > self.written {
            return Ok(None);
        }
        let mut copy = Vec::new();
        let batch = match bytes.get(..header.batch_bytes) {
            Some(batch) => batch,
            None => {
                copy.resize(header.batch_bytes, 0);
                let read = self.file.read_at(&mut copy, at)?;
                &copy[..read]
            }
        };
        let good = BatchView::parse(batch).is_ok_and(|(view, _)| view.check_crc().is_ok());
        Ok(good.then_some(header))
    }

    /// The index over the first `bytes` bytes, built from headers.
    pub fn build_index(&self, bytes: u64) -> io::Result<Vec<IndexEntry>> {
        let mut entries = Vec::new();
        let mut max_timestamp_ms = i64::MIN;
        self.headers_past_damage(0, self.base, |position, header| {
            if position >= bytes {
                return false;
            }
            let before = max_timestamp_ms;
            index::note(
                &mut entries,
                self.base,
                position,
                header.base_offset,
                || before,
            );
            max_timestamp_ms = max_timestamp_ms.max(header.max_timestamp_ms);
            true
        })?;
        Ok(entries)
    }
}
