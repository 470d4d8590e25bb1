//! `/organizations`

use axum::{Json, body::Body, extract::State, response::Response};
use http::{Request, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{answer, gone};
use crate::{
    auth::{
        Role,
        permissions::{
            CreateOrganization, DeleteOrganization, GetOrganization, ListOrganizations,
            UpdateOrganization,
        },
    },
    gateway::{Named, check_title, user_of},
    http::{
        body::json_body,
        call::{InOrganization, May, SignedIn, unbroken},
        openapi::{ChangeProblems, DeleteProblems, LookProblems},
        params::{Params, if_match, rfc3339},
        router::App,
    },
    metadata::{not_null, store::OrganizationRow},
    problem::Problem,
};

/// An organization.
#[derive(Serialize, ToSchema)]
#[schema(as = Organization, example = json!({
    "id": "acme", "name": "Acme Ltd.", "role": "owner", "created_at": "2026-01-31T12:00:00.000Z"
}))]
pub struct OrganizationInfo {
    /// Never given to anybody else.
    #[schema(example = "acme")]
    id: String,
    /// For people.
    name: String,
    /// What the caller is in it.
    role: Role,
    /// RFC 3339.
    created_at: String,
}

/// The caller's organizations.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "organizations": [{"id": "acme", "name": "Acme Ltd.", "role": "owner",
    "created_at": "2026-01-31T12:00:00.000Z"}], "next_page_token": null
}))]
pub struct OrganizationList {
    /// By id.
    organizations: Vec<OrganizationInfo>,
    /// For the next page; null on the last.
    next_page_token: Option<String>,
}

/// What shall change of an organization or a project.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Acme Ltd."}))]
pub struct Rename {
    /// For people.
    #[schema(value_type = String, max_length = 200)]
    #[serde(default, deserialize_with = "not_null")]
    name: Option<String>,
}

impl Rename {
    /// The name, checked.
    ///
    /// # Errors
    /// 400 if it is malformed.
    pub fn checked(self) -> Result<Option<String>, Problem> {
        if let Some(name) = &self.name {
            check_title(name)?;
        }
        Ok(self.name)
    }
}

fn info(row: OrganizationRow, role: Role) -> OrganizationInfo {
    OrganizationInfo {
        id: row.id,
        name: row.name,
        role,
        created_at: rfc3339(row.created_at),
    }
}

/// List the caller's organizations.
#[utoipa::path(
    get, path = "/organizations", operation_id = "listOrganizations", tag = "organizations",
    params(
        ("page_size" = Option<u32>, Query, description = "Organizations on a page", minimum = 1, maximum = 1000, example = 100),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the page before"),
    ),
    responses((status = 200, description = "Organizations by id", body = OrganizationList), LookProblems),
)]
pub async fn list_organizations(
    State(app): State<App>,
    May { call, .. }: May<ListOrganizations, SignedIn>,
    request: Request<Body>,
) -> Result<Json<OrganizationList>, Problem> {
    let params = Params::parse(request.uri(), &["page_size", "page_token"])?;
    let page = params.page()?;
    let mut mine = call.caller.organizations(&app.gateway.catalog);
    mine.retain(|(organization, _)| organization.id > page.after);
    let next_page_token = page.cut(&mut mine, |(organization, _)| &organization.id);
    let shown = mine.iter().map(|(organization, role)| OrganizationInfo {
        id: organization.id.clone(),
        name: organization.name.clone(),
        role: *role,
        created_at: rfc3339(organization.created_at_ms),
    });
    Ok(Json(OrganizationList {
        organizations: shown.collect(),
        next_page_token,
    }))
}

/// Create an organization that the caller owns.
///
/// Ids are never given again, so one user makes at most 20 in 24 hours, deleted ones counted; operators
/// of the service make as many as they like.
#[utoipa::path(
    post, path = "/organizations", operation_id = "createOrganization", tag = "organizations",
    params(("dry_run" = Option<bool>, Query, description = "Check everything and change nothing")),
    request_body(content = Named, description = "What it shall be called"),
    responses((status = 201, description = "Created", body = OrganizationInfo), ChangeProblems),
)]
pub async fn create_organization(
    State(app): State<App>,
    May { call, .. }: May<CreateOrganization, SignedIn>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let intent = call.intent(request.uri())?;
    let owner = user_of(&call.caller)?.to_owned();
    let wanted: Named = json_body(&app, request).await?;
    let (id, name) = wanted.checked()?;
    let dry_run = intent.dry_run;
    let gateway = app.gateway.clone();
    let row = unbroken(async move {
        gateway
            .create_organization(&intent, &owner, &id, name)
            .await
    });
    let row = row.await?;
    let version = Some(row.version);
    Ok(answer(
        StatusCode::CREATED,
        version,
        dry_run,
        info(row, Role::Owner),
    ))
}

/// Read an organization.
#[utoipa::path(
    get, path = "/organizations/{organization}", operation_id = "getOrganization", tag = "organizations",
    params(("organization" = String, Path, description = "Organization id", example = "acme")),
    responses((status = 200, description = "The organization", body = OrganizationInfo), LookProblems),
)]
pub async fn get_organization(
    State(app): State<App>,
    May { call, .. }: May<GetOrganization, InOrganization>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    Params::parse(request.uri(), &[])?;
    let row = app.gateway.read_organization(&call.organization.id).await?;
    let version = Some(row.version);
    Ok(answer(StatusCode::OK, version, false, info(row, call.role)))
}

/// Rename an organization.
#[utoipa::path(
    patch, path = "/organizations/{organization}", operation_id = "updateOrganization", tag = "organizations",
    params(
        ("organization" = String, Path, description = "Organization id", example = "acme"),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on"),
        ("dry_run" = Option<bool>, Query, description = "Check everything and change nothing"),
    ),
    request_body(content = Option<Rename>, description = "What shall change"),
    responses((status = 200, description = "The organization as it is now", body = OrganizationInfo), ChangeProblems),
)]
pub async fn update_organization(
    State(app): State<App>,
    May { call, .. }: May<UpdateOrganization, InOrganization>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let intent = call.intent(request.uri())?;
    let if_match = if_match(request.headers())?;
    let wanted: Rename = json_body(&app, request).await?;
    let name = wanted.checked()?;
    let dry_run = intent.dry_run;
    let (gateway, id, role) = (app.gateway.clone(), call.organization.id.clone(), call.role);
    let row = unbroken(async move {
        gateway
            .rename_organization(&intent, &id, name, if_match.as_deref())
            .await
    });
    let row = row.await?;
    let version = Some(row.version);
    Ok(answer(StatusCode::OK, version, dry_run, info(row, role)))
}

/// Delete an organization with its projects, topics, records and keys.
#[utoipa::path(
    delete, path = "/organizations/{organization}", operation_id = "deleteOrganization", tag = "organizations",
    params(
        ("organization" = String, Path, description = "Organization id", example = "acme"),
        ("If-Match" = Option<String>, Header, description = "The ETag that the deletion is based on"),
        ("dry_run" = Option<bool>, Query, description = "Check everything and change nothing"),
    ),
    responses((status = 204, description = "It is gone"), DeleteProblems),
)]
pub async fn delete_organization(
    State(app): State<App>,
    May { call, .. }: May<DeleteOrganization, InOrganization>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let intent = call.intent(request.uri())?;
    let if_match = if_match(request.headers())?;
    let dry_run = intent.dry_run;
    let (gateway, organization) = (app.gateway.clone(), call.organization);
    unbroken(async move {
        gateway
            .delete_organization(&intent, &organization, if_match.as_deref())
            .await
    })
    .await?;
    Ok(gone(dry_run))
}
