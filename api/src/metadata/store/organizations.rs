//! Organizations.

use sqlx::{AnyConnection, FromRow};

use super::{Result, changed_one};

/// An organization's row.
#[derive(Debug, Clone, FromRow)]
pub struct OrganizationRow {
    /// Never taken twice.
    pub id: String,
    /// For people.
    pub name: String,
    /// Grows with every change.
    pub version: i64,
    /// Milliseconds since the epoch.
    pub created_at: i64,
}

const COLUMNS: &str = "id, name, version, created_at";

impl OrganizationRow {
    /// All that exist.
    ///
    /// # Errors
    /// The database failed.
    pub async fn all(connection: &mut AnyConnection) -> Result<Vec<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM organizations WHERE deleted_at IS NULL");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .fetch_all(connection)
            .await?)
    }

    /// The one of that id.
    ///
    /// # Errors
    /// The database failed.
    pub async fn get(connection: &mut AnyConnection, id: &str) -> Result<Option<Self>> {
        let sql =
            format!("SELECT {COLUMNS} FROM organizations WHERE id = $1 AND deleted_at IS NULL");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(connection)
            .await?)
    }

    /// Adds it, as made by that user if by one; `false` if the id is or was taken.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert(
        &self,
        connection: &mut AnyConnection,
        made_by: Option<&str>,
    ) -> Result<bool> {
        let query = sqlx::query(
            "INSERT INTO organizations (id, name, version, created_at, created_by) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        )
        .bind(&self.id)
        .bind(&self.name)
        .bind(self.version)
        .bind(self.created_at)
        .bind(made_by);
        changed_one(query, connection).await
    }

    /// How many a user has made after `after_ms`, those that were deleted among them.
    ///
    /// # Errors
    /// The database failed.
    pub async fn made_by(
        connection: &mut AnyConnection,
        email: &str,
        after_ms: i64,
    ) -> Result<i64> {
        let (count,) = sqlx::query_as(
            "SELECT COUNT(*) FROM organizations WHERE created_by = $1 AND created_at > $2",
        )
        .bind(email)
        .bind(after_ms)
        .fetch_one(connection)
        .await?;
        Ok(count)
    }

    /// Writes name and version.
    ///
    /// # Errors
    /// The database failed.
    pub async fn update(&self, connection: &mut AnyConnection) -> Result<bool> {
        let query = sqlx::query(
            "UPDATE organizations SET name = $1, version = $2 \
             WHERE id = $3 AND deleted_at IS NULL",
        )
        .bind(&self.name)
        .bind(self.version)
        .bind(&self.id);
        changed_one(query, connection).await
    }

    /// Puts up its tombstone, and removes what only it had. Its projects are the caller's.
    ///
    /// # Errors
    /// The database failed.
    pub async fn bury(connection: &mut AnyConnection, id: &str, at_ms: i64) -> Result<()> {
        for sql in [
            "DELETE FROM memberships WHERE organization_id = $1",
            "DELETE FROM invitations WHERE organization_id = $1",
            "DELETE FROM issuers WHERE organization_id = $1",
            "DELETE FROM quotas WHERE id = $1 AND layer IN ('service', 'organization')",
        ] {
            sqlx::query(sql).bind(id).execute(&mut *connection).await?;
        }
        sqlx::query("UPDATE organizations SET deleted_at = $1 WHERE id = $2")
            .bind(at_ms)
            .bind(id)
            .execute(connection)
            .await?;
        Ok(())
    }
}
