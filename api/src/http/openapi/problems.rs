//! Problems: their shape, and which of them each kind of operation answers.

use utoipa::{
    IntoResponses, ToSchema,
    openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder, response::Response},
};

use crate::problem::{Code, FieldError, Outcome, Problem};

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
