//! Which segments are in the object store: [`Manifest`] over the store. Nodes follow none of it, so it
//! needs no feed.

use std::{ops::Range, time::Duration};

use headwater_broker::{Answer, ColdSummary, Manifest, PartitionId, Place, Term, Unbegun, Written};
use headwater_tiered::SegmentRef;

use super::{
    Store,
    registry::{Answered, bounded},
    store::{SegmentRow, UnbegunRow},
};

impl Manifest for Store {
    fn summaries(&self, ids: Vec<PartitionId>) -> Answer<'_, Answered<Vec<ColdSummary>>> {
        Box::pin(bounded(async move {
            let mut connection = self.connection().await?;
            Ok(SegmentRow::summaries(&mut connection, self.engine, &ids).await?)
        }))
    }

    fn segments(
        &self,
        id: PartitionId,
        from: u64,
        max: usize,
    ) -> Answer<'_, Answered<Vec<SegmentRef>>> {
        Box::pin(bounded(async move {
            let mut connection = self.connection().await?;
            Ok(SegmentRow::live(&mut connection, id, from, max).await?)
        }))
    }

    fn segment_at_time(
        &self,
        id: PartitionId,
        from: u64,
        timestamp_ms: i64,
    ) -> Answer<'_, Answered<Option<SegmentRef>>> {
        Box::pin(bounded(async move {
            let mut connection = self.connection().await?;
            Ok(SegmentRow::live_at_time(&mut connection, id, from, timestamp_ms).await?)
        }))
    }

    fn recent_segments(
        &self,
        id: PartitionId,
        age: Duration,
        max: usize,
    ) -> Answer<'_, Answered<Vec<SegmentRef>>> {
        Box::pin(bounded(async move {
            let mut connection = self.connection().await?;
            Ok(SegmentRow::live_since(&mut connection, self.engine, id, age, max).await?)
        }))
    }

    fn intend(
        &self,
        term: Term,
        key: String,
        offsets: Range<u64>,
        place: Place,
    ) -> Answer<'_, Answered<Written>> {
        Box::pin(bounded(async move {
            let Some(mut change) = self.change_in_term(term).await? else {
                return Ok(Written::Fenced);
            };
            let written = change.intend(&key, offsets, place).await?;
            Ok(change.end(written).await?)
        }))
    }

    fn publish(&self, term: Term, segment: SegmentRef) -> Answer<'_, Answered<Written>> {
        Box::pin(bounded(async move {
            let Some(mut change) = self.change_in_term(term).await? else {
                return Ok(Written::Fenced);
            };
            let written = change.publish(&segment).await?;
            Ok(change.end(written).await?)
        }))
    }

    fn replace(
        &self,
        term: Term,
        replaced: Vec<String>,
        segment: SegmentRef,
    ) -> Answer<'_, Answered<Written>> {
        Box::pin(bounded(async move {
            let Some(mut change) = self.change_in_term(term).await? else {
                return Ok(Written::Fenced);
            };
            let written = change.replace(&replaced, &segment).await?;
            Ok(change.end(written).await?)
        }))
    }

    fn abandon(&self, term: Term) -> Answer<'_, Answered<Written>> {
        Box::pin(bounded(async move {
            let Some(mut change) = self.change_in_term(term).await? else {
                return Ok(Written::Fenced);
            };
            let written = change.abandon().await?;
            Ok(change.end(written).await?)
        }))
    }

    fn retire(&self, term: Term, log_start: u64) -> Answer<'_, Answered<Written>> {
        Box::pin(bounded(async move {
            let Some(mut change) = self.change_in_term(term).await? else {
                return Ok(Written::Fenced);
            };
            let written = change.retire(log_start).await?;
            Ok(change.end(written).await?)
        }))
    }

    fn doomed(&self, delay: Duration, max: usize) -> Answer<'_, Answered<Vec<String>>> {
        Box::pin(bounded(async move {
            let mut connection = self.connection().await?;
            Ok(SegmentRow::doomed(&mut connection, self.engine, delay, max).await?)
        }))
    }

    fn forget(&self, keys: Vec<String>) -> Answer<'_, Answered<()>> {
        Box::pin(bounded(async move {
            let mut connection = self.connection().await?;
            Ok(SegmentRow::forget(&mut connection, self.engine, &keys).await?)
        }))
    }

    fn unbegun(&self, ids: Vec<PartitionId>) -> Answer<'_, Answered<Vec<Unbegun>>> {
        Box::pin(bounded(async move {
            let mut connection = self.connection().await?;
            Ok(UnbegunRow::of(&mut connection, self.engine, &ids).await?)
        }))
    }
}
