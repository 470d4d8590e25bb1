//! Leases, and their ends.

use headwater_log::PartitionId;

use super::Shared;
use super::draft::{Change, Draft};
use super::partitions::turn;
use super::ranges::push_range;
use super::step::Step;
use super::types::{Cause, Leased, Token};
use crate::limits::CALL_RECORDS_MAX;

impl Shared {
    /// Leases the oldest available records, in equal shares of the partitions that have some; their
    /// order goes round. A record is available if it is known, neither settled, leased, delayed nor
    /// dead, and no earlier one of its key is unsettled. A lease whose time is up and that was not
    /// [expired](Shared::expire) yet keeps its record.
    pub(super) fn lease(
        &self,
        now_ms: i64,
        records_max: usize,
        lease_ms: u32,
    ) -> (Vec<Leased>, Option<Step>) {
        let picked = self.pick(records_max.min(CALL_RECORDS_MAX));
        if picked.is_empty() {
            return (Vec::new(), None);
        }
        let epoch = self.epoch + 1;
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
                        lease: epoch,
                    },
                    attempt: before.map_or(0, |tried| tried.attempts).saturating_add(1),
                    deadline_ms: now_ms.saturating_add(lease_ms.into()),
                });
            }
            runs.push((partition, ranges));
        }
        let step = Step::Leased {
            epoch,
            at_ms: now_ms,
            lease_ms,
            runs,
        };
        (leased, Some(step))
    }

    /// So many available records by partition, in equal shares as far as each has them.
    fn pick(&self, records_max: usize) -> Vec<(PartitionId, Vec<u64>)> {
        let (behind, before) = turn(self.served);
        let turn = self.ready.range(behind).chain(self.ready.range(before));
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

    /// Ends leases and delays whose time is up, so many at a time; [`Shared::due_ms`] tells whether
    /// there are more. Their records are available again, before later ones of their keys. There is a
    /// step only for those that are given up or gone: that a lease ended is not durable, and a new
    /// leader gives it its whole time once more.
    pub(crate) fn expire(&mut self, now_ms: i64) -> Option<Step> {
        let mut draft = Draft::default();
        for (partition, offset) in self.timers.due(now_ms, CALL_RECORDS_MAX) {
            let Some(share) = self.partitions.get_mut(&partition) else {
                continue;
            };
            let Some(tried) = share.progress.tried.get_mut(&offset) else {
                continue;
            };
            if share.window.is_gone(offset) {
                draft.set(partition, offset, Change::Settle);
            } else if tried.is_leased() && tried.attempts >= self.rules.max_attempts {
                let change = self.give_up(Cause::Expired, "");
                draft.set(partition, offset, change);
            } else {
                self.timers.set((partition, offset), tried, None);
                share.window.free(offset);
                self.note_available(partition);
            }
        }
        if self.has_undeliverable() {
            for (partition, offset) in self.dead.iter().take(CALL_RECORDS_MAX) {
                draft.set(*partition, *offset, Change::Drop);
            }
        }
        draft.into_step(now_ms, self)
    }
}
