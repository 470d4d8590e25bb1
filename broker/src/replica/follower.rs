//! A follower: it asks for what comes next, one fetch at a time, and does as the leader of its term
//! says, as long as that fits its log.

use bytes::Bytes;

use super::{
    Answer, AnswerBody, Beginning, FollowerFetch, Progress, Replica, ReplicaLog, Role, Rule, Rules,
    Starts, Watermark,
};
use crate::placement::BrokerId;

#[derive(Debug)]
pub(super) struct Follower {
    pub leader: BrokerId,
    epoch: i32,
    standing: Option<FollowerFetch>,
    /// The leader of this term has found the logs to agree: from here on this log is a prefix of its.
    agreed: bool,
    /// The leader's high watermark, as heard last.
    leaders_watermark: u64,
    /// Where the leader's log starts, as heard last.
    leaders_starts: Starts,
    /// Where this log was to start last.
    trimmed_to: Starts,
    /// The durable end that the leader was told last.
    reported: u64,
    /// The round that the leader waits to have confirmed.
    to_confirm: Option<u64>,
}

/// What a follower does next, by its leader's word.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// Nothing: the answer is old, or says nothing new. Fetch again.
    Nothing,
    /// Append these whole batches as they are, if there are any.
    Append(Vec<Bytes>),
    /// Remove everything from this offset on.
    Truncate(u64),
    /// Remove everything, and begin here: what is between is not on the leader's disk.
    Restart(Beginning),
    /// The leader would have committed records removed. One of the two is broken: the replica stops
    /// and says so, and keeps what it has.
    Halt {
        /// Where the leader would cut.
        to: u64,
    },
    /// Not the leader, or not of this term: wait for the metadata.
    Wait,
}

impl Follower {
    pub fn new(leader: BrokerId, epoch: i32) -> Self {
        Self {
            leader,
            epoch,
            standing: None,
            agreed: false,
            leaders_watermark: 0,
            leaders_starts: Starts::default(),
            trimmed_to: Starts::default(),
            reported: 0,
            to_confirm: None,
        }
    }

    pub fn committed_end(&self, log: &impl ReplicaLog) -> Option<u64> {
        self.agreed
            .then(|| self.leaders_watermark.min(log.durable_end()))
    }

    /// The two are not always told again, and count as far as this log allows.
    fn hear(&mut self, high_watermark: u64, starts: Starts) {
        self.leaders_watermark = self.leaders_watermark.max(high_watermark);
        let known = &mut self.leaders_starts;
        known.log = known.log.max(starts.log);
        known.local = known.local.max(starts.local);
    }

    /// What is not on the leader's disk any more was committed: the high watermark does not stay below
    /// the log.
    fn begins_at(&mut self, beginning: Beginning) -> Step {
        self.leaders_watermark = self.leaders_watermark.max(beginning.starts.local);
        Step::Restart(beginning)
    }

    fn fits(&self, answer: &Answer, log: &impl ReplicaLog, rules: &Rules) -> bool {
        let of_term = answer.epoch == self.epoch || !rules.hold(Rule::Epoch);
        let of_fetch = self.standing.is_some_and(|fetch| {
            fetch.request == answer.request
                && (fetch.offset, fetch.last_epoch) == (answer.offset, answer.last_epoch)
                && (log.end(), log.last_epoch()) == (answer.offset, answer.last_epoch)
        });
        of_term && (of_fetch || !rules.hold(Rule::Echo))
    }
}

impl Replica {
    /// The next fetch, unless one stands or this replica follows nobody.
    pub fn fetch(&mut self, log: &impl ReplicaLog) -> Option<FollowerFetch> {
        let durable_only = self.rules.hold(Rule::Durable);
        let Role::Follower(follower) = &mut self.role else {
            return None;
        };
        if follower.standing.is_some() {
            return None;
        }
        self.requests += 1;
        let end = log.end();
        let durable = if durable_only { log.durable_end() } else { end };
        follower.reported = durable;
        let fetch = FollowerFetch {
            epoch: follower.epoch,
            request: self.requests,
            offset: end,
            last_epoch: log.last_epoch(),
            durable,
        };
        follower.standing = Some(fetch);
        Some(fetch)
    }

    /// The way to the leader broke: the fetch that stood has no answer any more.
    pub fn disconnected(&mut self) {
        if let Role::Follower(follower) = &mut self.role {
            follower.standing = None;
        }
    }

    /// Takes in an answer. After the step is done the follower [fetches](Self::fetch) again.
    pub fn on_answer(&mut self, answer: Answer, log: &impl ReplicaLog) -> Step {
        let (high_watermark, rules) = (self.high_watermark, self.rules);
        let Role::Follower(follower) = &mut self.role else {
            return Step::Nothing;
        };
        if !follower.fits(&answer, log, &rules) {
            // The log was cut since: no other answer comes to this fetch.
            if follower
                .standing
                .is_some_and(|fetch| fetch.request == answer.request)
            {
                follower.standing = None;
            }
            return Step::Nothing;
        }
        follower.standing = None;
        match answer.body {
            AnswerBody::Records {
                batches,
                high_watermark: leaders_watermark,
                starts,
            } => {
                follower.agreed = true;
                follower.hear(leaders_watermark, starts);
                Step::Append(batches)
            }
            AnswerBody::Diverging { epoch: None, end } if end >= high_watermark => follower
                .begins_at(Beginning {
                    starts: Starts {
                        log: end,
                        local: end,
                    },
                    epochs: Vec::new(),
                }),
            AnswerBody::Diverging { epoch, end } => {
                let own_end = epoch
                    .and_then(|epoch| log.end_offset_for(epoch))
                    .map_or(log.starts().local, |(_, own_end)| own_end);
                let to = end.min(own_end);
                if to < high_watermark {
                    Step::Halt { to }
                } else if to < log.starts().local {
                    // Its watermark was lower than its start: a loss was accepted. Nothing is of use.
                    Step::Restart(Beginning::default())
                } else {
                    Step::Truncate(to)
                }
            }
            AnswerBody::OutOfRange(beginning) if beginning.starts.local > log.end() => {
                follower.begins_at(beginning)
            }
            AnswerBody::OutOfRange(beginning) => Step::Halt {
                to: beginning.starts.local,
            },
            AnswerBody::Refused(_) => Step::Wait,
        }
    }

    /// The leader's high watermark or log start moved. It may be told before the answer that says
    /// that the logs agree, and is not told again; it counts once they do.
    pub fn on_watermark(&mut self, watermark: Watermark) {
        let any_epoch = !self.rules.hold(Rule::Epoch);
        if let Role::Follower(follower) = &mut self.role
            && (watermark.epoch == follower.epoch || any_epoch)
        {
            follower.hear(watermark.high_watermark, watermark.starts);
            follower.to_confirm = follower.to_confirm.max(watermark.asks);
        }
    }

    /// To be asked after [`Replica::advance`]: what is below is gone at the leader, or from its disk, and
    /// is to go here too. Never above the high watermark, and answered once: what the high watermark
    /// does not allow yet follows when it has moved.
    pub fn trim_to(&mut self, log: &impl ReplicaLog) -> Option<Starts> {
        let Role::Follower(follower) = &mut self.role else {
            return None;
        };
        let (own, done) = (log.starts(), follower.trimmed_to);
        let to = Starts {
            log: follower.leaders_starts.log.min(self.high_watermark),
            local: follower.leaders_starts.local.min(self.high_watermark),
        };
        if to.log <= done.log.max(own.log) && to.local <= done.local.max(own.local) {
            return None;
        }
        follower.trimmed_to = to;
        Some(to)
    }

    /// What the leader is to be told of what became durable since it heard last, and that this replica
    /// follows it, if it asked. Whoever has heard of a later term has no such role any more.
    pub fn progress(&mut self, log: &impl ReplicaLog) -> Option<Progress> {
        let Role::Follower(follower) = &mut self.role else {
            return None;
        };
        let durable = match follower.agreed {
            true => log.durable_end(),
            false => 0,
        };
        let confirms = follower.to_confirm.take();
        if durable <= follower.reported && confirms.is_none() {
            return None;
        }
        follower.reported = follower.reported.max(durable);
        Some(Progress {
            epoch: follower.epoch,
            durable,
            confirms,
        })
    }
}
