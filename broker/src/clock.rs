//! Time, handed in: wall time for timestamps and retention, never for safety.

use std::time::{SystemTime, UNIX_EPOCH};

/// Where a node takes its time from.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch, UTC.
    fn now_ms(&self) -> i64;
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        // A clock before 1970 is a broken clock; 0 keeps records readable and ordered by offset.
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |elapsed| {
                elapsed.as_millis().try_into().unwrap_or(i64::MAX)
            })
    }
}
