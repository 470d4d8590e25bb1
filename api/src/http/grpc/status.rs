//! Problems as gRPC tells them.

use std::{collections::HashMap, time::Duration};

use tonic::{Code as Grpc, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::pb::headwater::v1 as pb;
use crate::problem::{Code, Outcome, Problem};

const DOMAIN: &str = "headwater";

/// The status that a code of ours is told by. Clients and their libraries act on it without knowing
/// us: what they repeat on their own must not be what may stand already.
pub fn grpc_code(code: Code) -> Grpc {
    match code {
        Code::InvalidJson | Code::InvalidRequest | Code::InvalidCursor => Grpc::InvalidArgument,
        // Not RESOURCE_EXHAUSTED, which asks to come back later: it will not fit then, either.
        Code::PayloadTooLarge | Code::TooManyRecords | Code::HeadersTooLarge => {
            Grpc::InvalidArgument
        }
        Code::Unauthenticated => Grpc::Unauthenticated,
        Code::Forbidden => Grpc::PermissionDenied,
        Code::NotFound
        | Code::TopicNotFound
        | Code::PartitionNotFound
        | Code::KeyNotFound
        | Code::GroupNotFound => Grpc::NotFound,
        Code::TopicExists | Code::GroupExists | Code::AlreadyExists => Grpc::AlreadyExists,
        // Somebody else was first: read it again, and decide anew.
        Code::PreconditionFailed | Code::MemberFenced | Code::MemberExpired => Grpc::Aborted,
        // Well said, but not as things are.
        Code::BrokerInUse
        | Code::InSyncCopyLives
        | Code::CannotLead
        | Code::LastOwner
        | Code::GroupTypeConflict
        | Code::GroupActive
        | Code::IdempotencyKeyReused
        | Code::UnknownTopic
        | Code::KeyRequired
        | Code::NotCompacted
        | Code::InvalidSetting => Grpc::FailedPrecondition,
        Code::OffsetOutOfRange => Grpc::OutOfRange,
        Code::QuotaExceeded | Code::RateExceeded | Code::TooManyAttempts | Code::StorageFull => {
            Grpc::ResourceExhausted
        }
        Code::Overloaded | Code::Unavailable | Code::NotConfirmed => Grpc::Unavailable,
        Code::RecordCorrupt => Grpc::DataLoss,
        // The status of which gRPC says that the change may stand nevertheless.
        Code::OutcomeUnknown | Code::DeadlineExceeded | Code::RequestTimeout => {
            Grpc::DeadlineExceeded
        }
        // Of a compression that is not known, gRPC wants it so.
        Code::UnsupportedMediaType | Code::MethodNotAllowed | Code::NotImplemented => {
            Grpc::Unimplemented
        }
        Code::Internal => Grpc::Internal,
    }
}

/// A problem with all that is known of it.
pub fn to_status(problem: &Problem, request_id: &str) -> Status {
    problem.log(request_id);
    let mut metadata = HashMap::from([
        ("retryable".to_owned(), problem.code.retryable().to_string()),
        ("outcome".to_owned(), problem.outcome.name().to_owned()),
    ]);
    let mut tell = |name: &str, value: String| metadata.insert(name.to_owned(), value);
    if !request_id.is_empty() {
        tell("request_id", request_id.to_owned());
    }
    for (name, offset) in &problem.offsets {
        tell(name, offset.to_string());
    }
    if let Some(cursor) = &problem.cursor {
        tell("cursor", cursor.clone());
    }
    if let Some(limit) = problem.rate_limit {
        tell("rate_limit", limit.to_string());
    }
    let mut details = ErrorDetails::with_error_info(problem.code.as_str(), DOMAIN, metadata);
    for error in &problem.errors {
        let what = format!("{}: {}", error.code, error.message);
        details.add_bad_request_violation(error.pointer.clone(), what);
    }
    if let Some(retry_after_ms) = problem.retry_after_ms {
        details.set_retry_info(Some(Duration::from_millis(retry_after_ms)));
    }
    Status::with_error_details(grpc_code(problem.code), problem.detail.clone(), details)
}

/// A problem inside an answer.
pub fn to_message(problem: &Problem) -> pb::Problem {
    let errors = problem.errors.iter().map(|error| pb::FieldError {
        pointer: error.pointer.clone(),
        code: error.code.clone(),
        message: error.message.clone(),
    });
    let outcome = match problem.outcome {
        Outcome::NotApplied => pb::Outcome::NotApplied,
        Outcome::Applied => pb::Outcome::Applied,
        Outcome::Unknown => pb::Outcome::Unknown,
    };
    pb::Problem {
        code: problem.code.as_str().to_owned(),
        detail: problem.detail.clone(),
        retryable: problem.code.retryable(),
        outcome: outcome.into(),
        retry_after_ms: problem.retry_after_ms,
        errors: errors.collect(),
    }
}

/// The HTTP status that says about the same, for metrics: that of every answer over gRPC is 200.
pub fn http_status(headers: &http::HeaderMap) -> u16 {
    let code = Status::from_header_map(headers).map_or(Grpc::Ok, |status| status.code());
    match code {
        Grpc::Ok => 200,
        Grpc::InvalidArgument | Grpc::FailedPrecondition => 400,
        Grpc::Unauthenticated => 401,
        Grpc::PermissionDenied => 403,
        Grpc::NotFound => 404,
        Grpc::AlreadyExists | Grpc::Aborted => 409,
        Grpc::OutOfRange => 416,
        Grpc::ResourceExhausted => 429,
        Grpc::Cancelled => 499,
        Grpc::Unimplemented => 501,
        Grpc::Unavailable | Grpc::DataLoss => 503,
        Grpc::DeadlineExceeded => 504,
        Grpc::Internal | Grpc::Unknown => 500,
    }
}
