//! `GET /topics/{topic}/partitions/{partition}/records` and `GET /topics/{topic}/records`

use std::convert::Infallible;

use axum::{body::Body, extract::State, response::Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, StatusCode, header};

use super::{
    call::{InTopic, May},
    openapi::{FetchParams, PartitionRecords, ReadProblems, TopicRecords},
    params::Params,
    produce::json,
    router::App,
};
use crate::{
    auth::permissions::{FetchPartition, FetchTopic},
    gateway::{Cursor, FetchPage, Held, Position, ReadLimits, Start},
    limits::TURN_FETCH_BYTES,
    problem::Problem,
    quota::{Layers, Resource, Turn},
};

const LIMITS: [&str; 6] = [
    "max_records",
    "max_bytes",
    "wait_ms",
    "on_out_of_range",
    "encoding",
    "consistency",
];

/// Read one partition.
///
/// Starts at `offset`, `at` or `from`, by default at the oldest record. With `wait_ms` an answer at
/// the end of the partition waits for the next record.
#[utoipa::path(
    get, path = "/topics/{topic}/partitions/{partition}/records", operation_id = "fetchPartition", tag = "records",
    params(
        ("topic" = String, Path, description = "Topic name", example = "orders"),
        ("partition" = u32, Path, description = "Partition number", example = 0),
        ("offset" = Option<u64>, Query, description = "The first offset wanted", maximum = 9007199254740991i64),
        FetchParams,
    ),
    responses((status = 200, description = "Records in offset order", body = PartitionRecords), ReadProblems),
)]
pub async fn fetch_partition(
    State(app): State<App>,
    May { mut call, .. }: May<FetchPartition, InTopic>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let known = ["offset", "at", "from"]
        .into_iter()
        .chain(LIMITS)
        .collect::<Vec<_>>();
    let params = Params::parse(request.uri(), &known)?;
    let position = params
        .position()?
        .unwrap_or(Position::Start(Start::Earliest));
    let limits = params.read_limits()?;
    let partition = call.partition()?;
    if params.is_strong()? {
        let partitions = partition..partition.saturating_add(1);
        call.topic = app.gateway.confirmed(&call.topic, partitions).await?;
    }
    let page = read_partition(&app, &call, partition, position, &limits).await?;
    let (body, held) = page.into_json(None);
    Ok(held_json(body, held))
}

/// Reads one partition, and counts what is sent.
///
/// # Errors
/// As [`Gateway::fetch_partition`](crate::gateway::Gateway::fetch_partition), and 429 over a quota.
pub async fn read_partition(
    app: &App,
    call: &InTopic,
    partition: u32,
    position: Position,
    limits: &ReadLimits,
) -> Result<FetchPage, Problem> {
    let layers = call.access.layers();
    layers.check(Resource::EgressBytesPerSecond)?;
    let turn = turn(layers, limits).await?;
    let gateway = &app.gateway;
    let offset = gateway.offset_of(&call.topic, partition, position).await?;
    let fetched = gateway.fetch_partition(&call.topic, partition, offset, limits);
    let page = turn
        .work(while_allowed(app, || call.check(app), fetched))
        .await?;
    count(app, call, &page);
    Ok(page)
}

/// Read all partitions of a topic.
///
/// Starts at `cursor`, `at` or `from`, by default at the oldest records. The answer's cursor goes on
/// where it ended: it holds the reader's whole state, so any gateway takes it, and there is no
/// session to lose. Records of one partition come in order.
#[utoipa::path(
    get, path = "/topics/{topic}/records", operation_id = "fetchTopic", tag = "records",
    params(
        ("topic" = String, Path, description = "Topic name", example = "orders"),
        ("cursor" = Option<String>, Query, description = "The cursor of an earlier answer"),
        FetchParams,
    ),
    responses((status = 200, description = "Records, in offset order within each partition", body = TopicRecords), ReadProblems),
)]
pub async fn fetch_topic(
    State(app): State<App>,
    May { mut call, .. }: May<FetchTopic, InTopic>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let known = ["cursor", "at", "from"]
        .into_iter()
        .chain(LIMITS)
        .collect::<Vec<_>>();
    let params = Params::parse(request.uri(), &known)?;
    let limits = params.read_limits()?;
    let position = params
        .position()?
        .unwrap_or(Position::Start(Start::Earliest));
    if params.is_strong()? {
        let partitions = 0..call.topic.partitions();
        call.topic = app.gateway.confirmed(&call.topic, partitions).await?;
    }
    let cursor = params.text("cursor");
    let (page, cursor) = read_topic(&app, &call, cursor, position, &limits).await?;
    let (body, held) = page.into_json(Some(&cursor));
    Ok(held_json(body, held))
}

/// Reads all partitions from `cursor`, or from where `position` says, and counts what is sent. Answers
/// the page and the cursor behind it.
///
/// # Errors
/// As [`Gateway::fetch_topic`](crate::gateway::Gateway::fetch_topic), 400 for a forged cursor, and
/// 429 over a quota.
pub async fn read_topic(
    app: &App,
    call: &InTopic,
    cursor: Option<&str>,
    position: Position,
    limits: &ReadLimits,
) -> Result<(FetchPage, String), Problem> {
    let layers = call.access.layers();
    layers.check(Resource::EgressBytesPerSecond)?;
    let turn = turn(layers, limits).await?;
    let mut cursor = start(app, call, cursor, position).await?;
    let project = &call.access.project;
    let gateway = &app.gateway;
    let fetched = gateway.fetch_topic(&call.topic, project, &mut cursor, limits);
    let page = turn
        .work(while_allowed(app, || call.check(app), fetched))
        .await?;
    count(app, call, &page);
    Ok((page, cursor.seal(project)))
}

/// Counts what is sent: for the metrics, as usage and against quotas.
fn count(app: &App, call: &InTopic, page: &FetchPage) {
    app.metrics.records_out.inc_by(page.record_count as u64);
    let meter = &call.topic.meter;
    meter.sent(page.record_count, page.payload_bytes);
    let layers = call.access.layers();
    layers.charge(Resource::EgressBytesPerSecond, page.payload_bytes as u64);
}

/// Waits for what was read for as long as the caller may read it: who is shut out meanwhile learns
/// it at once, and gets nothing.
pub async fn while_allowed<T>(
    app: &App,
    check: impl Fn() -> Result<(), Problem>,
    read: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    let mut changes = app.gateway.catalog.changes();
    // What changed before that was not heard of.
    check()?;
    let mut read = std::pin::pin!(read);
    loop {
        tokio::select! {
            biased;
            done = &mut read => {
                if changes.has_changed().unwrap_or(false) {
                    check()?;
                }
                return done;
            }
            Ok(()) = changes.changed() => check()?,
        }
    }
}

/// A turn for a fetch. One that waits for records would keep others of its organization waiting too.
pub async fn turn(layers: Layers<'_>, limits: &ReadLimits) -> Result<Turn, Problem> {
    if !limits.wait.is_zero() {
        return Ok(Turn::default());
    }
    layers.turn(TURN_FETCH_BYTES).await
}

/// The cursor that a read of all partitions starts with.
///
/// # Errors
/// 400 for a forged cursor.
pub async fn start(
    app: &App,
    call: &InTopic,
    cursor: Option<&str>,
    position: Position,
) -> Result<Cursor, Problem> {
    match cursor {
        Some(text) => Cursor::open(text, &call.access.project, &call.topic),
        None => {
            let offsets = app.gateway.offsets_of(&call.topic, position).await?;
            Ok(Cursor {
                topic: call.topic.id,
                offsets,
            })
        }
    }
}

/// A JSON answer that keeps its memory until it is sent.
pub fn held_json(body: Vec<u8>, held: Option<Held>) -> Response {
    let length = body.len();
    let body = stream::iter([Bytes::from(body)]).map(Ok::<_, Infallible>);
    let kept = stream::unfold(Some((body, held)), |state| async move {
        let (mut body, held) = state?;
        // The memory goes with the state, when the stream is asked for more than its one part.
        let part = body.next().await?;
        Some((part, Some((body, held))))
    });
    let mut response = json(StatusCode::OK, Vec::new());
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length.into());
    *response.body_mut() = Body::from_stream(kept.fuse());
    response
}
