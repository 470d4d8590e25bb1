//! From batch to batch through the data of one object.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use headwater_record::{BATCH_HEADER_BYTES, BatchHeader, BatchView};

use super::blocks::Blocks;
use super::error::ReadError;
use super::indexes::OpenSegment;
use crate::error::StoreError;
use crate::format::{BLOCK_BYTES, Place};

/// Knows where a batch begins, and has some blocks from there on in memory.
pub(super) struct Walk<'a> {
    blocks: &'a Arc<Blocks>,
    open: Arc<OpenSegment>,
    /// Where the next batch begins, and the lowest offset that it can have.
    place: Place,
    /// Number of the first block in `bytes`.
    first_block: u32,
    bytes: BytesMut,
    /// Blocks that are damaged in the store.
    damaged: Vec<u32>,
}

/// What is where a batch should be.
enum Next {
    Batch(BatchHeader),
    Damage { detail: String, resume: Place },
}

impl<'a> Walk<'a> {
    pub fn new(blocks: &'a Arc<Blocks>, open: Arc<OpenSegment>, place: Place) -> Self {
        Self {
            blocks,
            open,
            place,
            first_block: (place.position / BLOCK_BYTES) as u32,
            bytes: BytesMut::new(),
            damaged: Vec::new(),
        }
    }

    /// Where the walk is: behind the last batch that it gave.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The blocks that reading so many bytes from here on will most likely take.
    pub fn expect(&self, max_bytes: usize) -> Range<u32> {
        let to = self.window_end(max_bytes);
        self.first_block..to.div_ceil(BLOCK_BYTES) as u32
    }

    fn window_end(&self, max_bytes: usize) -> u64 {
        let wanted = (max_bytes as u64).max(BATCH_HEADER_BYTES as u64);
        let to = self.place.position.saturating_add(wanted);
        to.min(self.open.object.data_bytes)
    }

    /// Batches from the one on that contains `offset`, or the next one.
    pub async fn batches(
        &mut self,
        offset: u64,
        max_bytes: usize,
    ) -> Result<Vec<Bytes>, ReadError> {
        self.load(self.window_end(max_bytes)).await?;
        let mut taken: Vec<Range<usize>> = Vec::new();
        let mut taken_bytes = 0;
        while self.place.position < self.open.object.data_bytes {
            let next = match self.next().await? {
                // What is left is the next read's to tell.
                Next::Damage { .. } if !taken.is_empty() => break,
                Next::Damage { resume, .. } if resume.offset <= offset => {
                    self.go_to(resume);
                    continue;
                }
                Next::Damage { detail, resume } => {
                    return Err(ReadError::Corrupt {
                        from: self.place.offset,
                        to: resume.offset,
                        detail: format!("{}: {detail}", self.open.object.key),
                    });
                }
                Next::Batch(header) => header,
            };
            if next.next_offset() > offset {
                taken_bytes += next.batch_bytes;
                if taken_bytes > max_bytes && !taken.is_empty() {
                    break;
                }
                let from = self.at(self.place.position);
                taken.push(from..from + next.batch_bytes);
                self.pass(&next);
            } else {
                self.pass(&next);
                self.drop_passed();
            }
            if taken_bytes >= max_bytes && !taken.is_empty() {
                break;
            }
        }
        let bytes = std::mem::take(&mut self.bytes).freeze();
        Ok(taken.into_iter().map(|range| bytes.slice(range)).collect())
    }

    /// The first record from here on with a timestamp at or after the one given. Damaged batches are
    /// passed over.
    pub async fn offset_for_time(
        &mut self,
        timestamp_ms: i64,
        decoded_bytes_max: usize,
    ) -> Result<Option<u64>, ReadError> {
        while self.place.position < self.open.object.data_bytes {
            match self.next().await? {
                Next::Damage { resume, .. } => self.go_to(resume),
                Next::Batch(header) => {
                    if header.max_timestamp_ms >= timestamp_ms {
                        let batch = self.view(header.batch_bytes);
                        if let Some(offset) = record_at(batch, timestamp_ms, decoded_bytes_max) {
                            return Ok(Some(offset));
                        }
                    }
                    self.pass(&header);
                }
            }
            self.drop_passed();
        }
        Ok(None)
    }

    /// Checks the batch that begins here.
    async fn next(&mut self) -> Result<Next, StoreError> {
        let limit = self.limit();
        let header_end = self.place.position + BATCH_HEADER_BYTES as u64;
        if header_end > limit.position {
            return self.damage("no batch fits here", None).await;
        }
        self.load(header_end).await?;
        let header = match BatchView::header_of(self.view(BATCH_HEADER_BYTES)) {
            Ok(header) => header,
            Err(error) => return self.damage(&error.to_string(), None).await,
        };
        let end = self.place.position + header.batch_bytes as u64;
        if end > limit.position {
            return self.damage("a batch is too long", None).await;
        }
        self.load(end).await?;
        // The batch's own checksum leaves out its offset. That of its block covers it; where that is
        // wrong only the offset that has to come next is believed.
        let in_damage = self.overlaps_damage(self.place.position..end);
        let offset_fits = match in_damage {
            true => header.base_offset == self.place.offset,
            false => header.base_offset >= self.place.offset,
        };
        if !offset_fits || header.next_offset() > limit.offset {
            let detail = format!("a batch says that its offset is {}", header.base_offset);
            return self.damage(&detail, Some(end)).await;
        }
        if let Err(error) = check_crc(self.view(header.batch_bytes)) {
            return self.damage(&error, Some(end)).await;
        }
        Ok(Next::Batch(header))
    }

    /// Where the batch here must have ended: the next place that the index knows, or the end.
    fn limit(&self) -> Place {
        self.open.index.after(self.place.position).unwrap_or(Place {
            offset: self.open.end_offset,
            position: self.open.object.data_bytes,
        })
    }

    /// Looks for where it goes on: behind the damaged batch, which may end at `end`, if a good one
    /// begins there, else at the next place that the index knows.
    async fn damage(&mut self, detail: &str, end: Option<u64>) -> Result<Next, StoreError> {
        let limit = self.limit();
        let detail = format!("at byte {}: {detail}", self.place.position);
        let mut resume = limit;
        if let Some(end) = end.filter(|end| end + BATCH_HEADER_BYTES as u64 <= limit.position) {
            self.load(limit.position).await?;
            let rest = &self.bytes[self.at(end)..self.at(limit.position)];
            if let Ok((batch, _)) = BatchView::parse(rest)
                && batch.check_crc().is_ok()
                && batch.header().base_offset > self.place.offset
                && batch.next_offset() <= limit.offset
            {
                resume = Place {
                    offset: batch.header().base_offset,
                    position: end,
                };
            }
        }
        Ok(Next::Damage { detail, resume })
    }

    /// Has the data in memory from the first block up to `to`. Each block is compared with its
    /// checksum, and asked for once more if it is not what was written.
    async fn load(&mut self, to: u64) -> Result<(), StoreError> {
        let object = &self.open.object;
        let loaded = self.bytes.len().div_ceil(BLOCK_BYTES as usize) as u32;
        let numbers = self.first_block + loaded..to.div_ceil(BLOCK_BYTES) as u32;
        if numbers.is_empty() {
            return Ok(());
        }
        let found = self.blocks.get(object, numbers.clone()).await?;
        self.bytes.reserve(found.len() * BLOCK_BYTES as usize);
        for (number, block) in numbers.zip(found) {
            let mut block = block;
            if !self.open.index.is_block(number, &block) {
                self.blocks.forget(object, number);
                let again = self.blocks.get(object, number..number + 1).await?;
                block = again.into_iter().next().unwrap_or(block);
                if !self.open.index.is_block(number, &block) {
                    self.damaged.push(number);
                    self.blocks.forget(object, number);
                }
            }
            self.bytes.extend_from_slice(&block);
        }
        Ok(())
    }

    fn overlaps_damage(&self, bytes: Range<u64>) -> bool {
        let blocks = bytes.start / BLOCK_BYTES..bytes.end.div_ceil(BLOCK_BYTES);
        self.damaged
            .iter()
            .any(|number| blocks.contains(&u64::from(*number)))
    }

    /// Where a byte of the data is in `bytes`.
    fn at(&self, position: u64) -> usize {
        (position - u64::from(self.first_block) * BLOCK_BYTES) as usize
    }

    /// So many bytes from here on, which are loaded.
    fn view(&self, bytes: usize) -> &[u8] {
        let from = self.at(self.place.position);
        &self.bytes[from..from + bytes]
    }

    fn pass(&mut self, header: &BatchHeader) {
        self.place = Place {
            offset: header.next_offset(),
            position: self.place.position + header.batch_bytes as u64,
        };
    }

    fn go_to(&mut self, place: Place) {
        self.place = place;
        self.drop_passed();
    }

    /// Gives up the blocks before this place.
    fn drop_passed(&mut self) {
        let passed = (self.place.position / BLOCK_BYTES) as u32 - self.first_block;
        let bytes = passed as usize * BLOCK_BYTES as usize;
        match bytes < self.bytes.len() {
            true => self.bytes.advance(bytes),
            false => self.bytes.clear(),
        }
        self.first_block += passed;
    }
}

fn check_crc(batch: &[u8]) -> Result<(), String> {
    let (batch, _) = BatchView::parse(batch).map_err(|error| error.to_string())?;
    batch.check_crc().map_err(|error| error.to_string())
}

/// The first record of a batch with a timestamp at or after the one given.
fn record_at(batch: &[u8], timestamp_ms: i64, decoded_bytes_max: usize) -> Option<u64> {
    let (batch, _) = BatchView::parse(batch).ok()?;
    let mut scratch = Vec::new();
    batch
        .records(&mut scratch, decoded_bytes_max)
        .ok()?
        .map_while(Result::ok)
        .find(|record| record.timestamp_ms >= timestamp_ms)
        .map(|record| record.offset)
}
