//! Which path goes where.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
    routing::get,
};
use headwater_broker::Node;
use http::Method;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    bulk, console, errors, fetch, groups, keys,
    management::{management, root_routes},
    observe::Metrics,
    openapi, ops, produce, raw,
    service::remember_route,
    tail, topics, trim,
};
use crate::{
    gateway::Gateway,
    limits::METADATA_TIMEOUT,
    problem::{Code, Problem},
};

/// What handlers share.
#[derive(Clone)]
pub struct App {
    /// What the service does.
    pub gateway: Arc<Gateway>,
    /// This process's broker, for its metrics; a gateway has none.
    pub node: Option<Arc<Node>>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// The streaming API with its document. Paths are relative to a project.
pub fn streaming() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(topics::list_topics))
        .routes(routes!(
            topics::put_topic,
            topics::get_topic,
            topics::patch_topic,
            topics::delete_topic
        ))
        .routes(routes!(topics::list_partitions))
        .routes(routes!(produce::produce_records, fetch::fetch_topic))
        .routes(routes!(raw::produce_raw))
        .routes(routes!(bulk::produce_bulk))
        .routes(routes!(fetch::fetch_partition))
        .routes(routes!(tail::tail_topic))
        .routes(routes!(tail::tail_topic_ndjson))
        .routes(routes!(keys::get_last_of_key))
        .routes(routes!(trim::list_offsets))
        .routes(routes!(trim::trim_partition))
        .routes(routes!(groups::list_groups))
        .routes(routes!(
            groups::put_group,
            groups::get_group,
            groups::delete_group
        ))
        .routes(routes!(
            groups::members::join_group,
            groups::members::leave_group
        ))
        .routes(routes!(groups::members::poll_group))
        .routes(routes!(groups::shared::lease_records))
        .routes(routes!(groups::shared::settle_records))
        .routes(routes!(groups::redrive::redrive_group))
        .routes(routes!(
            groups::offsets::list_group_offsets,
            groups::offsets::reset_group_offsets
        ))
}

/// All of HTTP. Metrics are on it only where there is no internal listener.
pub fn router(app: App, with_metrics: bool) -> Router {
    let (streaming, _) = streaming().split_for_parts();
    let (management, _) = management().split_for_parts();
    let management = management.route_layer(axum::middleware::from_fn(bounded_reads));
    Router::new()
        .nest("/v1/projects/{project}", streaming)
        .nest("/v1", management)
        .merge(root_routes())
        .merge(console::routes())
        .route("/healthz", get(ops::healthz))
        .route("/readyz", get(ops::readyz))
        .merge(if with_metrics {
            Router::new().route("/metrics", get(ops::metrics))
        } else {
            Router::new()
        })
        .route("/errors", get(errors::index))
        .route("/errors/{code}", get(errors::page))
        .merge(openapi::docs())
        .route_layer(axum::middleware::from_fn(remember_route))
        .fallback(async || Problem::new(Code::NotFound, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(
                Code::MethodNotAllowed,
                "the path exists, this method on it does not",
            )
            .into_response()
        })
        .with_state(app)
}

/// What the internal listener has: health and metrics.
pub fn internal_router(app: App) -> Router {
    Router::new()
        .route("/healthz", get(ops::healthz))
        .route("/readyz", get(ops::readyz))
        .route("/metrics", get(ops::metrics))
        .fallback(async || Problem::new(Code::NotFound, "there is nothing at this path"))
        .with_state(app)
}

/// Reads of what is managed ask the database, which may hang; changes bound themselves.
async fn bounded_reads(request: Request, next: Next) -> Response {
    if request.method() != Method::GET {
        return next.run(request).await;
    }
    let answered = tokio::time::timeout(METADATA_TIMEOUT, next.run(request)).await;
    answered.unwrap_or_else(|_| {
        let problem = Problem::new(Code::Unavailable, "the metadata database does not answer");
        problem.into_response()
    })
}
