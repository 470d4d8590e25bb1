//! Segments in the object store: what is live, and what is to be deleted. Leaders write their rows in a
//! [`TermChange`](super::term::TermChange).

use std::time::Duration;

use headwater_broker::{ColdSummary, PartitionId};
use headwater_tiered::SegmentRef;
use serde::Serialize;
use sqlx::{AnyConnection, AssertSqlSafe, FromRow};

use super::{Engine, Result, StoreError, partitions::json};

/// A segment's row.
#[derive(FromRow)]
pub struct SegmentRow {
    object_key: String,
    /// The object's [`SegmentRef`] as JSON, once it was read back.
    pub(super) detail: Option<String>,
}

#[derive(FromRow)]
struct SummaryRow {
    place: i64,
    cold_end: i64,
    segments: i64,
    cold_start: i64,
    bytes: i64,
}

/// An object by its name, as an element of a list that a statement is given.
#[derive(Serialize)]
pub(super) struct Named<'a> {
    pub object_key: &'a str,
}

/// What every page of a partition's live segments begins with. They are contiguous, so in the order of
/// their ends as well.
const LIVE: &str = "SELECT object_key, detail FROM segments WHERE topic_id = $1 AND partition = $2 \
                    AND state = 'live' AND end_offset > $3";

impl SegmentRow {
    /// What is live of each of these partitions, in their order: one statement, however many they are.
    pub(in crate::metadata) async fn summaries(
        connection: &mut AnyConnection,
        engine: Engine,
        ids: &[PartitionId],
    ) -> Result<Vec<ColdSummary>> {
        #[derive(Serialize)]
        struct Asked {
            place: usize,
            topic_id: String,
            partition: u32,
        }
        let name = |(place, id): (usize, &PartitionId)| Asked {
            place,
            topic_id: id.topic.to_string(),
            partition: id.partition,
        };
        let named: Vec<_> = ids.iter().enumerate().map(name).collect();
        let given = engine.rows_of_json(&[
            ("place", "BIGINT"),
            ("topic_id", "TEXT"),
            ("partition", "BIGINT"),
        ]);
        let sql = format!(
            "SELECT named.place AS place, p.cold_end AS cold_end, \
             COUNT(s.base_offset) AS segments, \
             COALESCE(MIN(s.base_offset), p.cold_end) AS cold_start, \
             CAST(COALESCE(SUM(s.data_bytes), 0) AS BIGINT) AS bytes \
             FROM {given} AS named \
             INNER JOIN partitions AS p ON p.topic_id = named.topic_id \
             AND p.partition = named.partition \
             LEFT JOIN segments AS s ON s.topic_id = p.topic_id AND s.partition = p.partition \
             AND s.state = 'live' GROUP BY named.place, p.cold_end"
        );
        let rows: Vec<SummaryRow> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(json(&named)?)
            .fetch_all(connection)
            .await?;
        let mut summaries = vec![ColdSummary::default(); ids.len()];
        for row in rows {
            summaries[row.place as usize] = ColdSummary {
                start: row.cold_start.cast_unsigned(),
                end: row.cold_end.cast_unsigned(),
                bytes: row.bytes.cast_unsigned(),
                segments: row.segments.cast_unsigned(),
            };
        }
        Ok(summaries)
    }

    /// Live segments that end after `from`, by offset, at most `max`.
    pub(in crate::metadata) async fn live(
        connection: &mut AnyConnection,
        id: PartitionId,
        from: u64,
        max: usize,
    ) -> Result<Vec<SegmentRef>> {
        let sql = format!("{LIVE} ORDER BY end_offset LIMIT $4");
        let rows: Vec<Self> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(id.topic.to_string())
            .bind(i64::from(id.partition))
            .bind(at_most(from))
            .bind(at_most(max as u64))
            .fetch_all(connection)
            .await?;
        rows.iter().map(Self::read).collect()
    }

    /// The first live segment that ends after `from` and has a record at `timestamp_ms` or later.
    pub(in crate::metadata) async fn live_at_time(
        connection: &mut AnyConnection,
        id: PartitionId,
        from: u64,
        timestamp_ms: i64,
    ) -> Result<Option<SegmentRef>> {
        let sql = format!("{LIVE} AND max_timestamp >= $4 ORDER BY end_offset LIMIT 1");
        let row: Option<Self> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(id.topic.to_string())
            .bind(i64::from(id.partition))
            .bind(at_most(from))
            .bind(timestamp_ms)
            .fetch_optional(connection)
            .await?;
        row.as_ref().map(Self::read).transpose()
    }

    /// The last segments that became live within `age`, by offset.
    pub(in crate::metadata) async fn live_since(
        connection: &mut AnyConnection,
        engine: Engine,
        id: PartitionId,
        age: Duration,
        max: usize,
    ) -> Result<Vec<SegmentRef>> {
        let now = engine.now_ms();
        let sql = format!("{LIVE} AND since >= {now} - $4 ORDER BY end_offset DESC LIMIT $5");
        let rows: Vec<Self> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(id.topic.to_string())
            .bind(i64::from(id.partition))
            .bind(0_i64)
            .bind(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
            .bind(at_most(max as u64))
            .fetch_all(connection)
            .await?;
        rows.iter().rev().map(Self::read).collect()
    }

    /// What the row says of the object.
    ///
    /// # Errors
    /// The row is not one that this service wrote.
    pub(super) fn read(&self) -> Result<SegmentRef> {
        let detail = self.detail.as_deref().unwrap_or_default();
        serde_json::from_str(detail)
            .map_err(|error| StoreError(format!("segment {}: {error}", self.object_key)))
    }

    /// Objects to delete, oldest first: doomed for `delay` at least, or of topics that are deleted or
    /// forgotten. Of these, too, an object that was never published waits: it may still be written to.
    pub(in crate::metadata) async fn doomed(
        connection: &mut AnyConnection,
        engine: Engine,
        delay: Duration,
        max: usize,
    ) -> Result<Vec<String>> {
        let delay_ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        // In a query of its own, so that an index can find what it bounds.
        let waited = format!("since <= (SELECT {} - $1)", engine.now_ms());
        // Topics that have segments are walked by index, one step each: they are few, segments many.
        let sql = format!(
            "WITH RECURSIVE held (topic_id) AS (SELECT MIN(topic_id) FROM segments UNION ALL \
             SELECT (SELECT MIN(s.topic_id) FROM segments AS s WHERE s.topic_id > held.topic_id) \
             FROM held WHERE held.topic_id IS NOT NULL), \
             due (object_key, since) AS (\
             SELECT object_key, since FROM segments WHERE state = 'doomed' AND {waited} UNION \
             SELECT object_key, since FROM segments \
             INNER JOIN held ON held.topic_id = segments.topic_id \
             WHERE {} AND (detail IS NOT NULL OR {waited})) \
             SELECT object_key FROM due ORDER BY since, object_key LIMIT $2",
            of_dead_topic("held")
        );
        let keys: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(delay_ms)
            .bind(at_most(max as u64))
            .fetch_all(connection)
            .await?;
        Ok(keys.into_iter().map(|(key,)| key).collect())
    }

    /// Removes the rows of these objects, if they were to be deleted: one statement, however many.
    pub(in crate::metadata) async fn forget(
        connection: &mut AnyConnection,
        engine: Engine,
        keys: &[String],
    ) -> Result<()> {
        let named: Vec<_> = keys.iter().map(|object_key| Named { object_key }).collect();
        let given = engine.rows_of_json(&[("object_key", "TEXT")]);
        let sql = format!(
            "DELETE FROM segments WHERE object_key IN (SELECT object_key FROM {given} AS named) \
             AND (state = 'doomed' OR {})",
            of_dead_topic("segments")
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(json(&named)?)
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// Whether the topic of a table's row is deleted or forgotten.
pub(super) fn of_dead_topic(table: &str) -> String {
    format!(
        "NOT EXISTS (SELECT 1 FROM topics WHERE topics.id = {table}.topic_id \
         AND topics.deleted_at IS NULL)"
    )
}

/// The number, or the highest that the database knows: no offset is above it.
pub(super) fn at_most(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
