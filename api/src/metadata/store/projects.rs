//! Projects.

use sqlx::{AnyConnection, FromRow};

use super::{Result, changed_one};

/// A project's row.
#[derive(Debug, Clone, FromRow)]
pub struct ProjectRow {
    /// Unique in the service.
    pub id: String,
    /// The organization it is in.
    pub organization_id: String,
    /// For people.
    pub name: String,
    /// Signs the project's cursors; 64 hexadecimal digits.
    pub cursor_secret: String,
    /// Milliseconds since the epoch.
    pub created_at: i64,
}

const COLUMNS: &str = "id, organization_id, name, cursor_secret, created_at";

impl ProjectRow {
    /// All that exist.
    ///
    /// # Errors
    /// The database failed.
    pub async fn all(connection: &mut AnyConnection) -> Result<Vec<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM projects");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .fetch_all(connection)
            .await?)
    }

    /// The one of that id.
    ///
    /// # Errors
    /// The database failed.
    pub async fn get(connection: &mut AnyConnection, id: &str) -> Result<Option<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM projects WHERE id = $1");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(connection)
            .await?)
    }

    /// Adds it; `false` if the id is taken.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert(&self, connection: &mut AnyConnection) -> Result<bool> {
        let query = sqlx::query(
            "INSERT INTO projects (id, organization_id, name, cursor_secret, created_at) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        )
        .bind(&self.id)
        .bind(&self.organization_id)
        .bind(&self.name)
        .bind(&self.cursor_secret)
        .bind(self.created_at);
        changed_one(query, connection).await
    }
}
