//! Projects: where topics and keys are.

use super::{super::Gateway, not_found, organizations::already_exists, too_many};
use crate::{
    auth::{encode_hex, random_secret},
    gateway::{
        Intent,
        changes::{check_version, unavailable},
    },
    limits::PROJECTS_MAX,
    metadata::{
        Change, Kind, Project,
        store::{Buried, ProjectRow},
    },
    problem::Problem,
};

impl Gateway {
    /// Makes a project.
    ///
    /// # Errors
    /// 409 if the id is taken, or was by another organization; 403 if there are too many.
    pub async fn create_project(
        &self,
        intent: &Intent,
        organization: &str,
        id: &str,
        name: String,
    ) -> Result<ProjectRow, Problem> {
        let mut change = self.begin(intent).await?;
        let count = ProjectRow::count(&mut change, organization).await;
        if count.map_err(unavailable)? >= PROJECTS_MAX {
            return Err(too_many("projects in an organization", PROJECTS_MAX));
        }
        let row = ProjectRow {
            id: id.to_owned(),
            organization_id: organization.to_owned(),
            name,
            cursor_secret: encode_hex(&random_secret()),
            version: 1,
            created_at: change.at_ms(),
        };
        if !row.insert(&mut change).await.map_err(unavailable)? {
            return Err(already_exists());
        }
        let row = stored(&mut change, id).await?;
        self.finish_project(change, intent, organization, id)
            .await?;
        Ok(row)
    }

    /// An organization's projects after `after`, by id, at most `most`.
    ///
    /// # Errors
    /// 503 if the database is away.
    pub async fn list_projects(
        &self,
        organization: &str,
        after: &str,
        most: i64,
    ) -> Result<Vec<ProjectRow>, Problem> {
        let mut connection = self.connection().await?;
        let rows = ProjectRow::page(&mut connection, organization, after, most).await;
        rows.map_err(unavailable)
    }

    /// Reads a project.
    ///
    /// # Errors
    /// 404 if it went, 503 if the database is away.
    pub async fn read_project(&self, id: &str) -> Result<ProjectRow, Problem> {
        let mut connection = self.connection().await?;
        let row = ProjectRow::get(&mut connection, id).await;
        row.map_err(unavailable)?
            .ok_or_else(|| not_found("project"))
    }

    /// Renames a project.
    ///
    /// # Errors
    /// 412 if it was changed meanwhile.
    pub async fn rename_project(
        &self,
        intent: &Intent,
        project: &Project,
        name: Option<String>,
        if_match: Option<&str>,
    ) -> Result<ProjectRow, Problem> {
        let mut change = self.begin(intent).await?;
        let mut row = stored(&mut change, &project.id).await?;
        check_version(row.version, if_match)?;
        row.name = name.unwrap_or(row.name);
        row.version += 1;
        row.update(&mut change).await.map_err(unavailable)?;
        self.finish_project(change, intent, &project.organization, &project.id)
            .await?;
        Ok(row)
    }

    /// Deletes a project with its topics and keys.
    ///
    /// # Errors
    /// 412 if it was changed meanwhile.
    pub async fn delete_project(
        &self,
        intent: &Intent,
        project: &Project,
        if_match: Option<&str>,
    ) -> Result<(), Problem> {
        let mut change = self.begin(intent).await?;
        let row = stored(&mut change, &project.id).await?;
        check_version(row.version, if_match)?;
        let buried = ProjectRow::bury(&mut change, Buried::Project(&project.id)).await;
        buried.map_err(unavailable)?;
        self.finish_project(change, intent, &project.organization, &project.id)
            .await
    }

    async fn finish_project(
        &self,
        change: Change,
        intent: &Intent,
        organization: &str,
        id: &str,
    ) -> Result<(), Problem> {
        self.conclude(
            change,
            intent,
            (Kind::Project, id),
            organization,
            &format!("projects/{id}"),
        )
        .await
    }
}

async fn stored(change: &mut Change, id: &str) -> Result<ProjectRow, Problem> {
    let row = ProjectRow::get(change, id).await;
    row.map_err(unavailable)?
        .ok_or_else(|| not_found("project"))
}
