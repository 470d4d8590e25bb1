//! The metadata's SQL. One text for every engine: `$1` placeholders, TEXT ids, BIGINT milliseconds.

use std::str::FromStr;

use sqlx::{
    FromRow, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

/// The database did not do what was asked.
#[derive(Debug)]
pub struct StoreError(pub String);

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self(error.to_string())
    }
}

type Result<T> = std::result::Result<T, StoreError>;

/// A project's row.
#[derive(Debug, Clone, FromRow)]
pub struct ProjectRow {
    /// Unique in the service.
    pub id: String,
    /// 64 hexadecimal digits.
    pub cursor_secret: String,
}

/// An API key's row.
#[derive(Debug, Clone, FromRow)]
pub struct KeyRow {
    /// The project it opens.
    pub project_id: String,
    /// 64 hexadecimal digits.
    pub secret_sha256: String,
    /// Milliseconds since the epoch, if it ends.
    pub expires_at: Option<i64>,
}

/// A topic's row.
#[derive(Debug, Clone, FromRow)]
pub struct TopicRow {
    /// 32 hexadecimal digits.
    pub id: String,
    /// The project it is in.
    pub project_id: String,
    /// Its label.
    pub name: String,
    /// How many partitions.
    pub partitions: i64,
    /// How many replicas each.
    pub replication_factor: i64,
    /// The settings that were given, as JSON.
    pub config: String,
    /// Free text.
    pub description: String,
    /// Grows with every change.
    pub version: i64,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    /// Milliseconds since the epoch, if it is being deleted.
    pub deleted_at: Option<i64>,
}

const TOPIC_COLUMNS: &str = "id, project_id, name, partitions, replication_factor, config, \
                             description, version, created_at, deleted_at";

/// The metadata database.
#[derive(Clone)]
pub struct Store {
    pool: SqlitePool,
}

impl Store {
    /// Opens the database, creating and migrating it as needed.
    ///
    /// # Errors
    /// The URL is of an engine that is not built, or the database cannot be opened or migrated.
    pub async fn open(url: &str) -> Result<Self> {
        if !url.starts_with("sqlite:") {
            return Err(StoreError(format!(
                "{} is not a database that this version can use: give a sqlite:// URL",
                url.split(':').next().unwrap_or_default()
            )));
        }
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What was answered survives a power cut, as records do.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(std::time::Duration::from_secs(5));
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options)
            .await?;
        sqlx::migrate!("../migrations/sqlite")
            .run(&pool)
            .await
            .map_err(|error| StoreError(error.to_string()))?;
        Ok(Self { pool })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// All projects.
    ///
    /// # Errors
    /// The database failed.
    pub async fn projects(&self) -> Result<Vec<ProjectRow>> {
        Ok(sqlx::query_as("SELECT id, cursor_secret FROM projects")
            .fetch_all(&self.pool)
            .await?)
    }

    /// Creates an organization, a project in it, a user and the user's key for the project.
    /// Answers `false` and changes nothing if the project exists.
    ///
    /// # Errors
    /// The database failed; nothing was changed.
    pub async fn create_tenant(&self, tenant: &NewTenant<'_>) -> Result<bool> {
        let mut tx = self.pool.begin().await?;
        let exists: Option<(i64,)> = sqlx::query_as("SELECT 1 FROM projects WHERE id = $1")
            .bind(tenant.project)
            .fetch_optional(&mut *tx)
            .await?;
        if exists.is_some() {
            return Ok(false);
        }
        sqlx::query("INSERT INTO organizations (id, name, created_at) VALUES ($1, $1, $2)")
            .bind(tenant.organization)
            .bind(tenant.now_ms)
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "INSERT INTO projects (id, organization_id, name, cursor_secret, created_at) \
             VALUES ($1, $2, $1, $3, $4)",
        )
        .bind(tenant.project)
        .bind(tenant.organization)
        .bind(&tenant.cursor_secret)
        .bind(tenant.now_ms)
        .execute(&mut *tx)
        .await?;
        sqlx::query("INSERT INTO users (email, password_hash, created_at) VALUES ($1, $2, $3)")
            .bind(tenant.email)
            .bind(&tenant.password_hash)
            .bind(tenant.now_ms)
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "INSERT INTO api_keys (id, project_id, name, secret_sha256, created_by, created_at) \
             VALUES ($1, $2, 'default', $3, $4, $5)",
        )
        .bind(&tenant.key_id)
        .bind(tenant.project)
        .bind(&tenant.key_secret_sha256)
        .bind(tenant.email)
        .bind(tenant.now_ms)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Gives an existing tenant the user's password and the key of `tenant` in place of those that
    /// it had.
    ///
    /// # Errors
    /// The database failed; nothing was changed.
    pub async fn replace_credentials(&self, tenant: &NewTenant<'_>) -> Result<()> {
        let mut tx = self.pool.begin().await?;
        sqlx::query("UPDATE users SET password_hash = $1 WHERE email = $2")
            .bind(&tenant.password_hash)
            .bind(tenant.email)
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "UPDATE api_keys SET id = $1, secret_sha256 = $2, created_at = $3 \
             WHERE project_id = $4 AND name = 'default'",
        )
        .bind(&tenant.key_id)
        .bind(&tenant.key_secret_sha256)
        .bind(tenant.now_ms)
        .bind(tenant.project)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// The key of that public id.
    ///
    /// # Errors
    /// The database failed.
    pub async fn key(&self, id: &str) -> Result<Option<KeyRow>> {
        Ok(sqlx::query_as(
            "SELECT project_id, secret_sha256, expires_at FROM api_keys WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(&self.pool)
        .await?)
    }

    /// All topics, those with a tombstone too.
    ///
    /// # Errors
    /// The database failed.
    pub async fn topics(&self) -> Result<Vec<TopicRow>> {
        let sql = format!("SELECT {TOPIC_COLUMNS} FROM topics");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .fetch_all(&self.pool)
            .await?)
    }

    /// Creates a topic; `false` if the name is taken.
    ///
    /// # Errors
    /// The database failed.
    pub async fn create_topic(&self, topic: &TopicRow) -> Result<bool> {
        let inserted = sqlx::query(
            "INSERT INTO topics (id, project_id, name, partitions, replication_factor, config, \
             description, version, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             ON CONFLICT DO NOTHING",
        )
        .bind(&topic.id)
        .bind(&topic.project_id)
        .bind(&topic.name)
        .bind(topic.partitions)
        .bind(topic.replication_factor)
        .bind(&topic.config)
        .bind(&topic.description)
        .bind(topic.version)
        .bind(topic.created_at)
        .execute(&self.pool)
        .await?;
        Ok(inserted.rows_affected() == 1)
    }

    /// Replaces a topic's settings if it still is at `version`; `false` if not.
    ///
    /// # Errors
    /// The database failed.
    pub async fn update_topic(&self, topic: &TopicRow, version: i64) -> Result<bool> {
        let updated = sqlx::query(
            "UPDATE topics SET partitions = $1, config = $2, description = $3, version = $4 \
             WHERE id = $5 AND version = $6 AND deleted_at IS NULL",
        )
        .bind(topic.partitions)
        .bind(&topic.config)
        .bind(&topic.description)
        .bind(topic.version)
        .bind(&topic.id)
        .bind(version)
        .execute(&self.pool)
        .await?;
        Ok(updated.rows_affected() == 1)
    }

    /// Puts a topic's tombstone up; `false` if it is gone or at another version.
    ///
    /// # Errors
    /// The database failed.
    pub async fn bury_topic(&self, id: &str, version: i64, now_ms: i64) -> Result<bool> {
        let updated = sqlx::query(
            "UPDATE topics SET deleted_at = $1 \
             WHERE id = $2 AND version = $3 AND deleted_at IS NULL",
        )
        .bind(now_ms)
        .bind(id)
        .bind(version)
        .execute(&self.pool)
        .await?;
        Ok(updated.rows_affected() == 1)
    }

    /// Removes a tombstone: the topic's data is gone.
    ///
    /// # Errors
    /// The database failed.
    pub async fn forget_topic(&self, id: &str) -> Result<()> {
        sqlx::query("DELETE FROM topics WHERE id = $1 AND deleted_at IS NOT NULL")
            .bind(id)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

/// What [`Store::create_tenant`] creates.
pub struct NewTenant<'a> {
    /// The organization's id.
    pub organization: &'a str,
    /// The project's id.
    pub project: &'a str,
    /// 64 hexadecimal digits.
    pub cursor_secret: String,
    /// The first user.
    pub email: &'a str,
    /// PHC string.
    pub password_hash: String,
    /// The public half of the first key.
    pub key_id: String,
    /// 64 hexadecimal digits.
    pub key_secret_sha256: String,
    /// Milliseconds since the epoch.
    pub now_ms: i64,
}
