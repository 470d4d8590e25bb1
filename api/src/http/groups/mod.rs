//! `/groups` and `/groups/{group}`

pub mod members;
pub mod offsets;
pub mod redrive;
pub mod shared;

use std::time::Duration;

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
    openapi::{EncodingParam, GroupLookProblems, GroupProblems},
    params::{Params, in_range},
    router::App,
};
use crate::{
    auth::permissions::{DeleteGroup, EnsureGroup, GetGroup, ListGroups},
    gateway::{
        Form, Group, GroupSpec, GroupSummary, JSON_PREFIX, JsonForm, OnOutOfRange, ReadLimits,
    },
    limits::{FETCH_BYTES, FETCH_WAIT_MAX},
    problem::Problem,
};

/// How large a page of records is to be, and of what form.
struct PageAsk {
    max_records: Option<u64>,
    max_bytes: Option<u64>,
    wait_ms: Option<u64>,
    encoding: Option<EncodingParam>,
}

impl PageAsk {
    /// `records` are the default and the most.
    ///
    /// # Errors
    /// 400 for what is out of range.
    fn checked(
        self,
        records: (usize, usize),
        on_out_of_range: OnOutOfRange,
    ) -> Result<ReadLimits, Problem> {
        let within = |pointer: &str, number: Option<u64>, least, most, default: usize| match number
        {
            Some(number) => in_range(pointer, number, least, most as u64),
            None => Ok(default as u64),
        };
        let (records, records_most) = records;
        let (bytes, bytes_most) = FETCH_BYTES;
        let wait_most = FETCH_WAIT_MAX.as_millis() as usize;
        let records_max = within("/max_records", self.max_records, 1, records_most, records)?;
        let bytes_max = within("/max_bytes", self.max_bytes, 1, bytes_most, bytes)?;
        let wait_ms = within("/wait_ms", self.wait_ms, 0, wait_most, 0)?;
        Ok(ReadLimits {
            records_max: records_max as usize,
            bytes_max: bytes_max as usize,
            wait: Duration::from_millis(wait_ms),
            on_out_of_range,
            form: Form::Json(JsonForm {
                base64: matches!(self.encoding, Some(EncodingParam::Base64)),
                single_line: false,
                prefix: JSON_PREFIX,
                separator: b',',
                with_topic: true,
            }),
        })
    }
}

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
