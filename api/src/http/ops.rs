//! What operators and browsers ask for: health, metrics, documents, error pages.

use axum::{
    Json,
    extract::{Path, State},
    response::{Html, IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};

use super::router::App;
use crate::problem::{Code, Problem};

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

/// All error codes.
pub async fn error_index() -> Html<String> {
    let rows: String = Code::ALL
        .iter()
        .map(|code| {
            format!(
                "<tr><td>{}</td><td><a href=\"/errors/{code}\">{code}</a></td><td>{}</td></tr>",
                code.status(),
                code.help(),
                code = code.as_str(),
            )
        })
        .collect();
    page("Errors", &format!("<table>{rows}</table>"))
}

/// The page that a problem's `type` names.
pub async fn error_page(Path(wanted): Path<String>) -> Result<Html<String>, Problem> {
    // A code may come with two statuses, which say whether it is worth trying again.
    let codes = Code::ALL.iter().filter(|code| code.as_str() == wanted);
    let title = codes
        .clone()
        .next()
        .ok_or_else(|| Problem::new(Code::NotFound, "there is no such error code"))?
        .title();
    let meanings: String = codes
        .map(|code| {
            let retry = if code.retryable() {
                "The same request may succeed later: retry with backoff, and an Idempotency-Key."
            } else {
                "The same request will not succeed: change it first."
            };
            format!(
                "<p><code>{}</code>, HTTP status {}</p><p>{}</p><p>{retry}</p>",
                code.as_str(),
                code.status(),
                code.help(),
            )
        })
        .collect();
    let body = format!("{meanings}<p><a href=\"/errors\">All errors</a></p>");
    Ok(page(title, &body))
}

/// What stands at `/` until there is a console.
pub async fn root() -> Html<String> {
    page(
        "Headwater",
        "<p>The service runs. <a href=\"/docs\">API reference</a>, \
         <a href=\"/openapi/streaming.json\">OpenAPI document</a>, \
         <a href=\"/errors\">error codes</a>, <a href=\"/readyz\">readiness</a>, \
         <a href=\"/metrics\">metrics</a>.</p>",
    )
}

/// A plain page; all its content is from this program.
fn page(title: &str, body: &str) -> Html<String> {
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title} - Headwater</title>\
         <style>:root{{color-scheme:light dark}}body{{font:16px/1.5 system-ui,sans-serif;\
         max-width:50rem;margin:3rem auto;padding:0 1rem}}td{{padding:.3rem .8rem .3rem 0;\
         vertical-align:top}}</style><h1>{title}</h1>{body}</html>"
    ))
}
