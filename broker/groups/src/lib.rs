//! Consumer groups: who reads which partition, and how far they are.
//!
//! A [`Coordinator`] holds all groups of one partition of the internal log. It is a state machine
//! without IO, clock or threads: a [`Call`] goes in with the time, [`Event`]s to append and a
//! [`Reply`] come out. Only [`Coordinator::apply`] changes what a group is; a leader that takes over
//! applies the same events from the log. The README says what the caller must do around it.
//!
//! [`shared`] is a group whose workers lease single records; no coordinator holds one yet.
#![deny(unsafe_code)]

mod call;
mod config;
mod coordinator;
mod error;
mod event;
mod group;
pub mod limits;
mod partitioned;
pub mod shared;
mod topics;
mod wire;

pub use call::{
    Action, Call, Description, Ensured, Mark, MemberDescription, Moved, Owned, Polled, Position,
    Reply, State, Summary,
};
pub use config::{Config, GroupId, Kind, Start};
pub use coordinator::{Coordinator, SnapshotCursor};
pub use error::{CorruptEvent, GroupError};
pub use event::{Change, Event};
pub use headwater_log::{PartitionId, TopicId};
pub use topics::Topics;
