//! `GET /topics/{topic}/keys/{key}`

use axum::{body::Body, extract::State, response::Response};
use http::Request;

use super::{
    call::{InTopic, May},
    fetch::{held_json, while_allowed},
    openapi::{KeyParams, KeyProblems, RecordOutput},
    params::Params,
    router::App,
};
use crate::{
    auth::permissions::GetLastOfKey,
    gateway::{Form, JsonForm, OneRecord},
    limits::{KEY_BYTES_MAX, TURN_FETCH_BYTES},
    problem::Problem,
    quota::Resource,
};

/// Read the last record of a key.
///
/// Of a topic whose `cleanup_policy` is `compact`. A key whose last record is a tombstone is not there.
#[utoipa::path(
    get, path = "/topics/{topic}/keys/{key}", operation_id = "getLastOfKey", tag = "records",
    params(
        ("topic" = String, Path, description = "Topic name", example = "orders"),
        ("key" = String, Path, description = "The records' key", example = "user-1"),
        KeyParams,
    ),
    responses((status = 200, description = "The record", body = RecordOutput), KeyProblems),
)]
pub async fn get_last_of_key(
    State(app): State<App>,
    May { call, .. }: May<GetLastOfKey, InTopic>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let params = Params::parse(request.uri(), &["encoding", "key_encoding"])?;
    let base64 = params.is_base64("encoding")?;
    let key = key_of(call.record_key(), params.is_base64("key_encoding")?)?;
    let form = Form::Json(JsonForm {
        base64,
        single_line: false,
        prefix: b"",
        separator: b',',
        with_topic: false,
    });
    let record = look_up(&app, &call, &key, &form).await?;
    Ok(held_json(record.bytes, Some(record.held)))
}

/// Looks a key up for a caller, and counts what is sent.
///
/// # Errors
/// 400 for a key that no record has, 429 over a quota, and those of
/// [`Gateway::last_of_key`](crate::gateway::Gateway::last_of_key).
pub async fn look_up(
    app: &App,
    call: &InTopic,
    key: &[u8],
    form: &Form,
) -> Result<OneRecord, Problem> {
    if key.len() > KEY_BYTES_MAX {
        let message = format!("must be at most {KEY_BYTES_MAX} bytes");
        return Err(Problem::invalid("key", "out_of_range", message));
    }
    let layers = call.access.layers();
    layers.check(Resource::EgressBytesPerSecond)?;
    let turn = layers.turn(TURN_FETCH_BYTES).await?;
    let found = app.gateway.last_of_key(&call.topic, key, form);
    let record = turn
        .work(while_allowed(app, || call.check(app), found))
        .await?;
    app.metrics.records_out.inc();
    call.topic.meter.sent(1, record.payload_bytes);
    layers.charge(Resource::EgressBytesPerSecond, record.payload_bytes as u64);
    Ok(record)
}

fn key_of(text: &str, base64: bool) -> Result<Vec<u8>, Problem> {
    match base64 {
        true => base64_simd::URL_SAFE_NO_PAD
            .decode_to_vec(text)
            .map_err(|_| Problem::invalid("key", "invalid_value", "must be URL-safe base64")),
        false => Ok(text.as_bytes().to_vec()),
    }
}
