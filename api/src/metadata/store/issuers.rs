//! Issuers of tokens that organizations trust.

use sqlx::{AnyConnection, FromRow};

use super::{Result, changed_one};

/// An issuer's row.
#[derive(Debug, Clone, FromRow)]
pub struct IssuerRow {
    /// The organization that trusts it.
    pub organization_id: String,
    /// Unique in the organization.
    pub name: String,
    /// Its URL, as in the claim `iss`.
    pub issuer: String,
    /// What the claim `aud` must hold.
    pub audience: String,
    /// A JSON list.
    pub rules: String,
    /// Grows with every change.
    pub version: i64,
    /// Milliseconds since the epoch.
    pub created_at: i64,
}

const COLUMNS: &str = "organization_id, name, issuer, audience, rules, version, created_at";

impl IssuerRow {
    /// All.
    ///
    /// # Errors
    /// The database failed.
    pub async fn all(connection: &mut AnyConnection) -> Result<Vec<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM issuers");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .fetch_all(connection)
            .await?)
    }

    /// Those of an organization, by name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn of_organization(
        connection: &mut AnyConnection,
        organization: &str,
    ) -> Result<Vec<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM issuers WHERE organization_id = $1 ORDER BY name");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(organization)
            .fetch_all(connection)
            .await?)
    }

    /// The one of that name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn get(
        connection: &mut AnyConnection,
        organization: &str,
        name: &str,
    ) -> Result<Option<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM issuers WHERE organization_id = $1 AND name = $2");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(organization)
            .bind(name)
            .fetch_optional(connection)
            .await?)
    }

    /// Adds or replaces it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn put(&self, connection: &mut AnyConnection) -> Result<()> {
        sqlx::query(
            "INSERT INTO issuers (organization_id, name, issuer, audience, rules, version, \
             created_at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (organization_id, name) DO UPDATE SET issuer = excluded.issuer, \
             audience = excluded.audience, rules = excluded.rules, version = excluded.version",
        )
        .bind(&self.organization_id)
        .bind(&self.name)
        .bind(&self.issuer)
        .bind(&self.audience)
        .bind(&self.rules)
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
    pub async fn delete(
        connection: &mut AnyConnection,
        organization: &str,
        name: &str,
    ) -> Result<bool> {
        let query = sqlx::query("DELETE FROM issuers WHERE organization_id = $1 AND name = $2")
            .bind(organization)
            .bind(name);
        changed_one(query, connection).await
    }
}
