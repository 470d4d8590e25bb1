//! `/groups` and `/groups/{group}`

pub mod members;
pub mod offsets;
pub mod redrive;
pub mod shared;

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{Request, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    body::json_body,
    call::{InProject, May},
    openapi::{GroupLookProblems, GroupProblems},
    params::Params,
    router::App,
};
use crate::{
    auth::permissions::{DeleteGroup, EnsureGroup, GetGroup, ListGroups},
    gateway::{Group, GroupSpec, GroupSummary},
    problem::Problem,
};

/// A page of groups.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "groups": [{"group": "billing", "type": "partitioned", "state": "stable", "topics": ["orders"],
    "members": [{"member": "worker-1", "instance": "pod-7f9c", "assignment": [{"topic": "orders",
    "partition": 0}], "expires_at": "2026-01-31T12:00:45.000Z"}], "config": {"start": "earliest",
    "lease_ms": 45000}}], "next_page_token": null
}))]
pub struct GroupList {
    /// By name. How far each is, the group itself says.
    groups: Vec<GroupSummary>,
    /// Where the next page starts; null on the last.
    next_page_token: Option<String>,
}

/// List groups.
#[utoipa::path(
    get, path = "/groups", operation_id = "listGroups", tag = "groups",
    params(
        ("page_size" = Option<u32>, Query, description = "Groups on a page", minimum = 1, maximum = 1000, example = 100),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the page before"),
    ),
    responses((status = 200, description = "Groups by name", body = GroupList), GroupLookProblems),
)]
pub async fn list_groups(
    State(app): State<App>,
    May { call, .. }: May<ListGroups, InProject>,
    request: Request<Body>,
) -> Result<Json<GroupList>, Problem> {
    let params = Params::parse(request.uri(), &["page_size", "page_token"])?;
    let page = params.page()?;
    let listed = app
        .gateway
        .list_groups_of(&call.access, &page.after, page.size + 1);
    let mut groups = listed.await?;
    let next_page_token = page.cut(&mut groups, |group| &group.group);
    Ok(Json(GroupList {
        groups,
        next_page_token,
    }))
}

/// Create a group, or make sure that it is there.
///
/// 201 if it was created, 200 if it already is what the body says, 409 if it differs. What the body
/// leaves out is not compared. `start` says where the group begins: at the oldest records, or behind
/// those that there are now. An API key must be able to read the topics itself.
#[utoipa::path(
    put, path = "/groups/{group}", operation_id = "ensureGroup", tag = "groups",
    params(("group" = String, Path, description = "Group name: 1 to 249 of a-z A-Z 0-9 . _ -, not starting with __", example = "billing")),
    request_body(content = GroupSpec, description = "What it shall be"),
    responses(
        (status = 201, description = "Created", body = Group),
        (status = 200, description = "It already is so", body = Group),
        GroupProblems,
    ),
)]
pub async fn put_group(
    State(app): State<App>,
    May { call, .. }: May<EnsureGroup, InProject>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    Params::parse(request.uri(), &[])?;
    crate::gateway::check_name("group", call.group())?;
    let wanted: GroupSpec = json_body(&app, request).await?;
    call.check_group(&app)?;
    let ensured = app.gateway.put_group(&call.access, call.group(), wanted);
    let (group, created) = ensured.await?;
    let status = match created {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    Ok((status, Json(group)).into_response())
}

/// Read a group.
///
/// Its members and what each owns, and of every partition how far the group is and how far behind, in
/// offsets and in time.
#[utoipa::path(
    get, path = "/groups/{group}", operation_id = "getGroup", tag = "groups",
    params(("group" = String, Path, description = "Group name", example = "billing")),
    responses((status = 200, description = "The group", body = Group), GroupLookProblems),
)]
pub async fn get_group(
    State(app): State<App>,
    May { call, .. }: May<GetGroup, InProject>,
    request: Request<Body>,
) -> Result<Json<Group>, Problem> {
    Params::parse(request.uri(), &[])?;
    let group = app.gateway.get_group(&call.access, call.group());
    group.await.map(Json)
}

/// Delete a group, and how far it is.
///
/// Its members leave first, or their leases end.
#[utoipa::path(
    delete, path = "/groups/{group}", operation_id = "deleteGroup", tag = "groups",
    params(("group" = String, Path, description = "Group name", example = "billing")),
    responses((status = 204, description = "It is gone"), GroupProblems),
)]
pub async fn delete_group(
    State(app): State<App>,
    May { call, .. }: May<DeleteGroup, InProject>,
    request: Request<Body>,
) -> Result<StatusCode, Problem> {
    Params::parse(request.uri(), &[])?;
    let deleted = app.gateway.delete_group(&call.access, call.group());
    deleted.await.map(|()| StatusCode::NO_CONTENT)
}
