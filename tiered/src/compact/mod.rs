//! Compaction by key: objects are made anew without the records that a later one supersedes.
//!
//! A pass notes the keys of the objects that are not clean in [`LatestKeys`], and then makes the
//! objects of the partition anew with it, from the first on: when one is done, all before it are.

mod latest;

use std::io;

use bytes::Bytes;
use futures_util::stream;
use headwater_record::{BatchView, DecodeError, RecordView, Retained};

pub use latest::LatestKeys;

use crate::bandwidth::Bandwidth;
use crate::error::StoreError;
use crate::format::{Cleaning, DECODED_BYTES_MAX, Descriptor, KeyHash};
use crate::key::SegmentKey;
use crate::read::ReadError;
use crate::scan::Scan;
use crate::segment_ref::SegmentRef;
use crate::store::Store;
use crate::upload::UploadError;

/// What is left out when objects are made anew.
#[derive(Debug, Clone, Copy)]
pub struct Compaction<'a> {
    /// A record goes if its key is here with a later offset. All that is not clean below its end was
    /// noted.
    pub latest: &'a LatestKeys,
    /// The time, milliseconds since the epoch.
    pub now_ms: i64,
    /// A record without a value goes that was first compared so long ago, so that readers have so long
    /// to see it.
    pub delete_retention_ms: u64,
    /// A batch without records is kept for its producer until it was first compared so long ago.
    pub producers_ms: u64,
}

impl Compaction<'_> {
    fn before_ms(&self, age_ms: u64) -> i64 {
        self.now_ms.saturating_sub_unsigned(age_ms)
    }

    fn keeps(&self, cleaning: &Cleaning, record: &RecordView<'_>) -> bool {
        let Some(key) = record.key else { return true };
        if self.latest.supersedes(&KeyHash::of(key), record.offset) {
            return false;
        }
        let due_ms = self.before_ms(self.delete_retention_ms);
        record.value.is_some() || !cleaning.was_clean_by(record.offset, due_ms)
    }

    /// What is left of a batch.
    fn rewrite(&self, cleaning: &Cleaning, bytes: Bytes) -> Result<Option<Bytes>, ReadError> {
        let batch = parse(&bytes)?;
        let retained = batch.retain(DECODED_BYTES_MAX, |record| self.keeps(cleaning, record));
        match retained.map_err(|error| undecodable(&batch, &error))? {
            Retained::Some(left) => return Ok(Some(left)),
            Retained::All if batch.header().record_count > 0 => return Ok(Some(bytes)),
            Retained::All | Retained::None => {}
        }
        let old_ms = self.before_ms(self.producers_ms);
        let is_known = batch.header().producer.id >= 0
            && !cleaning.was_clean_by(batch.next_offset() - 1, old_ms);
        Ok(is_known.then(|| batch.emptied()))
    }
}

impl Store {
    /// Makes one object of `sources`, which follow each other and cover what is described, without the
    /// records that `compaction` leaves out. Offsets stay; the row that answers is to take the place of
    /// all of theirs. Nothing is deleted.
    ///
    /// A partition's objects are compacted in the order of their offsets, each after all before it:
    /// a record without a value must not go before what it deletes.
    ///
    /// Memory is as for [`upload`](Self::upload), and three chunks of 8 MiB and three times a batch.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] if a source is damaged, [`ReadError::Store`] within bounded time for each
    /// request, and with [`Invalid`](crate::StoreErrorKind::Invalid) for sources that are not what is
    /// described. No object comes into being then, or one that nobody refers to.
    pub async fn compact(
        &self,
        key: &SegmentKey,
        descriptor: &Descriptor,
        sources: &[SegmentRef],
        compaction: &Compaction<'_>,
        bandwidth: Option<&Bandwidth>,
    ) -> Result<SegmentRef, ReadError> {
        check(descriptor, sources)?;
        let cleanings: Vec<_> = sources.iter().map(SegmentRef::cleaning).collect();
        let cleaning = Cleaning::union(
            cleanings.iter(),
            compaction.latest.end_offset().min(descriptor.end_offset),
            compaction.now_ms,
            compaction.before_ms(compaction.delete_retention_ms.max(compaction.producers_ms)),
        );
        let rewriting = Rewriting {
            store: self,
            compaction,
            sources: sources.iter().zip(&cleanings),
            scan: None,
            last_left_out: None,
        };
        let data = stream::try_unfold(rewriting, |mut rewriting| async move {
            let next = rewriting.next().await.map_err(io::Error::other)?;
            Ok(next.map(|batch| (batch, rewriting)))
        });
        self.upload_cleaned(key, descriptor, cleaning, data, bandwidth)
            .await
            .map_err(failed)
    }

    /// Whether making this clean object anew, alone, would take records out of it, as far as its keys
    /// and its row tell: true if it has no keys. Empty batches that are kept for their producers do not
    /// count.
    ///
    /// # Errors
    /// As [`compact`](Self::compact).
    pub async fn would_change(
        &self,
        source: &SegmentRef,
        compaction: &Compaction<'_>,
    ) -> Result<bool, ReadError> {
        let due_ms = compaction.before_ms(compaction.delete_retention_ms);
        let tombstone = source.first_tombstone;
        if tombstone.is_some_and(|offset| source.cleaning().was_clean_by(offset, due_ms)) {
            return Ok(true);
        }
        let block = self.key_block(source).await;
        let block = block.map_err(|error| ReadError::from(error).in_segment(source))?;
        Ok(block.is_none_or(|block| {
            block.entries().any(|(hash, offset)| {
                let offset = source.base_offset + u64::from(offset);
                compaction.latest.supersedes(&hash, offset)
            })
        }))
    }
}

fn check(descriptor: &Descriptor, sources: &[SegmentRef]) -> Result<(), StoreError> {
    let mut end = descriptor.base_offset;
    for source in sources {
        if source.base_offset != end {
            break;
        }
        end = source.end_offset;
    }
    let last = sources.last().map(|last| last.end_offset);
    match last == Some(descriptor.end_offset) && end == descriptor.end_offset {
        true => Ok(()),
        false => Err(StoreError::invalid(format!(
            "the sources do not cover offsets {}..{}",
            descriptor.base_offset, descriptor.end_offset
        ))),
    }
}

/// The batches of all sources, as they are to be.
struct Rewriting<'a, I> {
    store: &'a Store,
    compaction: &'a Compaction<'a>,
    sources: I,
    scan: Option<(Scan<'a>, &'a Cleaning)>,
    /// The batch before this one, if nothing of it is left. The last of all stays, without records: so
    /// whoever reads up to the end learns where it is.
    last_left_out: Option<Bytes>,
}

impl<'a, I: Iterator<Item = (&'a SegmentRef, &'a Cleaning)>> Rewriting<'a, I> {
    async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        loop {
            let (scan, cleaning) = match &mut self.scan {
                Some(scan) => scan,
                none => {
                    let Some((source, cleaning)) = self.sources.next() else {
                        return Ok(self.last_left_out.take());
                    };
                    let scan = Scan::open(self.store, source, source.base_offset).await?;
                    none.insert((scan, cleaning))
                }
            };
            match scan.next().await? {
                None => self.scan = None,
                Some(batch) => match self.compaction.rewrite(cleaning, batch.clone())? {
                    Some(left) => {
                        self.last_left_out = None;
                        return Ok(Some(left));
                    }
                    None => self.last_left_out = Some(parse(&batch)?.emptied()),
                },
            }
        }
    }
}

fn parse(batch: &[u8]) -> Result<BatchView<'_>, ReadError> {
    let parsed = BatchView::parse(batch);
    let (batch, _) = parsed.map_err(|error| StoreError::corrupt(error.to_string()))?;
    Ok(batch)
}

/// All checksums of a batch are right, and its records still cannot be read.
fn undecodable(batch: &BatchView<'_>, error: &DecodeError) -> ReadError {
    ReadError::Corrupt {
        from: batch.header().base_offset,
        to: batch.next_offset(),
        detail: error.to_string(),
    }
}

/// Sources are read inside of the upload, which hands their errors through.
fn failed(error: UploadError) -> ReadError {
    match error {
        UploadError::Store(error) => error.into(),
        UploadError::Damaged { detail, .. } => StoreError::invalid(detail).into(),
        UploadError::Source(error) => error
            .downcast()
            .unwrap_or_else(|error| StoreError::unavailable(error.to_string()).into()),
    }
}
