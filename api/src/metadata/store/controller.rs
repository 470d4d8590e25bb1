//! The cluster as one: its name, and who holds the controller's lease.

use headwater_broker::{BrokerId, Incarnation};
use sqlx::{AnyConnection, AssertSqlSafe};

use super::{Change, Engine, Result, brokers::number, changed_one};

/// Who elects leaders, and in which cluster.
pub struct ControllerRow;

impl ControllerRow {
    /// Who holds the lease.
    pub(in crate::metadata) async fn holder(
        connection: &mut AnyConnection,
        engine: Engine,
    ) -> Result<Option<BrokerId>> {
        let now = engine.now_ms();
        let sql = format!(
            "SELECT broker FROM controller WHERE lease_until > {now} AND broker IS NOT NULL"
        );
        let holder: Option<(i64,)> = sqlx::query_as(AssertSqlSafe(sql))
            .fetch_optional(connection)
            .await?;
        holder.map(|(id,)| number(id)).transpose()
    }

    /// Takes or keeps the lease, if it is free or this broker's, who must be in this life.
    pub(in crate::metadata) async fn take(
        connection: &mut AnyConnection,
        engine: Engine,
        broker: BrokerId,
        incarnation: Incarnation,
        lease_ms: i64,
    ) -> Result<bool> {
        let now = engine.now_ms();
        let sql = format!(
            "UPDATE controller SET broker = $1, incarnation = $2, lease_until = {now} + $3 \
             WHERE only_row = 1 AND (broker IS NULL OR broker = $1 OR lease_until <= {now}) \
             AND EXISTS (SELECT 1 FROM brokers WHERE id = $1 AND incarnation = $2 AND fenced = 0)"
        );
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(i64::from(broker))
            .bind(incarnation)
            .bind(lease_ms);
        changed_one(query, connection).await
    }

    /// The cluster's name, once a broker has registered.
    ///
    /// # Errors
    /// The database failed.
    pub async fn cluster_id(connection: &mut AnyConnection) -> Result<Option<String>> {
        let known: Option<(String,)> = sqlx::query_as("SELECT cluster_id FROM cluster")
            .fetch_optional(connection)
            .await?;
        Ok(known.map(|(cluster_id,)| cluster_id))
    }

    /// Whether the rows are being made anew from the bucket: what there is may be a part of them.
    pub(in crate::metadata) async fn is_rebuilding(connection: &mut AnyConnection) -> Result<bool> {
        let rebuilding = sqlx::query("SELECT 1 FROM cluster WHERE rebuilding = 1")
            .fetch_optional(connection)
            .await?;
        Ok(rebuilding.is_some())
    }

    /// Names the cluster.
    pub(in crate::metadata) async fn name_cluster(change: &mut Change) -> Result<String> {
        let cluster_id = uuid::Uuid::now_v7().simple().to_string();
        let at_ms = change.at_ms();
        sqlx::query("INSERT INTO cluster (only_row, cluster_id, created_at) VALUES (1, $1, $2)")
            .bind(&cluster_id)
            .bind(at_ms)
            .execute(&mut **change)
            .await?;
        Ok(cluster_id)
    }
}
