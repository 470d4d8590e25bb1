//! `/groups/{group}/members/{member}` and `…/poll`

use axum::{Json, body::Body, extract::State, response::Response};
use http::{Request, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::PageAsk;
use crate::{
    auth::permissions::{JoinGroup, LeaveGroup, PollGroup},
    gateway::{GroupGap, GroupPage, Joined, Lag, OnOutOfRange, PollAsk, TopicPartition},
    http::{
        body::{json_body, json_body_within},
        call::{InProject, May},
        fetch::{held_json, turn, while_allowed},
        openapi::{EncodingParam, GroupProblems, GroupRecordOutput},
        params::{Params, in_range, rfc3339},
        router::App,
    },
    limits::{FETCH_RECORDS, OFFSET_MAX, POLL_BODY_BYTES_MAX},
    metadata::not_null,
    problem::Problem,
    quota::Resource,
};

/// How a member joins.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"lease_ms": 45000, "instance": "pod-7f9c"}))]
pub struct JoinRequest {
    /// How long it may be silent; the group's `lease_ms` by default.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, minimum = 10000, maximum = 300000)]
    lease_ms: Option<u32>,
    /// Which life of the member it is, such as a process's id: a new one under the same name takes over
    /// at once, and the old one is fenced.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(
        nullable = false,
        min_length = 1,
        max_length = 249,
        pattern = "^[A-Za-z0-9.-][A-Za-z0-9._-]*$"
    )]
    instance: Option<String>,
}

/// What a member asks for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"epoch": 3, "wait_ms": 0}))]
pub struct PollRequest {
    /// What the member was last told, by its join or a poll. Any epoch since its own join is good.
    #[schema(minimum = 0, maximum = 9007199254740991i64)]
    epoch: u64,
    /// The cursor of an earlier poll: what that poll and those before it delivered is done with.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    commit: Option<String>,
    /// The cursor of an earlier poll, to read on from without committing it. Otherwise the poll begins
    /// at what is committed.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    after: Option<String>,
    /// Records at most; 500 by default.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, minimum = 1, maximum = 10000, example = 500)]
    max_records: Option<u64>,
    /// Bytes of records at most, 1 MiB by default; the first always fits.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, minimum = 1, maximum = 16777216, example = 1048576)]
    max_bytes: Option<u64>,
    /// How long to wait for the first record, in milliseconds; 0 by default. The lease is kept
    /// meanwhile.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, minimum = 0, maximum = 60000, example = 0)]
    wait_ms: Option<u64>,
    /// `base64`: keys, values and headers as bytes.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    encoding: Option<EncodingParam>,
}

/// What a poll is answered.
#[derive(ToSchema)]
#[schema(example = json!({
    "records": [{"topic": "orders", "key": "c1", "value": {"id": 17}, "headers": {},
    "timestamp": 1767225600000i64, "partition": 0, "offset": 42}],
    "cursor": "AQGiAcAi7nA9noHR7KmYkkIBAASLdASEi7dJr8kF3iHgKfHk", "epoch": 3,
    "assigned": [{"topic": "orders", "partition": 0}], "revoked": [], "ignored": [],
    "lag": {"records": 1, "ms": 1500}, "gaps": [], "expires_at": "2026-01-31T12:00:45.000Z"
}))]
#[allow(dead_code)] // the shape of what `Rest` is written as, behind the records
pub struct PollResponse {
    /// In offset order within each partition.
    records: Vec<GroupRecordOutput>,
    /// Commits what this poll and those before it delivered, as `commit` of a later poll: opaque and
    /// signed.
    cursor: String,
    /// What the next poll names.
    epoch: u64,
    /// What the member owns, and did not when it polled last.
    assigned: Vec<TopicPartition>,
    /// What it owned then, and does not now.
    revoked: Vec<TopicPartition>,
    /// Partitions whose commit did not count, because the member does not own them any more: another
    /// one reads these records again.
    ignored: Vec<TopicPartition>,
    /// How far behind the member is.
    lag: Lag,
    /// What is missing.
    gaps: Vec<GroupGap>,
    /// When the lease ends that this poll began: RFC 3339.
    #[schema(format = DateTime)]
    expires_at: String,
}

/// What stands behind the records of a poll.
#[derive(Serialize)]
struct Rest<'a> {
    cursor: &'a str,
    epoch: u64,
    assigned: &'a [TopicPartition],
    revoked: &'a [TopicPartition],
    ignored: &'a [TopicPartition],
    lag: Lag,
    gaps: &'a [GroupGap],
    expires_at: String,
}

/// Join a group, or renew the lease.
///
/// The member picks its own name. The same instance renews its lease; another one under the name takes
/// it over, with its partitions, and the one before is told 409 `member_fenced` from then on.
#[utoipa::path(
    put, path = "/groups/{group}/members/{member}", operation_id = "joinGroup", tag = "groups",
    params(
        ("group" = String, Path, description = "Group name", example = "billing"),
        ("member" = String, Path, description = "Member name: 1 to 249 of a-z A-Z 0-9 . _ -", example = "worker-1"),
    ),
    request_body(content = Option<JoinRequest>, description = "How it joins"),
    responses((status = 200, description = "It is a member", body = Joined), GroupProblems),
)]
pub async fn join_group(
    State(app): State<App>,
    May { call, .. }: May<JoinGroup, InProject>,
    request: Request<Body>,
) -> Result<Json<Joined>, Problem> {
    Params::parse(request.uri(), &[])?;
    let wanted: JoinRequest = json_body(&app, request).await?;
    call.check_group(&app)?;
    let (group, member) = (call.group(), call.member());
    let joined = app.gateway.join_group(
        &call.access,
        group,
        member,
        wanted.instance,
        wanted.lease_ms,
    );
    joined.await.map(Json)
}

/// Leave a group.
///
/// The member's partitions move at once. Who is not there has left.
#[utoipa::path(
    delete, path = "/groups/{group}/members/{member}", operation_id = "leaveGroup", tag = "groups",
    params(
        ("group" = String, Path, description = "Group name", example = "billing"),
        ("member" = String, Path, description = "Member name", example = "worker-1"),
        ("epoch" = Option<u64>, Query, description = "What the member was last told: if somebody has taken its name over since, 409 and they stay", maximum = 9007199254740991i64),
    ),
    responses((status = 204, description = "It is no member"), GroupProblems),
)]
pub async fn leave_group(
    State(app): State<App>,
    May { call, .. }: May<LeaveGroup, InProject>,
    request: Request<Body>,
) -> Result<StatusCode, Problem> {
    let params = Params::parse(request.uri(), &["epoch"])?;
    let epoch = params.number("epoch", 0, OFFSET_MAX)?;
    let (group, member) = (call.group(), call.member());
    let left = app.gateway.leave_group(&call.access, group, member, epoch);
    left.await.map(|()| StatusCode::NO_CONTENT)
}

/// Poll a group: heartbeat, commit and read in one call.
///
/// It renews the member's lease, commits `commit`, and reads the partitions that the member owns: from
/// what is committed, or from `after` to read on without committing. With `wait_ms` it waits for the
/// first record, and keeps the lease meanwhile; it answers sooner when partitions are to move.
/// Repeating it is safe. `assigned` and `revoked` are what changed since the member's last poll.
#[utoipa::path(
    post, path = "/groups/{group}/members/{member}/poll", operation_id = "pollGroup", tag = "groups",
    params(
        ("group" = String, Path, description = "Group name", example = "billing"),
        ("member" = String, Path, description = "Member name", example = "worker-1"),
    ),
    request_body(content = PollRequest, description = "What it wants, and what it is done with"),
    responses((status = 200, description = "Records, and what the member owns", body = PollResponse), GroupProblems),
)]
pub async fn poll_group(
    State(app): State<App>,
    May { call, .. }: May<PollGroup, InProject>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    Params::parse(request.uri(), &[])?;
    let wanted: PollRequest = json_body_within(&app, request, POLL_BODY_BYTES_MAX).await?;
    let page = poll(&app, &call, call.member(), &wanted.checked()?).await?;
    Ok(answer(page))
}

/// Polls for a caller, and counts what is sent.
///
/// # Errors
/// As [`Gateway::poll_group`](crate::gateway::Gateway::poll_group), and 429 over a quota.
pub async fn poll(
    app: &App,
    call: &InProject,
    member: &str,
    ask: &PollAsk,
) -> Result<GroupPage, Problem> {
    let layers = call.access.layers();
    layers.check(Resource::EgressBytesPerSecond)?;
    let turn = turn(layers, &ask.limits).await?;
    let polled = app
        .gateway
        .poll_group(&call.access, call.group(), member, ask);
    let polled = while_allowed(app, || call.check_group(app), polled);
    let page = turn.work(polled).await?;
    app.metrics
        .records_out
        .inc_by(page.page.record_count as u64);
    Ok(page)
}

impl PollRequest {
    fn checked(self) -> Result<PollAsk, Problem> {
        in_range("/epoch", self.epoch, 0, OFFSET_MAX)?;
        let page = PageAsk {
            max_records: self.max_records,
            max_bytes: self.max_bytes,
            wait_ms: self.wait_ms,
            encoding: self.encoding,
        };
        Ok(PollAsk {
            epoch: self.epoch,
            commit: self.commit,
            after: self.after,
            limits: page.checked(FETCH_RECORDS, OnOutOfRange::Undeleted)?,
        })
    }
}

/// `{"records":[…],…}`
fn answer(page: GroupPage) -> Response {
    let rest = Rest {
        cursor: &page.cursor,
        epoch: page.epoch,
        assigned: &page.assigned,
        revoked: &page.revoked,
        ignored: &page.ignored,
        lag: page.lag,
        gaps: &page.gaps,
        expires_at: rfc3339(page.expires_at_ms),
    };
    let rest = serde_json::to_vec(&rest).expect("numbers and strings serialize");
    let mut body = page.page.records;
    body.extend_from_slice(b"],");
    body.extend_from_slice(&rest[1..]);
    held_json(body, page.page.held)
}
