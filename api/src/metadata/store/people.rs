//! Users, what they are in organizations, and whom organizations have invited.

use sqlx::{AnyConnection, FromRow};

use super::{Result, changed_one};

/// A user's row.
#[derive(Debug, Clone, FromRow)]
pub struct UserRow {
    /// In lower case.
    pub email: String,
    /// PHC string; empty for those who sign in elsewhere.
    pub password_hash: String,
    /// 1 for those who may see and change the cluster.
    pub operator: i64,
    /// When an identity provider vouched for the address, in milliseconds since the epoch.
    pub verified_at: Option<i64>,
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
    /// Grows with every change.
    pub version: i64,
    /// Milliseconds since the epoch.
    pub created_at: i64,
}

/// Somebody who may become a member.
#[derive(Debug, Clone, FromRow)]
pub struct InvitationRow {
    /// The organization.
    pub organization_id: String,
    /// Who is invited.
    pub email: String,
    /// The name of a role.
    pub role: String,
    /// 64 hexadecimal digits.
    pub token_sha256: String,
    /// Who invited.
    pub invited_by: String,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    /// Milliseconds since the epoch.
    pub expires_at: i64,
}

const USER: &str = "email, password_hash, operator, verified_at, created_at";
const MEMBERSHIP: &str = "organization_id, email, role, version, created_at";
const INVITATION: &str =
    "organization_id, email, role, token_sha256, invited_by, created_at, expires_at";

impl UserRow {
    /// The one of that address.
    ///
    /// # Errors
    /// The database failed.
    pub async fn get(connection: &mut AnyConnection, email: &str) -> Result<Option<Self>> {
        let sql = format!("SELECT {USER} FROM users WHERE email = $1");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(email)
            .fetch_optional(connection)
            .await?)
    }

    /// The addresses of all operators.
    ///
    /// # Errors
    /// The database failed.
    pub async fn operators(connection: &mut AnyConnection) -> Result<Vec<String>> {
        let rows: Vec<(String,)> = sqlx::query_as("SELECT email FROM users WHERE operator = 1")
            .fetch_all(connection)
            .await?;
        Ok(rows.into_iter().map(|(email,)| email).collect())
    }

    /// Adds it; `false` if there is one.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert(&self, connection: &mut AnyConnection) -> Result<bool> {
        let query = sqlx::query(
            "INSERT INTO users (email, password_hash, operator, verified_at, created_at) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        )
        .bind(&self.email)
        .bind(&self.password_hash)
        .bind(self.operator)
        .bind(self.verified_at)
        .bind(self.created_at);
        changed_one(query, connection).await
    }

    /// Writes everything that may change.
    ///
    /// # Errors
    /// The database failed.
    pub async fn update(&self, connection: &mut AnyConnection) -> Result<bool> {
        let query = sqlx::query(
            "UPDATE users SET password_hash = $1, operator = $2, verified_at = $3 \
             WHERE email = $4",
        )
        .bind(&self.password_hash)
        .bind(self.operator)
        .bind(self.verified_at)
        .bind(&self.email);
        changed_one(query, connection).await
    }

    /// The address that an identity provider's subject signed in as before.
    ///
    /// # Errors
    /// The database failed.
    pub async fn identity(
        connection: &mut AnyConnection,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<String>> {
        let row: Option<(String,)> =
            sqlx::query_as("SELECT email FROM identities WHERE issuer = $1 AND subject = $2")
                .bind(issuer)
                .bind(subject)
                .fetch_optional(connection)
                .await?;
        Ok(row.map(|(email,)| email))
    }

    /// Remembers who an identity provider's subject is.
    ///
    /// # Errors
    /// The database failed.
    pub async fn link_identity(
        connection: &mut AnyConnection,
        issuer: &str,
        subject: &str,
        email: &str,
        at_ms: i64,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO identities (issuer, subject, email, created_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT DO NOTHING",
        )
        .bind(issuer)
        .bind(subject)
        .bind(email)
        .bind(at_ms)
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

    /// Those of an organization, by address.
    ///
    /// # Errors
    /// The database failed.
    pub async fn of_organization(
        connection: &mut AnyConnection,
        organization: &str,
    ) -> Result<Vec<Self>> {
        let sql = format!(
            "SELECT {MEMBERSHIP} FROM memberships WHERE organization_id = $1 ORDER BY email"
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(organization)
            .fetch_all(connection)
            .await?)
    }

    /// Those of an organization after `after`, by address, at most `most`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn page(
        connection: &mut AnyConnection,
        organization: &str,
        after: &str,
        most: i64,
    ) -> Result<Vec<Self>> {
        let sql = format!(
            "SELECT {MEMBERSHIP} FROM memberships WHERE organization_id = $1 AND email > $2 \
             ORDER BY email LIMIT $3"
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(organization)
            .bind(after)
            .bind(most)
            .fetch_all(connection)
            .await?)
    }

    /// Those of a user.
    ///
    /// # Errors
    /// The database failed.
    pub async fn of_user(connection: &mut AnyConnection, email: &str) -> Result<Vec<Self>> {
        let sql = format!("SELECT {MEMBERSHIP} FROM memberships WHERE email = $1");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(email)
            .fetch_all(connection)
            .await?)
    }

    /// How many members and invitations an organization has.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_people(connection: &mut AnyConnection, organization: &str) -> Result<i64> {
        let (count,) = sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM memberships WHERE organization_id = $1) \
             + (SELECT COUNT(*) FROM invitations WHERE organization_id = $1)",
        )
        .bind(organization)
        .fetch_one(connection)
        .await?;
        Ok(count)
    }

    /// One user's in one organization.
    ///
    /// # Errors
    /// The database failed.
    pub async fn get(
        connection: &mut AnyConnection,
        organization: &str,
        email: &str,
    ) -> Result<Option<Self>> {
        let sql = format!(
            "SELECT {MEMBERSHIP} FROM memberships WHERE organization_id = $1 AND email = $2"
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(organization)
            .bind(email)
            .fetch_optional(connection)
            .await?)
    }

    /// How many organizations a user is in.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_of(connection: &mut AnyConnection, email: &str) -> Result<i64> {
        let (count,) = sqlx::query_as("SELECT COUNT(*) FROM memberships WHERE email = $1")
            .bind(email)
            .fetch_one(connection)
            .await?;
        Ok(count)
    }

    /// How many members have a role.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_with_role(
        connection: &mut AnyConnection,
        organization: &str,
        role: &str,
    ) -> Result<i64> {
        let (count,) = sqlx::query_as(
            "SELECT COUNT(*) FROM memberships WHERE organization_id = $1 AND role = $2",
        )
        .bind(organization)
        .bind(role)
        .fetch_one(connection)
        .await?;
        Ok(count)
    }

    /// Adds or replaces it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn put(&self, connection: &mut AnyConnection) -> Result<()> {
        sqlx::query(
            "INSERT INTO memberships (organization_id, email, role, version, created_at) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (organization_id, email) \
             DO UPDATE SET role = excluded.role, version = excluded.version",
        )
        .bind(&self.organization_id)
        .bind(&self.email)
        .bind(&self.role)
        .bind(self.version)
        .bind(self.created_at)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Removes it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete(&self, connection: &mut AnyConnection) -> Result<bool> {
        let query =
            sqlx::query("DELETE FROM memberships WHERE organization_id = $1 AND email = $2")
                .bind(&self.organization_id)
                .bind(&self.email);
        changed_one(query, connection).await
    }
}

impl InvitationRow {
    /// Those of an organization that are open, after `after`, by address, at most `most`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn page(
        connection: &mut AnyConnection,
        organization: &str,
        now_ms: i64,
        after: &str,
        most: i64,
    ) -> Result<Vec<Self>> {
        let sql = format!(
            "SELECT {INVITATION} FROM invitations WHERE organization_id = $1 AND expires_at > $2 \
             AND email > $3 ORDER BY email LIMIT $4"
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(organization)
            .bind(now_ms)
            .bind(after)
            .bind(most)
            .fetch_all(connection)
            .await?)
    }

    /// The one for that address.
    ///
    /// # Errors
    /// The database failed.
    pub async fn get(
        connection: &mut AnyConnection,
        organization: &str,
        email: &str,
    ) -> Result<Option<Self>> {
        let sql = format!(
            "SELECT {INVITATION} FROM invitations WHERE organization_id = $1 AND email = $2"
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(organization)
            .bind(email)
            .fetch_optional(connection)
            .await?)
    }

    /// The one with that token.
    ///
    /// # Errors
    /// The database failed.
    pub async fn by_token(
        connection: &mut AnyConnection,
        token_sha256: &str,
    ) -> Result<Option<Self>> {
        let sql = format!("SELECT {INVITATION} FROM invitations WHERE token_sha256 = $1");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(token_sha256)
            .fetch_optional(connection)
            .await?)
    }

    /// Whether any organization invites that address.
    ///
    /// # Errors
    /// The database failed.
    pub async fn is_open_for(
        connection: &mut AnyConnection,
        email: &str,
        now_ms: i64,
    ) -> Result<bool> {
        let row: Option<(i64,)> = sqlx::query_as(
            "SELECT expires_at FROM invitations WHERE email = $1 AND expires_at > $2 LIMIT 1",
        )
        .bind(email)
        .bind(now_ms)
        .fetch_optional(connection)
        .await?;
        Ok(row.is_some())
    }

    /// Adds it, or replaces the one for the same address.
    ///
    /// # Errors
    /// The database failed.
    pub async fn put(&self, connection: &mut AnyConnection) -> Result<()> {
        sqlx::query(
            "INSERT INTO invitations (organization_id, email, role, token_sha256, invited_by, \
             created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (organization_id, email) DO UPDATE SET role = excluded.role, \
             token_sha256 = excluded.token_sha256, invited_by = excluded.invited_by, \
             created_at = excluded.created_at, expires_at = excluded.expires_at",
        )
        .bind(&self.organization_id)
        .bind(&self.email)
        .bind(&self.role)
        .bind(&self.token_sha256)
        .bind(&self.invited_by)
        .bind(self.created_at)
        .bind(self.expires_at)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Removes it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete(
        connection: &mut AnyConnection,
        organization: &str,
        email: &str,
    ) -> Result<bool> {
        let query =
            sqlx::query("DELETE FROM invitations WHERE organization_id = $1 AND email = $2")
                .bind(organization)
                .bind(email);
        changed_one(query, connection).await
    }
}
