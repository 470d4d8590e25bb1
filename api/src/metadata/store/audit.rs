//! Who did what, and who was not let.

use sqlx::{AnyConnection, FromRow};

use super::Result;

/// An event.
#[derive(Debug, Clone, FromRow)]
pub struct AuditRow {
    /// Sorts by time.
    pub id: String,
    /// Whose log it stands in.
    pub organization_id: String,
    /// Milliseconds since the epoch.
    pub at: i64,
    /// Who.
    pub actor: String,
    /// The operation's id.
    pub action: String,
    /// To what.
    pub target: String,
    /// `allowed` or `denied`
    pub outcome: String,
    /// From where.
    pub source_ip: String,
    /// In which request.
    pub request_id: String,
}

/// Which events are asked for. Empty strings do not filter.
#[derive(Debug, Clone, Copy)]
pub struct AuditFilter<'a> {
    /// Whose log.
    pub organization: &'a str,
    /// From this time on, in milliseconds since the epoch.
    pub from_ms: i64,
    /// Up to before this time.
    pub to_ms: i64,
    /// Who.
    pub actor: &'a str,
    /// The operation's id.
    pub action: &'a str,
    /// `allowed` or `denied`
    pub outcome: &'a str,
    /// Events older than this one.
    pub before_id: &'a str,
    /// At most so many.
    pub most: i64,
}

impl AuditRow {
    /// Adds it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert(&self, connection: &mut AnyConnection) -> Result<()> {
        sqlx::query(
            "INSERT INTO audit_events (id, organization_id, at, actor, action, target, outcome, \
             source_ip, request_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(&self.id)
        .bind(&self.organization_id)
        .bind(self.at)
        .bind(&self.actor)
        .bind(&self.action)
        .bind(&self.target)
        .bind(&self.outcome)
        .bind(&self.source_ip)
        .bind(&self.request_id)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Forgets events before `at_ms`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn prune(connection: &mut AnyConnection, at_ms: i64) -> Result<()> {
        sqlx::query("DELETE FROM audit_events WHERE at < $1")
            .bind(at_ms)
            .execute(connection)
            .await?;
        Ok(())
    }
}

impl AuditFilter<'_> {
    /// A page of events, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn page(&self, connection: &mut AnyConnection) -> Result<Vec<AuditRow>> {
        Ok(sqlx::query_as(
            "SELECT id, organization_id, at, actor, action, target, outcome, source_ip, \
             request_id FROM audit_events \
             WHERE organization_id = $1 AND at >= $2 AND at < $3 AND ($4 = '' OR actor = $4) \
             AND ($5 = '' OR action = $5) AND ($6 = '' OR outcome = $6) \
             AND ($7 = '' OR id < $7) ORDER BY id DESC LIMIT $8",
        )
        .bind(self.organization)
        .bind(self.from_ms)
        .bind(self.to_ms)
        .bind(self.actor)
        .bind(self.action)
        .bind(self.outcome)
        .bind(self.before_id)
        .bind(self.most)
        .fetch_all(connection)
        .await?)
    }
}
