//! Sessions of people, and the public keys that their access tokens are checked with.

use sqlx::{AnyConnection, FromRow};

use super::{Result, changed_one};

/// A refresh token, and the session it is of.
#[derive(Debug, Clone, FromRow)]
pub struct RefreshRow {
    /// The session.
    pub session_id: String,
    /// Whose session.
    pub email: String,
    /// When the session ends by itself, in milliseconds since the epoch.
    pub expires_at: i64,
    /// When it was ended, if it was.
    pub ended_at: Option<i64>,
    /// When the token was used, if it was.
    pub used_at: Option<i64>,
}

/// The public half of a key that signs access tokens.
#[derive(Debug, Clone, FromRow)]
pub struct SigningKeyRow {
    /// The `kid`.
    pub id: String,
    /// 64 hexadecimal digits.
    pub public_key: String,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    /// Milliseconds since the epoch.
    pub expires_at: i64,
}

impl RefreshRow {
    /// The one with that hash.
    ///
    /// # Errors
    /// The database failed.
    pub async fn get(connection: &mut AnyConnection, token_sha256: &str) -> Result<Option<Self>> {
        Ok(sqlx::query_as(
            "SELECT sessions.id AS session_id, sessions.email, sessions.expires_at, \
             sessions.ended_at, refresh_tokens.used_at \
             FROM refresh_tokens JOIN sessions ON sessions.id = refresh_tokens.session_id \
             WHERE refresh_tokens.token_sha256 = $1",
        )
        .bind(token_sha256)
        .fetch_optional(connection)
        .await?)
    }

    /// Adds a session.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert_session(
        connection: &mut AnyConnection,
        id: &str,
        email: &str,
        at_ms: i64,
        expires_at_ms: i64,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO sessions (id, email, created_at, expires_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(id)
        .bind(email)
        .bind(at_ms)
        .bind(expires_at_ms)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Adds a refresh token to a session.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert_token(
        connection: &mut AnyConnection,
        token_sha256: &str,
        session: &str,
        at_ms: i64,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO refresh_tokens (token_sha256, session_id, created_at) \
             VALUES ($1, $2, $3)",
        )
        .bind(token_sha256)
        .bind(session)
        .bind(at_ms)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Marks a token as used; `false` if it was.
    ///
    /// # Errors
    /// The database failed.
    pub async fn use_token(
        connection: &mut AnyConnection,
        token_sha256: &str,
        at_ms: i64,
    ) -> Result<bool> {
        let query = sqlx::query(
            "UPDATE refresh_tokens SET used_at = $1 WHERE token_sha256 = $2 AND used_at IS NULL",
        )
        .bind(at_ms)
        .bind(token_sha256);
        changed_one(query, connection).await
    }

    /// Ends a session; `false` if it has ended.
    ///
    /// # Errors
    /// The database failed.
    pub async fn end_session(
        connection: &mut AnyConnection,
        session: &str,
        at_ms: i64,
    ) -> Result<bool> {
        let query =
            sqlx::query("UPDATE sessions SET ended_at = $1 WHERE id = $2 AND ended_at IS NULL")
                .bind(at_ms)
                .bind(session);
        changed_one(query, connection).await
    }

    /// The ids of a user's sessions that go on.
    ///
    /// # Errors
    /// The database failed.
    pub async fn open_sessions(
        connection: &mut AnyConnection,
        email: &str,
        now_ms: i64,
    ) -> Result<Vec<String>> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT id FROM sessions WHERE email = $1 AND ended_at IS NULL AND expires_at > $2",
        )
        .bind(email)
        .bind(now_ms)
        .fetch_all(connection)
        .await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// Sessions that ended after `at_ms`: their access tokens may still be about.
    ///
    /// # Errors
    /// The database failed.
    pub async fn ended_since(
        connection: &mut AnyConnection,
        at_ms: i64,
    ) -> Result<Vec<(String, i64)>> {
        Ok(
            sqlx::query_as("SELECT id, ended_at FROM sessions WHERE ended_at > $1")
                .bind(at_ms)
                .fetch_all(connection)
                .await?,
        )
    }

    /// When a session ended, if it has.
    ///
    /// # Errors
    /// The database failed.
    pub async fn ended_at(connection: &mut AnyConnection, session: &str) -> Result<Option<i64>> {
        let row: Option<(Option<i64>,)> =
            sqlx::query_as("SELECT ended_at FROM sessions WHERE id = $1")
                .bind(session)
                .fetch_optional(connection)
                .await?;
        Ok(row.and_then(|(ended_at,)| ended_at))
    }

    /// Forgets sessions that were over before `at_ms`, and their tokens.
    ///
    /// # Errors
    /// The database failed.
    pub async fn prune(connection: &mut AnyConnection, at_ms: i64) -> Result<()> {
        for sql in [
            "DELETE FROM refresh_tokens WHERE session_id IN (SELECT id FROM sessions \
             WHERE expires_at < $1 OR (ended_at IS NOT NULL AND ended_at < $1))",
            "DELETE FROM sessions WHERE expires_at < $1 \
             OR (ended_at IS NOT NULL AND ended_at < $1)",
            "DELETE FROM signing_keys WHERE expires_at < $1",
            "DELETE FROM invitations WHERE expires_at < $1",
        ] {
            sqlx::query(sql)
                .bind(at_ms)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}

impl SigningKeyRow {
    /// All.
    ///
    /// # Errors
    /// The database failed.
    pub async fn all(connection: &mut AnyConnection) -> Result<Vec<Self>> {
        Ok(
            sqlx::query_as("SELECT id, public_key, created_at, expires_at FROM signing_keys")
                .fetch_all(connection)
                .await?,
        )
    }

    /// The one of that id.
    ///
    /// # Errors
    /// The database failed.
    pub async fn get(connection: &mut AnyConnection, id: &str) -> Result<Option<Self>> {
        Ok(sqlx::query_as(
            "SELECT id, public_key, created_at, expires_at FROM signing_keys WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(connection)
        .await?)
    }

    /// Adds it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert(&self, connection: &mut AnyConnection) -> Result<()> {
        sqlx::query(
            "INSERT INTO signing_keys (id, public_key, created_at, expires_at) \
             VALUES ($1, $2, $3, $4)",
        )
        .bind(&self.id)
        .bind(&self.public_key)
        .bind(self.created_at)
        .bind(self.expires_at)
        .execute(connection)
        .await?;
        Ok(())
    }
}
