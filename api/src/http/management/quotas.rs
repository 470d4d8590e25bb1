//! `/organizations/{organization}/quotas` and `/projects/{project}/quotas`

use axum::{body::Body, extract::State, response::Response};
use http::{Request, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::answer;
use crate::{
    auth::permissions::{
        GetOrganizationQuotas, GetProjectQuotas, UpdateOrganizationQuotas, UpdateProjectQuotas,
    },
    gateway::Quotas,
    http::{
        body::json_body,
        call::{InOrganization, InProject, May, unbroken},
        openapi::{ChangeProblems, LookProblems},
        params::{Params, if_match},
        router::App,
    },
    problem::Problem,
    quota::{Limits, LimitsChange, Use},
};

/// What somebody may use, and does.
#[derive(Serialize, ToSchema)]
#[schema(as = Quotas, example = json!({
    "requests_per_second": 500, "ingress_bytes_per_second": 5242880,
    "egress_bytes_per_second": null, "partitions": 1000, "topics": null, "storage_bytes": null,
    "connections": null, "tails": null, "use": {"requests_per_second": 12,
    "ingress_bytes_per_second": 4096, "egress_bytes_per_second": 0, "partitions": 3, "topics": 1,
    "storage_bytes": 1048576, "connections": 2, "tails": 1}
}))]
pub struct QuotaInfo {
    #[serde(flatten)]
    limits: Limits,
    /// What is used now; of rates, connections, tails and storage, on the node that answers.
    r#use: Use,
}

impl From<Quotas> for QuotaInfo {
    fn from(quotas: Quotas) -> Self {
        Self {
            limits: quotas.limits,
            r#use: quotas.used,
        }
    }
}

fn shown(quotas: Quotas, dry_run: bool) -> Response {
    let version = Some(quotas.version);
    answer(StatusCode::OK, version, dry_run, QuotaInfo::from(quotas))
}

/// Read an organization's quotas and what it uses.
///
/// Its own limits under the ceiling that operators gave it. Its projects share them.
#[utoipa::path(
    get, path = "/organizations/{organization}/quotas", operation_id = "getOrganizationQuotas", tag = "quotas",
    params(("organization" = String, Path, description = "Organization id", example = "acme")),
    responses((status = 200, description = "The quotas in force", body = QuotaInfo), LookProblems),
)]
pub async fn get_organization_quotas(
    State(app): State<App>,
    May { call, .. }: May<GetOrganizationQuotas, InOrganization>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    Params::parse(request.uri(), &[])?;
    let quotas = app.gateway.organization_quotas(&call.organization).await?;
    Ok(shown(quotas, false))
}

/// Change an organization's quotas.
///
/// What is left out stays as it is; null lifts a limit. What an operator of the service sets is the
/// organization's ceiling.
#[utoipa::path(
    patch, path = "/organizations/{organization}/quotas", operation_id = "updateOrganizationQuotas", tag = "quotas",
    params(
        ("organization" = String, Path, description = "Organization id", example = "acme"),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on"),
        ("dry_run" = Option<bool>, Query, description = "Check everything and change nothing"),
    ),
    request_body(content = Option<LimitsChange>, description = "What shall be limited"),
    responses((status = 200, description = "The quotas in force now", body = QuotaInfo), ChangeProblems),
)]
pub async fn update_organization_quotas(
    State(app): State<App>,
    May { call, .. }: May<UpdateOrganizationQuotas, InOrganization>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let intent = call.intent(request.uri())?;
    let if_match = if_match(request.headers())?;
    let wanted: LimitsChange = json_body(&app, request).await?;
    wanted.check()?;
    let dry_run = intent.dry_run;
    let (gateway, organization) = (app.gateway.clone(), call.organization);
    let by_operator = call.caller.is_operator(&gateway.catalog);
    let quotas = unbroken(async move {
        gateway
            .change_organization_quotas(
                &intent,
                &organization,
                by_operator,
                &wanted,
                if_match.as_deref(),
            )
            .await
    });
    Ok(shown(quotas.await?, dry_run))
}

/// Read a project's quotas and what it uses.
///
/// Those of its organization hold beside them.
#[utoipa::path(
    get, path = "/projects/{project}/quotas", operation_id = "getProjectQuotas", tag = "quotas",
    params(("project" = String, Path, description = "Project id", example = "acme-orders")),
    responses((status = 200, description = "The project's own quotas", body = QuotaInfo), LookProblems),
)]
pub async fn get_project_quotas(
    State(app): State<App>,
    May { call, .. }: May<GetProjectQuotas, InProject>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    Params::parse(request.uri(), &[])?;
    let quotas = app.gateway.project_quotas(&call.access.project).await?;
    Ok(shown(quotas, false))
}

/// Change a project's quotas.
///
/// What is left out stays as it is; null lifts a limit.
#[utoipa::path(
    patch, path = "/projects/{project}/quotas", operation_id = "updateProjectQuotas", tag = "quotas",
    params(
        ("project" = String, Path, description = "Project id", example = "acme-orders"),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on"),
        ("dry_run" = Option<bool>, Query, description = "Check everything and change nothing"),
    ),
    request_body(content = Option<LimitsChange>, description = "What shall be limited"),
    responses((status = 200, description = "The project's quotas as they are now", body = QuotaInfo), ChangeProblems),
)]
pub async fn update_project_quotas(
    State(app): State<App>,
    May { call, .. }: May<UpdateProjectQuotas, InProject>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let intent = call.intent(request.uri())?;
    let if_match = if_match(request.headers())?;
    let wanted: LimitsChange = json_body(&app, request).await?;
    wanted.check()?;
    let dry_run = intent.dry_run;
    let (gateway, project) = (app.gateway.clone(), call.access.project);
    let quotas = unbroken(async move {
        gateway
            .change_project_quotas(&intent, &project, &wanted, if_match.as_deref())
            .await
    });
    Ok(shown(quotas.await?, dry_run))
}
