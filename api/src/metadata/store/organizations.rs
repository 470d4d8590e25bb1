//! Organizations.

use sqlx::{AnyConnection, FromRow};

use super::{Result, changed_one};

/// An organization's row.
#[derive(Debug, Clone, FromRow)]
pub struct OrganizationRow {
    /// Unique in the service.
    pub id: String,
    /// For people.
    pub name: String,
    /// Milliseconds since the epoch.
    pub created_at: i64,
}

impl OrganizationRow {
    /// All.
    ///
    /// # Errors
    /// The database failed.
    pub async fn all(connection: &mut AnyConnection) -> Result<Vec<Self>> {
        Ok(
            sqlx::query_as("SELECT id, name, created_at FROM organizations")
                .fetch_all(connection)
                .await?,
        )
    }

    /// The one of that id.
    ///
    /// # Errors
    /// The database failed.
    pub async fn get(connection: &mut AnyConnection, id: &str) -> Result<Option<Self>> {
        Ok(
            sqlx::query_as("SELECT id, name, created_at FROM organizations WHERE id = $1")
                .bind(id)
                .fetch_optional(connection)
                .await?,
        )
    }

    /// Adds it; `false` if the id is taken.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert(&self, connection: &mut AnyConnection) -> Result<bool> {
        let query = sqlx::query(
            "INSERT INTO organizations (id, name, created_at) VALUES ($1, $2, $3) \
             ON CONFLICT DO NOTHING",
        )
        .bind(&self.id)
        .bind(&self.name)
        .bind(self.created_at);
        changed_one(query, connection).await
    }
}
