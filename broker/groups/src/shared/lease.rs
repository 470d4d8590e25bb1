//! Leases, and their ends.

use std::ops::Bound::{Excluded, Unbounded};

use super::draft::Draft;
use super::event::Event;
use super::ranges::push_range;
use super::{
    CALL_RECORDS_MAX, Cause, LEASE_MS_MAX, LEASE_MS_MIN, Leased, Partition, SharedEvent,
    SharedGroup, Token,
};

impl SharedGroup {
    /// Leases the oldest available records, in equal shares of the partitions that have some; their
    /// order goes round. A record is available if it is known, neither settled, leased, delayed nor
    /// dead, and no earlier one of its key is unsettled. A lease whose time is up and that was not
    /// [expired](SharedGroup::expire) yet keeps its record.
    pub fn lease(
        &self,
        now_ms: i64,
        records_max: usize,
        lease_ms: u32,
    ) -> (Vec<Leased>, Option<SharedEvent>) {
        let picked = self.pick(records_max.min(CALL_RECORDS_MAX));
        if picked.is_empty() {
            return (Vec::new(), None);
        }
        let lease = self.next_lease;
        let lease_ms = lease_ms.clamp(LEASE_MS_MIN, LEASE_MS_MAX);
        let mut leased = Vec::new();
        let mut runs = Vec::new();
        for (partition, offsets) in picked {
            let tried = self
                .partitions
                .get(&partition)
                .map(|share| &share.progress.tried);
            let mut ranges = Vec::new();
            for offset in offsets {
                let before = tried.and_then(|tried| tried.get(&offset));
                push_range(&mut ranges, offset..offset + 1);
                leased.push(Leased {
                    token: Token {
                        partition,
                        offset,
                        lease,
                    },
                    attempt: before.map_or(0, |tried| tried.attempts).saturating_add(1),
                    deadline_ms: now_ms.saturating_add(lease_ms.into()),
                });
            }
            runs.push((partition, ranges));
        }
        let event = Event::Leased {
            lease,
            at_ms: now_ms,
            lease_ms,
            runs,
        };
        (leased, Some(SharedEvent(event)))
    }

    /// So many available records by partition, in equal shares as far as each has them.
    fn pick(&self, records_max: usize) -> Vec<(Partition, Vec<u64>)> {
        let after = self.ready.range((Excluded(self.served), Unbounded));
        let turn = after.chain(self.ready.range(..=self.served));
        let sources = turn.take(records_max).filter_map(|partition| {
            let available = self.partitions.get(partition)?.window.available();
            Some((*partition, available.iter().copied(), Vec::new()))
        });
        let mut sources: Vec<_> = sources.collect();
        let (mut left, mut open) = (records_max, sources.len());
        while left > 0 && open > 0 {
            let share = (left / open).max(1);
            open = 0;
            for (_, available, picked) in &mut sources {
                let before = picked.len();
                picked.extend(available.take(share.min(left)));
                let got = picked.len() - before;
                left -= got;
                open += usize::from(got == share);
            }
        }
        let picked = sources
            .into_iter()
            .map(|(partition, _, picked)| (partition, picked));
        picked.collect()
    }

    /// When [`SharedGroup::expire`] next has something to do.
    pub fn due_ms(&self) -> Option<i64> {
        self.timers.first_ms()
    }

    /// Ends leases and delays whose time is up, so many at a time; [`SharedGroup::due_ms`] tells
    /// whether there are more. Their records are available again, before later ones of their keys.
    /// There is an event only for those that are given up: that a lease ended is not durable, and a
    /// new leader gives it its whole time once more.
    pub fn expire(&mut self, now_ms: i64) -> Option<SharedEvent> {
        let mut given_up = Draft::default();
        for (partition, offset) in self.timers.due(now_ms, CALL_RECORDS_MAX) {
            let change = self.give_up(Cause::Expired, "");
            let Some(share) = self.partitions.get_mut(&partition) else {
                continue;
            };
            let Some(tried) = share.progress.tried.get_mut(&offset) else {
                continue;
            };
            if tried.is_leased() && tried.attempts >= self.config.max_attempts {
                given_up.set(partition, offset, change);
            } else {
                self.timers.set((partition, offset), tried, None);
                share.window.free(offset);
                self.note_available(partition);
            }
        }
        given_up.into_event(now_ms, self)
    }
}
