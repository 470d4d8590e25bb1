//! Writing where partitions are. Rows of topics that are not deleted change inside of a [`Change`]
//! only, but for where their cold segments end.

use headwater_broker::{BrokerId, PartitionId};
use sqlx::{AnyConnection, AssertSqlSafe};

use super::{
    Change, PartitionRow, Result, StoreError,
    partitions::{COLUMNS, GIVEN, json},
};

impl PartitionRow {
    /// Adds these rows.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert(change: &mut Change, rows: &[Self]) -> Result<()> {
        let given = change.engine.rows_of_json(&GIVEN);
        let sql = format!(
            "INSERT INTO partitions ({COLUMNS}, changed) \
             SELECT {COLUMNS}, CAST($2 AS BIGINT) FROM {given} AS given"
        );
        let number = change.number();
        let inserted = sqlx::query(AssertSqlSafe(sql))
            .bind(json(&rows)?)
            .bind(number)
            .execute(&mut **change)
            .await?;
        all_written(inserted.rows_affected(), rows)
    }

    /// Writes these rows over older ones. One that names a leader is begun with that: see
    /// [`UnbegunRow`](super::UnbegunRow).
    pub(in crate::metadata) async fn update(change: &mut Change, rows: &[Self]) -> Result<()> {
        let given = change.engine.rows_of_json(&GIVEN);
        let set = GIVEN[2..].iter();
        let set: Vec<_> = set
            .map(|(name, _)| format!("{name} = given.{name}"))
            .collect();
        let sql = format!(
            "UPDATE partitions SET {}, changed = $2, \
             beginning = CASE WHEN given.leader IS NULL THEN partitions.beginning END \
             FROM {given} AS given \
             WHERE partitions.topic_id = given.topic_id \
             AND partitions.partition = given.partition \
             AND partitions.partition_epoch < given.partition_epoch",
            set.join(", ")
        );
        let number = change.number();
        let updated = sqlx::query(AssertSqlSafe(sql))
            .bind(json(&rows)?)
            .bind(number)
            .execute(&mut **change)
            .await?;
        all_written(updated.rows_affected(), rows)
    }

    /// Has everybody read the partitions of a topic anew, whose settings mean something else now.
    ///
    /// # Errors
    /// The database failed.
    pub async fn renew_all(change: &mut Change, topic: &str) -> Result<()> {
        let number = change.number();
        sqlx::query(
            "UPDATE partitions SET partition_epoch = partition_epoch + 1, changed = $1 \
             WHERE topic_id = $2",
        )
        .bind(number)
        .bind(topic)
        .execute(&mut **change)
        .await?;
        Ok(())
    }

    /// Takes a broker out of in-sync sets, also where it leads or is the last: of `only` one
    /// partition, or of all. Answers how many rows said otherwise.
    pub(in crate::metadata) async fn discount(
        change: &mut Change,
        broker: BrokerId,
        only: Option<PartitionId>,
    ) -> Result<u64> {
        let which = only.map_or("", |_| " AND topic_id = $4 AND partition = $5");
        let rest = without("in_sync");
        let sql = format!(
            "UPDATE partitions SET in_sync = {rest}, \
             leader_incarnation = CASE WHEN leader = $2 THEN NULL ELSE leader_incarnation END, \
             leader = CASE WHEN leader = $2 THEN NULL ELSE leader END, \
             partition_epoch = partition_epoch + 1, changed = $3 \
             WHERE (leader = $2 OR in_sync <> {rest}){which}"
        );
        let number = change.number();
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .bind(broker.to_string())
            .bind(i64::from(broker))
            .bind(number);
        if let Some(id) = only {
            query = query
                .bind(id.topic.to_string())
                .bind(i64::from(id.partition));
        }
        Ok(query.execute(&mut **change).await?.rows_affected())
    }

    /// The same of all deleted topics, for a broker that will not come back.
    ///
    /// # Errors
    /// The database failed.
    pub async fn leave_all(connection: &mut AnyConnection, broker: BrokerId) -> Result<()> {
        let deleted: Vec<(String,)> = sqlx::query_as(
            "SELECT DISTINCT topics.id FROM topics INNER JOIN partitions \
             ON partitions.topic_id = topics.id WHERE topics.deleted_at IS NOT NULL",
        )
        .fetch_all(&mut *connection)
        .await?;
        for (topic,) in deleted {
            Self::leave(connection, &topic, broker).await?;
        }
        Ok(())
    }

    /// Notes that a broker has no copy of a deleted topic's partitions any more. What nobody has a
    /// copy of goes.
    ///
    /// # Errors
    /// The database failed.
    pub async fn leave(
        connection: &mut AnyConnection,
        topic: &str,
        broker: BrokerId,
    ) -> Result<()> {
        let rest = without("replicas");
        let sql = format!("UPDATE partitions SET replicas = {rest} WHERE topic_id = $2");
        sqlx::query(AssertSqlSafe(sql))
            .bind(broker.to_string())
            .bind(topic)
            .execute(&mut *connection)
            .await?;
        sqlx::query("DELETE FROM partitions WHERE topic_id = $1 AND replicas = ''")
            .bind(topic)
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// A list without the broker that is the statement's first parameter.
fn without(list: &str) -> String {
    format!("TRIM(REPLACE(',' || {list} || ',', ',' || $1 || ',', ','), ',')")
}

/// The change holds the lock that all writers take, so what it read is what it writes over.
fn all_written(count: u64, rows: &[PartitionRow]) -> Result<()> {
    match count == rows.len() as u64 {
        true => Ok(()),
        false => Err(StoreError(format!(
            "{count} of {} partitions were written",
            rows.len()
        ))),
    }
}
