//! Changing durable state, the same way in a replay as in the life that the log is of.

use std::ops::Range;

use super::event::{Changes, Event, Piece};
use super::progress::{State, Tried};
use super::{CALL_RECORDS_MAX, DELAY_MS_MAX, Partition, Share, SharedEvent, SharedGroup};

impl SharedGroup {
    /// Makes the change of an event. Of a partition that the group does not have, an event says
    /// nothing: so a log may be replayed from anywhere at or before a whole
    /// [snapshot](SharedGroup::snapshot).
    pub fn apply(&mut self, event: &SharedEvent) {
        match &event.0 {
            Event::Moved(positions) => {
                for (partition, position) in positions {
                    self.moved(*partition, *position);
                }
            }
            Event::Leased {
                lease,
                at_ms,
                lease_ms,
                runs,
            } => {
                self.next_lease = self.next_lease.max(lease.saturating_add(1));
                for (partition, ranges) in runs {
                    self.leased(*lease, *at_ms, *lease_ms, *partition, ranges);
                }
            }
            Event::Changed {
                at_ms,
                dropped,
                partitions,
            } => {
                self.dropped = self.dropped.saturating_add(*dropped);
                for (partition, changes) in partitions {
                    self.changed(*at_ms, *partition, changes);
                }
            }
            Event::Counts {
                next_lease,
                dropped,
            } => {
                self.next_lease = self.next_lease.max(*next_lease);
                self.dropped = self.dropped.max(*dropped);
            }
            Event::State(piece) => self.known_state(piece),
        }
    }

    fn moved(&mut self, partition: Partition, position: Option<u64>) {
        if let Some(mut share) = self.partitions.remove(&partition) {
            self.known -= share.window.len();
            for (offset, tried) in &mut share.progress.tried {
                self.timers.set((partition, *offset), tried, None);
                self.dead.remove(&(partition, *offset));
            }
        }
        if let Some(offset) = position {
            self.partitions
                .insert(partition, Share::starting_at(offset));
        }
        self.note_available(partition);
    }

    fn leased(
        &mut self,
        lease: u64,
        at_ms: i64,
        lease_ms: u32,
        partition: Partition,
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
        self.served = partition;
        self.note_available(partition);
    }

    fn settled(&mut self, partition: Partition, range: Range<u64>) {
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

    fn changed(&mut self, at_ms: i64, partition: Partition, changes: &Changes) {
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
                let due_ms = (*delay_ms > 0).then_some(until_ms);
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

    fn known_state(&mut self, piece: &Piece) {
        let begin = || Share::starting_at(piece.floor);
        self.partitions.entry(piece.partition).or_insert_with(begin);
        self.settled(piece.partition, 0..piece.floor);
        for range in &piece.settled {
            self.settled(piece.partition, range.clone());
        }
        let Some(share) = self.partitions.get_mut(&piece.partition) else {
            return;
        };
        for (offset, known) in &piece.tried {
            let tried = share.progress.tried.entry(*offset);
            let tried = tried.or_insert_with(|| known.clone());
            let due_ms = tried.due_ms;
            *tried = Tried {
                due_ms,
                ..known.clone()
            };
        }
    }

    /// Begins to serve what was replayed. Every lease gets its whole time, as its worker may still
    /// be at work; a delay ends when it was to, at the latest in [`DELAY_MS_MAX`].
    pub fn resume(&mut self, now_ms: i64) {
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

    /// All durable state as events, for a log that is to lose what is before them. To be appended in
    /// this order, with no other event of the group between them; the log may be cut before the
    /// first when all are committed. To who has replayed all before them they say nothing new, so
    /// one that was not finished does no harm.
    pub fn snapshot(&self) -> Vec<SharedEvent> {
        let mut events = vec![SharedEvent(Event::Counts {
            next_lease: self.next_lease,
            dropped: self.dropped,
        })];
        for (partition, share) in &self.partitions {
            let progress = &share.progress;
            let mut settled = progress.settled.iter();
            let mut tried = progress.tried.iter().map(|(offset, tried)| {
                let due_ms = None;
                let tried = tried.clone();
                (*offset, Tried { due_ms, ..tried })
            });
            loop {
                let piece = Piece {
                    partition: *partition,
                    floor: progress.floor,
                    settled: settled.by_ref().take(CALL_RECORDS_MAX).collect(),
                    tried: tried.by_ref().take(CALL_RECORDS_MAX).collect(),
                };
                let is_last = piece.settled.len().max(piece.tried.len()) < CALL_RECORDS_MAX;
                events.push(SharedEvent(Event::State(piece)));
                if is_last {
                    break;
                }
            }
        }
        events
    }

    /// Keeps the set of partitions that have available records.
    pub(super) fn note_available(&mut self, partition: Partition) {
        let share = self.partitions.get(&partition);
        match share.is_some_and(|share| !share.window.available().is_empty()) {
            true => self.ready.insert(partition),
            false => self.ready.remove(&partition),
        };
    }
}
