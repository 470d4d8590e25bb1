//! Records as they are written and read.

use utoipa::ToSchema;

use super::ProblemSchema;

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

/// The bytes of a value.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary, example = json!("Water is wet."))]
#[allow(dead_code)]
pub struct RawBytes(Vec<u8>);
