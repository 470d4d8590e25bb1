//! `/organizations/{organization}/usage` and `/projects/{project}/usage`

use axum::{Json, body::Body, extract::State};
use http::Request;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::permissions::{GetOrganizationUsage, GetProjectUsage},
    gateway::{TimePoint, check_name},
    http::{
        call::{InOrganization, InProject, May},
        openapi::LookProblems,
        params::{Params, rfc3339},
        router::App,
    },
    metadata::store::UsageQuery,
    problem::Problem,
    usage::UsageStep,
};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const STEPS: [(&str, i64); 3] = [
    ("minute", MINUTE_MS),
    ("hour", HOUR_MS),
    ("day", 24 * HOUR_MS),
];

/// What was used in one step of time.
#[derive(Serialize, ToSchema)]
pub struct UsagePoint {
    /// The step's start, as RFC 3339.
    #[schema(example = "2026-01-31T12:00:00Z")]
    time: String,
    /// Bytes of keys, values and headers acknowledged.
    ingress_bytes: u64,
    /// Bytes of keys, values and headers sent.
    egress_bytes: u64,
    /// Bytes of batches on disks of brokers, at the step's end.
    stored_bytes_hot: u64,
    /// Bytes of batches in the object store, at the step's end.
    stored_bytes_cold: u64,
    /// Records acknowledged.
    records_in: u64,
    /// Records sent.
    records_out: u64,
    /// Requests.
    requests: u64,
}

/// Usage over time.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "series": [{"time": "2026-01-31T12:00:00.000Z", "ingress_bytes": 1048576,
    "egress_bytes": 2097152, "stored_bytes_hot": 4194304, "stored_bytes_cold": 0,
    "records_in": 1000, "records_out": 2000, "requests": 12}]
}))]
pub struct UsageSeries {
    /// A point for every step that has traffic or stored bytes, in the order of time.
    series: Vec<UsagePoint>,
}

/// Read what a project used.
///
/// At most 10 seconds behind. Usage of a deleted topic stays; one of the same name adds to it.
#[utoipa::path(
    get, path = "/projects/{project}/usage", operation_id = "getProjectUsage", tag = "usage",
    params(
        ("project" = String, Path, description = "Project id", example = "acme-orders"),
        ("from" = Option<String>, Query, description = "From the step of this time on: RFC 3339, or milliseconds since the epoch. Default: an hour before `to`"),
        ("to" = Option<String>, Query, description = "Up to before this time. Default: now"),
        ("step" = Option<String>, Query, description = "`minute` (default), `hour` or `day`, in UTC", pattern = "^(minute|hour|day)$", example = "minute"),
        ("topic" = Option<String>, Query, description = "One topic of the project"),
    ),
    responses((status = 200, description = "At most 10 000 points", body = UsageSeries), LookProblems),
)]
pub async fn get_project_usage(
    State(app): State<App>,
    May { call, .. }: May<GetProjectUsage, InProject>,
    request: Request<Body>,
) -> Result<Json<UsageSeries>, Problem> {
    let params = Params::parse(request.uri(), &["from", "to", "step", "topic"])?;
    let topic = params.text("topic");
    topic.map_or(Ok(()), |topic| check_name("topic", topic))?;
    let project = &call.access.project;
    let query = query(&app, &params, &project.organization)?;
    answer(
        &app,
        UsageQuery {
            project: Some(&project.id),
            topic,
            ..query
        },
    )
    .await
}

/// Read what an organization's projects used together.
///
/// At most 10 seconds behind, deleted projects included.
#[utoipa::path(
    get, path = "/organizations/{organization}/usage", operation_id = "getOrganizationUsage", tag = "usage",
    params(
        ("organization" = String, Path, description = "Organization id", example = "acme"),
        ("from" = Option<String>, Query, description = "From the step of this time on: RFC 3339, or milliseconds since the epoch. Default: an hour before `to`"),
        ("to" = Option<String>, Query, description = "Up to before this time. Default: now"),
        ("step" = Option<String>, Query, description = "`minute` (default), `hour` or `day`, in UTC", pattern = "^(minute|hour|day)$", example = "minute"),
    ),
    responses((status = 200, description = "At most 10 000 points", body = UsageSeries), LookProblems),
)]
pub async fn get_organization_usage(
    State(app): State<App>,
    May { call, .. }: May<GetOrganizationUsage, InOrganization>,
    request: Request<Body>,
) -> Result<Json<UsageSeries>, Problem> {
    let params = Params::parse(request.uri(), &["from", "to", "step"])?;
    answer(&app, query(&app, &params, &call.organization.id)?).await
}

/// `from`, `to` and `step`, of all of an organization.
fn query<'a>(
    app: &App,
    params: &Params<'_>,
    organization: &'a str,
) -> Result<UsageQuery<'a>, Problem> {
    let time = |name: &str| params.get::<TimePoint>(name);
    let to = time("to")?;
    let to_ms = to.map_or_else(|| app.gateway.clock.now_ms(), |to| to.0);
    let from_ms = time("from")?.map_or(to_ms.saturating_sub(HOUR_MS), |from| from.0);
    if from_ms > to_ms {
        let message = "must not be after `to`, which is now by default";
        return Err(Problem::invalid("from", "out_of_range", message));
    }
    Ok(UsageQuery {
        organization,
        project: None,
        topic: None,
        from_ms,
        to_ms,
        step_ms: params.word("step", &STEPS)?.unwrap_or(MINUTE_MS),
    })
}

async fn answer(app: &App, query: UsageQuery<'_>) -> Result<Json<UsageSeries>, Problem> {
    let steps = app.gateway.usage(query).await?;
    Ok(Json(UsageSeries {
        series: steps.into_iter().map(point).collect(),
    }))
}

fn point(step: UsageStep) -> UsagePoint {
    let UsageStep {
        time_ms,
        counts,
        stored,
    } = step;
    UsagePoint {
        time: rfc3339(time_ms),
        ingress_bytes: counts.ingress_bytes,
        egress_bytes: counts.egress_bytes,
        stored_bytes_hot: stored.hot,
        stored_bytes_cold: stored.cold,
        records_in: counts.records_in,
        records_out: counts.records_out,
        requests: counts.requests,
    }
}
