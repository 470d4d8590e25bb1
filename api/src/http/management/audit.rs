//! `/organizations/{organization}/audit-events`

use axum::{Json, body::Body, extract::State};
use http::Request;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::permissions::ListAuditEvents,
    gateway::TimePoint,
    http::{
        call::{InOrganization, May},
        openapi::LookProblems,
        params::{Params, rfc3339},
        router::App,
    },
    metadata::store::{AuditFilter, AuditRow},
    problem::Problem,
};

/// Something that was done, or refused.
#[derive(Serialize, ToSchema)]
pub struct AuditEvent {
    /// When, as RFC 3339.
    time: String,
    /// Who: an address, `key:{project}/{name}`, or `external:{issuer}#{subject}`.
    #[schema(example = "ada@example.com")]
    actor: String,
    /// The operation's id.
    #[schema(example = "ensureTopic")]
    action: String,
    /// To what.
    #[schema(example = "projects/acme-orders/topics/orders")]
    target: String,
    /// `allowed` or `denied`.
    outcome: String,
    /// From where.
    source_ip: String,
    /// In which request.
    request_id: String,
}

/// An organization's audit log.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "events": [{"time": "2026-01-31T12:00:00.000Z", "actor": "ada@example.com",
    "action": "ensureTopic", "target": "projects/acme-orders/topics/orders", "outcome": "allowed",
    "source_ip": "192.0.2.7", "request_id": "d7bbe64b5e9e29b0"}], "next_page_token": null
}))]
pub struct AuditEventList {
    /// Newest first.
    events: Vec<AuditEvent>,
    /// For the next page, of older events; null on the last.
    next_page_token: Option<String>,
}

/// List what was done in an organization, and what was refused to its people and keys.
#[utoipa::path(
    get, path = "/organizations/{organization}/audit-events", operation_id = "listAuditEvents", tag = "audit",
    params(
        ("organization" = String, Path, description = "Organization id", example = "acme"),
        ("from" = Option<String>, Query, description = "From this time on: RFC 3339, or milliseconds since the epoch"),
        ("to" = Option<String>, Query, description = "Up to before this time"),
        ("actor" = Option<String>, Query, description = "Who"),
        ("action" = Option<String>, Query, description = "The operation's id", example = "ensureTopic"),
        ("outcome" = Option<String>, Query, description = "`allowed` or `denied`", pattern = "^(allowed|denied)$", example = "allowed"),
        ("page_size" = Option<u32>, Query, description = "Events on a page", minimum = 1, maximum = 1000, example = 100),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the page before"),
    ),
    responses((status = 200, description = "Events, newest first", body = AuditEventList), LookProblems),
)]
pub async fn list_audit_events(
    State(app): State<App>,
    May { call, .. }: May<ListAuditEvents, InOrganization>,
    request: Request<Body>,
) -> Result<Json<AuditEventList>, Problem> {
    let known = [
        "from",
        "to",
        "actor",
        "action",
        "outcome",
        "page_size",
        "page_token",
    ];
    let params = Params::parse(request.uri(), &known)?;
    let page = params.page()?;
    let outcomes = [("allowed", "allowed"), ("denied", "denied")];
    let time = |name: &str| params.get::<TimePoint>(name);
    let filter = AuditFilter {
        organization: &call.organization.id,
        from_ms: time("from")?.map_or(0, |at| at.0),
        to_ms: time("to")?.map_or(i64::MAX, |at| at.0),
        actor: params.text("actor").unwrap_or_default(),
        action: params.text("action").unwrap_or_default(),
        outcome: params.word("outcome", &outcomes)?.unwrap_or_default(),
        before_id: &page.after,
        most: page.rows(),
    };
    let mut rows = app.gateway.list_audit_events(&filter).await?;
    let next_page_token = page.cut(&mut rows, |row| &row.id);
    Ok(Json(AuditEventList {
        events: rows.into_iter().map(event).collect(),
        next_page_token,
    }))
}

fn event(row: AuditRow) -> AuditEvent {
    AuditEvent {
        time: rfc3339(row.at),
        actor: row.actor,
        action: row.action,
        target: row.target,
        outcome: row.outcome,
        source_ip: row.source_ip,
        request_id: row.request_id,
    }
}
