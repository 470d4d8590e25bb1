//! `/organizations/{organization}/members` and `/invitations`

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    response::Response,
};
use http::{Request, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{answer, created_or_ok, gone};
use crate::{
    auth::permissions::{
        AcceptInvitation, GetMember, ListMembers, PutMember as MayPut, RemoveMember,
    },
    gateway::{Member, MemberState, PutMember, check_email, user_of},
    http::{
        body::json_body,
        call::{Anybody, InOrganization, May, unbroken},
        openapi::{ChangeProblems, DeleteProblems, LookProblems},
        params::{Params, if_match, rfc3339},
        router::App,
    },
    metadata::not_null,
    problem::Problem,
};

/// A member, or somebody who is invited.
#[derive(Serialize, ToSchema)]
#[schema(as = Member, example = json!({
    "email": "ada@example.com", "role": "developer", "state": "active",
    "created_at": "2026-01-31T12:00:00.000Z"
}))]
pub struct MemberInfo {
    /// The address.
    #[schema(example = "ada@example.com")]
    email: String,
    /// What they are, or will be.
    #[schema(value_type = crate::auth::Role)]
    role: String,
    /// Whether they are in.
    state: MemberState,
    /// RFC 3339.
    created_at: String,
    /// When the invitation ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expires_at: Option<String>,
}

/// Somebody who was invited now.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "email": "ada@example.com", "role": "developer", "state": "invited",
    "created_at": "2026-01-31T12:00:00.000Z", "expires_at": "2026-02-07T12:00:00.000Z",
    "token": "nq3GkQm0V5sX8b2d"
}))]
pub struct Invited {
    /// Who.
    #[serde(flatten)]
    member: MemberInfo,
    /// For `/invitations/{token}/accept`; shown this once. Null in a dry run.
    token: Option<String>,
}

/// An organization's people.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "members": [{"email": "ada@example.com", "role": "developer", "state": "active",
    "created_at": "2026-01-31T12:00:00.000Z"}], "next_page_token": null
}))]
pub struct MemberList {
    /// By address.
    members: Vec<MemberInfo>,
    /// For the next page; null on the last.
    next_page_token: Option<String>,
}

/// How an invitation is accepted by who is not signed in.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"password": "correct horse battery"}))]
#[serde(deny_unknown_fields)]
pub struct AcceptRequest {
    /// The password of the address's account, or of the one that is made: 12 to 256 characters.
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    #[serde(default, deserialize_with = "not_null")]
    password: Option<String>,
}

/// Where somebody is a member now.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"organization": "acme", "email": "ada@example.com", "role": "developer"}))]
pub struct Joined {
    /// The organization.
    organization: String,
    /// Their address.
    email: String,
    /// What they are in it.
    #[schema(value_type = crate::auth::Role)]
    role: String,
}

fn info(member: Member) -> MemberInfo {
    MemberInfo {
        email: member.email,
        role: member.role,
        state: member.state,
        created_at: rfc3339(member.created_at_ms),
        expires_at: member.expires_at_ms.map(rfc3339),
    }
}

fn email_of(call: &InOrganization) -> Result<String, Problem> {
    check_email("email", call.name.as_deref().unwrap_or_default())
}

/// List an organization's members, and those who are invited.
#[utoipa::path(
    get, path = "/organizations/{organization}/members", operation_id = "listMembers", tag = "members",
    params(
        ("organization" = String, Path, description = "Organization id", example = "acme"),
        ("page_size" = Option<u32>, Query, description = "Members on a page", minimum = 1, maximum = 1000, example = 100),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the page before"),
    ),
    responses((status = 200, description = "People by address", body = MemberList), LookProblems),
)]
pub async fn list_members(
    State(app): State<App>,
    May { call, .. }: May<ListMembers, InOrganization>,
    request: Request<Body>,
) -> Result<Json<MemberList>, Problem> {
    let params = Params::parse(request.uri(), &["page_size", "page_token"])?;
    let page = params.page()?;
    let (id, rows) = (&call.organization.id, page.rows());
    let mut members = app.gateway.list_members(id, &page.after, rows).await?;
    let next_page_token = page.cut(&mut members, |member| &member.email);
    Ok(Json(MemberList {
        members: members.into_iter().map(info).collect(),
        next_page_token,
    }))
}

/// Read a member.
#[utoipa::path(
    get, path = "/organizations/{organization}/members/{email}", operation_id = "getMember", tag = "members",
    params(
        ("organization" = String, Path, description = "Organization id", example = "acme"),
        ("email" = String, Path, description = "Address", example = "ada@example.com"),
    ),
    responses((status = 200, description = "The member, or who is invited", body = MemberInfo), LookProblems),
)]
pub async fn get_member(
    State(app): State<App>,
    May { call, .. }: May<GetMember, InOrganization>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    Params::parse(request.uri(), &[])?;
    let email = email_of(&call)?;
    let id = &call.organization.id;
    let member = app.gateway.read_member(id, &email).await?;
    Ok(answer(StatusCode::OK, member.version, false, info(member)))
}

/// Give a member a role, or invite somebody.
///
/// For an address that is no member an invitation is made: 201 with its token. Again: 200 with
/// another token, and the one before is dead.
#[utoipa::path(
    put, path = "/organizations/{organization}/members/{email}", operation_id = "putMember", tag = "members",
    params(
        ("organization" = String, Path, description = "Organization id", example = "acme"),
        ("email" = String, Path, description = "Address", example = "ada@example.com"),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on"),
        ("dry_run" = Option<bool>, Query, description = "Check everything and change nothing"),
    ),
    request_body(content = PutMember, description = "What they shall be"),
    responses(
        (status = 200, description = "The member as they are now, or another invitation", body = Invited),
        (status = 201, description = "Invited", body = Invited),
        ChangeProblems,
    ),
)]
pub async fn put_member(
    State(app): State<App>,
    May { call, .. }: May<MayPut, InOrganization>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let intent = call.intent(request.uri())?;
    let if_match = if_match(request.headers())?;
    let email = email_of(&call)?;
    let PutMember { role } = json_body(&app, request).await?;
    let dry_run = intent.dry_run;
    let (gateway, organization) = (app.gateway.clone(), call.organization);
    let put = unbroken(async move {
        gateway
            .put_member(&intent, &organization.id, &email, role, if_match.as_deref())
            .await
    });
    let (mut member, is_new) = put.await?;
    let (version, token) = (member.version, member.token.take());
    let status = created_or_ok(is_new);
    if member.state == MemberState::Active {
        return Ok(answer(status, version, dry_run, info(member)));
    }
    let member = info(member);
    Ok(answer(status, version, dry_run, Invited { member, token }))
}

/// Remove a member, or withdraw an invitation. Everybody may leave by themselves.
#[utoipa::path(
    delete, path = "/organizations/{organization}/members/{email}", operation_id = "removeMember", tag = "members",
    params(
        ("organization" = String, Path, description = "Organization id", example = "acme"),
        ("email" = String, Path, description = "Address", example = "ada@example.com"),
        ("If-Match" = Option<String>, Header, description = "The ETag that the removal is based on"),
        ("dry_run" = Option<bool>, Query, description = "Check everything and change nothing"),
    ),
    responses((status = 204, description = "They are out"), DeleteProblems),
)]
pub async fn remove_member(
    State(app): State<App>,
    May { call, .. }: May<RemoveMember, InOrganization>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let intent = call.intent(request.uri())?;
    let if_match = if_match(request.headers())?;
    let email = email_of(&call)?;
    let dry_run = intent.dry_run;
    let (gateway, organization) = (app.gateway.clone(), call.organization);
    unbroken(async move {
        gateway
            .remove_member(&intent, &organization.id, &email, if_match.as_deref())
            .await
    })
    .await?;
    Ok(gone(dry_run))
}

/// Accept an invitation.
///
/// As the signed-in user of the invited address; or without a credential, with the password of its
/// account, or of a new one.
#[utoipa::path(
    post, path = "/invitations/{token}/accept", operation_id = "acceptInvitation", tag = "members",
    params(("token" = String, Path, description = "The invitation's token", example = "nq3GkQm0V5sX8b2d")),
    request_body(content = Option<AcceptRequest>, description = "A password, for who is not signed in"),
    responses((status = 200, description = "A member now", body = Joined), ChangeProblems),
    security((), ("bearer" = [])),
)]
pub async fn accept_invitation(
    State(app): State<App>,
    May { call, .. }: May<AcceptInvitation, Anybody>,
    Path(token): Path<String>,
    request: Request<Body>,
) -> Result<Json<Joined>, Problem> {
    Params::parse(request.uri(), &[])?;
    let signed_in = match request.headers().contains_key(header::AUTHORIZATION) {
        true => {
            let caller = call.asked.identify(&app, request.headers()).await?;
            Some(user_of(&caller)?.to_owned())
        }
        false => None,
    };
    let intent = call.asked.intent(String::new(), "acceptInvitation", false);
    let AcceptRequest { password } = json_body(&app, request).await?;
    let gateway = app.gateway.clone();
    let accepted = unbroken(async move {
        gateway
            .accept_invitation(intent, &token, signed_in.as_deref(), password)
            .await
    });
    let accepted = accepted.await?;
    Ok(Json(Joined {
        organization: accepted.organization,
        email: accepted.email,
        role: accepted.role,
    }))
}
