//! A call, and whoever waits for its answer.

use headwater_groups::{Call, Reply};
use tokio::sync::oneshot;

use crate::error::CoordinateError;

type Answered = Result<Reply, CoordinateError>;

/// A call that waits for the coordinator.
pub(super) struct Ask {
    pub call: Call,
    pub answer: Answer,
}

/// Whoever waits for an answer. Dropped without one it tells what is known then: nothing was done, or
/// what was appended may be committed or not.
pub(super) struct Answer {
    waits: Option<oneshot::Sender<Answered>>,
    has_appended: bool,
}

impl Answer {
    pub fn new(waits: oneshot::Sender<Answered>) -> Self {
        Self {
            waits: Some(waits),
            has_appended: false,
        }
    }

    /// From now on the call may have been done.
    pub fn appended(&mut self) {
        self.has_appended = true;
    }

    pub fn give(mut self, answer: Answered) {
        self.send(answer);
    }

    fn send(&mut self, answer: Answered) {
        if let Some(waits) = self.waits.take() {
            // The caller may have gone; what was done is done.
            let _ = waits.send(answer);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.send(Err(match self.has_appended {
            true => CoordinateError::Unknown,
            false => CoordinateError::NotLeader,
        }));
    }
}
