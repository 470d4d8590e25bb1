//! Problems: every error that a client sees, as RFC 9457 `application/problem+json`.
//!
//! A client retries on `retryable` and `outcome` alone. What an operator needs beside it goes to the
//! log, never into a problem.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
};

use serde::Serialize;

/// What became of the request's effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing was changed, and nothing will be.
    NotApplied,
    /// The change stands.
    #[allow(dead_code)] // part of the contract; no call fails after its change yet
    Applied,
    /// It may stand or not: repeat it with the same `Idempotency-Key`.
    Unknown,
}

impl Outcome {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotApplied => "not_applied",
            Self::Applied => "applied",
            Self::Unknown => "unknown",
        }
    }
}

macro_rules! codes {
    ($($name:ident $code:literal $status:literal $retryable:literal $title:literal $help:literal;)*) => {
        /// The stable `code` of a problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $(#[doc = $help] $name),* }

        impl Code {
            /// All codes, in the order of their status.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];

            /// The code as it stands in a problem.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $code),* }
            }

            /// The HTTP status it is sent with.
            pub fn status(self) -> u16 {
                match self { $(Code::$name => $status),* }
            }

            /// Whether the same request may succeed later.
            pub fn retryable(self) -> bool {
                match self { $(Code::$name => $retryable),* }
            }

            /// A few words for people.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title),* }
            }

            /// What it means and what to do, in short.
            pub fn help(self) -> &'static str {
                match self { $(Code::$name => $help),* }
            }

            /// The page that its `type` names, as Markdown. A code without one does not compile.
            pub fn page(self) -> &'static str {
                match self {
                    $(Code::$name => include_str!(concat!("../../docs/errors/", $code, ".md"))),*
                }
            }
        }
    };
}

codes! {
    InvalidJson "invalid_json" 400 false "Invalid JSON"
        "The body is not the JSON that this call takes. `errors` points to the place.";
    InvalidRequest "invalid_request" 400 false "Invalid request"
        "A field, parameter or header has a wrong type, is out of range, unknown or repeated. `errors` names each.";
    InvalidCursor "invalid_cursor" 400 false "Invalid cursor"
        "The cursor was not made by this service for this topic or group. Start again: a topic with `from` or `at`, a group with a poll that names none.";
    Unauthenticated "unauthenticated" 401 false "Unauthenticated"
        "The call needs `Authorization: Bearer <API key or token>`, and that must be good and not expired.";
    Forbidden "forbidden" 403 false "Forbidden"
        "The credential is good but may not do this.";
    QuotaExceeded "quota_exceeded" 403 false "Quota exceeded"
        "The call would take more than the quota that `detail` names. Delete something, or have the quota raised.";
    NotFound "not_found" 404 false "Not found"
        "There is nothing at this path, or nothing that this credential may know of.";
    TopicNotFound "topic_not_found" 404 false "Topic not found"
        "The project has no topic of that name. Create it with PUT.";
    PartitionNotFound "partition_not_found" 404 false "Partition not found"
        "Partitions are numbered from 0 to the topic's `partitions` - 1.";
    KeyNotFound "key_not_found" 404 false "Key not found"
        "The topic has no record with this key, or its last one is a tombstone.";
    GroupNotFound "group_not_found" 404 false "Group not found"
        "The project has no consumer group of that name. Create it with PUT.";
    MethodNotAllowed "method_not_allowed" 405 false "Method not allowed"
        "The path exists, the method does not; `Allow` lists those that do.";
    RequestTimeout "request_timeout" 408 true "Request timeout"
        "The request's body came too slowly, and nothing of it was applied.";
    TopicExists "topic_exists" 409 false "Topic exists with other settings"
        "PUT ensures: it answers 200 only if the topic already is what the body asks for. Change it with PATCH.";
    GroupExists "group_exists" 409 false "Group exists with other settings"
        "PUT ensures: it answers 200 only if the group already is what the body asks for. `errors` says what differs.";
    AlreadyExists "already_exists" 409 false "Already exists"
        "The id is taken, or was: ids of organizations and projects are never given to somebody else.";
    BrokerInUse "broker_in_use" 409 false "Broker in use"
        "A broker is removed once it is stopped and holds no copies: drain it, wait until it has none, stop it.";
    InSyncCopyLives "in_sync_copy_lives" 409 false "An in-sync copy lives"
        "No loss has to be accepted: a broker lives that has everything that was acknowledged. The cluster has it lead by itself.";
    CannotLead "cannot_lead" 409 false "Cannot lead"
        "The broker has no copy of the partition, or is not heard of, or its copy ends before what the object store has. A dry run lists those that can.";
    LastOwner "last_owner" 409 false "Last owner"
        "An organization keeps at least one owner. Make somebody else one first.";
    GroupTypeConflict "group_type_conflict" 409 false "Group of another type"
        "The group is of another type, which has no such call. A group's type never changes.";
    GroupActive "group_active" 409 false "Group has members"
        "The group has members. Have them leave, or wait until their leases end.";
    MemberFenced "member_fenced" 409 false "Member was replaced"
        "Another instance has joined under the member's name. What this one commits counts no more.";
    MemberExpired "member_expired" 410 false "Member expired"
        "The member's lease ended, or it left, or it never joined. Join again.";
    PreconditionFailed "precondition_failed" 412 false "Precondition failed"
        "`If-Match` is not the current `ETag`: somebody changed it meanwhile. Read it again.";
    PayloadTooLarge "payload_too_large" 413 false "Payload too large"
        "The body, after inflating, or a record or key in it is larger than its limit.";
    TooManyRecords "too_many_records" 413 false "Too many records"
        "One request takes at most 10 000 records. Split it, or use /records/bulk.";
    UnsupportedMediaType "unsupported_media_type" 415 false "Unsupported media type"
        "Send application/json (NDJSON for bulk), plain or with Content-Encoding gzip or zstd.";
    OffsetOutOfRange "offset_out_of_range" 416 false "Offset out of range"
        "The offset is below `log_start` or above `high_watermark`; both are in the problem.";
    IdempotencyKeyReused "idempotency_key_reused" 422 false "Idempotency key reused"
        "The key was used with another body within the last 15 minutes. Use a new key.";
    UnknownTopic "topic_not_found" 422 false "Topic not found"
        "A topic that the body names does not exist in the project, or the group does not read it.";
    KeyRequired "key_required" 422 false "Key required"
        "The topic is compacted by key: every record needs `key` or `key_base64`. `errors` points to one without.";
    NotCompacted "not_compacted" 422 false "Not compacted"
        "Only topics whose `cleanup_policy` is `compact` are asked by key. Read the topic's records, or change the setting.";
    InvalidSetting "invalid_setting" 422 false "Invalid setting"
        "The value is well-formed but against a rule of the resource; `errors` says which.";
    TooManyAttempts "too_many_attempts" 429 true "Too many attempts"
        "Too many wrong credentials came from this address. Wait for `retry_after_ms`; credentials that were good lately still work.";
    RateExceeded "quota_exceeded" 429 true "Quota exceeded"
        "The caller is over the quota that `detail` names: so much a second, or so many at the same time. `RateLimit-Limit` is the quota; wait for `retry_after_ms`.";
    HeadersTooLarge "headers_too_large" 431 false "Headers too large"
        "The request's line and headers are larger than the service reads.";
    Internal "internal" 500 false "Internal error"
        "A fault of the service. Its log has the details under the request id.";
    NotImplemented "not_implemented" 501 false "Not implemented"
        "This call or setting is part of the contract but not built yet.";
    Overloaded "overloaded" 503 true "Overloaded"
        "The service has as much in flight as it can hold. Wait for `retry_after_ms`.";
    Unavailable "unavailable" 503 true "Unavailable"
        "The partition has no leader that can be reached now, or the service is stopping.";
    NotConfirmed "not_confirmed" 503 true "Not confirmed"
        "A strong read waits until the partition's leader is known to lead still, and nobody said so in time. Try again, or read with `consistency=committed`.";
    RecordCorrupt "record_corrupt" 503 false "Stored records are damaged"
        "The stored bytes of offsets `from` to `to` (exclusive) fail their checksum and are not served. Reading can go on at `to`.";
    DeadlineExceeded "deadline_exceeded" 504 true "Deadline exceeded"
        "The call took longer than the client gave it with `grpc-timeout`. `outcome` says whether it may stand.";
    OutcomeUnknown "outcome_unknown" 504 true "Outcome unknown"
        "The service stopped between the append and its acknowledgement. Repeat with the same Idempotency-Key.";
    StorageFull "storage_full" 507 true "Storage full"
        "The disk is full up to its reserve. Reads go on; writes resume when space returns.";
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// Where: a JSON pointer into the body, or the name of a parameter or header.
    #[schema(example = "/records/3/value")]
    pub pointer: String,
    /// A stable word for what is wrong.
    #[schema(example = "wrong_type")]
    pub code: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// An error on its way to the client. Boxed: results are moved often, and errors are rare.
#[derive(Debug, Clone)]
pub struct Problem(Box<Details>);

/// What a problem says.
#[derive(Debug, Clone)]
pub struct Details {
    /// Its kind.
    pub code: Code,
    /// What is particular to this occurrence.
    pub detail: String,
    /// What became of the request.
    pub outcome: Outcome,
    /// The fields at fault.
    pub errors: Vec<FieldError>,
    /// When to try again.
    pub retry_after_ms: Option<u64>,
    /// The quota that the caller is over, for `RateLimit-Limit`.
    pub rate_limit: Option<u64>,
    /// Offsets that the client needs to go on, by name.
    pub offsets: Vec<(&'static str, u64)>,
    /// Where a reader can go on.
    pub cursor: Option<String>,
    /// Methods of the path, for `Allow`.
    pub allow: Option<http::HeaderValue>,
}

impl Deref for Problem {
    type Target = Details;

    fn deref(&self) -> &Details {
        &self.0
    }
}

impl DerefMut for Problem {
    fn deref_mut(&mut self) -> &mut Details {
        &mut self.0
    }
}

impl Problem {
    /// A problem that left everything as it was.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let retry_after_ms = match code {
            Code::Overloaded | Code::Unavailable | Code::NotConfirmed => Some(1_000),
            Code::StorageFull => Some(5_000),
            _ => None,
        };
        let outcome = if code == Code::OutcomeUnknown || code == Code::Internal {
            Outcome::Unknown
        } else {
            Outcome::NotApplied
        };
        Self(Box::new(Details {
            code,
            detail: detail.into(),
            outcome,
            errors: Vec::new(),
            retry_after_ms,
            rate_limit: None,
            offsets: Vec::new(),
            cursor: None,
            allow: None,
        }))
    }

    /// A request with one thing wrong.
    pub fn invalid(
        pointer: impl Into<String>,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(Code::InvalidRequest, "").at(pointer, code, message)
    }

    /// Names a field at fault. The first becomes the detail if there is none.
    pub fn at(
        mut self,
        pointer: impl Into<String>,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        let (pointer, message) = (pointer.into(), message.into());
        if self.detail.is_empty() {
            self.detail = if pointer.is_empty() {
                message.clone()
            } else {
                format!("{pointer}: {message}")
            };
        }
        self.errors.push(FieldError {
            pointer,
            code: code.into(),
            message,
        });
        self
    }

    /// Adds an offset that the client needs.
    pub fn offset(mut self, name: &'static str, offset: u64) -> Self {
        self.offsets.push((name, offset));
        self
    }

    /// A fault of the service: logged in full, told without details.
    pub fn internal(what: &str, error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "{what}");
        Self::new(Code::Internal, format!("{what}; the log has the details"))
    }

    /// Tells the operator of what is not the client's doing.
    pub fn log(&self, request_id: &str) {
        if self.code.status() >= 500 {
            tracing::warn!(request_id, code = self.code.as_str(), detail = %self.detail, "problem");
        }
    }

    /// The problem as JSON, on one line.
    pub fn to_json(&self, request_id: &str) -> Vec<u8> {
        let body = Body {
            r#type: format!("/errors/{}", self.code.as_str()),
            title: self.code.title(),
            status: self.code.status(),
            code: self.code.as_str(),
            detail: &self.detail,
            retryable: self.code.retryable(),
            retry_after_ms: self.retry_after_ms,
            outcome: self.outcome,
            request_id,
            errors: &self.errors,
            offsets: self.offsets.iter().copied().collect(),
            cursor: self.cursor.as_deref(),
        };
        serde_json::to_vec(&body).expect("strings and numbers serialize")
    }
}

/// A problem as it is written.
#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    outcome: Outcome,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(flatten)]
    offsets: BTreeMap<&'static str, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<&'a str>,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl std::error::Error for Problem {}
