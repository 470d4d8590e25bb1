//! Waiting for something that is told by a [`Notify`].

use std::time::Duration;

use tokio::{sync::Notify, time::Instant};

/// Looks now, and whenever `told` tells, until `look` finds something. `None` after `wait`.
pub(crate) async fn look_until<T>(
    told: &Notify,
    wait: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> Option<T> {
    // Mostly it is there, and there is nothing to register for.
    if let Some(found) = look() {
        return Some(found);
    }
    let deadline = Instant::now() + wait;
    loop {
        let next = told.notified();
        tokio::pin!(next);
        // Registered before the look, so that what is told in between is not missed.
        next.as_mut().enable();
        if let Some(found) = look() {
            return Some(found);
        }
        tokio::time::timeout_at(deadline, next).await.ok()?;
    }
}
