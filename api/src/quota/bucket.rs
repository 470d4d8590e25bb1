//! Token buckets.

use std::{
    sync::atomic::{AtomicI64, Ordering::Relaxed},
    time::Duration,
};

use super::nanoseconds;

/// What a full bucket holds: one second's worth.
const FULL_NS: i64 = 1_000_000_000;
/// The farthest that debt reaches, in nanoseconds: far from where sums overflow.
const DEBT_MAX_NS: i64 = i64::MAX / 4;

/// A bucket that fills at a rate up to one second's worth, as the one moment at which it would be
/// full again (GCRA). It costs one compare-and-swap, has no timer, and starts full.
///
/// The rate is told at every use, because it may change meanwhile; see [`Bucket::rescale`].
#[derive(Debug, Default)]
pub struct Bucket {
    full_at_ns: AtomicI64,
}

impl Bucket {
    /// Takes `amount` if that much is there; else tells how long to wait for it. A rate of nothing
    /// never lets anything through: then there is no time to tell.
    ///
    /// # Errors
    /// How long until it would be let in.
    pub fn take(&self, rate: u64, amount: u64, now: Duration) -> Result<(), Option<Duration>> {
        let (cost, now) = (cost_ns(rate, amount).ok_or(None)?, nanoseconds(now));
        let taken = self.full_at_ns.fetch_update(Relaxed, Relaxed, |full_at| {
            let after = full_at.max(now).saturating_add(cost);
            (after - now <= FULL_NS.max(cost)).then_some(after)
        });
        taken.map(drop).map_err(|full_at| {
            let wait = full_at.saturating_add(cost) - now - FULL_NS;
            Some(Duration::from_nanos(wait.max(0) as u64))
        })
    }

    /// Whether nothing is missing: it is as good as a new one.
    pub fn is_full(&self, now: Duration) -> bool {
        self.full_at_ns.load(Relaxed) <= nanoseconds(now)
    }

    /// Gives back what was just taken.
    pub fn give_back(&self, rate: u64, amount: u64) {
        let cost = cost_ns(rate, amount).unwrap_or(0);
        self.full_at_ns.fetch_sub(cost, Relaxed);
    }

    /// Takes `amount`, and more than there is if need be: the bucket is in debt then.
    pub fn charge(&self, rate: u64, amount: u64, now: Duration) {
        let (cost, now) = (cost_ns(rate, amount).unwrap_or(0), nanoseconds(now));
        let after = |full_at: i64| {
            let after = full_at.max(now).saturating_add(cost);
            Some(after.min(now.saturating_add(DEBT_MAX_NS)))
        };
        // The closure always has an answer.
        let _ = self.full_at_ns.fetch_update(Relaxed, Relaxed, after);
    }

    /// Whether the bucket is not in debt.
    ///
    /// # Errors
    /// How long it will be.
    pub fn check(&self, rate: u64, now: Duration) -> Result<(), Option<Duration>> {
        if rate == 0 {
            return Err(None);
        }
        let debt = self.full_at_ns.load(Relaxed) - nanoseconds(now) - FULL_NS;
        if debt <= 0 {
            return Ok(());
        }
        Err(Some(Duration::from_nanos(debt as u64)))
    }

    /// Keeps what was taken when the rate changes; a bucket that had no rate before starts full.
    pub fn rescale(&self, old: Option<u64>, new: Option<u64>, now: Duration) {
        let now = nanoseconds(now);
        let taken_ns = self.full_at_ns.load(Relaxed).saturating_sub(now).max(0);
        let taken_ns = match (old, new) {
            (Some(old @ 1..), Some(new @ 1..)) => {
                let scaled = i128::from(taken_ns) * i128::from(old) / i128::from(new);
                i64::try_from(scaled).map_or(DEBT_MAX_NS, |scaled| scaled.min(DEBT_MAX_NS))
            }
            _ => 0,
        };
        // What is taken at this very moment is counted at either rate.
        self.full_at_ns.store(now.saturating_add(taken_ns), Relaxed);
    }
}

/// How long a bucket takes to fill by `amount`; without a rate, for ever.
fn cost_ns(rate: u64, amount: u64) -> Option<i64> {
    let cost = (u128::from(amount) * 1_000_000_000).checked_div(u128::from(rate))?;
    Some(i64::try_from(cost).map_or(DEBT_MAX_NS, |cost| cost.min(DEBT_MAX_NS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1_000);

    fn after_ms(ms: u64) -> Duration {
        START + Duration::from_millis(ms)
    }

    #[test]
    fn a_bucket_holds_one_second_and_fills_at_its_rate() {
        let bucket = Bucket::default();
        for _ in 0..5 {
            assert_eq!(bucket.take(5, 1, START), Ok(()));
        }
        let wait = bucket.take(5, 1, START).unwrap_err();
        assert_eq!(wait, Some(Duration::from_millis(200)));
        assert!(bucket.take(5, 1, after_ms(199)).is_err());
        assert_eq!(bucket.take(5, 1, after_ms(200)), Ok(()));
        // However long nobody came, one second's worth is saved up.
        let later = after_ms(3_600_000);
        let taken = (0..100).filter(|_| bucket.take(5, 1, later).is_ok());
        assert_eq!(taken.count(), 5);
    }

    #[test]
    fn one_a_second_lets_one_in_and_nothing_lets_nothing_in() {
        let bucket = Bucket::default();
        assert_eq!(bucket.take(1, 1, START), Ok(()));
        assert_eq!(bucket.take(1, 1, START), Err(Some(Duration::from_secs(1))));
        assert_eq!(bucket.take(0, 1, after_ms(9_000)), Err(None));
        assert_eq!(bucket.check(0, after_ms(9_000)), Err(None));
    }

    #[test]
    fn debt_is_paid_at_the_rate() {
        let bucket = Bucket::default();
        assert_eq!(bucket.check(1_000, START), Ok(()));
        bucket.charge(1_000, 4_000, START);
        // One second's worth was there.
        assert_eq!(
            bucket.check(1_000, START),
            Err(Some(Duration::from_secs(3)))
        );
        assert_eq!(bucket.check(1_000, after_ms(3_000)), Ok(()));
        bucket.charge(1, u64::MAX, after_ms(3_000));
        bucket.charge(1, u64::MAX, after_ms(3_000));
        assert!(bucket.check(1, after_ms(3_000)).is_err());
    }

    #[test]
    fn what_was_taken_is_given_back() {
        let bucket = Bucket::default();
        assert_eq!(bucket.take(1, 1, START), Ok(()));
        bucket.give_back(1, 1);
        assert_eq!(bucket.take(1, 1, START), Ok(()));
        assert!(bucket.take(1, 1, START).is_err());
    }

    #[test]
    fn debt_is_so_many_bytes_whatever_the_rate_becomes() {
        let bucket = Bucket::default();
        bucket.charge(100, 1_100, START);
        assert_eq!(bucket.check(100, START), Err(Some(Duration::from_secs(10))));
        bucket.rescale(Some(100), Some(1_100), START);
        assert_eq!(bucket.check(1_100, START), Ok(()));
        bucket.rescale(Some(1_100), Some(1), START);
        assert_eq!(
            bucket.check(1, START),
            Err(Some(Duration::from_secs(1_099)))
        );
        bucket.rescale(Some(1), None, START);
        bucket.rescale(None, Some(1), START);
        assert_eq!(bucket.check(1, START), Ok(()));
    }

    #[test]
    fn threads_together_get_no_more_than_the_bucket_has() {
        let bucket = Bucket::default();
        let taken: usize = std::thread::scope(|scope| {
            let take = || {
                (0..1_000)
                    .filter(|_| bucket.take(700, 1, START).is_ok())
                    .count()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(taken, 700);
    }
}
