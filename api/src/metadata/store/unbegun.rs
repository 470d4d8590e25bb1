//! Partitions that were made from the bucket and have had no leader yet. The first one begins where their
//! objects end; its row ends this, by [`PartitionRow::update`](super::PartitionRow::update), and nothing
//! brings it back.

use headwater_broker::{
    PartitionId, Unbegun,
    replica::{Beginning, Starts},
};
use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, AssertSqlSafe, FromRow};

use super::{Engine, Result, StoreError, partitions::json};

/// What is kept of where a partition begins, as JSON.
#[derive(Serialize, Deserialize)]
struct Kept {
    log_start: u64,
    local_start: u64,
    epochs: Vec<(i32, u64)>,
}

/// A partition without a leader, and where its first one begins.
#[derive(FromRow)]
pub struct UnbegunRow {
    topic_id: String,
    partition: i64,
    beginning: String,
    replication_factor: i64,
}

impl UnbegunRow {
    /// The column's text.
    pub(in crate::metadata) fn text(beginning: &Beginning) -> Result<String> {
        json(&Kept {
            log_start: beginning.starts.log,
            local_start: beginning.starts.local,
            epochs: beginning.epochs.clone(),
        })
    }

    /// Those of these partitions that are unbegun.
    pub(in crate::metadata) async fn of(
        connection: &mut AnyConnection,
        engine: Engine,
        ids: &[PartitionId],
    ) -> Result<Vec<Unbegun>> {
        #[derive(Serialize)]
        struct Named {
            topic_id: String,
            partition: u32,
        }
        let name = |id: &PartitionId| Named {
            topic_id: id.topic.to_string(),
            partition: id.partition,
        };
        let named: Vec<_> = ids.iter().map(name).collect();
        let given = engine.rows_of_json(&[("topic_id", "TEXT"), ("partition", "BIGINT")]);
        let sql = format!(
            "SELECT p.topic_id AS topic_id, p.partition AS partition, p.beginning AS beginning, \
             topics.replication_factor AS replication_factor FROM {given} AS named \
             INNER JOIN partitions AS p ON p.topic_id = named.topic_id \
             AND p.partition = named.partition \
             INNER JOIN topics ON topics.id = p.topic_id \
             WHERE p.beginning IS NOT NULL AND p.leader IS NULL AND topics.deleted_at IS NULL"
        );
        let rows: Vec<Self> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(json(&named)?)
            .fetch_all(connection)
            .await?;
        rows.iter().map(Self::read).collect()
    }

    fn read(&self) -> Result<Unbegun> {
        let bad = |why: String| {
            let (topic, partition) = (&self.topic_id, self.partition);
            StoreError(format!("partition {partition} of topic {topic}: {why}"))
        };
        let kept: Kept =
            serde_json::from_str(&self.beginning).map_err(|error| bad(error.to_string()))?;
        Ok(Unbegun {
            id: PartitionId {
                topic: (self.topic_id.parse()).map_err(|_| bad("bad id".into()))?,
                partition: u32::try_from(self.partition).map_err(|e| bad(e.to_string()))?,
            },
            beginning: Beginning {
                starts: Starts {
                    log: kept.log_start,
                    local: kept.local_start,
                },
                epochs: kept.epochs,
            },
            copies: usize::try_from(self.replication_factor).map_err(|e| bad(e.to_string()))?,
        })
    }
}
