//! Request bodies: bounded in bytes before they are read, and in time while they are.

use std::{
    fmt,
    io::Read,
    marker::PhantomData,
    time::{Duration, Instant},
};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, header};
use http_body_util::BodyExt;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::router::App;
use crate::{
    gateway::Held,
    limits::{BODY_BYTES_PER_SECOND_MIN, BODY_IDLE_TIMEOUT, SMALL_BODY_BYTES_MAX},
    problem::{Code, Problem},
};

/// A body that was read, and the memory that it holds of the budget.
pub struct ReadBody {
    /// The bytes, inflated.
    pub bytes: Bytes,
    held: Held,
}

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// gzip
    Gzip,
    /// zstd
    Zstd,
}

/// The request's content encoding.
///
/// # Errors
/// 415 for one that is not taken.
pub fn encoding(headers: &HeaderMap) -> Result<Encoding, Problem> {
    let Some(value) = headers.get(header::CONTENT_ENCODING) else {
        return Ok(Encoding::Identity);
    };
    match value
        .as_bytes()
        .trim_ascii()
        .to_ascii_lowercase()
        .as_slice()
    {
        b"identity" | b"" => Ok(Encoding::Identity),
        b"gzip" | b"x-gzip" => Ok(Encoding::Gzip),
        b"zstd" => Ok(Encoding::Zstd),
        _ => Err(Problem::new(
            Code::UnsupportedMediaType,
            "Content-Encoding must be gzip, zstd or identity",
        )),
    }
}

/// The content types that a JSON call takes. `curl -d` without a type says form-urlencoded.
pub const JSON_TYPES: &[&str] = &["application/json", "application/x-www-form-urlencoded"];
/// The content types that a bulk load takes beside those.
pub const NDJSON_TYPES: &[&str] = &[
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonlines",
    "application/json",
    "application/x-www-form-urlencoded",
    "application/octet-stream",
    "text/plain",
];

/// Whether the request's content type, if any, is one of `accepted`.
///
/// # Errors
/// 415 if not.
pub fn check_content_type(headers: &HeaderMap, accepted: &[&str]) -> Result<(), Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let essence = value
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    if accepted
        .iter()
        .any(|accepted| essence.eq_ignore_ascii_case(accepted))
    {
        return Ok(());
    }
    let problem = format!("Content-Type must be {}", accepted[0]);
    Err(Problem::new(Code::UnsupportedMediaType, problem))
}

/// Reads and inflates the body, at most `bytes_max` before and after inflating.
///
/// # Errors
/// 413, 415, 408 when it comes too slowly, 400 when it ends early, 503 when memory is short.
pub async fn read_body(
    app: &App,
    request: Request<Body>,
    bytes_max: usize,
) -> Result<ReadBody, Problem> {
    let encoding = encoding(request.headers())?;
    let length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<u64>().ok());
    // Who waits for `100 Continue` has sent nothing that would have to be read first.
    let expects = request.headers().contains_key(header::EXPECT);
    let body = request.into_body();
    if length.is_some_and(|length| length > bytes_max as u64) {
        if !expects {
            discard(body).await;
        }
        return Err(too_large(bytes_max));
    }
    let raw = read_raw(app, body, length.map(|length| length as usize), bytes_max).await?;
    if encoding == Encoding::Identity {
        return Ok(raw);
    }
    let mut held = raw.held;
    held.merge(app.gateway.budget.take(bytes_max).await?);
    let bytes = inflate(&raw.bytes, encoding, bytes_max)?;
    Ok(ReadBody { bytes, held })
}

/// Memory for a body of known length before its bytes came.
const BUFFER_BYTES: usize = 256 << 10;

async fn read_raw(
    app: &App,
    mut body: Body,
    length: Option<usize>,
    bytes_max: usize,
) -> Result<ReadBody, Problem> {
    let budget = &app.gateway.budget;
    // By what came, not by what was announced: an idle upload holds nothing.
    let mut held = Held::nothing();
    let mut pace = Pace::start();
    let Some(first) = next_frame(&mut body, &mut pace).await? else {
        return Ok(ReadBody {
            bytes: Bytes::new(),
            held,
        });
    };
    if length == Some(first.len()) {
        held.merge(budget.take(first.len()).await?);
        return Ok(ReadBody { bytes: first, held });
    }
    let mut joined =
        BytesMut::with_capacity(length.unwrap_or(0).min(BUFFER_BYTES).max(2 * first.len()));
    let mut frame = Some(first);
    while let Some(bytes) = frame {
        if joined.len() + bytes.len() > bytes_max {
            drop(joined);
            discard(body).await;
            return Err(too_large(bytes_max));
        }
        held.merge(budget.take(bytes.len()).await?);
        joined.extend_from_slice(&bytes);
        frame = next_frame(&mut body, &mut pace).await?;
    }
    Ok(ReadBody {
        bytes: joined.freeze(),
        held,
    })
}

/// How fast a body comes.
pub struct Pace {
    started: Instant,
    bytes: usize,
}

impl Pace {
    /// From now on.
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            bytes: 0,
        }
    }

    /// How long the next bytes may take.
    fn patience(&self) -> Duration {
        let earned = Duration::from_secs_f64(self.bytes as f64 / BODY_BYTES_PER_SECOND_MIN as f64);
        (BODY_IDLE_TIMEOUT + earned)
            .saturating_sub(self.started.elapsed())
            .min(BODY_IDLE_TIMEOUT)
    }
}

/// The next bytes of a body.
///
/// # Errors
/// 408 when they come too slowly, 400 when the client broke off.
pub async fn next_frame(body: &mut Body, pace: &mut Pace) -> Result<Option<Bytes>, Problem> {
    let data = tokio::time::timeout(pace.patience(), next_data(body))
        .await
        .map_err(|_| Problem::new(Code::RequestTimeout, "the body came too slowly"))??;
    pace.bytes += data.as_ref().map_or(0, Bytes::len);
    Ok(data)
}

/// The next bytes of a body, whenever they come.
///
/// # Errors
/// 400 when the client broke off.
pub async fn next_data(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(error)) => return Err(broken_off(&error)),
            Some(Ok(frame)) => {
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
        }
    }
}

/// A body that ended before its length, or is malformed on the wire.
pub fn broken_off(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(Code::InvalidRequest, format!("the body broke off: {error}"))
}

/// A problem that refuses a request before its body was read. Who is over a rate is told, as a rule,
/// in the middle of sending much: their body is let finish, so that they read when to come back.
pub async fn discard_refused(request: Request<Body>, problem: Problem) -> Problem {
    if problem.code == Code::RateExceeded && !request.headers().contains_key(header::EXPECT) {
        discard(request.into_body()).await;
    }
    problem
}

/// Lets a client that sends too much finish, within bounds, so that it reads the answer instead of
/// a reset connection.
async fn discard(mut body: Body) {
    const BYTES: usize = 32 << 20;
    let drained = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > BYTES {
                return;
            }
        }
    };
    // What is not drained in time is cut off by closing the connection.
    let _ = tokio::time::timeout(Duration::from_secs(2), drained).await;
}

/// Inflates a body or message to at most `bytes_max`.
///
/// # Errors
/// 400 if it cannot be, 413 if there is more.
pub fn inflate(bytes: &[u8], encoding: Encoding, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut inflated = Vec::with_capacity((bytes.len() * 4).min(bytes_max));
    let most = bytes_max as u64 + 1;
    let read = match encoding {
        Encoding::Identity => return Ok(Bytes::copy_from_slice(bytes)),
        Encoding::Gzip => flate2::read::MultiGzDecoder::new(bytes)
            .take(most)
            .read_to_end(&mut inflated),
        Encoding::Zstd => {
            zstd::stream::read::Decoder::with_buffer(bytes).and_then(|mut decoder| {
                // A frame may ask for a window of gigabytes; no body here needs more than its limit.
                decoder.window_log_max(24)?;
                decoder.take(most).read_to_end(&mut inflated)
            })
        }
    };
    read.map_err(|error| {
        Problem::invalid(
            "",
            "invalid_encoding",
            format!("the body cannot be inflated: {error}"),
        )
    })?;
    if inflated.len() > bytes_max {
        return Err(too_large(bytes_max));
    }
    Ok(inflated.into())
}

/// A body or message over its limit.
pub fn too_large(bytes_max: usize) -> Problem {
    Problem::new(
        Code::PayloadTooLarge,
        format!("the body may have {bytes_max} bytes, also after inflating"),
    )
}

/// Reads a small JSON body as `T`; no body at all is `{}`.
///
/// # Errors
/// As [`read_body`], and 400 with a pointer for what is not a `T`.
pub async fn json_body<T: DeserializeOwned>(
    app: &App,
    request: Request<Body>,
) -> Result<T, Problem> {
    json_body_within(app, request, SMALL_BODY_BYTES_MAX).await
}

/// The same of a body of at most so many bytes.
///
/// # Errors
/// As [`json_body`].
pub async fn json_body_within<T: DeserializeOwned>(
    app: &App,
    request: Request<Body>,
    bytes_max: usize,
) -> Result<T, Problem> {
    check_content_type(request.headers(), JSON_TYPES)?;
    let body = read_body(app, request, bytes_max).await?;
    let bytes: &[u8] = if body.bytes.trim_ascii().is_empty() {
        b"{}"
    } else {
        &body.bytes
    };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let Object(value) = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let mut pointer = String::new();
        for segment in error.path().iter() {
            use serde_path_to_error::Segment;
            match segment {
                Segment::Map { key } => {
                    pointer += &format!("/{}", key.replace('~', "~0").replace('/', "~1"));
                }
                Segment::Seq { index } => pointer += &format!("/{index}"),
                Segment::Enum { .. } | Segment::Unknown => {}
            }
        }
        json_problem(pointer, &error.into_inner())
    })?;
    json.end()
        .map_err(|error| json_problem(String::new(), &error))?;
    Ok(value)
}

/// A `T` that is written as a JSON object: derived code would also take its fields from an array.
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        from.deserialize_map(Fields(PhantomData)).map(Object)
    }
}

fn json_problem(mut pointer: String, error: &serde_json::Error) -> Problem {
    let message = error.to_string();
    let (code, word) = match error.classify() {
        serde_json::error::Category::Data if message.starts_with("unknown field") => {
            (Code::InvalidRequest, "unknown_field")
        }
        serde_json::error::Category::Data if message.starts_with("duplicate field") => {
            (Code::InvalidRequest, "duplicate_field")
        }
        serde_json::error::Category::Data if message.starts_with("missing field") => {
            (Code::InvalidRequest, "missing_field")
        }
        serde_json::error::Category::Data => (Code::InvalidRequest, "wrong_type"),
        _ => (Code::InvalidJson, "syntax"),
    };
    // Serde names a field that is there twice, or not at all, in its message alone.
    if word.ends_with("_field")
        && let Some(field) = message.split('`').nth(1)
        && !pointer.ends_with(&format!("/{field}"))
    {
        pointer = format!("{pointer}/{field}");
    }
    Problem::new(code, "").at(pointer, word, message)
}
