//! How much is stored, asked rarely.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::{nanoseconds, now};
use crate::limits::STORED_BYTES_MEASURED;

/// A measuring may take this part of the time.
const SHARE: u32 = 50;

/// Stored bytes as they were measured last, and what was written since.
#[derive(Debug, Default)]
pub struct Stored {
    measured: AtomicU64,
    written: AtomicU64,
    due_ns: AtomicI64,
}

impl Stored {
    /// How much is stored about now. Now and then one caller measures for all; a measuring that takes
    /// long is made less often.
    pub async fn bytes(&self, measure: impl Future<Output = u64>) -> u64 {
        let started = now();
        let (due, next) = (
            self.due_ns.load(Relaxed),
            nanoseconds(started + STORED_BYTES_MEASURED),
        );
        let mine = || self.due_ns.compare_exchange(due, next, Relaxed, Relaxed);
        if nanoseconds(started) >= due && mine().is_ok() {
            // What is written from here on is counted, twice at worst until it is measured again.
            self.written.store(0, Relaxed);
            self.measured.store(measure.await, Relaxed);
            let ended = now();
            let rest: Duration = STORED_BYTES_MEASURED.max((ended - started) * SHARE);
            self.due_ns.store(nanoseconds(ended + rest), Relaxed);
        }
        self.measured.load(Relaxed) + self.written.load(Relaxed)
    }

    /// So much more was written.
    pub fn add(&self, bytes: u64) {
        self.written.fetch_add(bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Stored;

    #[tokio::test]
    async fn it_is_measured_rarely_and_counts_what_is_written_meanwhile() {
        let stored = Stored::default();
        assert_eq!(stored.bytes(async { 100 }).await, 100);
        stored.add(20);
        assert_eq!(stored.bytes(async { panic!("just measured") }).await, 120);
    }
}
