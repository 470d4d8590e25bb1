//! What is durable of a group with partitions, row by row.

use std::collections::BTreeMap;

use headwater_log::PartitionId;

/// Rows of a group: some that changed, or all. A row that is `None` goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) epoch: u64,
    pub(crate) members: BTreeMap<String, Option<Member>>,
    pub(crate) partitions: BTreeMap<PartitionId, Option<Partition>>,
}

/// One life of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) instance: Option<String>,
    /// The epoch in which it joined: its number, which no other has had or gets.
    pub(crate) joined: u64,
    pub(crate) lease_ms: u32,
}

/// Who owns a partition, and how far the group is in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Partition {
    /// `joined` of the member.
    pub(crate) owner: Option<u64>,
    /// The epoch in which this ownership began, or in which the position was reset.
    pub(crate) stint: u64,
    pub(crate) position: Option<u64>,
}
