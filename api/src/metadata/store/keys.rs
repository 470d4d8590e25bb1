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
    /// A JSON object.
    pub quotas: String,
    /// Grows with every change.
    pub version: i64,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    /// Milliseconds since the epoch, if it ends.
    pub expires_at: Option<i64>,
    /// Milliseconds since the epoch, if it was ever used.
    pub last_used_at: Option<i64>,
}

const COLUMNS: &str = "id, project_id, name, secret_sha256, created_by, scopes, quotas, version, \
                       created_at, expires_at, last_used_at";

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

    /// Those that the feed names after `number`: one query, however many they are.
    ///
    /// # Errors
    /// The database failed.
    pub async fn changed_after(connection: &mut AnyConnection, number: i64) -> Result<Vec<Self>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM api_keys WHERE id IN \
             (SELECT id FROM changes WHERE number > $1 AND kind = 'key')"
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(number)
            .fetch_all(connection)
            .await?)
    }

    /// The one of that name in that project.
    ///
    /// # Errors
    /// The database failed.
    pub async fn named(
        connection: &mut AnyConnection,
        project: &str,
        name: &str,
    ) -> Result<Option<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE project_id = $1 AND name = $2");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(project)
            .bind(name)
            .fetch_optional(connection)
            .await?)
    }

    /// Those of a project after `after`, by name, at most `most`; of one maker or of all.
    ///
    /// # Errors
    /// The database failed.
    pub async fn page(
        connection: &mut AnyConnection,
        project: &str,
        created_by: Option<&str>,
        after: &str,
        most: i64,
    ) -> Result<Vec<Self>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM api_keys WHERE project_id = $1 AND name > $2 \
             AND ($3 = '' OR created_by = $3) ORDER BY name LIMIT $4"
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(project)
            .bind(after)
            .bind(created_by.unwrap_or_default())
            .bind(most)
            .fetch_all(connection)
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

    /// How many a project has.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count(connection: &mut AnyConnection, project: &str) -> Result<i64> {
        let (count,) = sqlx::query_as("SELECT COUNT(*) FROM api_keys WHERE project_id = $1")
            .bind(project)
            .fetch_one(connection)
            .await?;
        Ok(count)
    }

    /// Adds it; `false` if the name is taken.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert(&self, connection: &mut AnyConnection) -> Result<bool> {
        let query = sqlx::query(
            "INSERT INTO api_keys (id, project_id, name, secret_sha256, created_by, scopes, \
             quotas, version, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
        )
        .bind(&self.id)
        .bind(&self.project_id)
        .bind(&self.name)
        .bind(&self.secret_sha256)
        .bind(&self.created_by)
        .bind(&self.scopes)
        .bind(&self.quotas)
        .bind(self.version)
        .bind(self.created_at)
        .bind(self.expires_at);
        changed_one(query, connection).await
    }

    /// Writes everything that may change of the key of that name, its public id too.
    ///
    /// # Errors
    /// The database failed.
    pub async fn update(&self, connection: &mut AnyConnection) -> Result<bool> {
        let query = sqlx::query(
            "UPDATE api_keys SET id = $1, secret_sha256 = $2, scopes = $3, quotas = $4, \
             version = $5, expires_at = $6 WHERE project_id = $7 AND name = $8",
        )
        .bind(&self.id)
        .bind(&self.secret_sha256)
        .bind(&self.scopes)
        .bind(&self.quotas)
        .bind(self.version)
        .bind(self.expires_at)
        .bind(&self.project_id)
        .bind(&self.name);
        changed_one(query, connection).await
    }

    /// Removes it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete(connection: &mut AnyConnection, id: &str) -> Result<bool> {
        let query = sqlx::query("DELETE FROM api_keys WHERE id = $1").bind(id);
        changed_one(query, connection).await
    }

    /// Notes when a key was used last.
    ///
    /// # Errors
    /// The database failed.
    pub async fn used(connection: &mut AnyConnection, id: &str, at_ms: i64) -> Result<()> {
        sqlx::query("UPDATE api_keys SET last_used_at = $1 WHERE id = $2")
            .bind(at_ms)
            .bind(id)
            .execute(connection)
            .await?;
        Ok(())
    }
}
