//! What operators ask for: health and metrics.

use axum::{
    Json,
    extract::State,
    response::{Html, IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};

use super::router::App;
use crate::problem::Problem;

/// The process is alive.
pub async fn healthz() -> Json<serde_json::Value> {
    Json(serde_json::json!({"status": "ok"}))
}

/// Whether the process can serve.
pub struct Readiness {
    metadata: bool,
    draining: bool,
}

impl Readiness {
    /// It does.
    pub fn is_ready(&self) -> bool {
        self.metadata && !self.draining
    }
}

/// Asks the metadata database, and looks whether the service stops.
pub async fn readiness(app: &App) -> Readiness {
    let metadata = match app.gateway.store.ping().await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, "not ready: the metadata database does not answer");
            false
        }
    };
    Readiness {
        metadata,
        draining: *app.gateway.draining.borrow(),
    }
}

/// The process can serve: its metadata answers, its log takes writes, it is not stopping.
pub async fn readyz(State(app): State<App>) -> Response {
    let readiness = readiness(&app).await;
    let (ready, draining) = (readiness.is_ready(), readiness.draining);
    let metadata = if readiness.metadata { "ok" } else { "failed" };
    // A full disk still serves reads: it is told, and the node stays in.
    let log = match &app.node {
        Some(node) if node.log_stats().storage_full => "storage_full",
        Some(_) => "ok",
        None => "none",
    };
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = serde_json::json!({
        "status": if ready { "ready" } else { "not_ready" },
        "checks": {"metadata": metadata, "log": log, "draining": draining},
    });
    (status, Json(body)).into_response()
}

/// Prometheus text.
pub async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    let text = app
        .metrics
        .text()
        .map_err(|error| Problem::internal("metrics cannot be written", error))?;
    let mut response = text.into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"),
    );
    Ok(response)
}

/// A plain page; all its content is from this program.
pub fn page(title: &str, body: &str) -> Html<String> {
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title} - Headwater</title>\
         <style>:root{{color-scheme:light dark}}body{{font:16px/1.5 system-ui,sans-serif;\
         max-width:50rem;margin:3rem auto;padding:0 1rem}}td{{padding:.3rem .8rem .3rem 0;\
         vertical-align:top}}</style>{body}</html>"
    ))
}
