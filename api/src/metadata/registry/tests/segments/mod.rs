//! Segments' rows on both engines.

mod deletion;
mod leaders;
mod readers;
mod replaced;
mod terms;

use headwater_broker::{
    ColdSummary, Manifest, PartitionId, Place, Proposal, Term, TopicId, Written,
    replica::Assignment,
};
use headwater_tiered::SegmentRef;

use super::{Database, on_both_engines, place};
use crate::metadata::{TopicRow, registry::Answered};

const DONE: Answered<Written> = Ok(Written::Done);
const FENCED: Answered<Written> = Ok(Written::Fenced);

fn not_next(end: u64) -> Answered<Written> {
    Ok(Written::NotNext(end))
}

fn partition(topic: TopicId, partition: u32) -> PartitionId {
    PartitionId { topic, partition }
}

/// Of a topic's first partition.
fn term(topic: TopicId, epoch: i32) -> Term {
    let id = partition(topic, 0);
    Term { id, epoch }
}

/// What a leader uploads.
fn segment(term: Term, base_offset: u64, end_offset: u64) -> SegmentRef {
    let Term { id, epoch } = term;
    SegmentRef {
        key: format!(
            "{}/{}/{base_offset}-{end_offset}-{epoch}",
            id.topic, id.partition
        ),
        base_offset,
        end_offset,
        leader_epoch: epoch as u32,
        size_bytes: 1_200,
        data_bytes: 1_000,
        index_position: 1_100,
        data_sha256: "5".repeat(64),
        record_count: end_offset - base_offset,
        first_timestamp_ms: 7,
        max_timestamp_ms: 8,
        keys_bytes: 0,
        first_tombstone: None,
        clean_below: 0,
        cleaned: Vec::new(),
    }
}

/// The next version of a partition's row, in which the same broker leads the next term.
fn election(topic: TopicId, was: &Assignment) -> Proposal {
    let row = Assignment {
        epoch: was.epoch + 1,
        partition_epoch: was.partition_epoch + 1,
        ..was.clone()
    };
    Proposal {
        id: partition(topic, 0),
        was: was.partition_epoch,
        row,
        added: Vec::new(),
    }
}

impl Database {
    /// A topic of which broker 1 leads all partitions, in epoch 1.
    async fn led(&self, number: u8, partitions: u32) -> TopicId {
        self.topic(number, partitions, Some(&place(&[1]))).await
    }

    async fn bury(&self, topic: TopicId) {
        let mut change = self.change().await;
        let buried = TopicRow::bury(&mut change, &topic.to_string(), 1).await;
        assert!(buried.expect("a tombstone"));
        change.commit().await.expect("a commit");
    }

    /// Takes the tombstone away.
    async fn purge(&self, topic: TopicId) {
        let mut transaction = self.store.transaction().await.expect("one");
        let forgotten = TopicRow::forget(&mut transaction, &topic.to_string(), 1).await;
        forgotten.expect("it is forgotten");
        transaction.commit().await.expect("a commit");
        let mut connection = self.store.connection().await.expect("a connection");
        let topics = TopicRow::all(&mut connection).await.expect("rows");
        assert!(topics.iter().all(|row| row.id != topic.to_string()));
    }

    async fn intended(&self, term: Term, base_offset: u64, end_offset: u64) -> SegmentRef {
        let segment = segment(term, base_offset, end_offset);
        assert_eq!(self.intend(term, &segment).await, DONE);
        segment
    }

    async fn published(&self, term: Term, base_offset: u64, end_offset: u64) -> SegmentRef {
        let segment = self.intended(term, base_offset, end_offset).await;
        assert_eq!(self.publish(term, &segment).await, DONE);
        segment
    }

    async fn intend(&self, term: Term, segment: &SegmentRef) -> Answered<Written> {
        self.intend_at(term, segment, Place::Next).await
    }

    async fn intend_at(&self, term: Term, segment: &SegmentRef, place: Place) -> Answered<Written> {
        let (key, offsets) = (segment.key.clone(), segment.base_offset..segment.end_offset);
        self.store.intend(term, key, offsets, place).await
    }

    async fn publish(&self, term: Term, segment: &SegmentRef) -> Answered<Written> {
        self.store.publish(term, segment.clone()).await
    }

    async fn summary(&self, id: PartitionId) -> ColdSummary {
        let summaries = self.store.summaries(vec![id]).await.expect("a summary");
        summaries[0]
    }

    async fn live(&self, id: PartitionId) -> Vec<SegmentRef> {
        let live = self.store.segments(id, 0, usize::MAX).await;
        live.expect("segments")
    }

    /// All rows: name, state, and since when.
    async fn rows(&self) -> Vec<(String, String, i64)> {
        let mut connection = self.store.connection().await.expect("a connection");
        sqlx::query_as("SELECT object_key, state, since FROM segments ORDER BY base_offset")
            .fetch_all(&mut *connection)
            .await
            .expect("rows")
    }

    /// The states of all rows, by offset.
    async fn states(&self) -> Vec<String> {
        let rows = self.rows().await;
        rows.into_iter().map(|(_, state, _)| state).collect()
    }
}
