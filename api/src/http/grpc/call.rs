//! What a method starts from.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::{frames::InMemory, methods::Method, status::to_status};
use crate::{
    auth::Operation,
    http::{
        call::{Asked, Identified, InProject, InTopic, May},
        router::App,
    },
    problem::{Code, Outcome, Problem},
    quota::Connection,
};

/// A method's answer.
pub type Answer<T> = Result<Response<T>, Status>;

/// A call, as far as it is known before its message is.
#[derive(Clone)]
pub struct Call {
    /// What methods share.
    pub app: App,
    /// The request.
    pub asked: Asked,
    /// When the client gives up.
    pub deadline: Option<Instant>,
    /// What its messages hold.
    pub in_memory: InMemory,
    connection: Arc<Connection>,
    caller: Option<Identified>,
    /// As the metadata names it.
    project: Option<String>,
}

impl Call {
    /// Reads a call's metadata, and finds out who calls.
    ///
    /// # Errors
    /// 400 for malformed metadata, 401 without a good credential where one is needed.
    pub async fn begin(
        app: &App,
        method: &Method,
        headers: &HeaderMap,
        asked: Asked,
        connection: Arc<Connection>,
    ) -> Result<Self, Problem> {
        let deadline = deadline(headers)?;
        let caller = match method.is_open() {
            true => None,
            false => Some(asked.identify_in_project(app, headers).await?),
        };
        let project = headers.get("headwater-project");
        let project = project.map(|value| value.to_str().map(str::to_owned));
        let project = project.transpose().map_err(|_| {
            Problem::invalid(
                "headwater-project",
                "invalid_value",
                "must be a project's id",
            )
        })?;
        Ok(Self {
            app: app.clone(),
            asked,
            deadline,
            in_memory: InMemory::default(),
            connection,
            caller,
            project,
        })
    }

    /// The call that a message came with.
    pub fn of<M>(request: Request<M>) -> (Self, M) {
        let (_, mut extensions, message) = request.into_parts();
        let call = extensions
            .remove()
            .expect("every request is given its call");
        (call, message)
    }

    /// The caller in the project that the call is about.
    ///
    /// # Errors
    /// 400, 403 and 404, as over REST.
    pub fn in_project<O: Operation>(&self, topic: Option<&str>) -> Result<InProject, Problem> {
        let (caller, project) = self.caller()?;
        let asked = self.asked.clone();
        let may =
            May::<O, InProject>::open(&self.app, project, topic, caller, asked, &self.connection);
        may.map(|may| may.call)
    }

    /// The caller, and a topic of the project that the call is about.
    ///
    /// # Errors
    /// 400, 403 and 404, as over REST.
    pub fn in_topic<O: Operation>(&self, topic: &str) -> Result<InTopic, Problem> {
        let (caller, project) = self.caller()?;
        let asked = self.asked.clone();
        let may =
            May::<O, InTopic>::open(&self.app, project, topic, caller, asked, &self.connection);
        may.map(|may| may.call)
    }

    fn caller(&self) -> Result<(&Identified, &str), Problem> {
        let nobody = || Problem::new(Code::Unauthenticated, "the call needs a credential");
        let caller = self.caller.as_ref().ok_or_else(nobody)?;
        Ok((caller, caller.project(self.project.as_deref())?))
    }

    /// Answers what `work` comes to, within the deadline. Nothing changes.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn read<T>(&self, work: impl Future<Output = Result<T, Problem>>) -> Answer<T> {
        self.answer(Outcome::NotApplied, work).await
    }

    /// The same for what makes a change: whether it stands, nobody knows after the deadline.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn change<T>(&self, work: impl Future<Output = Result<T, Problem>>) -> Answer<T> {
        self.answer(Outcome::Unknown, work).await
    }

    async fn answer<T>(
        &self,
        outcome: Outcome,
        work: impl Future<Output = Result<T, Problem>>,
    ) -> Answer<T> {
        let in_time = async {
            self.check_deadline()?;
            tokio::select! {
                biased;
                done = work => done,
                () = self.expired() => Err(too_late(outcome)),
            }
        };
        in_time
            .await
            .map(Response::new)
            .map_err(|problem| self.status(&problem))
    }

    /// A problem as this call is told.
    pub fn status(&self, problem: &Problem) -> Status {
        to_status(problem, &self.asked.request_id)
    }

    /// Whether anything is to begin at all.
    ///
    /// # Errors
    /// The client has given up already.
    pub fn check_deadline(&self) -> Result<(), Problem> {
        match self.deadline {
            Some(deadline) if deadline <= Instant::now() => Err(too_late(Outcome::NotApplied)),
            _ => Ok(()),
        }
    }

    /// Resolves when the client gives up.
    pub async fn expired(&self) {
        match self.deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    }

    /// How long a read may wait, so that its answer is there before the deadline.
    pub fn patience(&self, wanted: Duration) -> Duration {
        let left = self.deadline.map(|at| at.duration_since(Instant::now()));
        left.map_or(wanted, |left| wanted.min(left.mul_f64(0.9)))
    }
}

/// The client's deadline has passed.
pub fn too_late(outcome: Outcome) -> Problem {
    let mut problem = Problem::new(Code::DeadlineExceeded, "the call's deadline has passed");
    problem.outcome = outcome;
    problem
}

/// When the client gives up, by `grpc-timeout`: up to eight digits and a unit.
fn deadline(headers: &HeaderMap) -> Result<Option<Instant>, Problem> {
    let Some(value) = headers.get("grpc-timeout") else {
        return Ok(None);
    };
    let timeout = timeout(value.as_bytes()).ok_or_else(|| {
        let message = "must be 1 to 8 digits and one of H M S m u n";
        Problem::invalid("grpc-timeout", "invalid_value", message)
    })?;
    Ok(Instant::now().checked_add(timeout))
}

fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3_600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_digits_and_a_unit() {
        for (text, expected) in [
            ("1S", Some(Duration::from_secs(1))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3_600))),
            ("250m", Some(Duration::from_millis(250))),
            ("7n", Some(Duration::from_nanos(7))),
            ("", None),
            ("S", None),
            ("1", None),
            ("1s", None),
            ("-1S", None),
            ("100000000S", None),
        ] {
            assert_eq!(timeout(text.as_bytes()), expected, "{text}");
        }
    }
}
