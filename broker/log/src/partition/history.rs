//! What a log has below its local start, as others tell it.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::{PartitionLog, State};
use crate::codec::{Reader, Writer};
use crate::error::AppendError;

/// The part of a log that is not on this disk. As the payload of a frame:
///
/// ```text
/// log_start u64 | count u32 (epoch i32, start u64)*
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct History {
    pub log_start: u64,
    /// (leader epoch, first offset), both growing.
    pub epochs: Vec<(i32, u64)>,
}

impl History {
    /// Nothing is elsewhere: the log starts where its local part does.
    pub fn none(log_start: u64) -> History {
        History {
            log_start,
            epochs: Vec::new(),
        }
    }

    /// What may come before `local_start`.
    pub fn new(
        log_start: u64,
        local_start: u64,
        epochs: &[(i32, u64)],
    ) -> Result<History, AppendError> {
        let grow = |pair: &[(i32, u64)]| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1;
        if log_start > local_start || !epochs.windows(2).all(grow) {
            return Err(AppendError::NoHistory);
        }
        let epochs = epochs.iter().filter(|(_, start)| *start < local_start);
        Ok(History {
            log_start,
            epochs: epochs.copied().collect(),
        })
    }

    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::default();
        writer.u64(self.log_start);
        writer.u32(self.epochs.len() as u32);
        for (epoch, start) in &self.epochs {
            writer.i32(*epoch);
            writer.u64(*start);
        }
        writer.0.into()
    }

    pub fn decode(payload: &[u8]) -> Option<History> {
        let mut reader = Reader(payload);
        let log_start = reader.u64()?;
        let count = reader.count(12)?;
        let epochs = (0..count).map(|_| Some((reader.i32()?, reader.u64()?)));
        Some(History {
            log_start,
            epochs: epochs.collect::<Option<_>>()?,
        })
    }
}

impl PartitionLog {
    /// Whether [`PartitionLog::log_start`] is certain. It is not after the checkpoint was lost
    /// ([`crate::Recovery::rebuilt`]): then the log is taken to start where its part on this disk
    /// does, and no epochs of before that are known, until [`PartitionLog::extend_history`] or a trim
    /// says more.
    pub fn log_start_is_known(&self) -> bool {
        let log_start = self.log_start();
        self.log_start_min.load(Ordering::Acquire) >= log_start
    }

    /// Tells a log whose start is not known that it starts at `log_start`, and the leader epochs of
    /// what is not on this disk, each with its first offset. A start that was trimmed since is not
    /// taken back; a start that is known stays as it is, so this may always be called before the
    /// log's first use. Answers the start of the log.
    ///
    /// Waits for nothing. The next checkpoint keeps it; after a crash before that the start is unknown
    /// again.
    ///
    /// # Errors
    /// [`AppendError::NoHistory`] if `epochs` do not grow.
    pub fn extend_history(
        &self,
        log_start: u64,
        epochs: &[(i32, u64)],
    ) -> Result<u64, AppendError> {
        let _reshaping = self.reshaping.lock();
        // Under the lock, so that a checkpoint has all of it or nothing.
        let mut state = self.state.lock();
        if !self.log_start_is_known() {
            let min = self.log_start_min.load(Ordering::Acquire);
            let log_start = log_start.clamp(min, self.log_start());
            let history = History::new(log_start, self.local_start(), epochs)?;
            state.learn_epochs(&history);
            self.log_start.store(log_start, Ordering::Release);
            self.log_start_min.store(log_start, Ordering::Release);
        }
        Ok(self.log_start())
    }
}

impl State {
    /// Puts the epochs of a history before those that are known. The oldest known one may have begun
    /// in it.
    pub(super) fn learn_epochs(&mut self, history: &History) {
        let oldest = self.epochs.first().map_or(i32::MAX, |(epoch, _)| *epoch);
        let older = history.epochs.iter().filter(|(epoch, _)| *epoch <= oldest);
        let mut epochs: Vec<_> = older.copied().collect();
        let last = epochs.last().map_or(i32::MIN, |(epoch, _)| *epoch);
        epochs.extend(self.epochs.iter().filter(|(epoch, _)| *epoch > last));
        self.epochs = epochs;
        self.forget_epochs(history.log_start);
    }
}
