//! API keys.

use sqlx::{AnyConnection, FromRow};

use super::{Result, changed_one};

/// An API key's row.
#[derive(Debug, Clone, FromRow)]
pub struct KeyRow {
    /// The public half.
    pub id: String,
    /// The project it opens.
    pub project_id: String,
    /// Unique in the project.
    pub name: String,
    /// 64 hexadecimal digits.
    pub secret_sha256: String,
    /// The user who made it, whose role bounds it.
    pub created_by: String,
    /// A JSON list.
    pub scopes: String,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    /// Milliseconds since the epoch, if it ends.
    pub expires_at: Option<i64>,
}

const COLUMNS: &str =
    "id, project_id, name, secret_sha256, created_by, scopes, created_at, expires_at";

impl KeyRow {
    /// All.
    ///
    /// # Errors
    /// The database failed.
    pub async fn all(connection: &mut AnyConnection) -> Result<Vec<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM api_keys");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .fetch_all(connection)
            .await?)
    }

    /// The one of that public id.
    ///
    /// # Errors
    /// The database failed.
    pub async fn get(connection: &mut AnyConnection, id: &str) -> Result<Option<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE id = $1");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(connection)
            .await?)
    }

    /// The names of a project's keys.
    ///
    /// # Errors
    /// The database failed.
    pub async fn names(connection: &mut AnyConnection, project: &str) -> Result<Vec<String>> {
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT name FROM api_keys WHERE project_id = $1")
                .bind(project)
                .fetch_all(connection)
                .await?;
        Ok(rows.into_iter().map(|(name,)| name).collect())
    }

    /// Adds it; `false` if the name or the public id is taken.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert(&self, connection: &mut AnyConnection) -> Result<bool> {
        let query = sqlx::query(
            "INSERT INTO api_keys (id, project_id, name, secret_sha256, created_by, scopes, \
             created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT DO NOTHING",
        )
        .bind(&self.id)
        .bind(&self.project_id)
        .bind(&self.name)
        .bind(&self.secret_sha256)
        .bind(&self.created_by)
        .bind(&self.scopes)
        .bind(self.created_at)
        .bind(self.expires_at);
        changed_one(query, connection).await
    }

    /// Removes the project's key of that name, and answers its public id.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete(
        connection: &mut AnyConnection,
        project: &str,
        name: &str,
    ) -> Result<Option<String>> {
        let row: Option<(String,)> =
            sqlx::query_as("DELETE FROM api_keys WHERE project_id = $1 AND name = $2 RETURNING id")
                .bind(project)
                .bind(name)
                .fetch_optional(connection)
                .await?;
        Ok(row.map(|(id,)| id))
    }
}
