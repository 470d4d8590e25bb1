//! What can go wrong for a client verb, and how it is told to the user.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use serde::Deserialize;

/// A problem document (RFC 9457) as the service answers it. Every field may be missing, because a
/// proxy in between may answer in its own words.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// The kind of problem in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The machine-readable name of the problem.
    pub code: String,
    /// What is wrong this time.
    pub detail: Option<String>,
    /// True if the same request may succeed later.
    pub retryable: bool,
    /// When to try again, if the service knows.
    pub retry_after_ms: Option<u64>,
    /// `not_applied`, `applied` or `unknown`.
    pub outcome: Option<String>,
    /// Names the request in the service's logs.
    pub request_id: Option<String>,
    /// Which parts of the request are wrong.
    pub errors: Vec<FieldError>,
}

/// One wrong part of a request.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct FieldError {
    /// A JSON pointer into the request body.
    pub pointer: String,
    /// What is wrong there.
    pub message: String,
}

impl Problem {
    /// Reads a problem from an answer that is not a success, whatever its body is.
    pub fn from_answer(status: u16, retry_after: Option<&str>, body: &[u8]) -> Problem {
        let mut problem = serde_json::from_slice::<Problem>(body).unwrap_or_else(|_| Problem {
            detail: excerpt(body),
            ..Problem::default()
        });
        if problem.code.is_empty() {
            // Not the service's own words.
            problem.retryable = matches!(status, 429 | 502 | 503 | 504);
        }
        problem.status = status;
        if let [error] = problem.errors.as_slice() {
            let told = format!("{}: {}", error.pointer, error.message);
            problem.detail = problem.detail.take().filter(|detail| *detail != told);
        }
        if problem.title.is_empty() {
            problem.title = format!("The service answered {status}");
        }
        if problem.retry_after_ms.is_none() {
            let seconds = retry_after.and_then(|text| text.trim().parse::<u64>().ok());
            problem.retry_after_ms = seconds.map(|seconds| seconds.saturating_mul(1000));
        }
        problem
    }

    /// How long the service asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after_ms.map(Duration::from_millis)
    }

    /// Title and detail on one line.
    pub fn summary(&self) -> String {
        match &self.detail {
            Some(detail) if !detail.is_empty() => format!("{}: {detail}", self.title),
            _ => self.title.clone(),
        }
    }

    fn advice(&self) -> &'static str {
        match (self.status, self.retryable) {
            (401, _) => "check the API key in --key or HEADWATER_KEY",
            (403, _) => "ask an owner of the project for a key with this scope, or a higher quota",
            (404, _) => "check the name, and that --url is the base_url of the right project",
            (501, _) => "this version of the service cannot do it yet",
            (_, true) if self.outcome.as_deref() == Some("unknown") => {
                "it may or may not have happened: repeat it with the same idempotency key"
            }
            (_, true) => "nothing is wrong with the request: try again later",
            (409, _) => "look at the present state with `describe`, then decide",
            (416, _) => "start at --from earliest, or at an offset that is still kept",
            (500.., _) => "report it to whoever runs the service, with the request id",
            _ => "correct the request",
        }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "headwater: {} ({}", self.title, self.status)?;
        if !self.code.is_empty() {
            write!(out, " {}", self.code)?;
        }
        writeln!(out, ")")?;
        if let Some(detail) = self.detail.as_deref().filter(|detail| !detail.is_empty()) {
            writeln!(out, "  {detail}")?;
        }
        for error in &self.errors {
            writeln!(out, "  at {}: {}", error.pointer, error.message)?;
        }
        if let Some(id) = &self.request_id {
            writeln!(out, "  request id: {id}")?;
        }
        writeln!(out, "  what to do: {}", self.advice())
    }
}

fn excerpt(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let line = text.trim().lines().next()?;
    Some(line.chars().take(200).collect())
}

/// Why a verb ended early.
#[derive(Debug)]
pub enum Failure {
    /// The command line cannot be followed.
    Usage(String),
    /// The service answered with a problem.
    Refused(Box<Problem>),
    /// No answer came: the connection failed or was cut.
    Unreachable(String),
    /// Something on this side: a file, an input line, an answer that makes no sense.
    Local(String),
    /// Whoever read the standard output has gone, as `head` does. Not an error.
    OutputClosed,
    /// The user interrupted; what to say about it has been said.
    Interrupted,
}

impl Failure {
    /// True if the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Failure::Refused(problem) => problem.retryable,
            Failure::Unreachable(_) => true,
            _ => false,
        }
    }

    /// One line that says what happened.
    pub fn summary(&self) -> String {
        match self {
            Failure::Usage(text) | Failure::Unreachable(text) | Failure::Local(text) => {
                text.clone()
            }
            Failure::Refused(problem) => problem.summary(),
            Failure::OutputClosed => "standard output was closed".to_owned(),
            Failure::Interrupted => "interrupted".to_owned(),
        }
    }

    /// Tells the user on standard error and gives the exit code.
    pub fn report(&self) -> ExitCode {
        let mut stderr = io::stderr().lock();
        // Nobody is left to tell when standard error is closed.
        let _ = match self {
            Failure::Refused(problem) => problem.write(&mut stderr),
            Failure::Unreachable(text) => writeln!(
                stderr,
                "headwater: {text}\n  what to do: check --url (HEADWATER_URL) and that the \
                 service runs"
            ),
            Failure::Usage(text) | Failure::Local(text) => writeln!(stderr, "headwater: {text}"),
            Failure::OutputClosed | Failure::Interrupted => Ok(()),
        };
        match self {
            Failure::Usage(_) => ExitCode::from(2),
            Failure::OutputClosed => ExitCode::SUCCESS,
            Failure::Interrupted => ExitCode::from(130),
            _ => ExitCode::FAILURE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_keeps_what_the_service_said() {
        let body = br#"{"title":"Quota exceeded","status":429,"code":"quota_exceeded",
            "detail":"5 MiB/s","retryable":true,"retry_after_ms":800,"more":[1]}"#;
        let problem = Problem::from_answer(429, Some("3"), body);
        assert!(problem.retryable);
        assert_eq!(problem.retry_after(), Some(Duration::from_millis(800)));
        assert_eq!(problem.summary(), "Quota exceeded: 5 MiB/s");
    }

    #[test]
    fn an_answer_of_a_proxy_is_a_problem_too() {
        let problem = Problem::from_answer(503, Some("2"), b"<html>busy</html>\nmore");
        assert!(problem.retryable);
        assert_eq!(problem.retry_after(), Some(Duration::from_secs(2)));
        assert_eq!(
            problem.summary(),
            "The service answered 503: <html>busy</html>"
        );
        assert!(!Problem::from_answer(500, None, b"").retryable);
    }
}
