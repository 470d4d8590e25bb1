//! Consumer groups: who reads which partition, and how far they are.
//!
//! A [`Coordinator`] holds all groups of one partition of the internal log. It is a state machine
//! without IO, clock or threads: a [`Call`] goes in with the time, [`Event`]s to append and a
//! [`Reply`] come out. Only [`Coordinator::apply`] changes what a group is; a leader that takes over
//! applies the same events from the log. The README says what the caller must do around it.
//!
//! Groups are of two kinds: in a partitioned one each partition has one member that reads it, in a
//! shared one any number of workers lease single records, as of a queue.
#![deny(unsafe_code)]

mod body;
mod call;
mod config;
mod coordinator;
mod error;
mod event;
mod group;
pub mod limits;
mod partitioned;
mod shared;
mod topics;
mod wire;

pub use call::{
    Action, Call, Description, Ensured, Letters, Mark, MemberDescription, Moved, Owned, Polled,
    Position, Reply, State, Summary,
};
pub use config::{Config, GroupId, Kind, Rules, Start};
pub use coordinator::{Coordinator, SnapshotCursor};
pub use error::{CorruptEvent, GroupError};
pub use event::{Change, Event};
pub use headwater_log::{PartitionId, TopicId};
pub use shared::Ranges;
pub use shared::types::{
    Cause, DeadLetter, Leased, Leases, Nack, Offer, Outcome, Reject, Settlement, Token, Want, Work,
};
pub use topics::Topics;
