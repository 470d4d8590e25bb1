//! When to try again: exponential backoff with jitter, within a limit of time.

use std::time::{Duration, Instant};

use super::failure::Failure;
use super::progress::Progress;

const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Troubles that pass sooner are not worth a word.
const QUIET: Duration = Duration::from_millis(500);

/// The tries of one request. The clock starts at the first failure.
#[derive(Debug)]
pub struct Attempts {
    limit: Duration,
    failures: u32,
    first_failure: Option<Instant>,
    noted: bool,
}

impl Attempts {
    /// Tries for `limit` after the first failure.
    pub fn new(limit: Duration) -> Attempts {
        Attempts {
            limit,
            failures: 0,
            first_failure: None,
            noted: false,
        }
    }

    /// Waits until the request may be sent again; gives the failure back if it may not, because
    /// it is final or because the time is over.
    pub async fn again(&mut self, failure: Failure, progress: &Progress) -> Result<(), Failure> {
        if !failure.is_retryable() {
            return Err(failure);
        }
        let asked = match &failure {
            Failure::Refused(problem) => problem.retry_after(),
            _ => None,
        };
        let pause = backoff(self.failures, rand::random()).max(asked.unwrap_or_default());
        let first = *self.first_failure.get_or_insert_with(Instant::now);
        if first.elapsed() + pause > self.limit {
            return Err(failure);
        }
        if !self.noted && first.elapsed() + pause > QUIET {
            self.noted = true;
            let limit = self.limit.as_secs_f64();
            progress.note(&format!(
                "{}; trying again for {limit} s",
                failure.summary()
            ));
        }
        self.failures += 1;
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// The pause after `failures` earlier failures: doubling, capped at two seconds, between half and
/// all of it as `jitter` (0 to 1) says, so that clients of a restarted server do not return as one.
pub fn backoff(failures: u32, jitter: f64) -> Duration {
    let full = PAUSE_FIRST
        .saturating_mul(1 << failures.min(16))
        .min(PAUSE_MAX);
    full.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

/// Reads a length of time: a number with `ms`, `s`, `m` or `h`; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit.trim() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("unknown unit `{unit}`: use ms, s, m or h")),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| "not a length of time, as 500ms or 60s")?;
    Duration::try_from_secs_f64(number * scale).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_jitter_takes_at_most_half() {
        assert_eq!(backoff(0, 1.0), Duration::from_millis(50));
        assert_eq!(backoff(0, 0.0), Duration::from_millis(25));
        assert_eq!(backoff(3, 1.0), Duration::from_millis(400));
        for failures in 6..100 {
            assert_eq!(backoff(failures, 1.0), PAUSE_MAX);
            assert_eq!(backoff(failures, 0.0), PAUSE_MAX / 2);
        }
    }

    #[test]
    fn lengths_of_time_have_units() {
        assert_eq!(duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("60"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "s", "5 parsecs", "1e3s", "-1s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_final_failure_is_given_back_at_once() {
        let mut attempts = Attempts::new(Duration::from_secs(60));
        let failure = Failure::Local("no".to_owned());
        assert!(attempts.again(failure, &Progress::hidden()).await.is_err());
    }

    #[tokio::test]
    async fn tries_end_with_the_limit() {
        let mut attempts = Attempts::new(Duration::from_millis(200));
        let mut tries = 0;
        let failure = || Failure::Unreachable("away".to_owned());
        while attempts.again(failure(), &Progress::hidden()).await.is_ok() {
            tries += 1;
        }
        assert!((1..=4).contains(&tries), "{tries}");
    }
}
