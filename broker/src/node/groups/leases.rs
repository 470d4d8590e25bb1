//! Ending leases that are over, when they are, and having dead letters written.

use std::time::Duration;

use tokio::time::Instant;

use super::driver::{Driver, Over};
use crate::error::ProduceError;

/// How long leases wait to be ended again that could not be.
const RETRY: Duration = Duration::from_secs(1);
/// How long dead letters wait before somebody is told of them, at first and at most: who had records die
/// writes them at once.
const LETTERS_WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Groups that are told of at once.
const LETTERS_GROUPS_MAX: usize = 100;
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

/// When somebody is told next that there are dead letters.
#[derive(Default)]
pub(super) struct LettersWait {
    due: Option<Instant>,
    /// How long it is until the next time.
    pause: Duration,
    /// Groups that have some.
    groups: usize,
    /// How many were told of: where there are too many for once they take turns.
    told: usize,
}

impl LettersWait {
    /// So many groups have letters now. Those that are new to it do not wait as long as the others.
    fn note(&mut self, groups: usize) {
        if groups == 0 {
            self.due = None;
        } else if groups > self.groups {
            self.pause = LETTERS_WAIT.0;
            let soon = Instant::now() + self.pause;
            self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
        }
        self.groups = groups;
    }

    /// Waits on, longer each time.
    fn again(&mut self) {
        self.due = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LETTERS_WAIT.1);
    }
}

impl Driver {
    /// When somebody is to be told of dead letters.
    pub(super) fn letters_due(&mut self) -> Option<Instant> {
        let groups = self.coordinator.with_dead_letters().len();
        self.letters.note(groups);
        self.letters.due
    }

    /// Has the dead letters written that there are, and goes on until they are.
    pub(super) fn tell_of_letters(&mut self) -> Result<(), Over> {
        let node = self.node()?;
        if let Some(writer) = node.letter_writer.get() {
            let groups = self.coordinator.with_dead_letters();
            let (count, told) = (groups.len(), self.letters.told);
            let turn = groups.cycle().skip(told % count.max(1));
            let some = turn.take(count.min(LETTERS_GROUPS_MAX)).cloned();
            writer.letters_wait(some.collect());
            self.letters.told = told.wrapping_add(LETTERS_GROUPS_MAX);
        }
        self.letters.again();
        Ok(())
    }
}

/// Waits until then.
pub(super) async fn until(due: Option<Instant>) {
    if let Some(due) = due {
        tokio::time::sleep_until(due).await;
    }
}
