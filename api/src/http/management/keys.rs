//! `/projects/{project}/keys`

use axum::{Json, body::Body, extract::State, response::Response};
use http::{Request, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::{answer, created_or_ok, gone};
use crate::{
    auth::{
        Scope,
        permissions::{DeleteKey, GetKey, ListKeys, PutKey, RotateKey},
    },
    gateway::{KeyQuotas, KeySpec},
    http::{
        body::json_body,
        call::{InProject, May, unbroken},
        openapi::{ChangeProblems, DeleteProblems, LookProblems},
        params::{Params, if_match, rfc3339},
        router::App,
    },
    metadata::KeyRow,
    problem::Problem,
};

/// An API key, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Key, example = json!({
    "name": "loader", "key_id": "f8bdb8185897f732", "scopes": [{"operations": ["produce", "fetch"],
    "topic": "orders-*"}], "quotas": {"requests_per_second": null, "ingress_bytes_per_second": null,
    "egress_bytes_per_second": null}, "created_by": "ada@example.com",
    "created_at": "2026-01-31T12:00:00.000Z", "expires_at": null, "last_used_at": null
}))]
pub struct KeyInfo {
    /// Unique in the project.
    name: String,
    /// The public part of the key's text.
    key_id: String,
    /// What it may do.
    scopes: Vec<Scope>,
    /// Its own limits.
    quotas: KeyQuotas,
    /// The user who made it: it is never more than they are.
    created_by: String,
    /// RFC 3339.
    created_at: String,
    /// When it ends; null is never.
    expires_at: Option<String>,
    /// When it was used last, to within a minute; null is never.
    last_used_at: Option<String>,
}

/// An API key, with its text where that is new.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "name": "loader", "key_id": "f8bdb8185897f732", "scopes": [{"operations": ["produce", "fetch"],
    "topic": "orders-*"}], "quotas": {"requests_per_second": null, "ingress_bytes_per_second": null,
    "egress_bytes_per_second": null}, "created_by": "ada@example.com",
    "created_at": "2026-01-31T12:00:00.000Z", "expires_at": null, "last_used_at": null,
    "secret": "hw_f8bdb8185897f732_6e1f96a7de05f8d2"
}))]
pub struct KeyWithSecret {
    /// The key.
    #[serde(flatten)]
    key: KeyInfo,
    /// For `Authorization: Bearer`; shown this once. Null in a dry run.
    secret: Option<String>,
}

/// A project's keys.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "keys": [{"name": "loader", "key_id": "f8bdb8185897f732", "scopes": [{"operations": ["produce",
    "fetch"], "topic": "orders-*"}], "quotas": {"requests_per_second": null,
    "ingress_bytes_per_second": null, "egress_bytes_per_second": null},
    "created_by": "ada@example.com", "created_at": "2026-01-31T12:00:00.000Z", "expires_at": null,
    "last_used_at": null}], "next_page_token": null
}))]
pub struct KeyList {
    /// By name.
    keys: Vec<KeyInfo>,
    /// For the next page; null on the last.
    next_page_token: Option<String>,
}

fn info(row: KeyRow) -> Result<KeyInfo, Problem> {
    let bad = |error| Problem::internal("a key cannot be read", error);
    Ok(KeyInfo {
        name: row.name,
        key_id: row.id,
        scopes: serde_json::from_str(&row.scopes).map_err(bad)?,
        quotas: serde_json::from_str(&row.quotas).map_err(bad)?,
        created_by: row.created_by,
        created_at: rfc3339(row.created_at),
        expires_at: row.expires_at.map(rfc3339),
        last_used_at: row.last_used_at.map(rfc3339),
    })
}

/// List a project's keys. Below admins everybody sees their own.
#[utoipa::path(
    get, path = "/projects/{project}/keys", operation_id = "listKeys", tag = "keys",
    params(
        ("project" = String, Path, description = "Project id", example = "acme-orders"),
        ("page_size" = Option<u32>, Query, description = "Keys on a page", minimum = 1, maximum = 1000, example = 100),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the page before"),
    ),
    responses((status = 200, description = "Keys by name", body = KeyList), LookProblems),
)]
pub async fn list_keys(
    State(app): State<App>,
    May { call, .. }: May<ListKeys, InProject>,
    request: Request<Body>,
) -> Result<Json<KeyList>, Problem> {
    let params = Params::parse(request.uri(), &["page_size", "page_token"])?;
    let page = params.page()?;
    let listed = app
        .gateway
        .list_keys(&call.access, &page.after, page.rows());
    let mut rows = listed.await?;
    let next_page_token = page.cut(&mut rows, |row| &row.name);
    Ok(Json(KeyList {
        keys: rows.into_iter().map(info).collect::<Result<_, _>>()?,
        next_page_token,
    }))
}

/// Read a key.
#[utoipa::path(
    get, path = "/projects/{project}/keys/{key}", operation_id = "getKey", tag = "keys",
    params(
        ("project" = String, Path, description = "Project id", example = "acme-orders"),
        ("key" = String, Path, description = "Name", example = "shop"),
    ),
    responses((status = 200, description = "The key", body = KeyInfo), LookProblems),
)]
pub async fn get_key(
    State(app): State<App>,
    May { call, .. }: May<GetKey, InProject>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    Params::parse(request.uri(), &[])?;
    let name = call.name.unwrap_or_default();
    let row = app.gateway.read_key(&call.access, &name).await?;
    Ok(answer(StatusCode::OK, Some(row.version), false, info(row)?))
}

/// Make a key, or change what one may do.
///
/// 201 with the key's text, which is shown this once; 200 without it for a key that exists.
#[utoipa::path(
    put, path = "/projects/{project}/keys/{key}", operation_id = "putKey", tag = "keys",
    params(
        ("project" = String, Path, description = "Project id", example = "acme-orders"),
        ("key" = String, Path, description = "Name: 1 to 249 of a-z A-Z 0-9 . _ -", example = "shop"),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on"),
        ("dry_run" = Option<bool>, Query, description = "Check everything and change nothing"),
    ),
    request_body(content = KeySpec, description = "What it shall be"),
    responses(
        (status = 200, description = "Changed; its secret stays and is not told", body = KeyWithSecret),
        (status = 201, description = "Created", body = KeyWithSecret),
        ChangeProblems,
    ),
)]
pub async fn put_key(
    State(app): State<App>,
    May { call, .. }: May<PutKey, InProject>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let intent = call.intent(request.uri())?;
    let if_match = if_match(request.headers())?;
    let wanted: KeySpec = json_body(&app, request).await?;
    let dry_run = intent.dry_run;
    let gateway = app.gateway.clone();
    let name = call.name.unwrap_or_default();
    let put = unbroken(async move {
        gateway
            .put_key(&intent, &name, wanted, if_match.as_deref())
            .await
    });
    let (row, secret) = put.await?;
    let version = Some(row.version);
    let key = info(row)?;
    Ok(match secret {
        Some(secret) => with_secret(created_or_ok(true), version, dry_run, key, secret),
        None => answer(StatusCode::OK, version, dry_run, key),
    })
}

/// Give a key another secret. The old one is dead within two seconds.
#[utoipa::path(
    post, path = "/projects/{project}/keys/{key}/rotate", operation_id = "rotateKey", tag = "keys",
    params(
        ("project" = String, Path, description = "Project id", example = "acme-orders"),
        ("key" = String, Path, description = "Name", example = "shop"),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on"),
        ("dry_run" = Option<bool>, Query, description = "Check everything and change nothing"),
    ),
    responses((status = 200, description = "The key with its new text", body = KeyWithSecret), ChangeProblems),
)]
pub async fn rotate_key(
    State(app): State<App>,
    May { call, .. }: May<RotateKey, InProject>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let intent = call.intent(request.uri())?;
    let if_match = if_match(request.headers())?;
    let dry_run = intent.dry_run;
    let gateway = app.gateway.clone();
    let name = call.name.unwrap_or_default();
    let rotated = unbroken(async move {
        gateway
            .rotate_key(&intent, &name, if_match.as_deref())
            .await
    });
    let (row, secret) = rotated.await?;
    let version = Some(row.version);
    Ok(with_secret(
        StatusCode::OK,
        version,
        dry_run,
        info(row)?,
        secret,
    ))
}

/// Delete a key. It is dead within two seconds.
#[utoipa::path(
    delete, path = "/projects/{project}/keys/{key}", operation_id = "deleteKey", tag = "keys",
    params(
        ("project" = String, Path, description = "Project id", example = "acme-orders"),
        ("key" = String, Path, description = "Name", example = "shop"),
        ("If-Match" = Option<String>, Header, description = "The ETag that the deletion is based on"),
        ("dry_run" = Option<bool>, Query, description = "Check everything and change nothing"),
    ),
    responses((status = 204, description = "It is gone"), DeleteProblems),
)]
pub async fn delete_key(
    State(app): State<App>,
    May { call, .. }: May<DeleteKey, InProject>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let intent = call.intent(request.uri())?;
    let if_match = if_match(request.headers())?;
    let dry_run = intent.dry_run;
    let gateway = app.gateway.clone();
    let name = call.name.unwrap_or_default();
    unbroken(async move {
        gateway
            .delete_key(&intent, &name, if_match.as_deref())
            .await
    })
    .await?;
    Ok(gone(dry_run))
}

fn with_secret(
    status: StatusCode,
    version: Option<i64>,
    dry_run: bool,
    key: KeyInfo,
    secret: String,
) -> Response {
    let secret = (!dry_run).then_some(secret);
    answer(status, version, dry_run, KeyWithSecret { key, secret })
}
