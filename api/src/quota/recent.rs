//! How much there was in the last second, without a timer.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts by whole seconds, of which it keeps the running one and the one before. What comes exactly
/// while a second turns may be counted in either.
#[derive(Debug, Default)]
pub struct Recent {
    second: AtomicU64,
    running: AtomicU64,
    before: AtomicU64,
}

impl Recent {
    /// So much more, in this second.
    pub fn add(&self, amount: u64, second: u64) {
        let last = self.second.load(Relaxed);
        if last != second
            && self
                .second
                .compare_exchange(last, second, Relaxed, Relaxed)
                .is_ok()
        {
            let count = self.running.swap(0, Relaxed);
            let before = if last + 1 == second { count } else { 0 };
            self.before.store(before, Relaxed);
        }
        self.running.fetch_add(amount, Relaxed);
    }

    /// How much there was in the second before this one.
    pub fn in_last_second(&self, second: u64) -> u64 {
        match second.saturating_sub(self.second.load(Relaxed)) {
            0 => self.before.load(Relaxed),
            1 => self.running.load(Relaxed),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Recent;

    #[test]
    fn it_tells_the_last_whole_second() {
        let recent = Recent::default();
        recent.add(3, 10);
        recent.add(4, 10);
        assert_eq!(recent.in_last_second(10), 0);
        assert_eq!(recent.in_last_second(11), 7);
        recent.add(5, 11);
        assert_eq!(recent.in_last_second(11), 7);
        assert_eq!(recent.in_last_second(12), 5);
        assert_eq!(recent.in_last_second(13), 0);
        recent.add(1, 20);
        assert_eq!(recent.in_last_second(20), 0);
    }
}
