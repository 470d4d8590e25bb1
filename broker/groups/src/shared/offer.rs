//! How records get into the window.

use headwater_log::PartitionId;

use super::Shared;
use super::partitions::turn;
use super::step::{Changes, Step};
use super::types::{Offer, Want};
use super::window::Window;
use crate::limits::WINDOW_RECORDS_MAX;

/// A partition with as many available records asks for no more.
const AVAILABLE_ENOUGH: usize = 2_000;
/// The most partitions that one call asks for; the next call goes on behind them.
const WANTS_MAX: usize = 100;
/// So much of the window is kept for the partitions in equal parts, whatever the others take: a key
/// that is stuck stops its own partition at most.
const RESERVED_RECORDS: usize = WINDOW_RECORDS_MAX / 5;

impl Shared {
    /// What to fetch and [offer](Shared::offer): the partitions that have few available records,
    /// and room for more. A partition is not named again until it is offered something, or for a
    /// second, so that not everybody fetches the same.
    pub(super) fn wants(&mut self, now_ms: i64) -> Vec<Want> {
        let partitions = self.partitions.len();
        let (behind, before) = turn(self.asked);
        let turn = self.partitions.range(behind);
        let turn = turn.chain(self.partitions.range(before));
        let wants = turn.filter_map(|(partition, share)| {
            let window = &share.window;
            let records_max = room(self.known, window.len(), partitions).min(AVAILABLE_ENOUGH);
            let wants_some = records_max > 0
                && window.available().len() < AVAILABLE_ENOUGH
                && !window.was_asked(now_ms);
            wants_some.then(|| Want {
                partition: *partition,
                from: window.next_wanted(&share.progress),
                records_max,
            })
        });
        let wants: Vec<_> = wants.take(WANTS_MAX).collect();
        for want in &wants {
            if let Some(share) = self.partitions.get_mut(&want.partition) {
                share.window.asked_ms = Some(now_ms);
            }
            self.asked = Some(want.partition);
        }
        wants
    }

    /// Takes a run of a partition's records. What is known, settled or beyond the room of the window
    /// is ignored, and so is a run that begins above what is wanted next: it would skip records. The
    /// same run may be offered again and by several.
    ///
    /// There is a step if the log begins further on: what is below is settled. Records that were
    /// leased and turn out to be gone are settled by [`Shared::expire`].
    pub(super) fn offer(&mut self, now_ms: i64, offer: &Offer) -> Option<Step> {
        let Offer { partition, end, .. } = *offer;
        let partitions = self.partitions.len();
        let share = self.partitions.get_mut(&partition)?;
        let (progress, window) = (&mut share.progress, &mut share.window);
        let next = window.next_wanted(progress);
        if offer.from > next {
            return None;
        }
        let mut until = end;
        for (offset, key) in &offer.records {
            if *offset >= end {
                break;
            }
            if *offset < next || progress.settled_until(*offset).is_some() {
                continue;
            }
            if room(self.known, window.len(), partitions) == 0 {
                until = *offset;
                break;
            }
            window.push(*offset, *key, progress.is_free(*offset));
            self.known += 1;
        }
        window.offered_until(until);
        for (offset, tried) in progress.tried.range_mut(next..until.max(next)) {
            if window.is_gone(*offset) && !self.dead.contains(&(partition, *offset)) {
                self.timers.set((partition, *offset), tried, Some(now_ms));
            }
        }
        self.note_available(partition);
        self.trim(partition, offer.log_start)
    }

    pub(crate) const fn known(&self) -> usize {
        self.known
    }

    /// Knows no records any more, but what became of those that were leased: all are to be offered
    /// again.
    pub(crate) fn forget_window(&mut self) {
        for share in self.partitions.values_mut() {
            share.window = Window::default();
        }
        self.ready.clear();
        self.known = 0;
    }

    /// Settles what is below the log's beginning.
    fn trim(&self, partition: PartitionId, log_start: u64) -> Option<Step> {
        let floor = self.partitions.get(&partition)?.progress.floor;
        let changes = Changes {
            settled: std::iter::once(floor..log_start).collect(),
            ..Changes::default()
        };
        (log_start > floor).then_some(Step::Changed {
            at_ms: 0,
            dropped: 0,
            partitions: vec![(partition, changes)],
        })
    }
}

/// How many records a partition may take that has `own` of the `known` ones.
fn room(known: usize, own: usize, partitions: usize) -> usize {
    let free = WINDOW_RECORDS_MAX.saturating_sub(known);
    let shared = free.saturating_sub(RESERVED_RECORDS);
    let reserved = (RESERVED_RECORDS / partitions).max(1).saturating_sub(own);
    shared.max(reserved).min(free)
}
