//! Ending leases that are over, when they are.

use std::time::Duration;

use tokio::time::Instant;

use super::driver::{Driver, Over};
use crate::error::ProduceError;

/// How long leases wait to be ended again that could not be.
const RETRY: Duration = Duration::from_secs(1);
/// Events of a batch, in bytes, where they need not be in one.
const BATCH_BYTES: usize = 1 << 20;

impl Driver {
    /// When leases are to be looked at.
    pub(super) fn due(&self) -> Option<Instant> {
        let due_ms = self.coordinator.due_ms()?;
        let now_ms = self.home.node.upgrade()?.clock.now_ms();
        let left = Duration::from_millis(u64::try_from(due_ms - now_ms).unwrap_or(0));
        Some((Instant::now() + left).max(self.no_expiry_before.unwrap_or_else(Instant::now)))
    }

    /// Ends the leases that are over.
    pub(super) fn expire(&mut self) -> Result<(), Over> {
        let now_ms = self.node()?.clock.now_ms();
        let mut expired = self.coordinator.expire(now_ms).into_iter().peekable();
        if expired.peek().is_none() && self.coordinator.due_ms().is_some_and(|due| due <= now_ms) {
            // Not to turn on the spot, should it have been of no use.
            self.no_expiry_before = Some(Instant::now() + RETRY);
        }
        // Each is of another group.
        while expired.peek().is_some() {
            let (mut events, mut bytes) = (Vec::new(), 0);
            while bytes < BATCH_BYTES
                && let Some(event) = expired.next()
            {
                bytes += event.value().map_or(0, |value| value.len());
                events.push(event);
            }
            match self.make_so(events) {
                Ok(()) => self.when_committed(0, || {}),
                Err(ProduceError::Unknown) => return Err(Over),
                Err(error) => {
                    tracing::warn!(partition = %self.home.partition.id, %error, "leases end later");
                    self.no_expiry_before = Some(Instant::now() + RETRY);
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Waits until then.
pub(super) async fn until(due: Option<Instant>) {
    if let Some(due) = due {
        tokio::time::sleep_until(due).await;
    }
}
