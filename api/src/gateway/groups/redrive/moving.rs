//! Appending letters to where they came from.

use std::collections::HashMap;

use futures_util::{StreamExt, stream};
use headwater_broker::{Acks, TopicId};

use super::letter::{Letter, RecordPlace, RedrivenLetter};
use crate::{
    auth::Access,
    gateway::{Encoded, Gateway},
    limits::REDRIVE_AT_ONCE,
    metadata::Topic,
    problem::{Outcome, Problem},
    quota::Resource,
};

/// What became of a letter.
pub(super) enum Fate {
    /// It is there, with so many bytes.
    Moved(RecordPlace, usize),
    /// It stays, and no other try will help.
    Refused(String),
    /// It may be tried again: why, if it was tried.
    Open(Option<Problem>),
}

impl Fate {
    pub fn is_moved(&self) -> bool {
        matches!(self, Self::Moved(..))
    }

    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }

    pub fn problem(&self) -> Option<Problem> {
        match self {
            Self::Open(problem) => problem.clone(),
            Self::Moved(..) | Self::Refused(_) => None,
        }
    }
}

impl Gateway {
    /// Appends letters, many at a time, and those of one key one after the other.
    ///
    /// # Errors
    /// The caller may not append now; nothing was.
    pub(super) async fn move_back(
        &self,
        access: &Access,
        letters: Vec<Letter>,
    ) -> Result<Vec<(RedrivenLetter, Fate)>, Problem> {
        let (layers, rate) = (access.layers(), Resource::IngressBytesPerSecond);
        layers.check(rate)?;
        let bytes = letters.iter().map(|letter| letter.encoded.payload_bytes);
        let turn = layers.turn(bytes.sum()).await?;
        let lanes = lanes(letters).into_iter().map(|lane| self.move_lane(lane));
        let moving = stream::iter(lanes).buffer_unordered(REDRIVE_AT_ONCE);
        let fates = turn.work(moving.collect::<Vec<_>>()).await;
        let fates: Vec<_> = fates.into_iter().flatten().collect();
        let bytes = fates.iter().map(|(_, fate)| match fate {
            Fate::Moved(_, bytes) => *bytes as u64,
            Fate::Refused(_) | Fate::Open(_) => 0,
        });
        layers.charge(rate, bytes.sum());
        Ok(fates)
    }

    /// Appends letters one after the other. The first that may be tried again ends it.
    async fn move_lane(&self, lane: Vec<Letter>) -> Vec<(RedrivenLetter, Fate)> {
        let mut fates: Vec<(_, Fate)> = Vec::with_capacity(lane.len());
        for letter in lane {
            let is_stopped = fates.last().is_some_and(|(_, fate)| fate.is_open());
            let fate = match is_stopped {
                true => Fate::Open(None),
                false => self.move_one(&letter.to, letter.encoded).await,
            };
            fates.push((letter.row, fate));
        }
        fates
    }

    async fn move_one(&self, to: &Topic, encoded: Encoded) -> Fate {
        let bytes = encoded.payload_bytes;
        let mut ignored = || {};
        let written = self.produce(to, encoded, Acks::Quorum, &mut ignored).await;
        let placed = written.and_then(|written| {
            let mut records = written.records();
            let record = records
                .next()
                .ok_or_else(|| Problem::internal("a letter was moved", "no record was written"))?;
            let placed = record.placed.map_err(Problem::clone)?;
            Ok((record.partition, placed.offset))
        });
        match placed {
            Ok((partition, offset)) => {
                let topic = to.name.clone();
                let place = RecordPlace {
                    topic,
                    partition,
                    offset,
                };
                Fate::Moved(place, bytes)
            }
            Err(problem) if problem.code.retryable() || problem.outcome == Outcome::Unknown => {
                Fate::Open(Some(problem))
            }
            Err(problem) => Fate::Refused(problem.detail.clone()),
        }
    }
}

/// Letters of one key and topic together, in their order.
fn lanes(letters: Vec<Letter>) -> Vec<Vec<Letter>> {
    let mut lanes: Vec<Vec<Letter>> = Vec::new();
    let mut of_key: HashMap<(TopicId, Vec<u8>), usize> = HashMap::new();
    for letter in letters {
        let lane = match letter.key.clone() {
            Some(key) => *of_key.entry((letter.to.id, key)).or_insert(lanes.len()),
            None => lanes.len(),
        };
        match lanes.get_mut(lane) {
            Some(lane) => lane.push(letter),
            None => lanes.push(vec![letter]),
        }
    }
    lanes
}
