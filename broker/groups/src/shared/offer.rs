//! How records get into the window, and partitions into the group.

use super::draft::{Change, Draft};
use super::event::{Changes, Event};
use super::{Partition, SharedEvent, SharedGroup, WINDOW_RECORDS_MAX, Want};

/// A partition with as many available records asks for no more.
const AVAILABLE_ENOUGH: usize = 1_000;
/// Whoever was asked for records has so long before somebody else is asked.
const ASKED_MS: i64 = 1_000;
/// The most partitions that one call asks for.
const WANTS_MAX: usize = 100;
/// So much of the window is kept for the partitions in equal parts, whatever the others take: a key
/// that is stuck stops its own partition at most.
const RESERVED_RECORDS: usize = WINDOW_RECORDS_MAX / 5;

impl SharedGroup {
    /// What to fetch and [offer](SharedGroup::offer): the partitions that have few available records,
    /// and room for more. A partition is not named again until it is offered something, or for a
    /// second, so that not everybody fetches the same.
    pub fn wants(&mut self, now_ms: i64) -> Vec<Want> {
        let mut wants = Vec::new();
        let partitions = self.partitions.len();
        for (partition, share) in &mut self.partitions {
            let window = &mut share.window;
            let asked = window.asked_ms.map(|asked_ms| now_ms - asked_ms);
            let room = room(self.known, window.len(), partitions);
            if window.available().len() >= AVAILABLE_ENOUGH
                || room == 0
                || asked.is_some_and(|ago_ms| (0..ASKED_MS).contains(&ago_ms))
            {
                continue;
            }
            if wants.len() == WANTS_MAX {
                break;
            }
            window.asked_ms = Some(now_ms);
            wants.push(Want {
                partition: *partition,
                from: window.next_wanted(&share.progress),
                records_max: room.min(AVAILABLE_ENOUGH),
            });
        }
        wants
    }

    /// Takes a run of a partition's records, offsets ascending, each with the hash of its key.
    /// Nothing else exists from `from` up to `end`. What is known, settled or beyond the room of the
    /// window is ignored, and so is a run that begins above what is wanted next: it would skip
    /// records. The same run may be offered again and by several.
    ///
    /// There is an event only if records turn out to be gone that were leased before.
    pub fn offer(
        &mut self,
        partition: Partition,
        from: u64,
        records: impl IntoIterator<Item = (u64, Option<u64>)>,
        end: u64,
    ) -> Option<SharedEvent> {
        let partitions = self.partitions.len();
        let share = self.partitions.get_mut(&partition)?;
        let (progress, window) = (&share.progress, &mut share.window);
        let next = window.next_wanted(progress);
        if from > next {
            return None;
        }
        let mut until = end;
        for (offset, key) in records {
            if offset >= end {
                break;
            }
            if offset < next || progress.settled_until(offset).is_some() {
                continue;
            }
            if room(self.known, window.len(), partitions) == 0 {
                until = offset;
                break;
            }
            window.push(offset, key, progress.is_free(offset));
            self.known += 1;
        }
        window.offered_until(until);
        let mut gone = Draft::default();
        for (offset, _) in progress.tried.range(next..until.max(next)) {
            if !window.contains(*offset) {
                gone.set(partition, *offset, Change::Settle);
            }
        }
        self.note_available(partition);
        gone.into_event(0, self)
    }

    /// Tells that the log of a partition begins here: what is below is gone, and so settled.
    pub fn trim(&self, partition: Partition, log_start: u64) -> Option<SharedEvent> {
        let floor = self.partitions.get(&partition)?.progress.floor;
        let changes = Changes {
            settled: std::iter::once(floor..log_start).collect(),
            ..Changes::default()
        };
        (log_start > floor).then_some(SharedEvent(Event::Changed {
            at_ms: 0,
            dropped: 0,
            partitions: vec![(partition, changes)],
        }))
    }

    /// Moves partitions to an offset, new ones too, or with `None` takes them from the group.
    /// Everything else that is known of them is forgotten: no lease from before settles anything.
    pub fn move_to(&self, positions: Vec<(Partition, Option<u64>)>) -> SharedEvent {
        SharedEvent(Event::Moved(positions))
    }
}

/// How many records a partition may take that has `own` of the `known` ones.
fn room(known: usize, own: usize, partitions: usize) -> usize {
    let free = WINDOW_RECORDS_MAX.saturating_sub(known);
    let shared = free.saturating_sub(RESERVED_RECORDS);
    let reserved = (RESERVED_RECORDS / partitions).max(1).saturating_sub(own);
    shared.max(reserved).min(free)
}
