//! What calls take and give.

/// One partition of one topic.
#[derive(Copy, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Partition {
    /// The topic's id.
    pub topic: [u8; 16],
    /// Its number in the topic, from 0.
    pub number: u32,
}

/// The rules of a group.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// A record whose attempt of this number fails is given up.
    pub max_attempts: u32,
    /// Whether what is given up waits to be written to a dead-letter topic. Otherwise it is dropped:
    /// settled and counted, as a group without such a topic asks for nothing else, and its keys
    /// would wait for ever.
    pub dead_letters: bool,
}

/// Names one lease of one record. Good until the record is settled, given up or leased again, even
/// if the lease has ended: the work is done, nobody else has begun it, and refusing it would only do
/// it once more.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token {
    /// The record's partition.
    pub partition: Partition,
    /// The record's offset.
    pub offset: u64,
    /// The number of the lease, in the group.
    pub lease: u64,
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

/// What workers say of their leases.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Settlement {
    /// Done.
    pub ack: Vec<Token>,
    /// Failed: to be tried again, or given up if that was the last attempt.
    pub nack: Vec<Nack>,
    /// Not done yet: tokens, each with how many milliseconds more it needs from now on.
    pub extend: Vec<(Token, u32)>,
    /// Never to be tried again.
    pub reject: Vec<Reject>,
}

impl Settlement {
    /// How many tokens there are: callers are to refuse more than
    /// [`CALL_RECORDS_MAX`](super::CALL_RECORDS_MAX).
    pub fn len(&self) -> usize {
        self.ack.len() + self.nack.len() + self.extend.len() + self.reject.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A failed attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Nack {
    /// The lease.
    pub token: Token,
    /// How long the record, and what waits behind it, is not available.
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

/// What came of a token.
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
    /// Its partition.
    pub partition: Partition,
    /// Its offset.
    pub offset: u64,
    /// How often it was leased.
    pub attempts: u32,
    /// Why it is here.
    pub cause: Cause,
    /// What the worker said, cut to [`REASON_BYTES_MAX`](super::REASON_BYTES_MAX).
    pub reason: Box<str>,
}

/// Records that the group has room for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Want {
    /// The partition to fetch from.
    pub partition: Partition,
    /// The first offset.
    pub from: u64,
    /// How many records are of use.
    pub records_max: usize,
}

/// Where a group is in a partition.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Position {
    /// The partition.
    pub partition: Partition,
    /// All below is settled.
    pub floor: u64,
    /// How many offsets above the floor are settled.
    pub settled_above: u64,
    /// What [`SharedGroup::offer`](super::SharedGroup::offer) goes on with.
    pub next_wanted: u64,
}
