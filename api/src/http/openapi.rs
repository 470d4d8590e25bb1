//! The OpenAPI document: generated from the routes, checked in under `openapi/`, served with a page.

use axum::{Json, Router, routing::get};
use serde::Serialize;
use utoipa::{
    IntoParams, IntoResponses, OpenApi, ToSchema,
    openapi::{
        ContentBuilder, Ref, RefOr, ResponseBuilder,
        response::Response,
        security::{Http, HttpAuthScheme, SecurityScheme},
        server::{ServerBuilder, ServerVariableBuilder},
    },
};

use utoipa_axum::router::OpenApiRouter;

use super::{
    management::management_document,
    router::{App, streaming},
};
use crate::{
    metadata::TopicSettings,
    problem::{Code, FieldError, Outcome, Problem},
};

/// An error: RFC 9457.
#[derive(ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "/errors/topic_not_found", "title": "Topic not found", "status": 404,
    "code": "topic_not_found", "detail": "the project has no such topic", "retryable": false,
    "outcome": "not_applied", "request_id": "5f0c4c1de6f3a1b2"
}))]
#[allow(dead_code)] // the shape of what problems are written as
pub struct ProblemSchema {
    /// A page that says what it means.
    r#type: String,
    /// A few words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// The stable code.
    code: String,
    /// What is particular to this occurrence.
    detail: String,
    /// Whether the same request may succeed later.
    retryable: bool,
    /// When to try again, in milliseconds.
    #[schema(nullable = false)]
    retry_after_ms: Option<u64>,
    /// What became of the request.
    outcome: Outcome,
    /// The request's id, as in `X-Request-Id`.
    request_id: String,
    /// The fields at fault.
    #[schema(nullable = false)]
    errors: Option<Vec<FieldError>>,
    /// The oldest offset that can be read.
    #[schema(nullable = false)]
    log_start: Option<u64>,
    /// The offset after the newest record.
    #[schema(nullable = false)]
    high_watermark: Option<u64>,
    /// First damaged offset.
    #[schema(nullable = false)]
    from: Option<u64>,
    /// First readable offset after the damage.
    #[schema(nullable = false)]
    to: Option<u64>,
    /// A cursor that goes on behind the damage.
    #[schema(nullable = false)]
    cursor: Option<String>,
}

/// A record to append. At most one of `key` and `key_base64`; exactly one of `value`, `value_text`
/// and `value_base64`.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RecordInput, example = json!({"key": "c1", "value": {"id": 17}}))]
#[allow(dead_code)] // the scanner of headwater-record reads it
pub struct RecordInput {
    /// The key as text.
    #[schema(example = "c1")]
    key: Option<String>,
    /// The key as bytes.
    #[schema(content_encoding = "base64")]
    key_base64: Option<String>,
    /// Any JSON, kept byte for byte; null is a tombstone.
    #[schema(nullable = true)]
    value: Option<serde_json::Value>,
    /// The value as text.
    #[schema(nullable = false)]
    value_text: Option<String>,
    /// The value as bytes.
    #[schema(content_encoding = "base64")]
    value_base64: Option<String>,
    /// Name to string or list of strings.
    headers: Option<std::collections::BTreeMap<String, HeaderValues>>,
    /// Name to base64 or list of base64.
    headers_base64: Option<std::collections::BTreeMap<String, HeaderValues>>,
    /// Milliseconds since the epoch; set by the server if absent.
    #[schema(minimum = 0, maximum = 253402300799999i64)]
    timestamp: Option<i64>,
    /// The partition; without it the key decides.
    #[schema(minimum = 0, maximum = 999)]
    partition: Option<u32>,
    /// Accepted and ignored, so that records read can be written.
    #[schema(minimum = 0, maximum = 9007199254740991i64)]
    offset: Option<u64>,
    /// Likewise, of records that a group read.
    topic: Option<String>,
}

/// One or several values of a header.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code)]
pub enum HeaderValues {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

/// When a produce is answered.
#[derive(ToSchema)]
#[schema(as = Acks)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code)]
pub enum AcksSchema {
    /// On stable storage of every in-sync replica.
    Quorum,
    /// On stable storage of the leader.
    Leader,
    /// At once.
    None,
}

/// Records to append.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"records": [{"key": "c1", "value": {"id": 17}}]}))]
#[allow(dead_code)]
pub struct ProduceRequest {
    /// 1 to 10 000 records.
    #[schema(min_items = 1, max_items = 10000)]
    records: Vec<RecordInput>,
    /// When to answer; `quorum` by default.
    #[schema(nullable = false)]
    acks: Option<AcksSchema>,
}

/// Where a record is, or why it is not.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct ProduceResult {
    /// Its partition.
    partition: u32,
    /// Its offset.
    #[schema(nullable = false)]
    offset: Option<u64>,
    /// Its timestamp in milliseconds.
    #[schema(nullable = false)]
    timestamp: Option<i64>,
    /// Why its partition refused it.
    #[schema(nullable = false)]
    error: Option<ProblemSchema>,
}

/// What was proven when the answer was sent.
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code)]
pub enum Durability {
    /// On stable storage of every in-sync replica.
    QuorumFsync,
    /// On stable storage of the leader.
    LeaderFsync,
    /// Nothing.
    None,
}

/// What became of the records.
#[derive(ToSchema)]
#[schema(example = json!({"results": [{"partition": 0, "offset": 42, "timestamp": 1767225600000i64}], "durability": "quorum_fsync", "duplicate": false}))]
#[allow(dead_code)]
pub struct ProduceResponse {
    /// One result a record, in the request's order.
    results: Vec<ProduceResult>,
    /// What was proven.
    durability: Durability,
    /// Whether an earlier request with this key had appended all of it.
    duplicate: bool,
}

/// A record as it is read. Exactly one of `key` and `key_base64`, of `value`, `value_text` and
/// `value_base64`, and of `headers` and `headers_base64`.
#[derive(ToSchema)]
#[schema(as = RecordOutput, example = json!({"key": "c1", "value": {"id": 17}, "headers": {}, "timestamp": 1767225600000i64, "partition": 0, "offset": 42}))]
#[allow(dead_code)]
pub struct RecordOutput {
    /// The key as text, null without one.
    key: Option<String>,
    /// The key as base64.
    key_base64: Option<String>,
    /// The value as it was written; null is a tombstone.
    #[schema(nullable = true)]
    value: Option<serde_json::Value>,
    /// The value as text.
    #[schema(nullable = false)]
    value_text: Option<String>,
    /// The value as base64.
    value_base64: Option<String>,
    /// Name to string or list of strings.
    #[schema(nullable = false)]
    headers: Option<std::collections::BTreeMap<String, HeaderValues>>,
    /// Name to base64 or list of base64.
    #[schema(nullable = false)]
    headers_base64: Option<std::collections::BTreeMap<String, HeaderValues>>,
    /// Milliseconds since the epoch.
    timestamp: i64,
    /// Its partition.
    partition: u32,
    /// Its offset.
    offset: u64,
}

/// A record as a group's member reads it, with its topic.
#[derive(ToSchema)]
#[schema(as = GroupRecordOutput)]
#[allow(dead_code)]
pub struct GroupRecordOutput {
    /// Its topic's name.
    topic: String,
    /// The record.
    #[serde(flatten)]
    record: RecordOutput,
}

/// A record as a worker of a shared group leases it.
#[derive(ToSchema)]
#[schema(as = LeasedRecordOutput)]
#[allow(dead_code)]
pub struct LeasedRecordOutput {
    /// Settles the record: opaque and signed.
    lease: String,
    /// How often it was leased, this time included.
    attempt: u32,
    /// The record.
    #[serde(flatten)]
    record: GroupRecordOutput,
}

/// Offsets that were asked for and are not there.
#[derive(ToSchema)]
#[schema(as = Gap)]
#[allow(dead_code)]
pub struct GapSchema {
    /// The partition.
    partition: u32,
    /// First offset missing.
    from: u64,
    /// First offset after the gap.
    to: u64,
    /// Why: `deleted` by retention or trim.
    reason: String,
}

/// Records of one partition.
#[derive(ToSchema)]
#[schema(example = json!({
    "records": [{"key": "c1", "value": {"id": 17}, "headers": {}, "timestamp": 1767225600000i64,
    "partition": 0, "offset": 42}], "next_offset": 43, "log_start": 0, "high_watermark": 43,
    "gaps": []
}))]
#[allow(dead_code)]
pub struct PartitionRecords {
    /// In offset order.
    records: Vec<RecordOutput>,
    /// Where to read on.
    next_offset: u64,
    /// The oldest offset there is.
    log_start: u64,
    /// The offset after the newest record.
    high_watermark: u64,
    /// What is missing.
    gaps: Vec<GapSchema>,
}

/// Where a reader stands in a partition.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct PartitionPosition {
    /// The partition.
    partition: u32,
    /// Where to read on.
    next_offset: u64,
    /// The oldest offset there is.
    log_start: u64,
    /// The offset after the newest record.
    high_watermark: u64,
}

/// Records of all partitions.
#[derive(ToSchema)]
#[schema(example = json!({
    "records": [{"key": "c1", "value": {"id": 17}, "headers": {}, "timestamp": 1767225600000i64,
    "partition": 0, "offset": 42}], "cursor": "AQGiAcAi7nA9noHR7KmYkkIBAASLdASEi7dJr8kF3iHgKfHk",
    "partitions": [{"partition": 0, "next_offset": 43, "log_start": 0, "high_watermark": 43}],
    "gaps": []
}))]
#[allow(dead_code)]
pub struct TopicRecords {
    /// In offset order within each partition.
    records: Vec<RecordOutput>,
    /// Where to read on: opaque and signed.
    cursor: String,
    /// Where the reader stands.
    partitions: Vec<PartitionPosition>,
    /// What is missing.
    gaps: Vec<GapSchema>,
}

/// A topic.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "name": "orders", "topic_id": "01a201c022ee703d9e81d1eca9989242", "partitions": 3,
    "replication_factor": 1, "config": {"retention_ms": 604800000, "retention_bytes": null,
    "local_retention_ms": null, "local_retention_bytes": null, "cleanup_policy": "delete",
    "delete_retention_ms": 86400000, "segment_bytes": 268435456, "min_insync_replicas": 1,
    "compression": "none", "max_record_bytes": 1048576}, "config_sources": {"retention_ms": "topic",
    "retention_bytes": "default", "local_retention_ms": "default",
    "local_retention_bytes": "default", "cleanup_policy": "default",
    "delete_retention_ms": "default", "segment_bytes": "default", "min_insync_replicas": "default",
    "compression": "default", "max_record_bytes": "default"},
    "description": "Orders as they are placed", "created_at": "2026-01-31T12:00:00.000Z",
    "hot_bytes": 1048576, "cold_bytes": 0
}))]
pub struct TopicInfo {
    /// Its name.
    #[schema(example = "orders")]
    pub name: String,
    /// Never reused, also when the name is.
    pub topic_id: String,
    /// How many partitions.
    pub partitions: u32,
    /// How many replicas each has.
    pub replication_factor: u32,
    /// Every setting's value.
    pub config: TopicSettings,
    /// `topic` or `default` for every setting.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub config_sources: serde_json::Map<String, serde_json::Value>,
    /// Free text.
    pub description: String,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// Bytes on broker disks.
    pub hot_bytes: u64,
    /// Bytes in the object store.
    pub cold_bytes: u64,
}

/// A page of topics.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "topics": [{"name": "orders", "topic_id": "01a201c022ee703d9e81d1eca9989242", "partitions": 3,
    "replication_factor": 1, "config": {"retention_ms": 604800000, "retention_bytes": null,
    "local_retention_ms": null, "local_retention_bytes": null, "cleanup_policy": "delete",
    "delete_retention_ms": 86400000, "segment_bytes": 268435456, "min_insync_replicas": 1,
    "compression": "none", "max_record_bytes": 1048576}, "config_sources": {"retention_ms": "topic",
    "retention_bytes": "default", "local_retention_ms": "default",
    "local_retention_bytes": "default", "cleanup_policy": "default",
    "delete_retention_ms": "default", "segment_bytes": "default", "min_insync_replicas": "default",
    "compression": "default", "max_record_bytes": "default"},
    "description": "Orders as they are placed", "created_at": "2026-01-31T12:00:00.000Z",
    "hot_bytes": 1048576, "cold_bytes": 0}], "next_page_token": null
}))]
pub struct TopicList {
    /// By name.
    pub topics: Vec<TopicInfo>,
    /// Where the next page starts; null on the last.
    pub next_page_token: Option<String>,
}

/// A partition.
#[derive(Serialize, ToSchema)]
pub struct PartitionInfo {
    /// Its number.
    pub partition: u32,
    /// The broker that leads it; null while none can.
    pub leader: Option<u32>,
    /// The leader's term.
    pub epoch: i32,
    /// Brokers that have a copy.
    pub replicas: Vec<u32>,
    /// Those that have all that is committed.
    pub in_sync: Vec<u32>,
    /// The oldest offset there is.
    pub log_start: u64,
    /// The offset after the newest committed record.
    pub high_watermark: u64,
    /// Bytes on the leader's disk.
    pub hot_bytes: u64,
    /// Bytes in the object store.
    pub cold_bytes: u64,
}

/// A topic's partitions.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "partitions": [{"partition": 0, "leader": 1, "epoch": 4, "replicas": [1, 2], "in_sync": [1, 2],
    "log_start": 0, "high_watermark": 43, "hot_bytes": 1048576, "cold_bytes": 0}]
}))]
pub struct PartitionList {
    /// By number.
    pub partitions: Vec<PartitionInfo>,
}

/// An offset of a partition.
#[derive(Serialize, ToSchema)]
pub struct PartitionOffset {
    /// The partition.
    pub partition: u32,
    /// The offset.
    pub offset: u64,
}

/// An offset for each partition.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"offsets": [{"partition": 0, "offset": 43}]}))]
pub struct OffsetList {
    /// By partition.
    pub offsets: Vec<PartitionOffset>,
}

/// A trimmed partition.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"partition": 0, "log_start": 1}))]
pub struct Trimmed {
    /// The partition.
    pub partition: u32,
    /// The oldest offset that is left.
    pub log_start: u64,
}

/// The bytes of a value.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary, example = json!("Water is wet."))]
#[allow(dead_code)]
pub struct RawBytes(Vec<u8>);

/// Makes a repeat safe.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)]
pub struct IdempotencyHeader {
    /// 1 to 255 visible ASCII characters: a repeat with the same key within 15 minutes appends
    /// nothing and answers the first offsets.
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 255,
        pattern = "^[ -~]+$",
        example = "order-17"
    )]
    idempotency_key: Option<String>,
}

/// In which form a key is given, and the record is wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
pub struct KeyParams {
    /// `base64`: the key in the path is bytes, in URL-safe base64 without padding.
    #[param(inline)]
    key_encoding: Option<EncodingParam>,
    /// `base64`: key, value and headers as bytes.
    #[param(inline)]
    encoding: Option<EncodingParam>,
}

/// What a fetch may say beside where it starts.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
pub struct FetchParams {
    /// Start at the first record at that time or later: RFC 3339, or milliseconds since the epoch.
    at: Option<String>,
    /// Start at `earliest`, `latest`, or the newest N records: `tail-N`.
    #[param(pattern = "^(earliest|latest|tail-[0-9]{1,15})$")]
    from: Option<String>,
    /// Records at most.
    #[param(minimum = 1, maximum = 10000, example = 500)]
    max_records: Option<u32>,
    /// Bytes of records at most; the first always fits.
    #[param(minimum = 1, maximum = 16777216, example = 1048576)]
    max_bytes: Option<u32>,
    /// How long to wait for the first record, in milliseconds.
    #[param(minimum = 0, maximum = 60000, example = 0)]
    wait_ms: Option<u32>,
    /// What to do at an offset that is not there: `error` (416), `earliest` or `latest`.
    #[param(inline)]
    on_out_of_range: Option<OutOfRangeParam>,
    /// `base64`: keys, values and headers as bytes.
    #[param(inline)]
    encoding: Option<EncodingParam>,
    /// `strong`: everything that was acknowledged before the call began is in the answer's view. Its
    /// leader asks the other copies first. `committed` may be of a moment ago.
    #[param(inline)]
    consistency: Option<ConsistencyParam>,
}

/// What a tail may say.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
pub struct TailParams {
    /// Start where an earlier answer ended.
    cursor: Option<String>,
    /// Start at the first record at that time or later: RFC 3339, or milliseconds since the epoch.
    at: Option<String>,
    /// Start at `earliest`, `latest`, or the newest N records: `tail-N`.
    #[param(pattern = "^(earliest|latest|tail-[0-9]{1,15})$")]
    from: Option<String>,
    /// What to do at an offset that is not there: `error` (416), `earliest` or `latest`.
    #[param(inline)]
    on_out_of_range: Option<OutOfRangeParam>,
    /// `base64`: keys, values and headers as bytes.
    #[param(inline)]
    encoding: Option<EncodingParam>,
}

/// `on_out_of_range`
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code)]
pub enum OutOfRangeParam {
    /// 416
    Error,
    /// Go on at the oldest record.
    Earliest,
    /// Go on at the end.
    Latest,
}

/// `consistency`
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code)]
pub enum ConsistencyParam {
    /// What the leader knows to be committed.
    Committed,
    /// Everything that was acknowledged before the call.
    Strong,
}

/// `encoding`
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncodingParam {
    /// Text and JSON where possible.
    Json,
    /// Bytes.
    Base64,
}

macro_rules! problems {
    ($(#[doc = $doc:literal] $name:ident: $($status:literal)*;)*) => {$(
        #[doc = $doc]
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<String, RefOr<Response>> {
                [$($status),*].iter().map(|status| (status.to_string(), problem(*status))).collect()
            }
        }
    )*};
}

problems! {
    /// What can go wrong when reading.
    ReadProblems: 400 401 403 404 408 416 429 500 503;
    /// What can go wrong when looking for a key.
    KeyProblems: 400 401 403 404 422 429 500 503;
    /// What can go wrong when writing records.
    ProduceProblems: 400 401 403 404 408 413 415 422 429 500 503 504 507;
    /// What can go wrong with topics.
    TopicProblems: 400 401 403 404 408 409 412 413 415 422 429 500 503;
    /// What can go wrong when deleting.
    DeleteProblems: 400 401 403 404 412 429 500 503;
    /// What can go wrong when looking at what is managed.
    LookProblems: 400 401 403 404 429 500 503;
    /// What can go wrong when changing what is managed.
    ChangeProblems: 400 401 403 404 408 409 412 413 415 422 429 500 503 504;
    /// What can go wrong when looking at groups.
    GroupLookProblems: 400 401 403 404 429 500 503 504 507;
    /// What can go wrong when changing groups.
    GroupProblems: 400 401 403 404 408 409 410 413 415 416 422 429 500 503 504 507;
    /// What can go wrong when trimming.
    TrimProblems: 400 401 403 404 408 413 415 416 429 500 503;
    /// What can go wrong where nobody asks who calls.
    PublicProblems: 400 429 500 503;
}

fn problem(status: u16) -> RefOr<Response> {
    Ref::from_response_name(problem_name(status)).into()
}

fn problem_name(status: u16) -> String {
    format!("Problem{status}")
}

/// Describes the problems that a document's operations refer to, each once.
pub fn describe_problems(document: &mut utoipa::openapi::OpenApi) {
    let written = serde_json::to_string(document).expect("a document serializes");
    let components = document.components.get_or_insert_default();
    for status in 400..600 {
        let name = problem_name(status);
        if written.contains(&format!("/responses/{name}\"")) {
            components.responses.insert(name, describe(status).into());
        }
    }
}

fn describe(status: u16) -> Response {
    let (description, code) = match status {
        400 => (
            "Malformed, of a wrong type, out of range, unknown or repeated",
            Code::InvalidRequest,
        ),
        401 => ("No credential, or not a good one", Code::Unauthenticated),
        403 => ("Not allowed, or beyond a quota", Code::Forbidden),
        404 => ("Not there, or not for this caller to know", Code::NotFound),
        408 => ("The body came too slowly", Code::RequestTimeout),
        409 => (
            "It exists and is different, or is in use",
            Code::AlreadyExists,
        ),
        410 => ("The member's lease ended, or it left", Code::MemberExpired),
        412 => ("Changed meanwhile", Code::PreconditionFailed),
        413 => ("Too many bytes or records", Code::PayloadTooLarge),
        415 => (
            "A content type or encoding that is not taken",
            Code::UnsupportedMediaType,
        ),
        416 => ("The offset is not there", Code::OffsetOutOfRange),
        422 => (
            "Well-formed, but against a rule of the resource",
            Code::InvalidSetting,
        ),
        429 => ("Over a limit of the caller", Code::RateExceeded),
        503 => ("The service cannot do it now", Code::Unavailable),
        504 => ("The outcome is unknown", Code::OutcomeUnknown),
        507 => ("The disk is full", Code::StorageFull),
        _ => ("A fault of the service", Code::Internal),
    };
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .example(Some(example(code)))
        .build();
    ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content)
        .build()
}

/// A problem with this code, as a client sees it.
fn example(code: Code) -> serde_json::Value {
    let mut problem = match code {
        Code::InvalidRequest => {
            Problem::invalid("max_records", "out_of_range", "must be at least 1")
        }
        Code::OffsetOutOfRange => Problem::new(code, "readable offsets are 17 to 42")
            .offset("log_start", 17)
            .offset("high_watermark", 42),
        _ => Problem::new(code, code.help()),
    };
    if code == Code::RateExceeded {
        problem.retry_after_ms = Some(800);
    }
    serde_json::from_slice(&problem.to_json("5f0c4c1de6f3a1b2")).expect("it was just written")
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Headwater streaming API",
        description = "Topics, records, tails and consumer groups of one project. Durable by default: an answered \
            record is on stable storage. Paths are relative to a project's base URL.\n\n\
            Limits: a record 1 MiB by default and 8 MiB at most, a request 10 000 records or 8 MiB \
            after inflating, a key 32 KiB, 64 headers, JSON 64 levels deep, a long poll 60 s, \
            a lease 10 to 300 s and 45 s by default, 100 topics a group, \
            1 000 records a lease and leases a settlement, a delay of a day, 1 000 letters a redrive, \
            segments 64 KiB to 1 GiB, 1 000 partitions a topic.\n\n\
            Every error is an RFC 9457 problem: retry on `retryable` and `outcome` alone.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(ProblemSchema)),
    tags(
        (name = "topics", description = "Named logs and their partitions"),
        (name = "records", description = "Appending, reading and following"),
        (name = "groups", description = "Sharing topics out between members that commit how far they are"),
    ),
    security(("api_key" = [])),
)]
struct Streaming;

/// The streaming API's document.
pub fn streaming_document() -> utoipa::openapi::OpenApi {
    let (_, mut document) = OpenApiRouter::<App>::with_openapi(Streaming::openapi())
        .merge(streaming())
        .split_for_parts();
    let server = ServerBuilder::new()
        .url("{scheme}://{host}/v1/projects/{project}")
        .parameter(
            "scheme",
            ServerVariableBuilder::new()
                .default_value("http")
                .enum_values(Some(["http", "https"])),
        )
        .parameter(
            "host",
            ServerVariableBuilder::new().default_value("localhost:8080"),
        )
        .parameter(
            "project",
            ServerVariableBuilder::new().default_value("demo"),
        )
        .build();
    document.servers = Some(vec![server]);
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    describe_problems(&mut document);
    if let Some(components) = &mut document.components {
        components.add_security_scheme(
            "api_key",
            SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
        );
    }
    document
}

/// The documents and the page that renders them, from inside the binary.
pub fn docs() -> Router<App> {
    let config =
        utoipa_swagger_ui::Config::new(["/openapi/streaming.json", "/openapi/management.json"]);
    Router::new()
        .route(
            "/openapi/streaming.json",
            get(async || Json(streaming_document())),
        )
        .route(
            "/openapi/management.json",
            get(async || Json(management_document())),
        )
        .merge(utoipa_swagger_ui::SwaggerUi::new("/docs").config(config))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::auth::permissions::TABLE;

    #[test]
    fn every_operation_has_one_row_of_permissions() {
        let documents = [super::streaming_document(), super::management_document()];
        let documents = documents.map(|document| serde_json::to_value(document).expect("JSON"));
        let operations: BTreeSet<_> = documents
            .iter()
            .flat_map(|document| document["paths"].as_object().expect("paths").values())
            .flat_map(|methods| methods.as_object().expect("methods").values())
            .map(|method| method["operationId"].as_str().expect("an id").to_owned())
            .collect();
        let rows: Vec<_> = TABLE.iter().map(|row| row.operation.to_owned()).collect();
        assert_eq!(rows.len(), rows.iter().collect::<BTreeSet<_>>().len());
        let missing: Vec<_> = operations
            .iter()
            .filter(|operation| !rows.contains(operation))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
        let stale: Vec<_> = rows
            .iter()
            .filter(|row| !operations.contains(*row))
            .collect();
        assert!(stale.is_empty(), "{stale:?}");
    }
}
