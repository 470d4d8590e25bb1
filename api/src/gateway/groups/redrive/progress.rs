//! A redrive, as far as it is.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use headwater_groups::limits::REDRIVEN_RANGES_MAX;
use headwater_groups::{GroupId, Letters, Ranges};

use super::{RedriveAsk, RedrivePage, RedrivenLetter, moving::Fate, places::Places, round::Look};
use crate::{
    auth::Access,
    limits::{REDRIVE_CHUNK, REDRIVE_SCAN_BYTES},
    metadata::Topic,
    problem::{Code, Problem},
};

/// A redrive, as far as it is.
pub(super) struct Redrive<'a> {
    pub access: &'a Access,
    pub id: &'a GroupId,
    pub ask: &'a RedriveAsk,
    /// The dead-letter topic.
    pub from: Arc<Topic>,
    /// The topics that the group reads, by name.
    pub origins: HashMap<String, Arc<Topic>>,
    pub places: Places,
    /// What is done with, by partition.
    pub done: BTreeMap<u32, Ranges>,
    pub page: RedrivePage,
    pub scanned_bytes: usize,
}

impl Redrive<'_> {
    /// Whether the call has done what one may.
    pub fn is_full(&self) -> bool {
        self.page.letters.len() >= self.ask.records_max || self.scanned_bytes >= REDRIVE_SCAN_BYTES
    }

    /// How many letters may be moved in one go: some of a second's, so that they come evenly.
    pub fn room(&self) -> usize {
        let rate = self.ask.records_per_second.filter(|_| !self.ask.dry_run);
        let some = rate.map_or(REDRIVE_CHUNK, |rate| rate as usize / 4);
        let left = self.ask.records_max.saturating_sub(self.page.letters.len());
        some.min(REDRIVE_CHUNK).min(left).max(1)
    }

    /// Where to go on in a partition, behind what is done with; none at its end.
    pub fn begin_in(&mut self, partition: u32) -> Option<u64> {
        let next = self.places.next_in(partition);
        let done = self.done.get(&partition);
        let begin = done.and_then(|done| done.end_of(next)).unwrap_or(next);
        self.places.go_on(partition, begin);
        (begin < self.places.end_of(partition)).then_some(begin)
    }

    /// Whether the group can remember what is about to be moved.
    pub fn check_pieces(&self, partition: u32, begin: u64, look: &Look) -> Result<(), Problem> {
        let of_partition = self.done.get(&partition);
        let others = self.done.values().map(Ranges::len).sum::<usize>();
        let others = others - of_partition.map_or(0, Ranges::len);
        let mut after = of_partition.cloned().unwrap_or_default();
        let done = look.done_with(begin, &[]);
        done.iter().for_each(|range| after.insert(range));
        if others + after.len() <= REDRIVEN_RANGES_MAX {
            return Ok(());
        }
        let message =
            "what was moved lies in too many pieces between what was not: redrive more of it";
        Err(Problem::new(Code::InvalidSetting, "").at("/filter", "too_many_pieces", message))
    }

    /// Takes up what became of what was looked at, and goes on behind it, or at the first letter that is
    /// to be tried again.
    pub fn take_in(&mut self, partition: u32, look: Look, fates: Vec<(RedrivenLetter, Fate)>) {
        let again = fates.iter().filter(|(_, fate)| fate.is_open());
        let again = again.map(|(row, _)| row.offset).min();
        let next = again.unwrap_or(look.next);
        let is_passed = |offset: u64| offset < next;
        let skipped = look.skipped.into_iter().filter(|offset| is_passed(*offset));
        self.page.skipped += skipped.count() as u64;
        let mut rows = look.rows;
        for (mut row, fate) in fates {
            match fate {
                Fate::Moved(place, bytes) => {
                    row.moved_to = Some(place);
                    self.page.payload_bytes += bytes;
                }
                Fate::Refused(why) => row.refusal = Some(why),
                Fate::Open(_) => continue,
            }
            rows.push(row);
        }
        rows.retain(|row| row.moved_to.is_some() || is_passed(row.offset));
        rows.sort_by_key(|row| row.offset);
        self.page.letters.extend(rows);
        self.places.go_on(partition, next);
    }

    /// Offsets that are still to be looked at.
    pub fn left(&self) -> u64 {
        let left = (0..).zip(&self.places.0).map(|(partition, place)| {
            let done = self.done.get(&partition).into_iter().flat_map(Ranges::iter);
            let done = done.map(|range| {
                let (start, end) = (range.start.max(place.next), range.end.min(place.end));
                end.saturating_sub(start)
            });
            (place.end - place.next).saturating_sub(done.sum())
        });
        left.sum()
    }

    pub fn cursor(&self) -> Option<String> {
        let (project, group) = (&self.access.project, &self.id.name);
        self.places.seal(project, group, self.from.id)
    }

    /// The cursor that goes on behind damaged records, if they are the problem.
    pub fn cursor_behind(&mut self, partition: u32, problem: &Problem) -> Option<String> {
        let mut offsets = problem.offsets.iter();
        let (_, to) = offsets.find(|(name, _)| *name == "to")?;
        self.places.go_on(partition, *to);
        self.cursor()
    }
}

/// Adds offsets to what is done with.
pub(super) fn note(done: &mut BTreeMap<u32, Ranges>, letters: &[Letters]) {
    for (id, ranges) in letters {
        let known = done.entry(id.partition).or_default();
        ranges.iter().for_each(|range| known.insert(range.clone()));
    }
}
