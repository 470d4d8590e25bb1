//! `POST /topics/{topic}/trim` and `GET /topics/{topic}/offsets`

use axum::{Json, body::Body, extract::State};
use http::Request;
use serde::Deserialize;

use super::{
    body::json_body,
    call::{InTopic, May},
    openapi::{ConsistencyParam, OffsetList, PartitionOffset, ReadProblems, TrimProblems, Trimmed},
    params::Params,
    router::App,
};
use crate::{
    auth::permissions::{ListOffsets, TrimPartition},
    gateway::{Position, Start, partition_out_of_range},
    limits::OFFSET_MAX,
    problem::Problem,
};

/// Which records to forget.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"partition": 0, "before_offset": 1}))]
pub struct TrimRequest {
    /// The partition.
    #[schema(minimum = 0)]
    pub partition: u32,
    /// Records below this offset go for good.
    #[schema(minimum = 0, maximum = 9007199254740991i64)]
    pub before_offset: u64,
}

/// Delete a partition's oldest records.
#[utoipa::path(
    post, path = "/topics/{topic}/trim", operation_id = "trimPartition", tag = "records",
    params(("topic" = String, Path, description = "Topic name", example = "orders")),
    request_body(content = TrimRequest, description = "Up to where"),
    responses((status = 200, description = "The new start of the partition", body = Trimmed), TrimProblems),
)]
pub async fn trim_partition(
    State(app): State<App>,
    May { call, .. }: May<TrimPartition, InTopic>,
    request: Request<Body>,
) -> Result<Json<Trimmed>, Problem> {
    Params::parse(request.uri(), &[])?;
    let wanted = json_body(&app, request).await?;
    call.check(&app)?;
    trim(&app, &call, wanted).await.map(Json)
}

/// Checks what is to be forgotten, and forgets it.
///
/// # Errors
/// 400 for what the topic does not have.
pub async fn trim(app: &App, call: &InTopic, wanted: TrimRequest) -> Result<Trimmed, Problem> {
    let TrimRequest {
        partition,
        before_offset,
    } = wanted;
    let partitions = call.topic.partitions();
    if partition >= partitions {
        return Err(partition_out_of_range("/partition", partitions));
    }
    if before_offset > OFFSET_MAX {
        let message = format!("must be at most {OFFSET_MAX}");
        return Err(Problem::invalid("/before_offset", "out_of_range", message));
    }
    let log_start = app
        .gateway
        .trim(&call.topic, partition, before_offset)
        .await?;
    Ok(Trimmed {
        partition,
        log_start,
    })
}

/// Find offsets by time.
///
/// For each partition the offset of the first record at that time or later, or the end if there is
/// none. Without `at`, the end.
#[utoipa::path(
    get, path = "/topics/{topic}/offsets", operation_id = "listOffsets", tag = "records",
    params(
        ("topic" = String, Path, description = "Topic name", example = "orders"),
        ("at" = Option<String>, Query, description = "RFC 3339, or milliseconds since the epoch", example = "2026-01-01T00:00:00Z"),
        ("consistency" = inline(Option<ConsistencyParam>), Query, description = "`strong`: what was acknowledged before the call began is below the end"),
    ),
    responses((status = 200, description = "An offset for each partition", body = OffsetList), ReadProblems),
)]
pub async fn list_offsets(
    State(app): State<App>,
    May { mut call, .. }: May<ListOffsets, InTopic>,
    request: Request<Body>,
) -> Result<Json<OffsetList>, Problem> {
    let params = Params::parse(request.uri(), &["at", "consistency"])?;
    let position = params.position()?.unwrap_or(Position::Start(Start::Latest));
    if params.is_strong()? {
        let partitions = 0..call.topic.partitions();
        call.topic = app.gateway.confirmed(&call.topic, partitions).await?;
    }
    let offsets = app.gateway.offsets_of(&call.topic, position).await?;
    let offsets = (0..)
        .zip(offsets)
        .map(|(partition, offset)| PartitionOffset { partition, offset });
    Ok(Json(OffsetList {
        offsets: offsets.collect(),
    }))
}
