//! What calls of workers take and give.

use headwater_log::PartitionId;

/// Names one lease of one record. Good until the record is settled, given up or leased again, even
/// if the lease has ended: the work is done, nobody else has begun it, and refusing it would only do
/// it once more.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token {
    /// The record's partition.
    pub partition: PartitionId,
    /// The record's offset.
    pub offset: u64,
    /// The number of the lease: the group's epoch, which no other group of the name has or gets.
    pub lease: u64,
}

/// What a partition has from an offset on, for a group to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    /// The partition.
    pub partition: PartitionId,
    /// Where its log begins: all below is gone.
    pub log_start: u64,
    /// Nothing exists from here up to `end` but `records`.
    pub from: u64,
    /// Ascending offsets, each with the hash of its key; records without a key have no order.
    pub records: Vec<(u64, Option<u64>)>,
    /// At most the high watermark.
    pub end: u64,
}

/// A record that a worker has got.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Leased {
    /// Says which record it is, and settles it.
    pub token: Token,
    /// How often it was leased, this time included.
    pub attempt: u32,
    /// When the lease ends, unless it is extended.
    pub deadline_ms: i64,
}

/// What workers say of their leases; at most
/// [`CALL_RECORDS_MAX`](crate::limits::CALL_RECORDS_MAX) of them.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Settlement {
    /// Done.
    pub ack: Vec<Token>,
    /// Failed: to be tried again, or given up if that was the last attempt.
    pub nack: Vec<Nack>,
    /// Not done yet: tokens, each with how many milliseconds more it needs from now on, within
    /// [`LEASE_MS`](crate::limits::LEASE_MS).
    pub extend: Vec<(Token, u32)>,
    /// Never to be tried again.
    pub reject: Vec<Reject>,
    /// Never begun, of who leased records and cannot hand them out: they are available at once, and
    /// the attempt does not count.
    pub release: Vec<Token>,
}

impl Settlement {
    /// How many leases it is about.
    pub const fn len(&self) -> usize {
        self.ack.len()
            + self.nack.len()
            + self.extend.len()
            + self.reject.len()
            + self.release.len()
    }

    /// Whether it is about none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A failed attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Nack {
    /// The lease.
    pub token: Token,
    /// How long the record, and what waits behind it, is not available; at most
    /// [`DELAY_MS_MAX`](crate::limits::DELAY_MS_MAX).
    pub delay_ms: u32,
    /// Goes with the dead letter, if this was the last attempt.
    pub reason: String,
}

/// A record that no attempt will help.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reject {
    /// The lease.
    pub token: Token,
    /// Goes with the dead letter.
    pub reason: String,
}

/// What came of a lease that a settlement is about.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is as the worker wants it; also when it was so already, so that a call may be repeated.
    Ok,
    /// The lease says nothing any more: the record is leased again, given up, or was given back.
    Expired,
    /// The group never gave this lease, or was moved since.
    Unknown,
}

/// Why a record is a dead letter.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Cause {
    /// The lease of the last attempt ended.
    Expired,
    /// The last attempt failed.
    Nacked,
    /// A worker said so.
    Rejected,
}

/// A record to be written to the dead-letter topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    /// Its last lease. It names this death: who writes it makes from it, and from the group, by what
    /// the log knows a repetition.
    pub token: Token,
    /// How often it was leased.
    pub attempts: u32,
    /// Why it is here.
    pub cause: Cause,
    /// What the worker said, cut to [`REASON_BYTES_MAX`](crate::limits::REASON_BYTES_MAX).
    pub reason: Box<str>,
}

/// Records that a group has room for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Want {
    /// The partition to fetch from.
    pub partition: PartitionId,
    /// The first offset.
    pub from: u64,
    /// How many records are of use.
    pub records_max: usize,
}

/// What a lease is answered.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Leases {
    /// The records, partition by partition, offsets ascending.
    pub leased: Vec<Leased>,
    /// What the group would know to lease more. Nobody else is asked for a second: to be
    /// [offered](crate::Action::Offer), also if there is nothing.
    pub wants: Vec<Want>,
    /// Whether dead letters wait to be [written](crate::Action::DeadLetters).
    pub has_dead_letters: bool,
}

/// How much of a shared group's work is in which state.
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub struct Work {
    /// Records with a worker.
    pub leased: usize,
    /// Records that were given back or whose lease ended, and that wait for their next attempt.
    pub waiting: usize,
    /// Records that are to be written to the dead-letter topic.
    pub dead: usize,
    /// Records that were ever given up while there was no dead-letter topic.
    pub dropped: u64,
}
