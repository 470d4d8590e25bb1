//! How long a call may take, and when it is tried again.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::error::{StoreError, StoreErrorKind};

const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How long one kind of call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// One try, from the first byte sent to the last received.
    pub attempt: Duration,
    /// All tries and the pauses between them. A try begun just before is cut off there.
    pub total: Duration,
}

impl Bounds {
    /// Calls until it succeeds, until trying again does not help, or until time is up.
    pub(crate) async fn call<T, F>(
        &self,
        what: &str,
        attempt: impl Fn() -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, object_store::Error>>,
    {
        let mut tries = Tries::new(self);
        loop {
            let error = match tries.within(attempt()).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => StoreError::from(error),
                Err(error) => error,
            };
            tries.pause(error.during(what)).await?;
        }
    }
}

/// The tries of one call.
pub(super) struct Tries {
    attempt: Duration,
    deadline: Instant,
    pause: Duration,
}

impl Tries {
    pub fn new(bounds: &Bounds) -> Self {
        Self {
            attempt: bounds.attempt,
            deadline: Instant::now() + bounds.total,
            pause: PAUSE_MIN,
        }
    }

    /// One try, as long as it may take.
    pub async fn within<T>(&self, attempt: impl Future<Output = T>) -> Result<T, StoreError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        timeout(self.attempt.min(left), attempt)
            .await
            .map_err(|_| StoreError::unavailable("no whole answer in time"))
    }

    /// Waits before the next try. Pauses double, and half of each is chance, so that many callers
    /// do not come back together.
    ///
    /// # Errors
    /// `error`, if trying again does not help or time is up.
    pub async fn pause(&mut self, error: StoreError) -> Result<(), StoreError> {
        let until = Instant::now() + jittered(self.pause);
        if error.kind() != StoreErrorKind::Unavailable || until >= self.deadline {
            return Err(error);
        }
        tracing::debug!(%error, "trying again");
        tokio::time::sleep_until(until).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        Ok(())
    }
}

fn jittered(pause: Duration) -> Duration {
    // Without chance the pause is only less well spread.
    let chance = f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX);
    pause.mul_f64(0.5 + chance / 2.0)
}

/// How a store is called.
#[derive(Clone)]
pub struct StoreOptions {
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// Reads that a consumer waits for.
    pub foreground: Bounds,
    /// Everything else: uploads (each part for itself), listing, verifying, deleting.
    pub background: Bounds,
    /// Settings of the store by the names of their variables in small letters, such as
    /// `aws_endpoint`; they win over the environment. `Debug` prints the names alone.
    pub settings: Vec<(String, String)>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            foreground: Bounds {
                attempt: Duration::from_secs(4),
                total: Duration::from_secs(10),
            },
            background: Bounds {
                attempt: Duration::from_secs(30),
                total: Duration::from_secs(120),
            },
            settings: Vec::new(),
        }
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings: Vec<_> = self.settings.iter().map(|(name, _)| name).collect();
        f.debug_struct("StoreOptions")
            .field("connect_timeout", &self.connect_timeout)
            .field("foreground", &self.foreground)
            .field("background", &self.background)
            .field("settings", &settings)
            .finish()
    }
}
