//! `/organizations/{organization}/issuers`

use axum::{Json, body::Body, extract::State, response::Response};
use http::{Request, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::{answer, created_or_ok, gone};
use crate::{
    auth::permissions::{DeleteIssuer, GetIssuer, ListIssuers, PutIssuer},
    gateway::IssuerSpec,
    http::{
        body::json_body,
        call::{InOrganization, May, unbroken},
        openapi::{ChangeProblems, DeleteProblems, LookProblems},
        params::{Params, if_match, rfc3339},
        router::App,
    },
    metadata::{IssuerRule, store::IssuerRow},
    problem::Problem,
};

/// An issuer that the organization trusts.
#[derive(Serialize, ToSchema)]
#[schema(as = Issuer, example = json!({
    "name": "corp", "issuer": "https://id.example.com", "audience": "headwater",
    "rules": [{"claim": "groups", "value": "data", "role": "viewer"}],
    "created_at": "2026-01-31T12:00:00.000Z"
}))]
pub struct IssuerInfo {
    /// Unique in the organization.
    name: String,
    /// Its URL.
    issuer: String,
    /// What the claim `aud` must hold.
    audience: String,
    /// Which claims give which role.
    rules: Vec<IssuerRule>,
    /// RFC 3339.
    created_at: String,
}

/// An organization's issuers.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "issuers": [{"name": "corp", "issuer": "https://id.example.com", "audience": "headwater",
    "rules": [{"claim": "groups", "value": "data", "role": "viewer"}],
    "created_at": "2026-01-31T12:00:00.000Z"}], "next_page_token": null
}))]
pub struct IssuerList {
    /// By name.
    issuers: Vec<IssuerInfo>,
    /// For the next page; null on the last.
    next_page_token: Option<String>,
}

fn info(row: IssuerRow) -> Result<IssuerInfo, Problem> {
    let rules = serde_json::from_str(&row.rules)
        .map_err(|error| Problem::internal("an issuer's rules cannot be read", error))?;
    Ok(IssuerInfo {
        name: row.name,
        issuer: row.issuer,
        audience: row.audience,
        rules,
        created_at: rfc3339(row.created_at),
    })
}

/// List the issuers that an organization trusts.
#[utoipa::path(
    get, path = "/organizations/{organization}/issuers", operation_id = "listIssuers", tag = "issuers",
    params(
        ("organization" = String, Path, description = "Organization id", example = "acme"),
        ("page_size" = Option<u32>, Query, description = "Issuers on a page", minimum = 1, maximum = 1000, example = 100),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the page before"),
    ),
    responses((status = 200, description = "Issuers by name", body = IssuerList), LookProblems),
)]
pub async fn list_issuers(
    State(app): State<App>,
    May { call, .. }: May<ListIssuers, InOrganization>,
    request: Request<Body>,
) -> Result<Json<IssuerList>, Problem> {
    let params = Params::parse(request.uri(), &["page_size", "page_token"])?;
    let page = params.page()?;
    let (id, rows) = (&call.organization.id, page.size + 1);
    let mut rows = app.gateway.list_issuers(id, &page.after, rows).await?;
    let next_page_token = page.cut(&mut rows, |row| &row.name);
    Ok(Json(IssuerList {
        issuers: rows.into_iter().map(info).collect::<Result<_, _>>()?,
        next_page_token,
    }))
}

/// Read an issuer.
#[utoipa::path(
    get, path = "/organizations/{organization}/issuers/{issuer}", operation_id = "getIssuer", tag = "issuers",
    params(
        ("organization" = String, Path, description = "Organization id", example = "acme"),
        ("issuer" = String, Path, description = "Name", example = "login"),
    ),
    responses((status = 200, description = "The issuer", body = IssuerInfo), LookProblems),
)]
pub async fn get_issuer(
    State(app): State<App>,
    May { call, .. }: May<GetIssuer, InOrganization>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    Params::parse(request.uri(), &[])?;
    let name = call.name.unwrap_or_default();
    let row = app
        .gateway
        .read_issuer(&call.organization.id, &name)
        .await?;
    Ok(answer(StatusCode::OK, Some(row.version), false, info(row)?))
}

/// Trust an issuer, or change what its tokens are good for.
///
/// Its tokens are good as `Authorization: Bearer`: what their bearer may is what the highest role
/// that a rule gives them may.
#[utoipa::path(
    put, path = "/organizations/{organization}/issuers/{issuer}", operation_id = "putIssuer", tag = "issuers",
    params(
        ("organization" = String, Path, description = "Organization id", example = "acme"),
        ("issuer" = String, Path, description = "Name: 1 to 249 of a-z A-Z 0-9 . _ -", example = "login"),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on"),
        ("dry_run" = Option<bool>, Query, description = "Check everything and change nothing"),
    ),
    request_body(content = IssuerSpec, description = "What it shall be"),
    responses(
        (status = 200, description = "Changed", body = IssuerInfo),
        (status = 201, description = "Trusted from now on", body = IssuerInfo),
        ChangeProblems,
    ),
)]
pub async fn put_issuer(
    State(app): State<App>,
    May { call, .. }: May<PutIssuer, InOrganization>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let intent = call.intent(request.uri())?;
    let if_match = if_match(request.headers())?;
    let wanted: IssuerSpec = json_body(&app, request).await?;
    let dry_run = intent.dry_run;
    let (gateway, organization) = (app.gateway.clone(), call.organization);
    let name = call.name.unwrap_or_default();
    let put = unbroken(async move {
        gateway
            .put_issuer(
                &intent,
                &organization.id,
                &name,
                wanted,
                if_match.as_deref(),
            )
            .await
    });
    let (row, is_new) = put.await?;
    let version = Some(row.version);
    Ok(answer(created_or_ok(is_new), version, dry_run, info(row)?))
}

/// Trust an issuer no more.
#[utoipa::path(
    delete, path = "/organizations/{organization}/issuers/{issuer}", operation_id = "deleteIssuer", tag = "issuers",
    params(
        ("organization" = String, Path, description = "Organization id", example = "acme"),
        ("issuer" = String, Path, description = "Name", example = "login"),
        ("If-Match" = Option<String>, Header, description = "The ETag that the deletion is based on"),
        ("dry_run" = Option<bool>, Query, description = "Check everything and change nothing"),
    ),
    responses((status = 204, description = "Its tokens are good for nothing"), DeleteProblems),
)]
pub async fn delete_issuer(
    State(app): State<App>,
    May { call, .. }: May<DeleteIssuer, InOrganization>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let intent = call.intent(request.uri())?;
    let if_match = if_match(request.headers())?;
    let dry_run = intent.dry_run;
    let (gateway, organization) = (app.gateway.clone(), call.organization);
    let name = call.name.unwrap_or_default();
    unbroken(async move {
        gateway
            .delete_issuer(&intent, &organization.id, &name, if_match.as_deref())
            .await
    })
    .await?;
    Ok(gone(dry_run))
}
