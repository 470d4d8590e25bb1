//! Calls about no organization: they count against nobody's quotas, so each caller has a small
//! allowance of them.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;

use super::{
    Resource,
    bucket::Bucket,
    layers::{Over, over},
    now,
};
use crate::{limits::CALLS_AT_LARGE_PER_SECOND, problem::Problem};

/// What callers have left, by how the audit log names them. Whoever has all of it is not in here: it
/// holds those who called within the last second.
#[derive(Debug, Default)]
pub struct AtLarge(Mutex<Callers>);

#[derive(Debug, Default)]
struct Callers {
    buckets: HashMap<String, Bucket>,
    /// How many there may be before those that are full are forgotten.
    forget_at: usize,
}

impl AtLarge {
    /// Counts a call.
    ///
    /// # Errors
    /// 429 if the caller has none left now.
    pub fn take(&self, caller: String) -> Result<(), Problem> {
        let taken = self.take_at(&caller, now());
        taken.map_err(|wait| {
            over(Over {
                owner: "caller",
                name: &caller,
                resource: Resource::RequestsPerSecond,
                limit: CALLS_AT_LARGE_PER_SECOND,
                wait,
            })
        })
    }

    fn take_at(&self, caller: &str, now: Duration) -> Result<(), Option<Duration>> {
        let mut callers = self.0.lock();
        if callers.buckets.len() >= callers.forget_at {
            callers.buckets.retain(|_, bucket| !bucket.is_full(now));
            callers.forget_at = 2 * callers.buckets.len() + 64;
        }
        if let Some(bucket) = callers.buckets.get(caller) {
            return bucket.take(CALLS_AT_LARGE_PER_SECOND, 1, now);
        }
        let bucket = Bucket::default();
        let taken = bucket.take(CALLS_AT_LARGE_PER_SECOND, 1, now);
        callers.buckets.insert(caller.to_owned(), bucket);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_has_as_many_and_who_stopped_is_forgotten() {
        let at_large = AtLarge::default();
        let start = Duration::from_secs(9);
        let taken = |caller: &str, now| {
            let calls = 0..2 * CALLS_AT_LARGE_PER_SECOND;
            let let_in = calls.filter(|_| at_large.take_at(caller, now).is_ok());
            let_in.count() as u64
        };
        assert_eq!(taken("ada", start), CALLS_AT_LARGE_PER_SECOND);
        assert_eq!(taken("bob", start), CALLS_AT_LARGE_PER_SECOND);
        assert_eq!(taken("ada", start), 0);
        let later = start + Duration::from_secs(1);
        for n in 0..10_000 {
            let now = later + Duration::from_millis(n);
            assert_eq!(at_large.take_at(&format!("passing-{n}"), now), Ok(()));
        }
        assert!(at_large.0.lock().buckets.len() < 500);
        let much_later = later + Duration::from_secs(60);
        assert_eq!(taken("ada", much_later), CALLS_AT_LARGE_PER_SECOND);
    }

    #[test]
    fn the_refusal_names_the_quota_and_the_time() {
        let at_large = AtLarge::default();
        let refused = (0..1_000).find_map(|_| at_large.take("ada@example.com".into()).err());
        let problem = refused.expect("a refusal");
        assert_eq!(problem.code.status(), 429);
        assert_eq!(problem.rate_limit, Some(CALLS_AT_LARGE_PER_SECOND));
        assert!(problem.retry_after_ms.is_some_and(|ms| ms < 1_000));
        let named = "the quota requests_per_second of caller ada@example.com";
        assert!(problem.detail.starts_with(named), "{}", problem.detail);
    }
}
