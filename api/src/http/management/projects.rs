//! `/organizations/{organization}/projects` and `/projects/{project}`

use axum::{Json, body::Body, extract::State, response::Response};
use http::{Request, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::{answer, gone, organizations::Rename};
use crate::{
    auth::permissions::{CreateProject, DeleteProject, GetProject, ListProjects, UpdateProject},
    gateway::Named,
    http::{
        body::json_body,
        call::{InOrganization, InProject, May, unbroken},
        openapi::{ChangeProblems, DeleteProblems, LookProblems},
        params::{Params, if_match, rfc3339},
        router::App,
    },
    metadata::store::ProjectRow,
    problem::Problem,
};

/// A project.
#[derive(Serialize, ToSchema)]
#[schema(as = Project, example = json!({
    "id": "acme-orders", "name": "Orders", "organization": "acme",
    "created_at": "2026-01-31T12:00:00.000Z"
}))]
pub struct ProjectInfo {
    /// Unique in the service.
    #[schema(example = "acme-orders")]
    id: String,
    /// For people.
    name: String,
    /// The organization it is in.
    organization: String,
    /// RFC 3339.
    created_at: String,
}

/// An organization's projects.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "projects": [{"id": "acme-orders", "name": "Orders", "organization": "acme",
    "created_at": "2026-01-31T12:00:00.000Z"}], "next_page_token": null
}))]
pub struct ProjectList {
    /// By id.
    projects: Vec<ProjectInfo>,
    /// For the next page; null on the last.
    next_page_token: Option<String>,
}

fn info(row: ProjectRow) -> ProjectInfo {
    ProjectInfo {
        id: row.id,
        name: row.name,
        organization: row.organization_id,
        created_at: rfc3339(row.created_at),
    }
}

/// List an organization's projects.
#[utoipa::path(
    get, path = "/organizations/{organization}/projects", operation_id = "listProjects", tag = "projects",
    params(
        ("organization" = String, Path, description = "Organization id", example = "acme"),
        ("page_size" = Option<u32>, Query, description = "Projects on a page", minimum = 1, maximum = 1000, example = 100),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the page before"),
    ),
    responses((status = 200, description = "Projects by id", body = ProjectList), LookProblems),
)]
pub async fn list_projects(
    State(app): State<App>,
    May { call, .. }: May<ListProjects, InOrganization>,
    request: Request<Body>,
) -> Result<Json<ProjectList>, Problem> {
    let params = Params::parse(request.uri(), &["page_size", "page_token"])?;
    let page = params.page()?;
    let (id, rows) = (&call.organization.id, page.rows());
    let mut rows = app.gateway.list_projects(id, &page.after, rows).await?;
    let next_page_token = page.cut(&mut rows, |row| &row.id);
    Ok(Json(ProjectList {
        projects: rows.into_iter().map(info).collect(),
        next_page_token,
    }))
}

/// Create a project.
#[utoipa::path(
    post, path = "/organizations/{organization}/projects", operation_id = "createProject", tag = "projects",
    params(
        ("organization" = String, Path, description = "Organization id", example = "acme"),
        ("dry_run" = Option<bool>, Query, description = "Check everything and change nothing"),
    ),
    request_body(content = Named, description = "What it shall be called"),
    responses((status = 201, description = "Created", body = ProjectInfo), ChangeProblems),
)]
pub async fn create_project(
    State(app): State<App>,
    May { call, .. }: May<CreateProject, InOrganization>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let intent = call.intent(request.uri())?;
    let wanted: Named = json_body(&app, request).await?;
    let (id, name) = wanted.checked()?;
    let dry_run = intent.dry_run;
    let (gateway, organization) = (app.gateway.clone(), call.organization);
    let row = unbroken(async move {
        gateway
            .create_project(&intent, &organization.id, &id, name)
            .await
    });
    let row = row.await?;
    let version = Some(row.version);
    Ok(answer(StatusCode::CREATED, version, dry_run, info(row)))
}

/// Read a project.
#[utoipa::path(
    get, path = "/projects/{project}", operation_id = "getProject", tag = "projects",
    params(("project" = String, Path, description = "Project id", example = "acme-orders")),
    responses((status = 200, description = "The project", body = ProjectInfo), LookProblems),
)]
pub async fn get_project(
    State(app): State<App>,
    May { call, .. }: May<GetProject, InProject>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    Params::parse(request.uri(), &[])?;
    let row = app.gateway.read_project(&call.access.project.id).await?;
    let version = Some(row.version);
    Ok(answer(StatusCode::OK, version, false, info(row)))
}

/// Rename a project.
#[utoipa::path(
    patch, path = "/projects/{project}", operation_id = "updateProject", tag = "projects",
    params(
        ("project" = String, Path, description = "Project id", example = "acme-orders"),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on"),
        ("dry_run" = Option<bool>, Query, description = "Check everything and change nothing"),
    ),
    request_body(content = Option<Rename>, description = "What shall change"),
    responses((status = 200, description = "The project as it is now", body = ProjectInfo), ChangeProblems),
)]
pub async fn update_project(
    State(app): State<App>,
    May { call, .. }: May<UpdateProject, InProject>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let intent = call.intent(request.uri())?;
    let if_match = if_match(request.headers())?;
    let wanted: Rename = json_body(&app, request).await?;
    let name = wanted.checked()?;
    let dry_run = intent.dry_run;
    let (gateway, project) = (app.gateway.clone(), call.access.project);
    let row = unbroken(async move {
        gateway
            .rename_project(&intent, &project, name, if_match.as_deref())
            .await
    });
    let row = row.await?;
    let version = Some(row.version);
    Ok(answer(StatusCode::OK, version, dry_run, info(row)))
}

/// Delete a project with its topics, records and keys.
#[utoipa::path(
    delete, path = "/projects/{project}", operation_id = "deleteProject", tag = "projects",
    params(
        ("project" = String, Path, description = "Project id", example = "acme-orders"),
        ("If-Match" = Option<String>, Header, description = "The ETag that the deletion is based on"),
        ("dry_run" = Option<bool>, Query, description = "Check everything and change nothing"),
    ),
    responses((status = 204, description = "It is gone"), DeleteProblems),
)]
pub async fn delete_project(
    State(app): State<App>,
    May { call, .. }: May<DeleteProject, InProject>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let intent = call.intent(request.uri())?;
    let if_match = if_match(request.headers())?;
    let dry_run = intent.dry_run;
    let (gateway, project) = (app.gateway.clone(), call.access.project);
    unbroken(async move {
        gateway
            .delete_project(&intent, &project, if_match.as_deref())
            .await
    })
    .await?;
    Ok(gone(dry_run))
}
