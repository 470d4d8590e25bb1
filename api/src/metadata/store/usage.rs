//! What projects used, minute by minute.

use futures_util::TryStreamExt;
use sqlx::{AnyConnection, FromRow};

use super::Result;
use crate::usage::Counts;

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

/// Stored bytes as a node noted them.
#[derive(Debug, Clone, FromRow)]
pub struct StoredNote {
    /// The minute at whose end they were so, in milliseconds since the epoch.
    pub minute: i64,
    /// The project.
    pub project_id: String,
    /// The topic's name.
    pub topic: String,
    /// The node.
    pub node: i64,
    /// Bytes on its disk.
    pub stored_bytes_hot: i64,
    /// Bytes in the object store.
    pub stored_bytes_cold: i64,
}

impl UsagePoint {
    /// What was counted.
    pub fn counts(&self) -> Counts {
        let unsigned = |sum: i64| u64::try_from(sum).unwrap_or(0);
        Counts {
            ingress_bytes: unsigned(self.ingress_bytes),
            egress_bytes: unsigned(self.egress_bytes),
            records_in: unsigned(self.records_in),
            records_out: unsigned(self.records_out),
            requests: unsigned(self.requests),
        }
    }
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

    /// Notes that nothing is stored of a deleted topic any more.
    ///
    /// # Errors
    /// The database failed.
    pub async fn note_gone(
        connection: &mut AnyConnection,
        project: &str,
        topic: &str,
        minute: i64,
        node: i64,
    ) -> Result<()> {
        // Of a project that is deleted too, the tombstone knows whose it was.
        sqlx::query(
            "INSERT INTO usage_minutes (organization_id, project_id, topic, minute, node, \
             ingress_bytes, egress_bytes, records_in, records_out, requests, stored_bytes_hot, \
             stored_bytes_cold) \
             SELECT organization_id, id, $1, $2, $3, 0, 0, 0, 0, 0, 0, 0 FROM projects \
             WHERE id = $4 \
             ON CONFLICT (project_id, topic, minute, node) DO UPDATE SET \
             stored_bytes_hot = 0, stored_bytes_cold = 0",
        )
        .bind(topic)
        .bind(minute)
        .bind(node)
        .bind(project)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// What a node noted last of a topic's stored bytes: (hot, cold).
    ///
    /// # Errors
    /// The database failed.
    pub async fn last_stored(
        connection: &mut AnyConnection,
        project: &str,
        topic: &str,
        node: i64,
    ) -> Result<Option<(i64, i64)>> {
        Ok(sqlx::query_as(
            "SELECT stored_bytes_hot, stored_bytes_cold FROM usage_minutes \
             WHERE project_id = $1 AND topic = $2 AND node = $3 ORDER BY minute DESC LIMIT 1",
        )
        .bind(project)
        .bind(topic)
        .bind(node)
        .fetch_optional(connection)
        .await?)
    }

    /// Forgets minutes before `at_ms`, but not what is the last note of something stored.
    ///
    /// # Errors
    /// The database failed.
    pub async fn prune(connection: &mut AnyConnection, at_ms: i64) -> Result<()> {
        sqlx::query(
            "DELETE FROM usage_minutes \
             WHERE organization_id IN (SELECT id FROM organizations) AND minute < $1 \
             AND ((stored_bytes_hot = 0 AND stored_bytes_cold = 0) OR EXISTS \
             (SELECT 1 FROM usage_minutes AS later \
             WHERE later.project_id = usage_minutes.project_id \
             AND later.topic = usage_minutes.topic AND later.node = usage_minutes.node \
             AND later.minute > usage_minutes.minute))",
        )
        .bind(at_ms)
        .execute(connection)
        .await?;
        Ok(())
    }
}

impl UsageQuery<'_> {
    /// Traffic by step, for the first `most` steps that had any.
    ///
    /// # Errors
    /// The database failed.
    pub async fn traffic(
        &self,
        connection: &mut AnyConnection,
        most: i64,
    ) -> Result<Vec<UsagePoint>> {
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
             GROUP BY 1 ORDER BY 1 LIMIT $7",
        )
        .bind(self.step_ms)
        .bind(self.organization)
        .bind(self.project.unwrap_or_default())
        .bind(self.topic.unwrap_or_default())
        .bind(self.from_ms)
        .bind(self.to_ms)
        .bind(most)
        .fetch_all(connection)
        .await?)
    }

    /// Hands stored bytes to `take` as they were noted, oldest first, until it answers `false`. The
    /// first ones are each topic's last notes before the time that is asked for.
    ///
    /// # Errors
    /// The database failed.
    pub async fn stored(
        &self,
        connection: &mut AnyConnection,
        mut take: impl FnMut(StoredNote) -> bool,
    ) -> Result<()> {
        let mut notes = sqlx::query_as(
            // From topic to topic by the key, never over all that was written: what was before the
            // range costs a look or two a topic.
            "WITH RECURSIVE names (project_id, topic) AS (\
             SELECT id, (SELECT MIN(first.topic) FROM usage_minutes AS first \
             WHERE first.project_id = projects.id AND first.topic > '') \
             FROM projects WHERE organization_id = $1 AND ($2 = '' OR id = $2) \
             UNION ALL SELECT names.project_id, (SELECT MIN(next.topic) FROM usage_minutes AS next \
             WHERE next.project_id = names.project_id AND next.topic > names.topic) \
             FROM names WHERE names.topic IS NOT NULL), \
             last (project_id, topic, minute) AS (\
             SELECT names.project_id, names.topic, (SELECT MAX(before.minute) \
             FROM usage_minutes AS before WHERE before.project_id = names.project_id \
             AND before.topic = names.topic AND before.minute < $4) \
             FROM names WHERE names.topic IS NOT NULL AND ($3 = '' OR names.topic = $3)) \
             SELECT u.minute AS minute, u.project_id AS project_id, u.topic AS topic, \
             u.node AS node, u.stored_bytes_hot AS stored_bytes_hot, \
             u.stored_bytes_cold AS stored_bytes_cold \
             FROM last INNER JOIN usage_minutes AS u ON u.project_id = last.project_id \
             AND u.topic = last.topic AND u.minute = last.minute \
             UNION ALL SELECT minute, project_id, topic, node, stored_bytes_hot, \
             stored_bytes_cold FROM usage_minutes WHERE organization_id = $1 \
             AND ($2 = '' OR project_id = $2) AND ($3 = '' OR topic = $3) AND topic <> '' \
             AND minute >= $4 AND minute < $5 ORDER BY minute",
        )
        .bind(self.organization)
        .bind(self.project.unwrap_or_default())
        .bind(self.topic.unwrap_or_default())
        .bind(self.from_ms)
        .bind(self.to_ms)
        .fetch(connection);
        while let Some(note) = notes.try_next().await? {
            if !take(note) {
                break;
            }
        }
        Ok(())
    }
}
