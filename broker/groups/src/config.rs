//! What a group is asked to be.

use headwater_log::TopicId;

use crate::error::GroupError;
use crate::limits::{LEASE_MS, NAME_BYTES_MAX, TOPICS_MAX};

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
    /// How it is shared out; never changes.
    pub kind: Kind,
    /// Where it begins.
    pub start: Start,
    /// The lease of members that ask for none.
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
        check_lease(self.lease_ms)
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
