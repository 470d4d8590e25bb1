//! What projects used, minute by minute.

use sqlx::{AnyConnection, FromRow};

use super::Result;

/// What one node counted of one topic in one minute.
#[derive(Debug, Clone, Default)]
pub struct UsageRow {
    /// The organization.
    pub organization_id: String,
    /// The project.
    pub project_id: String,
    /// The topic's name; empty for calls about none.
    pub topic: String,
    /// The minute's start, in milliseconds since the epoch.
    pub minute: i64,
    /// The node that counted.
    pub node: i64,
    /// Payload bytes written.
    pub ingress_bytes: i64,
    /// Payload bytes read.
    pub egress_bytes: i64,
    /// Records written.
    pub records_in: i64,
    /// Records read.
    pub records_out: i64,
    /// Requests.
    pub requests: i64,
    /// Bytes on disk at the end.
    pub stored_bytes_hot: i64,
    /// Bytes in the object store at the end.
    pub stored_bytes_cold: i64,
}

/// Whose usage is asked for.
#[derive(Debug, Clone, Copy)]
pub struct UsageQuery<'a> {
    /// The organization.
    pub organization: &'a str,
    /// One project of it, or all.
    pub project: Option<&'a str>,
    /// One topic of the project, or all.
    pub topic: Option<&'a str>,
    /// From this time on, in milliseconds since the epoch.
    pub from_ms: i64,
    /// Up to before this time.
    pub to_ms: i64,
    /// How long a point is, in milliseconds.
    pub step_ms: i64,
}

/// The sums of one step.
#[derive(Debug, Clone, FromRow)]
pub struct UsagePoint {
    /// The step's start.
    pub time: i64,
    /// Payload bytes written.
    pub ingress_bytes: i64,
    /// Payload bytes read.
    pub egress_bytes: i64,
    /// Records written.
    pub records_in: i64,
    /// Records read.
    pub records_out: i64,
    /// Requests.
    pub requests: i64,
}

impl UsageRow {
    /// Adds what was counted to the minute's row; stored bytes replace what it says.
    ///
    /// # Errors
    /// The database failed.
    pub async fn add(&self, connection: &mut AnyConnection) -> Result<()> {
        sqlx::query(
            "INSERT INTO usage_minutes (organization_id, project_id, topic, minute, node, \
             ingress_bytes, egress_bytes, records_in, records_out, requests, stored_bytes_hot, \
             stored_bytes_cold) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
             ON CONFLICT (project_id, topic, minute, node) DO UPDATE SET \
             ingress_bytes = usage_minutes.ingress_bytes + excluded.ingress_bytes, \
             egress_bytes = usage_minutes.egress_bytes + excluded.egress_bytes, \
             records_in = usage_minutes.records_in + excluded.records_in, \
             records_out = usage_minutes.records_out + excluded.records_out, \
             requests = usage_minutes.requests + excluded.requests, \
             stored_bytes_hot = excluded.stored_bytes_hot, \
             stored_bytes_cold = excluded.stored_bytes_cold",
        )
        .bind(&self.organization_id)
        .bind(&self.project_id)
        .bind(&self.topic)
        .bind(self.minute)
        .bind(self.node)
        .bind(self.ingress_bytes)
        .bind(self.egress_bytes)
        .bind(self.records_in)
        .bind(self.records_out)
        .bind(self.requests)
        .bind(self.stored_bytes_hot)
        .bind(self.stored_bytes_cold)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Forgets minutes before `at_ms`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn prune(connection: &mut AnyConnection, at_ms: i64) -> Result<()> {
        sqlx::query("DELETE FROM usage_minutes WHERE minute < $1")
            .bind(at_ms)
            .execute(connection)
            .await?;
        Ok(())
    }
}

impl UsageQuery<'_> {
    /// Traffic by step, for the steps that had any.
    ///
    /// # Errors
    /// The database failed.
    pub async fn traffic(&self, connection: &mut AnyConnection) -> Result<Vec<UsagePoint>> {
        Ok(sqlx::query_as(
            "SELECT minute / $1 * $1 AS time, \
             CAST(SUM(ingress_bytes) AS BIGINT) AS ingress_bytes, \
             CAST(SUM(egress_bytes) AS BIGINT) AS egress_bytes, \
             CAST(SUM(records_in) AS BIGINT) AS records_in, \
             CAST(SUM(records_out) AS BIGINT) AS records_out, \
             CAST(SUM(requests) AS BIGINT) AS requests \
             FROM usage_minutes \
             WHERE organization_id = $2 AND ($3 = '' OR project_id = $3) \
             AND ($4 = '' OR topic = $4) AND minute >= $5 AND minute < $6 \
             GROUP BY 1 ORDER BY 1",
        )
        .bind(self.step_ms)
        .bind(self.organization)
        .bind(self.project.unwrap_or_default())
        .bind(self.topic.unwrap_or_default())
        .bind(self.from_ms)
        .bind(self.to_ms)
        .fetch_all(connection)
        .await?)
    }

    /// Stored bytes as they were noted, oldest first: (minute, project, topic, node, hot, cold).
    /// The first ones are the last notes before the time that is asked for.
    ///
    /// # Errors
    /// The database failed.
    pub async fn stored(
        &self,
        connection: &mut AnyConnection,
    ) -> Result<Vec<(i64, String, String, i64, i64, i64)>> {
        Ok(sqlx::query_as(
            "SELECT minute, project_id, topic, node, stored_bytes_hot, stored_bytes_cold \
             FROM usage_minutes AS u \
             WHERE organization_id = $1 AND ($2 = '' OR project_id = $2) \
             AND ($3 = '' OR topic = $3) AND topic <> '' AND minute < $5 \
             AND (minute >= $4 OR minute = (SELECT MAX(minute) FROM usage_minutes AS before \
             WHERE before.project_id = u.project_id AND before.topic = u.topic \
             AND before.node = u.node AND before.minute < $4)) \
             ORDER BY minute",
        )
        .bind(self.organization)
        .bind(self.project.unwrap_or_default())
        .bind(self.topic.unwrap_or_default())
        .bind(self.from_ms)
        .bind(self.to_ms)
        .fetch_all(connection)
        .await?)
    }
}
