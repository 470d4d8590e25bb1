//! What a leader writes of its partition's segments, in its term.

use std::ops::Range;

use headwater_broker::{Place, Term, Written};
use headwater_tiered::SegmentRef;
use sqlx::{Any, AssertSqlSafe, FromRow, Transaction};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Engine, Result, SegmentRow, Store, StoreError, changed_one,
    partitions::json,
    segments::{Named, at_most},
};

/// A transaction that holds the partition's row: the term lasts until it ends. No node follows what it
/// writes, so it is no [`Change`](super::Change) and waits for none. Dropped without a commit, it
/// changes nothing.
pub struct TermChange {
    transaction: Transaction<'static, Any>,
    engine: Engine,
    topic_id: String,
    partition: i64,
    leader_epoch: i64,
    /// Where the last segment that was ever live ends.
    cold_end: i64,
    /// Its place among those that have a connection.
    _place: OwnedSemaphorePermit,
}

#[derive(FromRow)]
struct IntentRow {
    #[sqlx(flatten)]
    segment: SegmentRow,
    base_offset: i64,
    end_offset: i64,
    state: String,
}

/// Whether a segment was intended, and is yet to go live.
enum Intended {
    /// It is not: this is the answer.
    Not(Written),
    /// From this offset on.
    At(i64),
}

impl Store {
    /// Begins to write a partition's segments; `None` if the partition is in another term, or gone.
    pub(in crate::metadata) async fn change_in_term(
        &self,
        term: Term,
    ) -> Result<Option<TermChange>> {
        let place = self.term_changes.clone().acquire_owned().await;
        let place = place.map_err(|error| StoreError(error.to_string()))?;
        let (topic_id, partition) = (term.id.topic.to_string(), i64::from(term.id.partition));
        let leader_epoch = i64::from(term.epoch);
        let mut transaction = self.transaction().await?;
        // An update that changes nothing locks the row on both engines. If it had to wait for an
        // election, it looks at the row anew.
        let held: Option<(i64,)> = sqlx::query_as(
            "UPDATE partitions SET cold_end = cold_end \
             WHERE topic_id = $1 AND partition = $2 AND leader_epoch = $3 \
             AND EXISTS (SELECT 1 FROM topics WHERE topics.id = $1 AND topics.deleted_at IS NULL) \
             RETURNING cold_end",
        )
        .bind(&topic_id)
        .bind(partition)
        .bind(leader_epoch)
        .fetch_optional(&mut *transaction)
        .await?;
        Ok(held.map(|(cold_end,)| TermChange {
            transaction,
            engine: self.engine,
            topic_id,
            partition,
            leader_epoch,
            cold_end,
            _place: place,
        }))
    }
}

impl TermChange {
    /// Notes that an object is about to be written. The same again is the same intent.
    pub(in crate::metadata) async fn intend(
        &mut self,
        key: &str,
        offsets: Range<u64>,
        place: Place,
    ) -> Result<Written> {
        let offset = |offset| {
            i64::try_from(offset).map_err(|_| StoreError(format!("segment {key}: offset {offset}")))
        };
        let (base_offset, end_offset) = (offset(offsets.start)?, offset(offsets.end)?);
        let fits = match place {
            Place::Next => base_offset >= self.cold_end,
            Place::Instead => end_offset <= self.cold_end,
        };
        if !fits {
            return Ok(self.not_next());
        }
        let sql = format!(
            "INSERT INTO segments (object_key, topic_id, partition, base_offset, end_offset, \
             leader_epoch, state, since) VALUES ($1, $2, $3, $4, $5, $6, 'uploading', {}) \
             ON CONFLICT (object_key) DO UPDATE SET since = segments.since \
             WHERE segments.state = 'uploading' AND segments.topic_id = $2 \
             AND segments.partition = $3 AND segments.base_offset = $4 \
             AND segments.end_offset = $5 AND segments.leader_epoch = $6",
            self.engine.now_ms()
        );
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(key)
            .bind(&self.topic_id)
            .bind(self.partition)
            .bind(base_offset)
            .bind(end_offset)
            .bind(self.leader_epoch);
        match changed_one(query, &mut self.transaction).await? {
            true => Ok(Written::Done),
            false => Err(StoreError(format!(
                "segment {key}: the name was used before"
            ))),
        }
    }

    /// Makes a segment live that was intended in this term. Again it is done: the answer may be lost.
    pub(in crate::metadata) async fn publish(&mut self, segment: &SegmentRef) -> Result<Written> {
        let base_offset = match self.intended(segment).await? {
            Intended::Not(written) => return Ok(written),
            Intended::At(base_offset) => base_offset,
        };
        let is_next =
            base_offset == self.cold_end || base_offset > self.cold_end && !self.any_live().await?;
        if !is_next {
            return Ok(self.not_next());
        }
        if !self.go_live(segment, None).await? {
            return Ok(Written::Fenced);
        }
        sqlx::query("UPDATE partitions SET cold_end = $1 WHERE topic_id = $2 AND partition = $3")
            .bind(at_most(segment.end_offset))
            .bind(&self.topic_id)
            .bind(self.partition)
            .execute(&mut *self.transaction)
            .await?;
        Ok(Written::Done)
    }

    /// Makes a segment live that was intended in this term, in the place of live ones that have its
    /// offsets. Again it is done, as [`publish`](Self::publish).
    pub(in crate::metadata) async fn replace(
        &mut self,
        replaced: &[String],
        segment: &SegmentRef,
    ) -> Result<Written> {
        #[derive(FromRow)]
        struct Replaced {
            base_offset: i64,
            end_offset: i64,
            since: i64,
        }
        if let Intended::Not(written) = self.intended(segment).await? {
            return Ok(written);
        }
        let given = self.engine.rows_of_json(&[("object_key", "TEXT")]);
        let named: Vec<_> = replaced
            .iter()
            .map(|object_key| Named { object_key })
            .collect();
        let named = json(&named)?;
        let theirs = format!(
            "topic_id = $2 AND partition = $3 AND state = 'live' \
             AND object_key IN (SELECT object_key FROM {given} AS named)"
        );
        let sql = format!(
            "SELECT base_offset, end_offset, since FROM segments WHERE {theirs} ORDER BY base_offset"
        );
        let rows: Vec<Replaced> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(&named)
            .bind(&self.topic_id)
            .bind(self.partition)
            .fetch_all(&mut *self.transaction)
            .await?;
        let end = rows
            .iter()
            .try_fold(at_most(segment.base_offset), |at, row| {
                (row.base_offset == at).then_some(row.end_offset)
            });
        if rows.len() != replaced.len() || end != Some(at_most(segment.end_offset)) {
            return Ok(Written::NotThere);
        }
        let now = self.engine.now_ms();
        let sql = format!("UPDATE segments SET state = 'doomed', since = {now} WHERE {theirs}");
        sqlx::query(AssertSqlSafe(sql))
            .bind(&named)
            .bind(&self.topic_id)
            .bind(self.partition)
            .execute(&mut *self.transaction)
            .await?;
        // Its records are as old as theirs.
        let since = rows.iter().map(|row| row.since).max();
        match self.go_live(segment, since).await? {
            true => Ok(Written::Done),
            false => Ok(Written::Fenced),
        }
    }

    /// Dooms what was intended until now and never became live.
    pub(in crate::metadata) async fn abandon(&mut self) -> Result<Written> {
        self.doom("uploading", "leader_epoch", self.leader_epoch)
            .await
    }

    /// Dooms the live segments that end at or before `log_start`.
    pub(in crate::metadata) async fn retire(&mut self, log_start: u64) -> Result<Written> {
        self.doom("live", "end_offset", at_most(log_start)).await
    }

    /// Ends the transaction after what it came to.
    ///
    /// # Errors
    /// The database failed; whether it is done is not known.
    pub(in crate::metadata) async fn end(self, written: Written) -> Result<Written> {
        if written == Written::Done {
            self.transaction.commit().await?;
        }
        Ok(written)
    }

    /// What was intended under that name in this term.
    async fn intent(&mut self, key: &str) -> Result<Option<IntentRow>> {
        Ok(sqlx::query_as(
            "SELECT object_key, detail, base_offset, end_offset, state FROM segments \
             WHERE object_key = $1 AND topic_id = $2 AND partition = $3 AND leader_epoch = $4",
        )
        .bind(key)
        .bind(&self.topic_id)
        .bind(self.partition)
        .bind(self.leader_epoch)
        .fetch_optional(&mut *self.transaction)
        .await?)
    }

    /// What stands in the way of the segment's going live, or where it begins.
    async fn intended(&mut self, segment: &SegmentRef) -> Result<Intended> {
        let key = &segment.key;
        let Some(intent) = self.intent(key).await? else {
            return Ok(Intended::Not(Written::Fenced));
        };
        if intent.segment.detail.is_some() {
            return match intent.segment.read()? == *segment {
                true => Ok(Intended::Not(Written::Done)),
                false => Err(StoreError(format!(
                    "segment {key}: another one was published"
                ))),
            };
        }
        if intent.state != "uploading" {
            return Ok(Intended::Not(Written::Fenced));
        }
        let is_intended = intent.base_offset.cast_unsigned() == segment.base_offset
            && intent.end_offset.cast_unsigned() == segment.end_offset
            && self.leader_epoch == i64::from(segment.leader_epoch);
        match is_intended {
            true => Ok(Intended::At(intent.base_offset)),
            false => Err(StoreError(format!(
                "segment {key}: another one was intended"
            ))),
        }
    }

    /// Makes an intent's row live, since this time or since now; `false` if it is gone: the topic was
    /// deleted, and the row forgotten.
    async fn go_live(&mut self, segment: &SegmentRef, since: Option<i64>) -> Result<bool> {
        let sql = format!(
            "UPDATE segments SET state = 'live', since = COALESCE($5, {}), data_bytes = $1, \
             max_timestamp = $2, detail = $3 WHERE object_key = $4",
            self.engine.now_ms()
        );
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(at_most(segment.data_bytes))
            .bind(segment.max_timestamp_ms)
            .bind(json(segment)?)
            .bind(&segment.key)
            .bind(since);
        changed_one(query, &mut self.transaction).await
    }

    async fn any_live(&mut self) -> Result<bool> {
        let live = sqlx::query(
            "SELECT 1 FROM segments WHERE topic_id = $1 AND partition = $2 AND state = 'live' \
             LIMIT 1",
        )
        .bind(&self.topic_id)
        .bind(self.partition)
        .fetch_optional(&mut *self.transaction);
        Ok(live.await?.is_some())
    }

    /// Dooms the partition's rows in this state that are at `limit` in that column, or below.
    async fn doom(&mut self, state: &str, column: &str, limit: i64) -> Result<Written> {
        let sql = format!(
            "UPDATE segments SET state = 'doomed', since = {} WHERE topic_id = $1 \
             AND partition = $2 AND state = $3 AND {column} <= $4",
            self.engine.now_ms()
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(&self.topic_id)
            .bind(self.partition)
            .bind(state)
            .bind(limit)
            .execute(&mut *self.transaction)
            .await?;
        Ok(Written::Done)
    }

    fn not_next(&self) -> Written {
        Written::NotNext(self.cold_end.cast_unsigned())
    }
}
