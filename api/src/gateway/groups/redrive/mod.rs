//! Moving dead letters of a shared group back to where they came from.
//!
//! A letter is appended to its origin under an idempotency key that is its own place, and then noted with
//! the group as done with. What happens between the two, or to a gateway there, has it moved once more:
//! appended once if that is soon, and told by its headers to be the same if it is not.

mod filter;
mod letter;
mod moving;
mod places;
mod progress;
mod round;

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use headwater_groups::{Action, GroupId, Kind, Reply};
use tokio::time::Instant;

use super::{
    Gateway,
    ensure::{READS, WRITES},
    expect_reply, group_id,
};
use crate::{
    auth::Access,
    limits::{REDRIVE_READ_BYTES, REDRIVE_TIME},
    metadata::Topic,
    problem::{Code, Problem},
};

pub use filter::{LetterOffsets, RedriveFilter};
pub use letter::{RecordPlace, RedrivenLetter};
use places::Places;
use progress::{Redrive, note};

/// What a redrive is to do.
#[derive(Debug, Clone, Default)]
pub struct RedriveAsk {
    /// Which letters.
    pub filter: RedriveFilter,
    /// How many of them a second, at most.
    pub records_per_second: Option<u32>,
    /// How many this call moves or refuses, at most.
    pub records_max: usize,
    /// Only says what would be.
    pub dry_run: bool,
    /// Where the call before ended.
    pub cursor: Option<String>,
}

/// What one call of a redrive did.
#[derive(Debug, Default)]
pub struct RedrivePage {
    /// Letters that were moved, or would be, and that cannot be.
    pub letters: Vec<RedrivenLetter>,
    /// Letters of the group that the filter leaves.
    pub skipped: u64,
    /// Offsets of the dead-letter topic that are still to be looked at.
    pub left: u64,
    /// Where to go on; none at the end.
    pub cursor: Option<String>,
    /// Bytes of keys, values and headers that were appended.
    pub payload_bytes: usize,
}

impl RedrivePage {
    /// How many letters were moved; of a dry run, would be.
    pub fn moved(&self) -> u64 {
        self.letters.len() as u64 - self.refused()
    }

    /// How many letters cannot be moved.
    pub fn refused(&self) -> u64 {
        let letters = self.letters.iter();
        letters.filter(|letter| letter.refusal.is_some()).count() as u64
    }
}

impl Gateway {
    /// Moves letters back, for as long as one call may take.
    ///
    /// # Errors
    /// 404 without such a group, 409 if it is partitioned, 422 without a dead-letter topic, 403 for a key
    /// that may not read that or append to the group's topics; and when nothing could be moved, why.
    pub async fn redrive_group(
        &self,
        access: &Access,
        group: &str,
        ask: &RedriveAsk,
    ) -> Result<RedrivePage, Problem> {
        let id = group_id(access, group)?;
        let mut redrive = self.begin_redrive(access, &id, ask).await?;
        let _held = self.pages.take(REDRIVE_READ_BYTES).await?;
        let started = Instant::now();
        let mut draining = self.draining.clone();
        while let Some((partition, _)) = redrive.places.open() {
            let is_over = redrive.is_full() || started.elapsed() >= REDRIVE_TIME;
            if is_over || *draining.borrow() {
                break;
            }
            if let Err(mut problem) = self.redrive_some(&mut redrive, partition).await {
                // What was done is told now, and what stopped it by the next call.
                if redrive.page.letters.is_empty() {
                    problem.cursor = redrive.cursor_behind(partition, &problem);
                    return Err(problem);
                }
                break;
            }
            let pause = ask.records_per_second.filter(|_| !ask.dry_run).map(|rate| {
                let seconds = redrive.page.moved() as f64 / f64::from(rate);
                tokio::time::sleep_until(started + Duration::from_secs_f64(seconds))
            });
            if let Some(pause) = pause {
                tokio::select! {
                    () = pause => {}
                    _ = draining.wait_for(|draining| *draining) => {}
                }
            }
        }
        redrive.page.left = redrive.left();
        redrive.page.cursor = redrive.cursor();
        Ok(redrive.page)
    }

    async fn begin_redrive<'a>(
        &self,
        access: &'a Access,
        id: &'a GroupId,
        ask: &'a RedriveAsk,
    ) -> Result<Redrive<'a>, Problem> {
        let reply = self.ask_coordinator(id, Action::Describe).await?;
        let is = expect_reply!(reply, Reply::Described(is) => is)?;
        let Kind::Shared(rules) = is.config.kind else {
            let why = "only shared groups have dead letters";
            return Err(Problem::new(Code::GroupTypeConflict, why));
        };
        let from = rules.dead_letters.ok_or_else(|| {
            let why = "the group has no dead_letter_topic";
            Problem::new(Code::InvalidSetting, why)
        })?;
        let from = self.topic_read(access, from).ok_or_else(|| {
            let why = "the group's dead_letter_topic is deleted";
            Problem::new(Code::UnknownTopic, why)
        })?;
        let topics = is.config.topics.iter();
        let origins = topics.filter_map(|id| self.topic_read(access, *id));
        let origins: HashMap<_, _> = origins.map(|topic| (topic.name.clone(), topic)).collect();
        let wanted = ask.filter.topic.as_ref();
        let wanted = |name: &&String| wanted.is_none_or(|wanted| wanted == *name);
        check_scopes(access, &from, origins.keys().filter(wanted))?;
        let places = match &ask.cursor {
            Some(text) => Places::unseal(&access.project, &id.name, from.id, text)?,
            None => Places::of(&self.partition_states(&from).await?),
        };
        let reply = self.ask_coordinator(id, Action::Redrives).await?;
        let letters = expect_reply!(reply, Reply::Redrives(letters) => letters)?;
        let mut done = BTreeMap::new();
        note(&mut done, &letters);
        Ok(Redrive {
            access,
            id,
            ask,
            from,
            origins,
            places,
            done,
            page: RedrivePage::default(),
            scanned_bytes: 0,
        })
    }
}

/// A key moves what it may read itself, to where it may append.
fn check_scopes<'a>(
    access: &Access,
    from: &Topic,
    mut to: impl Iterator<Item = &'a String>,
) -> Result<(), Problem> {
    let forbidden = |what: &str, topic: &str| {
        let why = format!("the API key's scopes do not allow to {what} the topic {topic}");
        Err(Problem::new(Code::Forbidden, why))
    };
    if !READS.iter().any(|row| access.allows(row, Some(&from.name))) {
        return forbidden("read", &from.name);
    }
    match to.find(|name| !access.allows(&WRITES, Some(name))) {
        Some(name) => forbidden("produce to", name),
        None => Ok(()),
    }
}
