//! What can go wrong with a store, by what the caller can do about it.

use std::fmt;
use std::io;
use std::sync::Arc;

use object_store::Error as ObjectError;
use object_store::client::{HttpError, HttpErrorKind};

/// What a caller can do about a [`StoreError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// There is no such object. Trying again does not help.
    NotFound,
    /// No answer in time, no connection, or an answer that the server is busy or broken: try again
    /// later. A write may have been applied.
    Unavailable,
    /// The credentials are wrong, or not allowed to do this.
    Denied,
    /// The bytes are not those that were written.
    Corrupt,
    /// The configuration or the request is wrong, whoever answers it.
    Invalid,
}

/// Why a call to a store failed. Cheap to copy: everyone who waited for one request gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreError {
    kind: StoreErrorKind,
    detail: Arc<str>,
}

impl StoreError {
    pub(crate) fn new(kind: StoreErrorKind, detail: impl Into<Arc<str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }

    pub(crate) fn unavailable(detail: impl Into<Arc<str>>) -> Self {
        Self::new(StoreErrorKind::Unavailable, detail)
    }

    pub(crate) fn corrupt(detail: impl Into<Arc<str>>) -> Self {
        Self::new(StoreErrorKind::Corrupt, detail)
    }

    pub(crate) fn invalid(detail: impl Into<Arc<str>>) -> Self {
        Self::new(StoreErrorKind::Invalid, detail)
    }

    /// Says what was being done.
    pub(crate) fn during(self, what: &str) -> Self {
        Self::new(self.kind, format!("{what}: {}", self.detail))
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for StoreError {}

/// A server's answer may repeat what it was sent, tokens included: of an answer only the status and
/// the error's code are taken over.
impl From<ObjectError> for StoreError {
    fn from(error: ObjectError) -> Self {
        let answer = Answer::find(&error);
        let text = answer.as_ref().map_or_else(|| cause(&error), Answer::text);
        let kind = match &error {
            _ if answer.as_ref().is_some_and(Answer::no_bucket) => StoreErrorKind::Invalid,
            ObjectError::NotFound { .. } => StoreErrorKind::NotFound,
            ObjectError::PermissionDenied { .. } | ObjectError::Unauthenticated { .. } => {
                StoreErrorKind::Denied
            }
            ObjectError::InvalidPath { .. }
            | ObjectError::NotSupported { .. }
            | ObjectError::NotImplemented { .. }
            | ObjectError::UnknownConfigurationKey { .. } => StoreErrorKind::Invalid,
            _ => match answer {
                Some(answer) => answer.kind(),
                None if is_denied(&error) => StoreErrorKind::Denied,
                None if ends_before_range(&text) => StoreErrorKind::Corrupt,
                None => StoreErrorKind::Unavailable,
            },
        };
        Self::new(kind, text)
    }
}

/// An answer that was no success.
struct Answer {
    status: u16,
    code: Option<String>,
}

impl Answer {
    /// The client gives answers as text alone, "… status code: 503 Service Unavailable: <body>".
    fn find(error: &ObjectError) -> Option<Self> {
        let text = sources(error).last()?.to_string();
        let (_, rest) = text.split_once("status code: ")?;
        let status = rest.get(..3)?.parse().ok()?;
        let code = rest
            .split_once("<Code>")
            .and_then(|(_, rest)| rest.split_once("</Code>"))
            .map(|(code, _)| code)
            .filter(|code| code.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            .map(str::to_owned);
        Some(Self { status, code })
    }

    fn no_bucket(&self) -> bool {
        self.code.as_deref() == Some("NoSuchBucket")
    }

    fn kind(&self) -> StoreErrorKind {
        match self.status {
            // Busy, or in conflict with another request of the moment.
            408 | 409 | 412 | 429 => StoreErrorKind::Unavailable,
            // The object ends before the range that its row names.
            416 => StoreErrorKind::Corrupt,
            300..500 => StoreErrorKind::Invalid,
            _ => StoreErrorKind::Unavailable,
        }
    }

    fn text(&self) -> String {
        match &self.code {
            Some(code) => format!("the store answered {} {code}", self.status),
            None => format!("the store answered {}", self.status),
        }
    }
}

fn sources(error: &ObjectError) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| {
        error.source()
    })
}

/// The innermost cause, and for requests what kind of trouble it was.
fn cause(error: &ObjectError) -> String {
    let innermost = sources(error)
        .last()
        .map_or_else(|| error.to_string(), |innermost| innermost.to_string());
    let kind = sources(error)
        .find_map(|source| source.downcast_ref::<HttpError>())
        .map(|error| match error.kind() {
            HttpErrorKind::Connect => "no connection: ",
            HttpErrorKind::Timeout => "no answer in time: ",
            HttpErrorKind::Interrupted => "the connection broke: ",
            _ => "the answer broke off: ",
        });
    format!("{}{innermost}", kind.unwrap_or_default())
}

/// Directories and memory say 416 in words alone.
fn ends_before_range(text: &str) -> bool {
    text.starts_with("Wanted range starting at")
}

fn is_denied(error: &ObjectError) -> bool {
    sources(error)
        .filter_map(|source| source.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::PermissionDenied)
}
