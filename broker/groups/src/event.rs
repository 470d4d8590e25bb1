//! What is appended to the internal log.
//!
//! Events say what became so, never what was asked: a later version that decides otherwise still
//! reads what an earlier one decided.

use crate::config::{Config, GroupId};
use crate::error::CorruptEvent;
use crate::partitioned::Rows;
use crate::shared::Step;
use crate::wire;

/// One record of the internal log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Groups that are made from here on begin at this epoch. No epoch and no stint of a group that
    /// is deleted is ever used again, also not by the next group of its name.
    EpochFloor(u64),
    /// The group is deleted.
    Deleted(GroupId),
    /// The group is another.
    Changed(GroupId, Change),
}

/// What of a group is another, or all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// It makes the group if it is not there. It is all that there is of a partitioned group: nothing
    /// of before remains. Of a shared one, pieces follow.
    pub(crate) whole: bool,
    /// There if it is another, and in a whole group.
    pub(crate) config: Option<Config>,
    pub(crate) body: BodyChange,
}

/// What of a group is of its kind alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BodyChange {
    Partitioned(Rows),
    Shared(Vec<Step>),
}

impl BodyChange {
    /// `None` of none.
    pub(crate) fn of_steps(steps: Vec<Step>) -> Option<Self> {
        (!steps.is_empty()).then_some(Self::Shared(steps))
    }
}

impl Event {
    /// The record's key: the group. A record that is a whole partitioned group, a deleted one or the
    /// floor stands for all that come before it under its key; a shared group takes several.
    pub fn key(&self) -> Vec<u8> {
        wire::key(match self {
            Self::EpochFloor(_) => None,
            Self::Deleted(group) | Self::Changed(group, _) => Some(group),
        })
    }

    /// The record's value; none of a group that is deleted.
    pub fn value(&self) -> Option<Vec<u8>> {
        match self {
            Self::EpochFloor(epoch) => Some(wire::encode_floor(*epoch)),
            Self::Deleted(_) => None,
            Self::Changed(_, change) => Some(wire::encode_change(change)),
        }
    }

    /// The event of a record.
    ///
    /// # Errors
    /// The record is none of an [`Event`].
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, CorruptEvent> {
        match (wire::decode_key(key)?, value) {
            (None, Some(value)) => Ok(Self::EpochFloor(wire::decode_floor(value)?)),
            (None, None) => Err(CorruptEvent("the floor is never deleted".to_owned())),
            (Some(group), None) => Ok(Self::Deleted(group)),
            (Some(group), Some(value)) => Ok(Self::Changed(group, wire::decode_change(value)?)),
        }
    }

    /// Whose it is; none of the floor.
    pub fn group(&self) -> Option<&GroupId> {
        match self {
            Self::EpochFloor(_) => None,
            Self::Deleted(group) | Self::Changed(group, _) => Some(group),
        }
    }
}
