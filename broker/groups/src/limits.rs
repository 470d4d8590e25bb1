//! What a group and a coordinator hold at most.

/// Groups of one coordinator.
pub const GROUPS_MAX: usize = 10_000;
/// Members of one group.
pub const MEMBERS_MAX: usize = 1_000;
/// Topics of one group.
pub const TOPICS_MAX: usize = 100;
/// Partitions of one group, over all of its topics, when these are named; topics may grow later.
pub const PARTITIONS_MAX: usize = 100_000;
/// The name of a group, a member or an instance, and the id of a project.
pub const NAME_BYTES_MAX: usize = 249;
/// A lease, shortest and longest.
pub const LEASE_MS: (u32, u32) = (10_000, 300_000);
/// Groups in a page of a list.
pub const PAGE_MAX: usize = 1_000;
/// Groups that one call of [`expire`](crate::Coordinator::expire) looks at.
pub const EXPIRED_GROUPS_MAX: usize = 100;
/// An event with all that a group of these limits has, as a record's value.
pub const EVENT_BYTES_MAX: usize = 5 << 20;
