//! Changing durable state, the same way in a replay as in the life that the log is of.

use std::ops::Range;

use headwater_log::PartitionId;

use super::progress::{State, Tried};
use super::step::{Changes, Piece, Step};
use super::{Share, Shared};
use crate::limits::DELAY_MS_MAX;

impl Shared {
    /// Makes the change of a step. Of a partition that the group does not have, a step says nothing:
    /// so a log may be replayed from anywhere at or before a whole snapshot.
    pub(crate) fn apply(&mut self, step: &Step) {
        match step {
            Step::Counts { epoch, dropped } => {
                self.epoch = self.epoch.max(*epoch);
                self.dropped = self.dropped.max(*dropped);
            }
            Step::Moved { epoch, positions } => {
                for (partition, position) in positions {
                    self.move_to(*epoch, *partition, *position);
                }
            }
            Step::Leased {
                epoch,
                at_ms,
                lease_ms,
                runs,
            } => {
                self.epoch = self.epoch.max(*epoch);
                for (partition, ranges) in runs {
                    self.leased(*epoch, *at_ms, *lease_ms, *partition, ranges);
                }
            }
            Step::Changed {
                at_ms,
                dropped,
                partitions,
            } => {
                self.dropped = self.dropped.saturating_add(*dropped);
                for (partition, changes) in partitions {
                    self.changed(*at_ms, *partition, changes);
                }
            }
            Step::Known(pieces) => pieces.iter().for_each(|piece| self.learn(piece)),
            Step::Redriven(letters) => self.redriven.note(letters),
        }
    }

    fn move_to(&mut self, epoch: u64, partition: PartitionId, position: Option<u64>) {
        if let Some(mut share) = self.partitions.remove(&partition) {
            self.known -= share.window.len();
            for (offset, tried) in &mut share.progress.tried {
                self.timers.set((partition, *offset), tried, None);
                self.dead.remove(&(partition, *offset));
            }
        }
        if let Some(offset) = position {
            let share = Share::starting_at(epoch, offset);
            self.partitions.insert(partition, share);
        }
        self.note_available(partition);
    }

    fn leased(
        &mut self,
        lease: u64,
        at_ms: i64,
        lease_ms: u32,
        partition: PartitionId,
        ranges: &[Range<u64>],
    ) {
        let Some(share) = self.partitions.get_mut(&partition) else {
            return;
        };
        for offset in ranges.iter().cloned().flatten() {
            let tried = share.progress.tried.entry(offset).or_insert(Tried {
                lease,
                attempts: 0,
                state: State::Leased { lease_ms },
                due_ms: None,
            });
            tried.lease = lease;
            tried.attempts = tried.attempts.saturating_add(1);
            tried.state = State::Leased { lease_ms };
            let due_ms = at_ms.saturating_add(lease_ms.into());
            self.timers.set((partition, offset), tried, Some(due_ms));
            share.window.hold(offset);
        }
        self.served = Some(partition);
        self.note_available(partition);
    }

    fn settled(&mut self, partition: PartitionId, range: Range<u64>) {
        let Some(share) = self.partitions.get_mut(&partition) else {
            return;
        };
        for (offset, mut tried) in share.progress.settle(range.clone()) {
            self.timers.set((partition, offset), &mut tried, None);
            self.dead.remove(&(partition, offset));
        }
        self.known -= share.window.len();
        share.window.remove(range, &share.progress);
        self.known += share.window.len();
    }

    fn changed(&mut self, at_ms: i64, partition: PartitionId, changes: &Changes) {
        for range in &changes.settled {
            self.settled(partition, range.clone());
        }
        let Some(share) = self.partitions.get_mut(&partition) else {
            return;
        };
        let (progress, window) = (&mut share.progress, &mut share.window);
        for (offset, delay_ms) in &changes.nacked {
            if let Some(tried) = progress.tried.get_mut(offset) {
                let until_ms = at_ms.saturating_add((*delay_ms).into());
                tried.state = State::Nacked { until_ms };
                // Of what is gone nobody will have another try: the timer settles it.
                let has_to_wait = *delay_ms > 0 || window.is_gone(*offset);
                let due_ms = has_to_wait.then_some(until_ms);
                self.timers.set((partition, *offset), tried, due_ms);
                match due_ms {
                    Some(_) => window.hold(*offset),
                    None => window.free(*offset),
                }
            }
        }
        for (offset, lease_ms) in &changes.extended {
            if let Some(tried) = progress.tried.get_mut(offset) {
                let lease_ms = *lease_ms;
                tried.state = State::Leased { lease_ms };
                let due_ms = at_ms.saturating_add(lease_ms.into());
                self.timers.set((partition, *offset), tried, Some(due_ms));
                window.hold(*offset);
            }
        }
        for offset in &changes.released {
            if let Some(tried) = progress.tried.get_mut(offset) {
                tried.attempts = tried.attempts.saturating_sub(1);
                tried.state = State::Nacked { until_ms: at_ms };
                let due_ms = window.is_gone(*offset).then_some(at_ms);
                self.timers.set((partition, *offset), tried, due_ms);
                window.free(*offset);
            }
        }
        for (offset, cause, reason) in &changes.dead {
            if let Some(tried) = progress.tried.get_mut(offset) {
                let (cause, reason) = (*cause, reason.clone());
                tried.state = State::Dead { cause, reason };
                self.timers.set((partition, *offset), tried, None);
                self.dead.insert((partition, *offset));
                window.hold(*offset);
            }
        }
        self.note_available(partition);
    }

    fn learn(&mut self, piece: &Piece) {
        let begin = || Share::starting_at(piece.fence, piece.floor);
        let share = self.partitions.entry(piece.partition).or_insert_with(begin);
        share.fence = share.fence.max(piece.fence);
        self.settled(piece.partition, 0..piece.floor);
        for range in &piece.settled {
            self.settled(piece.partition, range.clone());
        }
        let Some(share) = self.partitions.get_mut(&piece.partition) else {
            return;
        };
        for (offset, row) in &piece.tried {
            let tried = share.progress.tried.entry(*offset);
            let tried = tried.or_insert_with(|| row.clone());
            let due_ms = tried.due_ms;
            *tried = Tried {
                due_ms,
                ..row.clone()
            };
        }
    }

    /// Begins to serve what was replayed. Every lease gets its whole time, as its worker may still
    /// be at work; a delay ends when it was to, at the latest in [`DELAY_MS_MAX`].
    pub(crate) fn resume(&mut self, now_ms: i64) {
        for (partition, share) in &mut self.partitions {
            for (offset, tried) in &mut share.progress.tried {
                let due_ms = match &tried.state {
                    State::Leased { lease_ms } => Some(now_ms.saturating_add((*lease_ms).into())),
                    State::Nacked { until_ms } => {
                        let latest_ms = now_ms.saturating_add(DELAY_MS_MAX.into());
                        Some((*until_ms).min(latest_ms))
                    }
                    State::Dead { .. } => {
                        self.dead.insert((*partition, *offset));
                        None
                    }
                };
                self.timers.set((*partition, *offset), tried, due_ms);
            }
        }
    }

    /// Keeps the set of partitions that have available records.
    pub(super) fn note_available(&mut self, partition: PartitionId) {
        let share = self.partitions.get(&partition);
        match share.is_some_and(|share| !share.window.available().is_empty()) {
            true => self.ready.insert(partition),
            false => self.ready.remove(&partition),
        };
    }
}
