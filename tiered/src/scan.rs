//! Objects read from front to back in the background: past the cache, which is for those who wait.

use bytes::{Buf, Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};
use headwater_record::{BatchView, DecodeError};

use crate::error::StoreError;
use crate::format::{BLOCK_BYTES, KeyBlock, Place, Tail};
use crate::read::ReadError;
use crate::segment_ref::SegmentRef;
use crate::store::Store;

/// Read by one request; whole blocks.
const CHUNK_BYTES: u64 = 32 * BLOCK_BYTES;
/// Requests under way at once.
const CHUNKS_IN_FLIGHT: usize = 2;

impl Store {
    /// The data of an object from the block at `from` on, in whole blocks: each chunk with its
    /// position. Nothing is checked.
    pub(crate) fn data_chunks<'a>(
        &'a self,
        segment: &'a SegmentRef,
        from: u64,
    ) -> impl Stream<Item = Result<(u64, Bytes), StoreError>> + Send + 'a {
        let chunks = (from..segment.data_bytes)
            .step_by(CHUNK_BYTES as usize)
            .map(|from| from..(from + CHUNK_BYTES).min(segment.data_bytes));
        stream::iter(chunks)
            .map(move |range| async move {
                let from = range.start;
                let bounds = &self.options().background;
                let (bytes, _) = self.get_range(&segment.key, range, bounds).await?;
                Ok((from, bytes))
            })
            .buffered(CHUNKS_IN_FLIGHT)
    }

    /// All of an object's block of keys; none if there is none, or if it is damaged, which was asked
    /// for twice.
    pub(crate) async fn key_block(
        &self,
        segment: &SegmentRef,
    ) -> Result<Option<KeyBlock>, StoreError> {
        if segment.keys_bytes == 0 {
            return Ok(None);
        }
        let bounds = &self.options().background;
        for _ in 0..2 {
            let range = segment.keys_range();
            let (block, _) = self.get_range(&segment.key, range, bounds).await?;
            if let Some(block) = KeyBlock::decode(&block) {
                return Ok(Some(block));
            }
        }
        tracing::warn!(key = segment.key, "an object's keys are damaged");
        Ok(None)
    }

    async fn read_tail(&self, segment: &SegmentRef) -> Result<Tail, ReadError> {
        let bounds = &self.options().background;
        let range = segment.index_range();
        let read = self.get_range(&segment.key, range, bounds).await;
        let (bytes, size_bytes) =
            read.map_err(|error| ReadError::from(error).in_segment(segment))?;
        segment
            .tail(&bytes, size_bytes)
            .map_err(|detail| ReadError::whole(segment, &detail))
    }
}

/// The batches of one object, each compared with all checksums there are.
///
/// Held are three chunks of 8 MiB and a batch. What is damaged is asked for once more; then it ends
/// the scan.
pub(crate) struct Scan<'a> {
    store: &'a Store,
    segment: &'a SegmentRef,
    tail: Tail,
    chunks: BoxStream<'a, Result<(u64, Bytes), StoreError>>,
    /// Where the next batch begins, and the lowest offset that it can have.
    place: Place,
    /// Checked, from `place` on.
    bytes: BytesMut,
}

impl<'a> Scan<'a> {
    /// Begins at the batch that contains `offset`, or somewhat before it.
    pub async fn open(
        store: &'a Store,
        segment: &'a SegmentRef,
        offset: u64,
    ) -> Result<Self, ReadError> {
        let tail = match store.read_tail(segment).await {
            Err(ReadError::Corrupt { .. }) => store.read_tail(segment).await?,
            tail => tail?,
        };
        let place = tail.index.seek(offset).unwrap_or(Place {
            offset: segment.base_offset,
            position: 0,
        });
        let from = place.position / BLOCK_BYTES * BLOCK_BYTES;
        Ok(Self {
            chunks: store.data_chunks(segment, from).boxed(),
            store,
            segment,
            tail,
            place,
            bytes: BytesMut::new(),
        })
    }

    /// The next batch; none at the end. Between batches others of the runtime have their turn.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        tokio::task::yield_now().await;
        while self.place.position < self.segment.data_bytes {
            let header = match BatchView::parse(&self.bytes) {
                Err(DecodeError::Truncated { .. }) => {
                    self.load().await?;
                    continue;
                }
                Err(error) => return Err(self.corrupt(&error)),
                Ok((batch, _)) => match batch.check_crc() {
                    Err(error) => return Err(self.corrupt(&error)),
                    Ok(()) => *batch.header(),
                },
            };
            let (offset, next_offset) = (header.base_offset, header.next_offset());
            if offset < self.place.offset || next_offset > self.segment.end_offset {
                return Err(
                    self.corrupt(&format_args!("a batch has offsets {offset}..{next_offset}"))
                );
            }
            self.place = Place {
                offset: next_offset,
                position: self.place.position + header.batch_bytes as u64,
            };
            return Ok(Some(self.bytes.split_to(header.batch_bytes).freeze()));
        }
        Ok(None)
    }

    /// Has one more chunk in memory.
    async fn load(&mut self) -> Result<(), ReadError> {
        let next = self.chunks.try_next().await;
        let next = next.map_err(|error| ReadError::from(error).in_segment(self.segment))?;
        let Some((from, chunk)) = next else {
            return Err(self.corrupt(&"the data ends inside a batch"));
        };
        // The first block may begin before the batch that is wanted.
        let unwanted = self.place.position.saturating_sub(from) as usize;
        self.bytes.reserve(chunk.len());
        for (block, number) in chunk.chunks(BLOCK_BYTES as usize).zip(from / BLOCK_BYTES..) {
            match self.tail.index.is_block(number as u32, block) {
                true => self.bytes.extend_from_slice(block),
                false => {
                    let block = self.block_again(number, block.len()).await?;
                    self.bytes.extend_from_slice(&block);
                }
            }
        }
        self.bytes.advance(unwanted);
        Ok(())
    }

    async fn block_again(&mut self, number: u64, block_bytes: usize) -> Result<Bytes, ReadError> {
        let from = number * BLOCK_BYTES;
        let range = from..from + block_bytes as u64;
        let bounds = &self.store.options().background;
        let read = self
            .store
            .get_range(&self.segment.key, range.clone(), bounds);
        let read = read.await;
        let (block, _) = read.map_err(|error| ReadError::from(error).in_segment(self.segment))?;
        if self.tail.index.is_block(number as u32, &block) {
            return Ok(block);
        }
        let offsets = self.tail.index.offsets_in(&range, self.segment.end_offset);
        Err(ReadError::Corrupt {
            from: offsets.start,
            to: offsets.end,
            detail: format!("{}: the block at byte {from} is damaged", self.segment.key),
        })
    }

    /// What stands here is not what should.
    fn corrupt(&self, detail: &dyn std::fmt::Display) -> ReadError {
        let position = self.place.position;
        let to = self.tail.index.after(position);
        ReadError::Corrupt {
            from: self.place.offset,
            to: to.map_or(self.segment.end_offset, |place| place.offset),
            detail: format!("{}: at byte {position}: {detail}", self.segment.key),
        }
    }
}
