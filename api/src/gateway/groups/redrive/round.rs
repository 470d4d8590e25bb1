//! One round of a redrive: some records of a partition.

use headwater_broker::{FetchError, FetchPosition, Fetched, PartitionId};
use headwater_groups::{Action, Ranges, Reply};
use headwater_record::BatchView;

use super::{
    RedrivenLetter,
    letter::{Letter, Origin},
    progress::{Redrive, note},
};
use crate::{
    gateway::{
        Gateway,
        fetch::{INFLATED_BYTES_MAX, undecodable},
        groups::expect_reply,
        no_leader, read_problem,
    },
    limits::{REDRIVE_READ_BYTES, REDRIVE_READ_RECORDS},
    problem::{Code, Outcome, Problem},
};

/// What was found in a partition, from where the redrive stands to `next`.
pub(super) struct Look {
    pub letters: Vec<Letter>,
    /// Letters that are told and stay where they are.
    pub rows: Vec<RedrivenLetter>,
    /// Letters that the filter leaves.
    pub skipped: Vec<u64>,
    pub next: u64,
}

impl Gateway {
    /// Looks at some records of a partition, and moves those that are to be.
    ///
    /// # Errors
    /// Some were not; those that were are in the page.
    pub(super) async fn redrive_some(
        &self,
        redrive: &mut Redrive<'_>,
        partition: u32,
    ) -> Result<(), Problem> {
        let Some(begin) = redrive.begin_in(partition) else {
            return Ok(());
        };
        let positions = [FetchPosition {
            partition,
            offset: begin,
            records_max: REDRIVE_READ_RECORDS,
            bytes_max: REDRIVE_READ_BYTES,
        }];
        let fetched = self.fetch_positions(&redrive.from, &positions, REDRIVE_READ_BYTES);
        let fetched = match fetched.await.pop() {
            Some(Ok(fetched)) => fetched,
            Some(Err(FetchError::OutOfRange { log_start, .. })) if begin < log_start => {
                redrive.places.go_on(partition, log_start);
                return Ok(());
            }
            Some(Err(error)) => return Err(read_problem(error)),
            None => return Err(no_leader()),
        };
        let bytes = fetched.batches.iter().map(bytes::Bytes::len);
        redrive.scanned_bytes += bytes.sum::<usize>();
        let mut look = self.look(redrive, partition, begin, &fetched)?;
        if look.next == begin {
            // Who leads now is not there yet.
            return Err(no_leader());
        }
        let letters = std::mem::take(&mut look.letters);
        if redrive.ask.dry_run || letters.is_empty() {
            look.rows
                .extend(letters.into_iter().map(|letter| letter.row));
            redrive.take_in(partition, look, Vec::new());
            return Ok(());
        }
        redrive.check_pieces(partition, begin, &look)?;
        let fates = self.move_back(redrive.access, letters).await?;
        let stays = fates.iter().filter(|(_, fate)| !fate.is_moved());
        let stays: Vec<_> = stays.map(|(row, _)| row.offset).collect();
        if stays.len() < fates.len() {
            let done = look.done_with(begin, &stays);
            self.note_redriven(redrive, partition, done).await?;
        }
        let problem = fates.iter().find_map(|(_, fate)| fate.problem());
        redrive.take_in(partition, look, fates);
        problem.map_or(Ok(()), Err)
    }

    /// What there is of a partition's records, up to as many letters as are moved in one go.
    fn look(
        &self,
        redrive: &Redrive<'_>,
        partition: u32,
        begin: u64,
        fetched: &Fetched,
    ) -> Result<Look, Problem> {
        let mut look = Look {
            letters: Vec::new(),
            rows: Vec::new(),
            skipped: Vec::new(),
            next: begin,
        };
        let end = redrive.places.end_of(partition);
        let done = redrive.done.get(&partition);
        let mut scratch = Vec::new();
        for batch in &fetched.batches {
            let (view, _) = BatchView::parse(batch).map_err(undecodable)?;
            let records = view.records(&mut scratch, INFLATED_BYTES_MAX);
            for record in records.map_err(undecodable)? {
                let record = record.map_err(undecodable)?;
                let is_done = done.is_some_and(|done| done.end_of(record.offset).is_some());
                if record.offset < begin || is_done {
                    continue;
                }
                let count = look.letters.len() + look.rows.len();
                if record.offset >= end {
                    look.next = end;
                    return Ok(look);
                }
                if count == redrive.room() {
                    return Ok(look);
                }
                look.next = record.offset + 1;
                let Some(origin) = Origin::of(&record, &redrive.id.name) else {
                    continue;
                };
                if !redrive.ask.filter.names(partition, &record, &origin) {
                    look.skipped.push(record.offset);
                    continue;
                }
                let to = redrive.origins.get(origin.topic).cloned();
                let letter = to.ok_or_else(|| {
                    let why = format!("the group reads no topic {}", origin.topic);
                    Problem::new(Code::UnknownTopic, why)
                });
                let letter = letter.and_then(|to| {
                    self.encode_redriven(&redrive.from, partition, &record, &origin, to)
                });
                match letter {
                    Ok(letter) => look.letters.push(letter),
                    Err(problem) => look.rows.push(RedrivenLetter {
                        refusal: Some(problem.detail.clone()),
                        ..origin.row(partition, record.offset)
                    }),
                }
            }
            look.next = look.next.max(view.next_offset());
            scratch.clear();
        }
        Ok(look)
    }

    /// Tells the group what is done with.
    async fn note_redriven(
        &self,
        redrive: &mut Redrive<'_>,
        partition: u32,
        done: Ranges,
    ) -> Result<(), Problem> {
        let topic = redrive.from.id;
        let letters = vec![(PartitionId { topic, partition }, done.iter().collect())];
        let action = Action::Redriven(letters.clone());
        let reply = self.ask_coordinator(redrive.id, action).await;
        let noted = reply.and_then(|reply| expect_reply!(reply, Reply::Redriven => ()));
        noted.map_err(|mut problem| {
            // The records are there.
            problem.outcome = Outcome::Unknown;
            problem
        })?;
        note(&mut redrive.done, &letters);
        Ok(())
    }
}

impl Look {
    /// What need not be looked at again, once the letters are moved that do not stay.
    pub fn done_with(&self, begin: u64, stays: &[u64]) -> Ranges {
        let told = self.rows.iter().map(|row| row.offset);
        let skipped = self.skipped.iter().copied();
        let mut stays: Vec<_> = told.chain(skipped).chain(stays.iter().copied()).collect();
        stays.sort_unstable();
        let mut done = Ranges::default();
        let mut start = begin;
        for offset in stays {
            done.insert(start..offset);
            start = offset + 1;
        }
        done.insert(start..self.next);
        done
    }
}
