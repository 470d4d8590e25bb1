//! `POST /topics/{topic}/records`

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};

use super::{
    body::{JSON_TYPES, check_content_type, discard_refused, read_body},
    call::{InTopic, May},
    openapi::{IdempotencyHeader, ProduceProblems, ProduceRequest, ProduceResponse},
    params::Params,
    router::App,
};
use crate::{
    auth::permissions::ProduceRecords,
    gateway::{Encoded, IdempotencyKey, Written},
    limits::BODY_BYTES_MAX,
    problem::Problem,
    quota::Resource,
};

/// Append records.
///
/// Takes up to 10 000 records in at most 8 MiB and answers once they are on stable storage. With an
/// `Idempotency-Key` the call may be repeated safely: what is there is not appended again.
#[utoipa::path(
    post, path = "/topics/{topic}/records", operation_id = "produceRecords", tag = "records",
    params(("topic" = String, Path, description = "Topic name", example = "orders"), IdempotencyHeader),
    request_body(content = ProduceRequest, description = "The records"),
    responses(
        (status = 200, description = "All records are acknowledged", body = ProduceResponse),
        (status = 207, description = "Some partitions refused: their slots hold an error", body = ProduceResponse),
        ProduceProblems,
    ),
)]
pub async fn produce_records(
    State(app): State<App>,
    May { call, .. }: May<ProduceRecords, InTopic>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    Params::parse(request.uri(), &[])?;
    check_content_type(request.headers(), JSON_TYPES)?;
    let key = idempotency_key(request.headers())?;
    if let Err(problem) = call.check_ingress(&app).await {
        return Err(discard_refused(request, problem).await);
    }
    let body = read_body(&app, request, BODY_BYTES_MAX).await?;
    // The body may have taken long.
    call.check(&app)?;
    // A slow upload keeps nobody waiting.
    let turn = call.access.layers().turn(body.bytes.len()).await?;
    let written = async {
        let (encoded, acks) = app.gateway.encode_body(&call.topic, &body.bytes, key)?;
        answer(&app, &call, encoded, acks).await
    };
    turn.work(written).await
}

/// The request's `Idempotency-Key`, if it has one.
///
/// # Errors
/// 400 if it is malformed.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    headers
        .get("idempotency-key")
        .map(|key| IdempotencyKey::of("Idempotency-Key", key.as_bytes()))
        .transpose()
}

/// Appends what was encoded and tells where it is.
///
/// # Errors
/// When no partition took its records.
pub async fn answer(
    app: &App,
    call: &InTopic,
    encoded: Encoded,
    acks: headwater_broker::Acks,
) -> Result<Response, Problem> {
    let written = append(app, call, encoded, acks, &mut || {}).await?;
    let status = if written.complete() {
        StatusCode::OK
    } else {
        StatusCode::MULTI_STATUS
    };
    Ok(json(status, written.to_json(&call.asked.request_id)))
}

/// Appends what was encoded, and counts it. `placed` hears, before the acknowledgement, that what is
/// appended from now on stands behind it.
///
/// # Errors
/// When no partition took its records.
pub async fn append(
    app: &App,
    call: &InTopic,
    encoded: Encoded,
    acks: headwater_broker::Acks,
    placed: &mut (dyn FnMut() + Send),
) -> Result<Written, Problem> {
    let (records, bytes) = (encoded.slots.len() as u64, encoded.payload_bytes as u64);
    let gateway = &app.gateway;
    let written = gateway.produce(&call.topic, encoded, acks, placed).await?;
    app.metrics.records_in.inc_by(records);
    app.metrics.bytes_in.inc_by(bytes);
    let layers = call.access.layers();
    layers.charge(Resource::IngressBytesPerSecond, bytes);
    Ok(written)
}

/// A JSON answer.
pub fn json(status: StatusCode, body: Vec<u8>) -> Response {
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    let mut response = (status, body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}
