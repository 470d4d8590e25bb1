//! What replicas of a partition tell each other.

use bytes::Bytes;

use super::ReplicaLog;

/// A follower asks for what comes after the end of its log. It has one of these under way at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowerFetch {
    /// The term that the follower believes in.
    pub epoch: i32,
    /// Grows with every fetch of one life of the follower.
    pub request: u64,
    /// The end of its log.
    pub offset: u64,
    /// The epoch of its last batch.
    pub last_epoch: Option<i32>,
    /// The end of what is durable on it.
    pub durable: u64,
}

/// A follower's log has become durable further, while its fetch stands, or its leader has asked whom it
/// follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The term of the records.
    pub epoch: i32,
    /// The end of what is durable; 0 while the logs are not known to agree.
    pub durable: u64,
    /// The [`Watermark::asks`] that this answers: by then the follower had heard of no later term.
    pub confirms: Option<u64>,
}

/// A leader's answer to one fetch, whose position it repeats: it counts only while that still fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The leader's term.
    pub epoch: i32,
    /// As in the fetch.
    pub request: u64,
    /// As in the fetch.
    pub offset: u64,
    /// As in the fetch.
    pub last_epoch: Option<i32>,
    /// What it says.
    pub body: AnswerBody,
}

/// Where a log starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Starts {
    /// Its first offset.
    pub log: u64,
    /// The first offset on the broker's own disk: what lies between the two is in the object store.
    pub local: u64,
}

/// Where a follower begins that has nothing of use to its leader.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Beginning {
    /// As the leader's log: nothing of it is on the follower's disk yet.
    pub starts: Starts,
    /// The leader epochs of what comes before, each with its first offset.
    pub epochs: Vec<(i32, u64)>,
}

impl Beginning {
    /// What a follower is told that is to have this log.
    pub fn of(log: &impl ReplicaLog) -> Self {
        Self {
            starts: log.starts(),
            epochs: log.epochs(),
        }
    }
}

/// What a leader answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerBody {
    /// The logs agree up to the fetch's offset; these batches, if any, are next.
    Records {
        /// Whole batches as the leader stores them.
        batches: Vec<Bytes>,
        /// The leader's high watermark.
        high_watermark: u64,
        /// Where the leader's log starts.
        starts: Starts,
    },
    /// The logs part: in the leader's, the largest epoch up to the follower's last ends here.
    Diverging {
        /// That epoch; `None` if the leader's log begins with a later one: then nothing that the
        /// follower has can be compared, and nothing of it is needed.
        epoch: Option<i32>,
        /// Where it ends, or where the leader's log begins.
        end: u64,
    },
    /// The follower's log ends before what the leader has on its disk.
    OutOfRange(Beginning),
    /// The fetch is not for this broker, now.
    Refused(Refusal),
}

/// Why a fetch is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The broker does not lead the partition, as far as it knows.
    NotLeader,
    /// The fetch is of an older term than the leader's.
    OldEpoch,
    /// The fetch is of a newer term than the leader has heard of.
    NewEpoch,
    /// The follower is no replica of the partition, as far as the leader knows.
    NotReplica,
    /// A later life of the follower has fetched already.
    OldIncarnation,
}

/// A leader's high watermark or log start has moved, and there are no records to tell it with; or it has
/// to know who follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermark {
    /// The leader's term.
    pub epoch: i32,
    /// Its high watermark.
    pub high_watermark: u64,
    /// Where its log starts.
    pub starts: Starts,
    /// The number of a [`Round`](super::Round) that the follower is to confirm.
    pub asks: Option<u64>,
}
