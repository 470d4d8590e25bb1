//! Groups in which each partition has one member that reads it.
//!
//! ```text
//! Table     durable rows: members, and of each partition owner, stint and position
//! Sessions  volatile: when leases end, what members were told
//!
//! a call ──► attempt: a Trial of the table ──► rows that would change ──► the log
//!                    │                                                     │
//!                    └──► answer                       apply: Table::put ◄─┘
//! ```

mod balance;
mod calls;
mod members;
mod offsets;
mod rows;
mod sessions;
mod table;
mod trial;

pub(crate) use rows::{Member, Partition, Rows};
use sessions::Sessions;
use table::Table;

use crate::call::{MemberDescription, Position, State};

/// A group with partitions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Partitioned {
    table: Table,
    sessions: Sessions,
}

/// What the log says; leases and tellings are not of it.
impl PartialEq for Partitioned {
    fn eq(&self, other: &Self) -> bool {
        self.table == other.table
    }
}

impl Partitioned {
    /// An empty group whose epochs begin here.
    pub(crate) fn new(epoch: u64) -> Self {
        let mut group = Self::default();
        group.table.epoch = epoch;
        group
    }

    pub(crate) const fn epoch(&self) -> u64 {
        self.table.epoch
    }

    pub(crate) fn member_count(&self) -> usize {
        self.table.members().len()
    }

    pub(crate) fn state(&self) -> State {
        match self.table.is_balanced() {
            _ if self.table.members().is_empty() => State::Empty,
            true => State::Stable,
            false => State::Rebalancing,
        }
    }

    pub(crate) fn positions(&self) -> Vec<Position> {
        self.table.positions()
    }

    pub(crate) fn members(&self) -> Vec<MemberDescription> {
        let members = self
            .table
            .members()
            .iter()
            .map(|(name, member)| MemberDescription {
                name: name.clone(),
                instance: member.instance.clone(),
                joined: member.joined,
                assignment: self.table.owned(member.joined).collect(),
                expires_at_ms: self.sessions.ends_ms(member.joined).unwrap_or(0),
            });
        members.collect()
    }

    /// A change of none.
    pub(crate) fn no_rows(&self) -> Rows {
        Rows {
            epoch: self.table.epoch,
            ..Rows::default()
        }
    }

    /// All rows.
    pub(crate) fn rows(&self) -> Rows {
        self.table.rows()
    }

    /// Makes it what the rows say. Who joined has its lease from now on.
    pub(crate) fn apply(&mut self, rows: &Rows, whole: bool, now_ms: i64) {
        if whole {
            self.table = Table::default();
        }
        self.table.put(rows);
        if whole || !rows.members.is_empty() {
            self.sessions.follow(&self.table, now_ms);
        }
    }

    pub(crate) fn due_ms(&self) -> Option<i64> {
        self.sessions.due_ms()
    }

    /// Begins all leases again.
    pub(crate) fn resume(&mut self, now_ms: i64) {
        self.sessions.resume(now_ms);
    }
}
