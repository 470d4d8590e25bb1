//! `POST /topics/{topic}/raw`: the body is one value.

use axum::{body::Body, extract::State, response::Response};
use headwater_broker::Acks;
use headwater_record::{Headers, JsonRecord, RecordHeader, ValueKind, check_json};
use http::{Request, header};

use super::{
    body::{discard_refused, read_body},
    call::{InTopic, May},
    openapi::{IdempotencyHeader, ProduceProblems, ProduceResponse, RawBytes},
    params::Params,
    produce::{answer, idempotency_key},
    router::App,
};
use crate::{
    auth::permissions::ProduceRaw,
    limits::{JSON_DEPTH_MAX, KEY_BYTES_MAX, RECORD_BYTES},
    problem::{Code, Problem},
};

/// Append one record whose value is the body.
///
/// For webhooks and shell pipes. The content type is kept as the record's header `content-type`; a
/// JSON body is checked and read back as JSON.
#[utoipa::path(
    post, path = "/topics/{topic}/raw", operation_id = "produceRaw", tag = "records",
    params(
        ("topic" = String, Path, description = "Topic name", example = "orders"),
        ("key" = Option<String>, Query, description = "The record's key", max_length = 32768, example = "c1"),
        ("partition" = Option<u32>, Query, description = "The partition; without it the key decides"),
        IdempotencyHeader,
    ),
    request_body(content(
        (RawBytes = "text/plain"), (RawBytes = "application/octet-stream"),
        (serde_json::Value = "application/json", example = json!({"id": 17}))
    ), description = "The value"),
    responses(
        (status = 200, description = "The record is acknowledged", body = ProduceResponse),
        (status = 414, description = "The key makes the URL longer than 64 KiB; send it to `/records`"),
        ProduceProblems,
    ),
)]
pub async fn produce_raw(
    State(app): State<App>,
    May { call, .. }: May<ProduceRaw, InTopic>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let params = Params::parse(request.uri(), &["key", "partition"])?;
    let last = u64::from(call.topic.partitions() - 1);
    let partition = params
        .number("partition", 0, last)?
        .map(|partition| partition as u32);
    let record_key = params.text("key").map(|key| key.as_bytes().to_vec());
    if record_key
        .as_ref()
        .is_some_and(|key| key.len() > KEY_BYTES_MAX)
    {
        return Err(Problem::new(Code::PayloadTooLarge, "").at(
            "key",
            "key_too_large",
            format!("must be at most {KEY_BYTES_MAX} bytes"),
        ));
    }
    let key = idempotency_key(request.headers())?;
    let content_type = request.headers().get(header::CONTENT_TYPE).cloned();
    if let Err(problem) = call.check_ingress(&app).await {
        return Err(discard_refused(request, problem).await);
    }
    let body = read_body(&app, request, RECORD_BYTES.1 as usize).await?;
    // The body may have taken long.
    call.check(&app)?;
    let turn = call.access.layers().turn(body.bytes.len()).await?;
    let is_json = content_type
        .as_ref()
        .is_some_and(|value| is_json_type(value.as_bytes()));
    if is_json {
        check_json(&body.bytes, JSON_DEPTH_MAX).map_err(|error| {
            Problem::new(Code::InvalidJson, "").at(error.pointer, error.kind.code(), error.message)
        })?;
    }
    let header = content_type.as_ref().map(|value| RecordHeader {
        name: b"content-type",
        value: Some(value.as_bytes()),
    });
    let record = JsonRecord {
        key: record_key.as_deref(),
        value: Some(if is_json {
            body.bytes.trim_ascii()
        } else {
            &body.bytes
        }),
        kind: if is_json {
            ValueKind::Json
        } else {
            ValueKind::Binary
        },
        headers: Headers::from(header.as_slice()),
        timestamp_ms: None,
        partition,
    };
    let written = async {
        let encoded = app.gateway.encode_record(&call.topic, &record, key)?;
        answer(&app, &call, encoded, Acks::Quorum).await
    };
    turn.work(written).await
}

fn is_json_type(content_type: &[u8]) -> bool {
    let essence = content_type
        .split(|b| *b == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    let essence = essence.to_ascii_lowercase();
    essence == b"application/json" || essence.ends_with(b"+json")
}
