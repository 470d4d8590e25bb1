//! Letting go of groups whose project is deleted.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

use super::driver::{Driver, Over};
use crate::error::ProduceError;

/// How long after a change of the metadata groups are looked at: for all that come until then.
const WAIT: Duration = Duration::from_secs(10);

/// When groups are looked at next. Nothing is due while the metadata stays as it is.
pub(super) struct Burials {
    changes: watch::Receiver<()>,
    pub due: Option<Instant>,
}

impl Burials {
    /// A first look, as nobody knows what was deleted before; then after changes.
    pub fn new(changes: watch::Receiver<()>) -> Self {
        let due = Some(Instant::now() + WAIT);
        Self { changes, due }
    }

    /// Ends when the metadata has changed.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // There is no metadata any more, as at the end of a test.
            std::future::pending().await
        }
    }

    pub fn again(&mut self) {
        self.due = Some(Instant::now() + WAIT);
    }
}

impl Driver {
    /// Lets go of groups whose project is deleted, and looks again while there may be more.
    pub(super) fn bury(&mut self) -> Result<(), Over> {
        let placement = self.node()?.placement.clone();
        let (events, more) = self
            .coordinator
            .bury(&self.topics, |project| placement.is_project(project));
        self.burials.due = None;
        if more {
            self.burials.again();
        }
        if events.is_empty() {
            return Ok(());
        }
        tracing::info!(
            partition = %self.home.partition.id,
            groups = events.len() / 2,
            "groups of deleted projects go"
        );
        match self.make_so(events) {
            Ok(()) => self.when_committed(0, || {}),
            Err(ProduceError::Unknown) => return Err(Over),
            Err(error) => {
                tracing::warn!(partition = %self.home.partition.id, %error, "they go later");
                self.burials.again();
            }
        }
        Ok(())
    }
}
