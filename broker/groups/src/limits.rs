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
/// Groups that one call of [`bury`](crate::Coordinator::bury) has go.
pub const BURIED_GROUPS_MAX: usize = 1_000;
/// An event with all that a group of these limits has, as a record's value.
pub const EVENT_BYTES_MAX: usize = 5 << 20;
/// Records that a shared group knows and has not settled, over all its partitions.
pub const WINDOW_RECORDS_MAX: usize = 50_000;
/// Records that all shared groups of a coordinator know; with one call more of offers. Beyond, the
/// group that knows most has to be offered its records again.
pub const KNOWN_RECORDS_MAX: usize = 1_000_000;
/// Records of one lease, leases of one [`Settlement`](crate::Settlement), records that one
/// [`expire`](crate::Coordinator::expire) gives up of a group.
pub const CALL_RECORDS_MAX: usize = 1_000;
/// Records of one [`Offer`](crate::Action::Offer) call.
pub const OFFER_RECORDS_MAX: usize = 10_000;
/// Ranges of offsets of its dead-letter topic that a shared group remembers to be done with.
pub const REDRIVEN_RANGES_MAX: usize = 10_000;
/// Rows of one piece of a shared group's snapshot.
pub(crate) const PIECE_ROWS_MAX: usize = 5_000;
/// The most attempts that a record may be given.
pub const ATTEMPTS_MAX: u32 = 1_000;
/// The delay of a nack: a day.
pub const DELAY_MS_MAX: u32 = 86_400_000;
/// The reason that is kept with a dead letter; the rest is cut off.
pub const REASON_BYTES_MAX: usize = 256;
