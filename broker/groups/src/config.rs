//! What a group is asked to be.

use headwater_log::TopicId;

use crate::error::GroupError;
use crate::limits::{ATTEMPTS_MAX, LEASE_MS, NAME_BYTES_MAX, TOPICS_MAX};

/// The name of a group in the whole cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId {
    /// The project's id.
    pub project: String,
    /// The group's name in the project.
    pub name: String,
}

/// How a group shares its records out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Each partition has one member that reads it.
    Partitioned,
    /// Any number of nameless workers lease single records.
    Shared(Rules),
}

impl Kind {
    /// Whether a group of one may become one of the other.
    pub(crate) const fn is_as(&self, other: &Self) -> bool {
        matches!(
            (self, other),
            (Self::Partitioned, Self::Partitioned) | (Self::Shared(_), Self::Shared(_))
        )
    }
}

/// When a shared group gives a record up, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// A record whose attempt of this number fails is given up.
    pub max_attempts: u32,
    /// Where to what is given up is written. Without it that is dropped: settled and counted, as the
    /// group asks for nothing else and its key would wait for ever. If the topic is deleted, letters
    /// and their keys wait until the group has another one, or none.
    pub dead_letters: Option<TopicId>,
}

/// Where a group begins that has committed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record that there is.
    Earliest,
    /// At the offsets that are given when the group comes to a topic; partitions that the topic gets
    /// later begin at 0, so that no record is skipped.
    Latest,
}

/// What a group is asked to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What is read.
    pub topics: Vec<TopicId>,
    /// How it is shared out. A group never becomes one of the other kind.
    pub kind: Kind,
    /// Where it begins.
    pub start: Start,
    /// The lease of members, or of records, where none is asked for.
    pub lease_ms: u32,
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), GroupError> {
        let mut sorted = self.topics.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.is_empty() || sorted.len() < self.topics.len() {
            return Err(GroupError::invalid("topics", "must be there, each once"));
        }
        if sorted.len() > TOPICS_MAX {
            return Err(GroupError::TooMany {
                what: "topics",
                max: TOPICS_MAX,
            });
        }
        check_lease(self.lease_ms)?;
        match &self.kind {
            Kind::Partitioned => Ok(()),
            Kind::Shared(rules) => rules.check(&sorted),
        }
    }

    /// All topics that the group has to do with.
    pub(crate) fn all_topics(&self) -> impl Iterator<Item = TopicId> {
        let dead_letters = match self.kind {
            Kind::Partitioned => None,
            Kind::Shared(rules) => rules.dead_letters,
        };
        self.topics.iter().copied().chain(dead_letters)
    }
}

impl Rules {
    fn check(&self, topics: &[TopicId]) -> Result<(), GroupError> {
        if !(1..=ATTEMPTS_MAX).contains(&self.max_attempts) {
            return Err(GroupError::invalid("max_attempts", "must be 1 to 1000"));
        }
        // What is given up would come back for ever.
        if self
            .dead_letters
            .is_some_and(|topic| topics.contains(&topic))
        {
            let why = "must not be one of the topics";
            return Err(GroupError::invalid("dead_letter_topic", why));
        }
        Ok(())
    }
}

pub(crate) fn check_lease(lease_ms: u32) -> Result<(), GroupError> {
    if (LEASE_MS.0..=LEASE_MS.1).contains(&lease_ms) {
        return Ok(());
    }
    Err(GroupError::invalid("lease_ms", "must be 10 s to 300 s"))
}

pub(crate) fn check_name(field: &'static str, name: &str) -> Result<(), GroupError> {
    if (1..=NAME_BYTES_MAX).contains(&name.len()) {
        return Ok(());
    }
    Err(GroupError::invalid(field, "must be 1 to 249 bytes"))
}
