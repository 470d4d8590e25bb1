//! Users, and what they are in organizations.

use sqlx::{AnyConnection, FromRow};

use super::{Result, changed_one};

/// A user's row.
#[derive(Debug, Clone, FromRow)]
pub struct UserRow {
    /// In lower case.
    pub email: String,
    /// PHC string.
    pub password_hash: String,
    /// Milliseconds since the epoch.
    pub created_at: i64,
}

/// What a user is in an organization.
#[derive(Debug, Clone, FromRow)]
pub struct MembershipRow {
    /// The organization.
    pub organization_id: String,
    /// The user.
    pub email: String,
    /// The name of a role.
    pub role: String,
    /// Milliseconds since the epoch.
    pub created_at: i64,
}

const MEMBERSHIP: &str = "organization_id, email, role, created_at";

impl UserRow {
    /// Adds it; `false` if there is one of that address.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert(&self, connection: &mut AnyConnection) -> Result<bool> {
        let query = sqlx::query(
            "INSERT INTO users (email, password_hash, created_at) VALUES ($1, $2, $3) \
             ON CONFLICT DO NOTHING",
        )
        .bind(&self.email)
        .bind(&self.password_hash)
        .bind(self.created_at);
        changed_one(query, connection).await
    }

    /// Replaces a user's password.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_password(
        connection: &mut AnyConnection,
        email: &str,
        password_hash: &str,
    ) -> Result<()> {
        sqlx::query("UPDATE users SET password_hash = $1 WHERE email = $2")
            .bind(password_hash)
            .bind(email)
            .execute(connection)
            .await?;
        Ok(())
    }
}

impl MembershipRow {
    /// All.
    ///
    /// # Errors
    /// The database failed.
    pub async fn all(connection: &mut AnyConnection) -> Result<Vec<Self>> {
        let sql = format!("SELECT {MEMBERSHIP} FROM memberships");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .fetch_all(connection)
            .await?)
    }

    /// Those of an organization.
    ///
    /// # Errors
    /// The database failed.
    pub async fn of_organization(
        connection: &mut AnyConnection,
        organization: &str,
    ) -> Result<Vec<Self>> {
        let sql = format!("SELECT {MEMBERSHIP} FROM memberships WHERE organization_id = $1");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(organization)
            .fetch_all(connection)
            .await?)
    }

    /// Adds it, or gives the member this role.
    ///
    /// # Errors
    /// The database failed.
    pub async fn put(&self, connection: &mut AnyConnection) -> Result<()> {
        sqlx::query(
            "INSERT INTO memberships (organization_id, email, role, created_at) \
             VALUES ($1, $2, $3, $4) ON CONFLICT (organization_id, email) \
             DO UPDATE SET role = excluded.role",
        )
        .bind(&self.organization_id)
        .bind(&self.email)
        .bind(&self.role)
        .bind(self.created_at)
        .execute(connection)
        .await?;
        Ok(())
    }
}
