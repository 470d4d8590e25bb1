//! How fast uploads may go together.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Bytes a second that all uploads share which are given the same one.
///
/// Who asks is sent off at once as long as the line is free, and keeps it busy for as long as its
/// bytes take; so the first part of an upload never waits for its own bytes.
#[derive(Debug)]
pub struct Bandwidth {
    bytes_per_s: u64,
    free_at: Mutex<Option<Instant>>,
}

impl Bandwidth {
    /// At least one byte a second.
    pub fn new(bytes_per_s: u64) -> Self {
        Self {
            bytes_per_s: bytes_per_s.max(1),
            free_at: Mutex::new(None),
        }
    }

    /// Waits until `bytes` may be sent. First come, first served; who gives up keeps its turn from
    /// the others.
    pub async fn take(&self, bytes: u64) {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_s as f64);
        let turn = {
            let mut free_at = self.free_at.lock();
            let now = Instant::now();
            let turn = free_at.map_or(now, |free_at| free_at.max(now));
            *free_at = Some(turn + takes);
            turn
        };
        tokio::time::sleep_until(turn).await;
    }
}
