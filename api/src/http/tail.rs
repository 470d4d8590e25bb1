//! `GET /topics/{topic}/tail` and `GET /topics/{topic}/tail.ndjson`

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Request, header};

use super::{
    call::{InTopic, May},
    fetch::start,
    observe::Counted,
    openapi::{ReadProblems, TailParams},
    params::Params,
    router::App,
};
use crate::{
    auth::permissions::{TailTopic, TailTopicNdjson},
    gateway::{Form, JsonForm, Position, ReadLimits, Start, Tail, TailStep},
    limits::{FETCH_RECORDS, TAIL_BYTES_MAX},
    problem::Problem,
};

/// Follow a topic as server-sent events.
///
/// Events: `records` with `{"records":[…],"cursor"}` and the cursor as id, `heartbeat` every 15 s of
/// silence, `error` with a problem, `goaway` when the service stops. A browser's EventSource resumes
/// by `Last-Event-ID` without help. Starts at `cursor`, `at` or `from`, by default at the end.
#[utoipa::path(
    get, path = "/topics/{topic}/tail", operation_id = "tailTopic", tag = "records",
    params(
        ("topic" = String, Path, description = "Topic name", example = "orders"),
        ("Last-Event-ID" = Option<String>, Header, description = "The cursor to resume from"),
        TailParams,
    ),
    responses((status = 200, description = "Events until the client goes away", body = String,
        content_type = "text/event-stream",
        example = "event: records\nid: AQGiAcAi7nA9\ndata: {\"records\":[{\"key\":\"c1\",\"value\":{\"id\":17},\"headers\":{},\"timestamp\":1767225600000,\"partition\":0,\"offset\":42}],\"cursor\":\"AQGiAcAi7nA9\"}\n\n"), ReadProblems),
)]
pub async fn tail_topic(
    State(app): State<App>,
    May { call, .. }: May<TailTopic, InTopic>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let request_id = call.asked.request_id.clone();
    let tail = open(&app, call, &request.into_parts().0, b',').await?;
    Ok(streamed(app, tail, "text/event-stream", move |step| {
        let mut event = Vec::new();
        match step {
            TailStep::Records { records, cursor } => {
                event.reserve(records.len() + 2 * cursor.len() + 64);
                event.extend_from_slice(b"event: records\nid: ");
                event.extend_from_slice(cursor.as_bytes());
                event.extend_from_slice(b"\ndata: {\"records\":[");
                event.extend_from_slice(&records);
                event.extend_from_slice(b"],\"cursor\":\"");
                event.extend_from_slice(cursor.as_bytes());
                event.extend_from_slice(b"\"}\n\n");
            }
            TailStep::Heartbeat { cursor } => {
                append_event(&mut event, "heartbeat", &cursor_json(&cursor))
            }
            TailStep::Goaway { cursor } => {
                append_event(&mut event, "goaway", &cursor_json(&cursor))
            }
            TailStep::Failed(problem) => {
                append_event(&mut event, "error", &problem.to_json(&request_id))
            }
        }
        event
    }))
}

/// Follow a topic as NDJSON.
///
/// One record a line, for `curl -N … | jq`. After each batch, and as heartbeat, a line
/// `{"cursor":"…"}` says where to resume. Starts at `cursor`, `at` or `from`, by default at the end.
#[utoipa::path(
    get, path = "/topics/{topic}/tail.ndjson", operation_id = "tailTopicNdjson", tag = "records",
    params(
        ("topic" = String, Path, description = "Topic name", example = "orders"),
        TailParams,
    ),
    responses((status = 200, description = "Lines until the client goes away", body = String,
        content_type = "application/x-ndjson",
        example = "{\"key\":\"c1\",\"value\":{\"id\":17},\"headers\":{},\"timestamp\":1767225600000,\"partition\":0,\"offset\":42}\n{\"cursor\":\"AQGiAcAi7nA9\"}\n"), ReadProblems),
)]
pub async fn tail_topic_ndjson(
    State(app): State<App>,
    May { call, .. }: May<TailTopicNdjson, InTopic>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let request_id = call.asked.request_id.clone();
    let tail = open(&app, call, &request.into_parts().0, b'\n').await?;
    Ok(streamed(
        app,
        tail,
        "application/x-ndjson",
        move |step| match step {
            TailStep::Records {
                mut records,
                cursor,
            } => {
                records.extend_from_slice(&cursor_json(&cursor));
                records.push(b'\n');
                records
            }
            TailStep::Heartbeat { cursor } | TailStep::Goaway { cursor } => {
                let mut line = cursor_json(&cursor);
                line.push(b'\n');
                line
            }
            TailStep::Failed(problem) => {
                let mut line = b"{\"error\":".to_vec();
                line.extend_from_slice(&problem.to_json(&request_id));
                line.extend_from_slice(b"}\n");
                line
            }
        },
    ))
}

async fn open(
    app: &App,
    call: InTopic,
    request: &http::request::Parts,
    separator: u8,
) -> Result<Tail, Problem> {
    let params = Params::parse(
        &request.uri,
        &["cursor", "at", "from", "encoding", "on_out_of_range"],
    )?;
    let position = params.position()?.unwrap_or(Position::Start(Start::Latest));
    let resumed = request
        .headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok());
    // A reconnecting EventSource sends its first URL again: what it saw last is newer.
    let cursor = resumed
        .filter(|id| !id.is_empty())
        .or(params.text("cursor"));
    let mut limits = params.read_limits()?;
    if let Form::Json(json) = &mut limits.form {
        *json = JsonForm {
            single_line: true,
            prefix: b"",
            separator,
            ..*json
        };
    }
    follow(app, call, cursor, position, limits).await
}

/// A tail that begins at `cursor`, or where `position` says.
///
/// # Errors
/// 400 for a forged cursor, 429 with too many tails.
pub async fn follow(
    app: &App,
    call: InTopic,
    cursor: Option<&str>,
    position: Position,
    limits: ReadLimits,
) -> Result<Tail, Problem> {
    let places = call.access.layers().take_tail()?;
    let cursor = start(app, &call, cursor, position).await?;
    let limits = ReadLimits {
        records_max: FETCH_RECORDS.1,
        bytes_max: TAIL_BYTES_MAX,
        ..limits
    };
    Ok(Tail::new(
        app.gateway.clone(),
        call.access,
        call.permission,
        call.topic,
        cursor,
        limits,
        places,
    ))
}

/// An answer that goes on until the tail ends or the client goes away.
fn streamed(
    app: App,
    tail: Tail,
    content_type: &'static str,
    write: impl Fn(TailStep) -> Vec<u8> + Send + 'static,
) -> Response {
    let open = Counted::new(&app.metrics.tails);
    let steps = stream::unfold((tail, open, write), |(mut tail, open, write)| async move {
        let step = tail.next().await?;
        let bytes = Bytes::from(write(step));
        Some((
            Ok::<_, std::convert::Infallible>(bytes),
            (tail, open, write),
        ))
    });
    let mut response = Body::from_stream(steps).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that buffer would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn append_event(into: &mut Vec<u8>, name: &str, data: &[u8]) {
    into.extend_from_slice(b"event: ");
    into.extend_from_slice(name.as_bytes());
    into.extend_from_slice(b"\ndata: ");
    into.extend_from_slice(data);
    into.extend_from_slice(b"\n\n");
}

fn cursor_json(cursor: &str) -> Vec<u8> {
    format!("{{\"cursor\":\"{cursor}\"}}").into_bytes()
}
