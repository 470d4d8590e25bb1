//! What a coordinator is asked, and what it answers.

use std::ops::Range;

use headwater_log::PartitionId;

use crate::config::{Config, GroupId, Kind};
use crate::shared::types::{DeadLetter, Leases, Offer, Outcome, Settlement, Token, Work};

/// One call to a coordinator.
#[derive(Debug, Clone)]
pub enum Call {
    /// Asks for a page of a project's groups, as [`Reply::Page`].
    List {
        /// The project's id.
        project: String,
        /// The last name of the page before.
        after: Option<String>,
        /// How many, at most [`PAGE_MAX`](crate::limits::PAGE_MAX).
        max: usize,
    },
    /// Something about one group.
    Group(GroupId, Action),
}

/// What a call asks of one group.
#[derive(Debug, Clone)]
pub enum Action {
    /// Creates the group, or makes it what is asked for, if it may; [`Reply::Ensured`].
    Ensure {
        /// What the group is to be.
        config: Config,
        /// Positions of partitions that the group does not have yet; those of all, for
        /// [`Start::Latest`](crate::Start::Latest).
        offsets: Vec<(PartitionId, u64)>,
        /// A group that is there and is another is left as it is.
        only_new: bool,
    },
    /// Deletes a group that has no members, and no records with workers; [`Reply::Deleted`].
    Delete,
    /// [`Reply::Described`].
    Describe,
    /// Joins, renews the lease of the same instance, or takes the name over from another one;
    /// [`Reply::Joined`].
    Join {
        /// The member's name.
        member: String,
        /// What tells lives of the member apart; none is one like any other.
        instance: Option<String>,
        /// The lease; none: the group's.
        lease_ms: Option<u32>,
    },
    /// Leaves; its partitions move at once. [`Reply::Left`], also of who is not there.
    Leave {
        /// The member's name.
        member: String,
        /// What the member was last told: whose name was taken over takes nobody with it.
        epoch: Option<u64>,
    },
    /// Renews the lease, commits, gives up what is to move, and says what is owned;
    /// [`Reply::Polled`].
    Poll {
        /// The member's name.
        member: String,
        /// What the member was last told, by a join or a poll.
        epoch: u64,
        /// What it is done with.
        commit: Vec<Mark>,
    },
    /// Renews the lease while a poll waits; [`Reply::Renewed`].
    Renew {
        /// The member's name.
        member: String,
        /// What the member was last told, by a join or a poll.
        epoch: u64,
    },
    /// Renews the lease and commits; [`Reply::Committed`].
    Commit {
        /// The member's name.
        member: String,
        /// What the member was last told, by a join or a poll.
        epoch: u64,
        /// What it is done with.
        commit: Vec<Mark>,
    },
    /// [`Reply::Positions`].
    Positions,
    /// Moves positions; [`Reply::Reset`].
    Reset {
        /// Where to.
        offsets: Vec<(PartitionId, u64)>,
        /// Also while there are members, or records with workers: what they say of before counts no
        /// more.
        force: bool,
        /// Only says what would be.
        dry_run: bool,
    },
    /// Leases records of a shared group, and asks for what it does not know yet; [`Reply::Leased`].
    Lease {
        /// How many, at most [`CALL_RECORDS_MAX`](crate::limits::CALL_RECORDS_MAX); 0 is good for
        /// what is wanted alone.
        records_max: usize,
        /// The lease; none: the group's.
        lease_ms: Option<u32>,
    },
    /// Tells a shared group which records there are; [`Reply::Offered`]. Of at most
    /// [`OFFER_RECORDS_MAX`](crate::limits::OFFER_RECORDS_MAX) records.
    Offer(Vec<Offer>),
    /// Says what became of leases; [`Reply::Settled`].
    Settle(Settlement),
    /// Asks for records that are to be written to the dead-letter topic; [`Reply::DeadLetters`].
    DeadLetters {
        /// How many, at most [`CALL_RECORDS_MAX`](crate::limits::CALL_RECORDS_MAX).
        max: usize,
    },
    /// Settles dead letters that are written; [`Reply::DeadLettered`].
    DeadLettered(Vec<Token>),
    /// Asks which records of the dead-letter topic are done with; [`Reply::Redrives`].
    Redrives,
    /// Notes records of the dead-letter topic that are done with: letters that were moved back, and
    /// what is no letter of the group; [`Reply::Redriven`].
    Redriven(Vec<Letters>),
}

/// Offsets of a partition of a dead-letter topic.
pub type Letters = (PartitionId, Vec<Range<u64>>);

/// A partition's part of a cursor: everything below `next_offset` is done with, by the owner of this
/// stint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The partition.
    pub partition: PartitionId,
    /// The stint in which it was read.
    pub stint: u64,
    /// The offset to go on at.
    pub next_offset: u64,
}

/// The answer to a [`Call`]. Times are the coordinator's, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To [`Call::List`].
    Page {
        /// In the order of their names.
        groups: Vec<Summary>,
        /// Whether there are others behind.
        more: bool,
    },
    /// To [`Action::Ensure`].
    Ensured(Ensured, Description),
    /// To [`Action::Delete`].
    Deleted,
    /// To [`Action::Describe`].
    Described(Description),
    /// To [`Action::Join`].
    Joined {
        /// What the next poll names.
        epoch: u64,
        /// What the member owns.
        assignment: Vec<PartitionId>,
        /// When its lease ends.
        expires_at_ms: i64,
    },
    /// To [`Action::Leave`].
    Left,
    /// To [`Action::Poll`].
    Polled(Polled),
    /// To [`Action::Renew`].
    Renewed {
        /// If it is not the poll's, the member may own other partitions by now. It is not for the
        /// next poll to name, which would mean that the member knows them.
        epoch: u64,
        /// Whether others wait for what the member's next poll will give up.
        must_give_up: bool,
        /// When its lease ends.
        expires_at_ms: i64,
    },
    /// To [`Action::Commit`].
    Committed {
        /// As [`Polled::ignored`].
        ignored: Vec<PartitionId>,
        /// When the member's lease ends.
        expires_at_ms: i64,
    },
    /// To [`Action::Positions`].
    Positions(Vec<Position>),
    /// To [`Action::Reset`].
    Reset(Vec<Moved>),
    /// To [`Action::Lease`].
    Leased(Leases),
    /// To [`Action::Offer`].
    Offered,
    /// To [`Action::Settle`]: what came of each lease, in the order ack, nack, extend, reject,
    /// release.
    Settled(Vec<Outcome>),
    /// To [`Action::DeadLetters`]: until they are confirmed they are told again.
    DeadLetters(Vec<DeadLetter>),
    /// To [`Action::DeadLettered`].
    DeadLettered,
    /// To [`Action::Redrives`]: in the order of partitions and offsets.
    Redrives(Vec<Letters>),
    /// To [`Action::Redriven`].
    Redriven,
}

/// What a poll is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Polled {
    /// What the next poll names.
    pub epoch: u64,
    /// What the member owns from now on.
    pub owned: Vec<Owned>,
    /// What it owns, and did not when it was told the epoch that this poll named; all, when that is
    /// not known any more. A partition that was reset is in `revoked` and in here.
    pub assigned: Vec<PartitionId>,
    /// What it owned then, and does not now.
    pub revoked: Vec<PartitionId>,
    /// Partitions whose commit did not count, and has not been counted before, because the member
    /// does not own the stint.
    pub ignored: Vec<PartitionId>,
    /// Whether partitions are still to move.
    pub rebalancing: bool,
    /// When the member's lease ends.
    pub expires_at_ms: i64,
}

/// A partition that a member owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owned {
    /// The partition.
    pub partition: PartitionId,
    /// This ownership's number; its cursors bear it.
    pub stint: u64,
    /// Where to go on; none: at the oldest record.
    pub committed: Option<u64>,
}

/// What [`Action::Ensure`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ensured {
    /// The group is new.
    Created,
    /// It is another than it was.
    Changed,
    /// It was so already.
    Unchanged,
}

/// How a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has no members, or no worker has a record of it.
    Empty,
    /// Every partition is where it is to be.
    Stable,
    /// Partitions are to move when their owners poll.
    Rebalancing,
}

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// How it is.
    pub state: State,
    /// How many members it has.
    pub members: usize,
}

/// All that there is to say about a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Which it is.
    pub id: GroupId,
    /// What it was asked to be.
    pub config: Config,
    /// How it is.
    pub state: State,
    /// Grows with each change of members and of who owns what, or with each lease of records.
    pub epoch: u64,
    /// In the order of their names.
    pub members: Vec<MemberDescription>,
    /// In the order of partitions.
    pub positions: Vec<Position>,
    /// Of a shared group.
    pub work: Option<Work>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberDescription {
    /// Its name.
    pub name: String,
    /// Which life of it.
    pub instance: Option<String>,
    /// The epoch in which it joined.
    pub joined: u64,
    /// What it owns.
    pub assignment: Vec<PartitionId>,
    /// When its lease ends.
    pub expires_at_ms: i64,
}

/// How far a group is in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The partition.
    pub partition: PartitionId,
    /// Where it goes on; none: at the oldest record, as nothing was committed. In a shared group all
    /// below is settled.
    pub committed: Option<u64>,
    /// How many offsets above that a shared group has settled.
    pub settled_above: u64,
}

/// A position that is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// The partition.
    pub partition: PartitionId,
    /// Where it was.
    pub before: Option<u64>,
    /// Where it is.
    pub after: u64,
}
