//! Why a call was refused. A call that was refused changes nothing.

use std::fmt;

use headwater_log::{PartitionId, TopicId};

/// Why a call was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupError {
    /// There is no such group (404).
    NoGroup,
    /// Another group of the name is there (409).
    Exists,
    /// The group is of another kind, which has no such call, or cannot become of this one (409).
    OtherKind,
    /// The group has members, or records with workers (409).
    MembersActive,
    /// Another instance has taken the member's name (409).
    MemberFenced,
    /// The member's lease ended, or it left, or never joined (410).
    MemberGone,
    /// A topic that the group is to read is deleted (422).
    NoTopic(TopicId),
    /// The group reads no such partition (422).
    NoPartition(PartitionId),
    /// A value that cannot be (422).
    Invalid {
        /// What is wrong.
        field: &'static str,
        /// What it must be.
        why: &'static str,
    },
    /// No more of them (429).
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        max: usize,
    },
}

impl GroupError {
    pub(crate) const fn invalid(field: &'static str, why: &'static str) -> Self {
        Self::Invalid { field, why }
    }
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoGroup => f.write_str("there is no such group"),
            Self::Exists => f.write_str("another group of the name is there"),
            Self::OtherKind => f.write_str("the group is of another kind"),
            Self::MembersActive => f.write_str("the group has members, or records with workers"),
            Self::MemberFenced => f.write_str("another instance has taken the member's name"),
            Self::MemberGone => f.write_str("the member's lease ended, or it left"),
            Self::NoTopic(topic) => write!(f, "the topic {topic} is deleted"),
            Self::NoPartition(id) => write!(f, "the group does not read {id}"),
            Self::Invalid { field, why } => write!(f, "{field} {why}"),
            Self::TooMany { what, max } => write!(f, "no more than {max} {what}"),
        }
    }
}

impl std::error::Error for GroupError {}

/// A record of the internal log that is none of [`Event`](crate::Event)'s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorruptEvent(pub(crate) String);

impl fmt::Display for CorruptEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a record of groups: {}", self.0)
    }
}

impl std::error::Error for CorruptEvent {}
