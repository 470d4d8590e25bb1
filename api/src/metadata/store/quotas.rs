//! Quotas, and what counts against them.

use sqlx::{AnyConnection, FromRow};

use super::Result;

/// Whose limit it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// An organization's ceiling, set by operators.
    Service,
    /// An organization's own.
    Organization,
    /// A project's.
    Project,
}

impl Layer {
    /// The table of those who have limits of the layer.
    fn owners(self) -> &'static str {
        match self {
            Self::Service | Self::Organization => "organizations",
            Self::Project => "projects",
        }
    }

    /// As it is stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Organization => "organization",
            Self::Project => "project",
        }
    }
}

/// A limit.
#[derive(Debug, Clone, FromRow)]
pub struct QuotaRow {
    /// The name of a [`Layer`].
    pub layer: String,
    /// The organization or project.
    pub id: String,
    /// What is limited.
    pub name: String,
    /// To how much.
    pub amount: i64,
}

impl QuotaRow {
    /// All.
    ///
    /// # Errors
    /// The database failed.
    pub async fn all(connection: &mut AnyConnection) -> Result<Vec<Self>> {
        Ok(sqlx::query_as("SELECT layer, id, name, amount FROM quotas")
            .fetch_all(connection)
            .await?)
    }

    /// Those of one organization or project, in all layers.
    ///
    /// # Errors
    /// The database failed.
    pub async fn of(connection: &mut AnyConnection, id: &str) -> Result<Vec<Self>> {
        Ok(
            sqlx::query_as("SELECT layer, id, name, amount FROM quotas WHERE id = $1")
                .bind(id)
                .fetch_all(connection)
                .await?,
        )
    }

    /// The version of all limits of one organization or project, unless it went.
    ///
    /// # Errors
    /// The database failed.
    pub async fn version(
        connection: &mut AnyConnection,
        layer: Layer,
        id: &str,
    ) -> Result<Option<i64>> {
        let sql = format!(
            "SELECT quotas_version FROM {} WHERE id = $1 AND deleted_at IS NULL",
            layer.owners()
        );
        let row: Option<(i64,)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(connection)
            .await?;
        Ok(row.map(|(version,)| version))
    }

    /// Gives all limits of one organization or project their next version.
    ///
    /// # Errors
    /// The database failed.
    pub async fn changed(connection: &mut AnyConnection, layer: Layer, id: &str) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET quotas_version = quotas_version + 1 WHERE id = $1",
            layer.owners()
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id);
        query.execute(connection).await?;
        Ok(())
    }

    /// Sets one limit, or lifts it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set(
        connection: &mut AnyConnection,
        layer: Layer,
        id: &str,
        name: &str,
        amount: Option<i64>,
    ) -> Result<()> {
        match amount {
            Some(amount) => {
                sqlx::query(
                    "INSERT INTO quotas (layer, id, name, amount) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (layer, id, name) DO UPDATE SET amount = excluded.amount",
                )
                .bind(layer.name())
                .bind(id)
                .bind(name)
                .bind(amount)
                .execute(connection)
                .await?
            }
            None => {
                sqlx::query("DELETE FROM quotas WHERE layer = $1 AND id = $2 AND name = $3")
                    .bind(layer.name())
                    .bind(id)
                    .bind(name)
                    .execute(connection)
                    .await?
            }
        };
        Ok(())
    }

    /// Topics and partitions of a project.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_in_project(
        connection: &mut AnyConnection,
        project: &str,
    ) -> Result<(i64, i64)> {
        Ok(sqlx::query_as(
            "SELECT COUNT(*), CAST(COALESCE(SUM(partitions), 0) AS BIGINT) FROM topics \
             WHERE project_id = $1 AND deleted_at IS NULL",
        )
        .bind(project)
        .fetch_one(connection)
        .await?)
    }

    /// Topics and partitions of an organization.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_in_organization(
        connection: &mut AnyConnection,
        organization: &str,
    ) -> Result<(i64, i64)> {
        Ok(sqlx::query_as(
            "SELECT COUNT(*), CAST(COALESCE(SUM(topics.partitions), 0) AS BIGINT) \
             FROM topics JOIN projects ON projects.id = topics.project_id \
             WHERE projects.organization_id = $1 AND topics.deleted_at IS NULL",
        )
        .bind(organization)
        .fetch_one(connection)
        .await?)
    }
}
