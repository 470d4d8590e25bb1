//! Who waits for an offset to be reached.

use std::collections::VecDeque;

use tokio::sync::oneshot;

/// Requests that wait for an end offset, in its order. They wait within one term: when it is over,
/// what they wait for may never be, or be reached by other records.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    /// The leader's epoch; `None` while nobody leads here.
    term: Option<i32>,
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
}

impl Waiters {
    /// Whether this is the term.
    pub fn is(&self, term: Option<i32>) -> bool {
        self.term == term
    }

    /// Waits for `end` to be reached.
    pub fn add(&mut self, end: u64) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        // Appends come nearly in order, so the place is at or near the back.
        let at = self
            .waiting
            .iter()
            .rposition(|(waiting, _)| *waiting <= end)
            .map_or(0, |at| at + 1);
        self.waiting.insert(at, (end, sender));
        receiver
    }

    /// Lets go whoever waited for at most `end`.
    pub fn reached(&mut self, end: u64) {
        while self.waiting.front().is_some_and(|(e, _)| *e <= end) {
            if let Some((_, sender)) = self.waiting.pop_front() {
                // The client may have gone; the record is there all the same.
                let _ = sender.send(());
            }
        }
    }

    /// Begins another term, or none. Whoever waits will not know.
    pub fn begin(&mut self, term: Option<i32>) {
        self.term = term;
        self.waiting.clear();
    }
}
