//! `/groups/{group}/lease` and `/groups/{group}/settle`: the work of shared groups.

use axum::{Json, body::Body, extract::State, response::Response};
use http::Request;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::PageAsk;
use crate::{
    auth::permissions::{LeaseRecords, SettleRecords},
    gateway::{LeaseAsk, LeasePage, OnOutOfRange, SettleAsk, SettleStatus},
    http::{
        body::{json_body, json_body_within},
        call::{InProject, May},
        fetch::{held_json, turn, while_allowed},
        openapi::{EncodingParam, GroupProblems, LeasedRecordOutput},
        params::{Params, in_range, rfc3339},
        router::App,
    },
    limits::{
        GROUP_LEASE_MS, LEASE_RECORDS, NACK_DELAY_MS_MAX, SETTLE_BODY_BYTES_MAX, SETTLE_LEASES_MAX,
    },
    metadata::not_null,
    problem::Problem,
    quota::Resource,
};

/// What a worker asks for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"max_records": 10, "wait_ms": 0}))]
pub struct LeaseRequest {
    /// Records at most; 100 by default.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, minimum = 1, maximum = 1000, example = 100)]
    pub max_records: Option<u64>,
    /// Bytes of records at most, 1 MiB by default; the first always fits. What does not fit is not
    /// leased.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, minimum = 1, maximum = 16777216, example = 1048576)]
    pub max_bytes: Option<u64>,
    /// How long to wait for the first record, in milliseconds; 0 by default.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, minimum = 0, maximum = 60000, example = 0)]
    pub wait_ms: Option<u64>,
    /// How long the worker needs; the group's `lease_ms` by default.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, minimum = 10000, maximum = 300000, example = 45000)]
    pub lease_ms: Option<u64>,
    /// `base64`: keys, values and headers as bytes.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    pub encoding: Option<EncodingParam>,
}

/// What a lease is answered.
#[derive(ToSchema)]
#[schema(example = json!({
    "records": [{
        "lease": "AQGiAcAi7nA9noHR7KmYkkIB", "attempt": 1, "topic": "orders", "key": "c1",
        "value": {"id": 17}, "headers": {}, "timestamp": 1767225600000i64, "partition": 0, "offset": 42
    }],
    "expires_at": "2026-01-31T12:00:45.000Z"
}))]
#[allow(dead_code)] // the shape of what `Rest` is written as, behind the records
pub struct LeaseResponse {
    /// At most one of a key, and none while an earlier one of its key is with a worker.
    records: Vec<LeasedRecordOutput>,
    /// When the leases end: RFC 3339; null without records.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// What stands behind the records.
#[derive(Serialize)]
struct Rest {
    expires_at: Option<String>,
}

/// What became of leases. 1 000 of them at most.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"ack": []}))]
pub struct SettleRequest {
    /// Done.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub ack: Vec<String>,
    /// Failed: to be tried again, or given up after the group's `max_attempts`.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub nack: Vec<NackRequest>,
    /// Not done yet.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub extend: Vec<ExtendRequest>,
    /// Never to be tried again: given up at once.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub reject: Vec<RejectRequest>,
}

/// A failed attempt.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NackRequest {
    /// The lease.
    pub lease: String,
    /// How long the record, and what waits behind it, is not leased; 0 by default.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 86400000)]
    pub delay_ms: u64,
    /// Goes with the dead letter, if this was the last attempt; what is beyond 256 bytes is cut off.
    #[serde(default)]
    pub reason: String,
}

/// More time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtendRequest {
    /// The lease.
    pub lease: String,
    /// How much longer it lasts, from now on.
    #[schema(minimum = 10000, maximum = 300000)]
    pub lease_ms: u64,
}

/// A record that no attempt will help.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum RejectRequest {
    /// The lease.
    Lease(String),
    /// The lease, and why.
    WithReason(Rejection),
}

/// A lease, and why its record is given up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rejection {
    /// The lease.
    pub lease: String,
    /// Goes with the dead letter; what is beyond 256 bytes is cut off.
    #[serde(default)]
    pub reason: String,
}

/// What came of the leases of a settlement.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"results": [{"lease": "AQGiAcAi7nA9noHR7KmYkkIB", "status": "ok"}]}))]
pub struct SettleResponse {
    /// In the order ack, nack, extend, reject.
    results: Vec<Settled>,
}

/// What came of a lease.
#[derive(Serialize, ToSchema)]
pub struct Settled {
    /// The lease.
    pub lease: String,
    /// What came of it.
    status: SettleStatus,
}

/// Lease records of a shared group.
///
/// Any number of workers lease single records. A record is with one of them at a time; of a key the next
/// one is leased once the one before is settled, while other keys go on. A lease that is not settled
/// ends, and its record is leased again with the next `attempt`; after the group's `max_attempts` it goes
/// to the dead-letter topic.
#[utoipa::path(
    post, path = "/groups/{group}/lease", operation_id = "leaseRecords", tag = "groups",
    params(("group" = String, Path, description = "Group name", example = "billing")),
    request_body(content = Option<LeaseRequest>, description = "How many, and for how long"),
    responses((status = 200, description = "Records, each with its lease", body = LeaseResponse), GroupProblems),
)]
pub async fn lease_records(
    State(app): State<App>,
    May { call, .. }: May<LeaseRecords, InProject>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    Params::parse(request.uri(), &[])?;
    let wanted: LeaseRequest = json_body(&app, request).await?;
    let page = lease(&app, &call, &wanted.checked()?).await?;
    Ok(answer(page))
}

/// Leases for a caller.
///
/// # Errors
/// As [`Gateway::lease_records`](crate::gateway::Gateway::lease_records), and 429 over a quota.
pub async fn lease(app: &App, call: &InProject, ask: &LeaseAsk) -> Result<LeasePage, Problem> {
    let layers = call.access.layers();
    layers.check(Resource::EgressBytesPerSecond)?;
    let turn = turn(layers, &ask.limits).await?;
    let leased = app.gateway.lease_records(&call.access, call.group(), ask);
    let leased = while_allowed(app, || call.check_group(app), leased);
    let page = turn.work(leased).await?;
    app.metrics
        .records_out
        .inc_by(page.page.record_count as u64);
    Ok(page)
}

/// Say what became of leases.
///
/// `ack` what is done, `nack` what failed, `extend` what needs more time, `reject` what no attempt will
/// help. A late `ack` counts until somebody else has the record. Repeating it is safe.
#[utoipa::path(
    post, path = "/groups/{group}/settle", operation_id = "settleRecords", tag = "groups",
    params(("group" = String, Path, description = "Group name", example = "billing")),
    request_body(content = SettleRequest, description = "What became of leases"),
    responses((status = 200, description = "What came of each", body = SettleResponse), GroupProblems),
)]
pub async fn settle_records(
    State(app): State<App>,
    May { call, .. }: May<SettleRecords, InProject>,
    request: Request<Body>,
) -> Result<Json<SettleResponse>, Problem> {
    Params::parse(request.uri(), &[])?;
    let wanted: SettleRequest = json_body_within(&app, request, SETTLE_BODY_BYTES_MAX).await?;
    let ask = wanted.checked()?;
    call.check_group(&app)?;
    let settled = app.gateway.settle_records(&call.access, call.group(), &ask);
    let statuses = settled.await?;
    let results = ask.into_leases().zip(statuses);
    Ok(Json(SettleResponse {
        results: results
            .map(|(lease, status)| Settled { lease, status })
            .collect(),
    }))
}

impl LeaseRequest {
    /// # Errors
    /// 400 for what is out of range.
    pub fn checked(self) -> Result<LeaseAsk, Problem> {
        let page = PageAsk {
            max_records: self.max_records,
            max_bytes: self.max_bytes,
            wait_ms: self.wait_ms,
            encoding: self.encoding,
        };
        let (least, _, most) = GROUP_LEASE_MS;
        let lease_ms = self.lease_ms.map(|lease_ms| {
            in_range("/lease_ms", lease_ms, least.into(), most.into()).map(|ms| ms as u32)
        });
        Ok(LeaseAsk {
            lease_ms: lease_ms.transpose()?,
            limits: page.checked(LEASE_RECORDS, OnOutOfRange::Error)?,
        })
    }
}

impl SettleRequest {
    /// # Errors
    /// 400 for what is out of range, and too many leases.
    pub fn checked(self) -> Result<SettleAsk, Problem> {
        let count = self.ack.len() + self.nack.len() + self.extend.len() + self.reject.len();
        if count > SETTLE_LEASES_MAX {
            let message = format!("settle at most {SETTLE_LEASES_MAX} leases in a call");
            return Err(Problem::invalid("", "out_of_range", message));
        }
        let nack = (0..).zip(self.nack).map(|(place, nack): (usize, _)| {
            let pointer = format!("/nack/{place}/delay_ms");
            let delay_ms = in_range(&pointer, nack.delay_ms, 0, NACK_DELAY_MS_MAX.into())?;
            Ok((nack.lease, delay_ms as u32, nack.reason))
        });
        let extend = (0..).zip(self.extend).map(|(place, extend): (usize, _)| {
            let pointer = format!("/extend/{place}/lease_ms");
            let (least, _, most) = GROUP_LEASE_MS;
            let lease_ms = in_range(&pointer, extend.lease_ms, least.into(), most.into())?;
            Ok((extend.lease, lease_ms as u32))
        });
        let reject = self.reject.into_iter().map(|reject| match reject {
            RejectRequest::Lease(lease) => (lease, String::new()),
            RejectRequest::WithReason(Rejection { lease, reason }) => (lease, reason),
        });
        Ok(SettleAsk {
            ack: self.ack,
            nack: nack.collect::<Result<_, Problem>>()?,
            extend: extend.collect::<Result<_, Problem>>()?,
            reject: reject.collect(),
        })
    }
}

/// `{"records":[…],…}`
fn answer(page: LeasePage) -> Response {
    let rest = Rest {
        expires_at: page.expires_at_ms.map(rfc3339),
    };
    let rest = serde_json::to_vec(&rest).expect("strings serialize");
    let mut body = page.page.records;
    body.extend_from_slice(b"],");
    body.extend_from_slice(&rest[1..]);
    held_json(body, page.page.held)
}
