//! The management API: organizations, their people, projects and keys, and what they may.

mod audit;
mod cluster;
mod document;
mod elect;
mod issuers;
mod keys;
mod me;
mod members;
mod oidc;
mod organizations;
mod projects;
mod quotas;
mod sessions;
mod usage;

use axum::{
    Json, Router,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::router::App;

pub use document::management_document;

/// The management API with its document. Paths are relative to `/v1`.
pub fn management() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(sessions::create_session))
        .routes(routes!(sessions::refresh_session))
        .routes(routes!(sessions::end_session))
        .routes(routes!(oidc::start_oidc))
        .routes(routes!(oidc::finish_oidc))
        .routes(routes!(me::get_me))
        .routes(routes!(me::change_password))
        .routes(routes!(
            organizations::list_organizations,
            organizations::create_organization
        ))
        .routes(routes!(
            organizations::get_organization,
            organizations::update_organization,
            organizations::delete_organization
        ))
        .routes(routes!(members::list_members))
        .routes(routes!(
            members::get_member,
            members::put_member,
            members::remove_member
        ))
        .routes(routes!(members::accept_invitation))
        .routes(routes!(issuers::list_issuers))
        .routes(routes!(
            issuers::get_issuer,
            issuers::put_issuer,
            issuers::delete_issuer
        ))
        .routes(routes!(projects::list_projects, projects::create_project))
        .routes(routes!(
            projects::get_project,
            projects::update_project,
            projects::delete_project
        ))
        .routes(routes!(keys::list_keys))
        .routes(routes!(keys::get_key, keys::put_key, keys::delete_key))
        .routes(routes!(keys::rotate_key))
        .routes(routes!(
            quotas::get_organization_quotas,
            quotas::update_organization_quotas
        ))
        .routes(routes!(
            quotas::get_project_quotas,
            quotas::update_project_quotas
        ))
        .routes(routes!(audit::list_audit_events))
        .routes(routes!(cluster::get_cluster))
        .routes(routes!(cluster::list_brokers))
        .routes(routes!(cluster::remove_broker))
        .routes(routes!(cluster::drain_broker))
        .routes(routes!(cluster::rebalance_cluster))
        .routes(routes!(elect::elect_leader))
        .routes(routes!(usage::get_project_usage))
        .routes(routes!(usage::get_organization_usage))
}

/// What of it is at the root, where others look for it, with its document.
fn well_known() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(sessions::get_jwks))
}

/// The same, for the router.
pub fn root_routes() -> Router<App> {
    let (well_known, _) = well_known().split_for_parts();
    well_known
}

/// An answer with an ETag, that says if it was only a dry run.
fn answer(
    status: StatusCode,
    version: Option<i64>,
    dry_run: bool,
    body: impl Serialize,
) -> Response {
    let mut response = (status, Json(body)).into_response();
    if let Some(version) = version
        && let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\""))
    {
        response.headers_mut().insert(header::ETAG, tag);
    }
    said_dry(response, dry_run)
}

/// The answer of something that is gone.
fn gone(dry_run: bool) -> Response {
    said_dry(StatusCode::NO_CONTENT.into_response(), dry_run)
}

/// Says in a header that nothing was changed.
pub fn said_dry(mut response: Response, dry_run: bool) -> Response {
    const DRY_RUN: HeaderName = HeaderName::from_static("headwater-dry-run");
    if dry_run {
        let said = HeaderValue::from_static("true");
        response.headers_mut().insert(DRY_RUN, said);
    }
    response
}

fn created_or_ok(is_new: bool) -> StatusCode {
    if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    }
}
