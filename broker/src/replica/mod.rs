//! One replica of one partition, as a state machine: events in, what to do out. No sockets, no clock,
//! no disk: [`Node`](crate::Node) drives it with all three, the simulation drives the same code.
//!
//! The protocol is pull-based replication with leader epochs and an in-sync set:
//! - The cluster's metadata holds one [`Assignment`] a partition, changed by compare-and-set alone. A
//!   replica [learns](Replica::learn) it, makes the epoch durable, and then [assumes](Replica::assume)
//!   its role.
//! - A follower [fetches](Replica::fetch) from the end of its log and names the epoch of its last
//!   batch. The leader [answers](Replica::on_fetch) with records only if its own history says the same;
//!   else it names where that epoch ended, and the follower truncates. It never truncates by its high
//!   watermark: that may be behind of what was acknowledged.
//! - A follower reports what is durable on it. The high watermark is the least durable end over the
//!   in-sync set, additions that are under way included, and moves only while that set has
//!   `min_insync_replicas`.
//! - A strong read is served once every member has [confirmed](Replica::ask) that it still follows.
//! - Leases and time-outs decide who is asked to leave; no promise rests on a clock.
//!
//! The sources are Kafka's KIP-101, 279, 320, 497, 903 and 966 and their TLA+ models. Each rule that
//! a promise rests on is a [`Rule`], which a simulation can switch off to see that it notices.

mod confirm;
mod follower;
mod leader;
mod messages;
mod rules;

pub use confirm::Round;
pub use follower::Step;
pub use leader::{Due, FetchVerdict, InSyncChange, InSyncOutcome};
pub use messages::{
    Answer, AnswerBody, Beginning, FollowerFetch, Progress, Refusal, Starts, Watermark,
};
pub use rules::{Rule, Rules};

use crate::placement::{BrokerId, Incarnation};
use follower::Follower;
use leader::Leader;

/// What the cluster's metadata says about one partition: one row, changed by compare-and-set on
/// `partition_epoch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The brokers that hold a copy, the one that leads by preference first; while a copy moves, those
    /// that it moves to are among them.
    pub replicas: Vec<BrokerId>,
    /// The brokers that are to hold a copy, while copies move.
    pub target: Option<Vec<BrokerId>>,
    /// Who leads, and in which of its lives; `None` while nobody can.
    pub leader: Option<Leadership>,
    /// The leader's term; grows with every election.
    pub epoch: i32,
    /// The copies that have everything that was acknowledged.
    pub in_sync: Vec<BrokerId>,
    /// Grows with every change of the row.
    pub partition_epoch: i64,
    /// How many in-sync copies an acknowledgement needs, at most as many as there are replicas.
    pub min_insync_replicas: usize,
    /// The last term in which a copy leads that may lack what was acknowledged before: somebody has
    /// accepted that.
    pub loss_epoch: Option<i32>,
}

/// One life of one broker as a leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leadership {
    /// The broker.
    pub broker: BrokerId,
    /// Its life: one that was restarted does not lead on.
    pub incarnation: Incarnation,
}

/// What a replica asks of its log. Offsets are of records.
pub trait ReplicaLog {
    /// Where it starts.
    fn starts(&self) -> Starts;
    /// The offset that the next record gets.
    fn end(&self) -> u64;
    /// One past the last record on stable storage.
    fn durable_end(&self) -> u64;
    /// The leader epoch of the last batch.
    fn last_epoch(&self) -> Option<i32>;
    /// The largest epoch of batches that is at most `epoch`, and where it ends.
    fn end_offset_for(&self, epoch: i32) -> Option<(i32, u64)>;
    /// All leader epochs of batches, each with its first offset.
    fn epochs(&self) -> Vec<(i32, u64)>;
}

/// What an assignment means to a replica that learnt it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Learned {
    /// Nothing new.
    Nothing,
    /// The role stays; what the leader may count has changed.
    Updated,
    /// The old role is over. The epoch is to be made durable, then [`Replica::assume`] called.
    NewEpoch(i32),
    /// The role may be taken at once: the epoch is durable already.
    Assume,
    /// The metadata is older than what this broker has seen before: it lost commits, or the read was
    /// stale. Nothing is done.
    Older,
}

/// One replica. The owner keeps it under a lock, together with who may append.
#[derive(Debug)]
pub struct Replica {
    me: BrokerId,
    incarnation: Incarnation,
    rules: Rules,
    /// The highest epoch heard of; durable before anything is done in it.
    seen_epoch: i32,
    partition_epoch: i64,
    high_watermark: u64,
    /// Numbers fetches, over all terms of this life.
    requests: u64,
    role: Role,
}

#[derive(Debug)]
enum Role {
    /// Neither: just started, between two roles, or no replica of this partition any more.
    Idle,
    Leader(Leader),
    Follower(Follower),
}

impl Replica {
    /// A replica that has just started: it has no role yet, whatever it had before.
    /// `high_watermark` is the one that was noted last.
    pub fn new(
        me: BrokerId,
        incarnation: Incarnation,
        rules: Rules,
        seen_epoch: i32,
        high_watermark: u64,
    ) -> Self {
        Self {
            me,
            incarnation,
            rules,
            seen_epoch,
            partition_epoch: -1,
            high_watermark,
            requests: 0,
            role: Role::Idle,
        }
    }

    /// The broker that it is on.
    pub fn me(&self) -> BrokerId {
        self.me
    }

    /// Everything below is committed: acknowledged or about to be, and never truncated.
    pub fn high_watermark(&self) -> u64 {
        self.high_watermark
    }

    /// The highest epoch heard of.
    pub fn seen_epoch(&self) -> i32 {
        self.seen_epoch
    }

    /// The term in which this replica leads.
    pub fn leads_in(&self) -> Option<i32> {
        match &self.role {
            Role::Leader(leader) => Some(leader.epoch),
            Role::Idle | Role::Follower(_) => None,
        }
    }

    /// Whom this replica follows.
    pub fn follows(&self) -> Option<BrokerId> {
        match &self.role {
            Role::Follower(follower) => Some(follower.leader),
            Role::Idle | Role::Leader(_) => None,
        }
    }

    /// Takes in what the metadata says now. A row of an older epoch, or read before one that is known,
    /// changes nothing.
    pub fn learn(&mut self, row: &Assignment) -> Learned {
        if row.epoch < self.seen_epoch && self.rules.hold(Rule::SeenEpoch) {
            return Learned::Older;
        }
        if row.partition_epoch <= self.partition_epoch {
            return Learned::Nothing;
        }
        if row.epoch > self.seen_epoch {
            self.role = Role::Idle;
            // A row from before that comes late, while the epoch is made durable, must not bring back
            // the role that has just ended.
            self.partition_epoch = row.partition_epoch;
            return Learned::NewEpoch(row.epoch);
        }
        let stays = row.replicas.contains(&self.me);
        match &mut self.role {
            Role::Idle => Learned::Assume,
            Role::Leader(leader) if stays => {
                leader.adopt(row);
                self.partition_epoch = row.partition_epoch;
                Learned::Updated
            }
            Role::Follower(_) if stays && row.leader.is_some() => {
                self.partition_epoch = row.partition_epoch;
                Learned::Updated
            }
            Role::Leader(_) | Role::Follower(_) => {
                self.role = Role::Idle;
                Learned::Assume
            }
        }
    }

    /// Takes the role that a row gives, whose epoch the owner has made durable. A leader's term begins
    /// at the end of its log.
    pub fn assume(&mut self, row: &Assignment, log: &impl ReplicaLog) {
        if row.epoch < self.seen_epoch && self.rules.hold(Rule::SeenEpoch) {
            return;
        }
        if row.partition_epoch < self.partition_epoch {
            // A newer row was learnt while this one's epoch was made durable.
            return;
        }
        self.seen_epoch = row.epoch;
        self.partition_epoch = row.partition_epoch;
        if log.last_epoch() < row.loss_epoch {
            // What was committed before may not be any more. By the log, so that it is seen after a
            // restart too: once it has a batch of that term, or a later one, all of it is of after.
            self.high_watermark = 0;
        }
        self.role = match row.leader {
            _ if !row.replicas.contains(&self.me) => Role::Idle,
            Some(leader) if leader.broker == self.me => {
                let mine = leader.incarnation == self.incarnation;
                if mine || !self.rules.hold(Rule::LeaderIncarnation) {
                    Role::Leader(Leader::new(row, self.me, log.end()))
                } else {
                    Role::Idle
                }
            }
            Some(leader) => Role::Follower(Follower::new(leader.broker, row.epoch)),
            None => Role::Idle,
        };
    }

    /// What readers may be told: the high watermark, once everything that an earlier leader may have
    /// told them is committed here too. Until then it could go back.
    pub fn readable(&self) -> Option<u64> {
        match &self.role {
            Role::Leader(leader)
                if self.high_watermark >= leader.epoch_start
                    || !self.rules.hold(Rule::ReadAtEpochStart) =>
            {
                Some(self.high_watermark)
            }
            _ => None,
        }
    }

    /// The epoch to append with, if this replica leads and enough copies are in sync. A refusal
    /// before the append is definite.
    pub fn appendable(&self) -> Result<i32, NotAppendable> {
        match &self.role {
            Role::Leader(leader)
                if leader.has_min_in_sync() || !self.rules.hold(Rule::MinInSync) =>
            {
                Ok(leader.epoch)
            }
            Role::Leader(_) => Err(NotAppendable::TooFewInSync),
            Role::Idle | Role::Follower(_) => Err(NotAppendable::NotLeader),
        }
    }

    /// After anything that may have moved it: the high watermark, if it moved.
    pub fn advance(&mut self, log: &impl ReplicaLog) -> Option<u64> {
        let to = match &self.role {
            Role::Leader(leader) => leader.committed_end(self.me, log, &self.rules)?,
            Role::Follower(follower) => follower.committed_end(log)?,
            Role::Idle => return None,
        };
        (to > self.high_watermark).then(|| {
            self.high_watermark = to;
            to
        })
    }
}

/// Why nothing may be appended; nothing was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAppendable {
    /// Another leads, or none.
    NotLeader,
    /// Fewer copies are in sync than an acknowledgement needs.
    TooFewInSync,
}
