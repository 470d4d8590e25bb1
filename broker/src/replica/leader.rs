//! A leader: it counts what its followers have, answers their fetches, and asks the metadata for
//! another in-sync set when they fall behind or have caught up.

use std::time::Duration;

use super::{
    Answer, AnswerBody, Assignment, Beginning, FollowerFetch, Progress, Refusal, Replica,
    ReplicaLog, Role, Rule, Rules, Starts, Watermark, confirm::Rounds,
};
use crate::placement::{BrokerId, Incarnation};

#[derive(Debug)]
pub(super) struct Leader {
    me: BrokerId,
    pub epoch: i32,
    /// The end of the log when the term began.
    pub epoch_start: u64,
    /// The in-sync set as the metadata had it last.
    in_sync: Vec<BrokerId>,
    partition_epoch: i64,
    min_insync_replicas: usize,
    /// All that were ever asked to be added since the row was read: each may be in the set already.
    adding: Vec<BrokerId>,
    /// A change that was asked for and has no answer yet.
    asking: bool,
    /// A change that was asked for has got no answer, and may still be made.
    unresolved: bool,
    /// For the ablation of [`Rule::RemovalsOnceSeen`] alone.
    removing: Vec<BrokerId>,
    followers: Vec<FollowerState>,
    /// For strong reads.
    pub rounds: Rounds,
}

/// What a leader knows of one of its followers, in its term.
#[derive(Debug)]
pub(super) struct FollowerState {
    broker: BrokerId,
    /// The life in which it fetched last.
    incarnation: Option<Incarnation>,
    last_request: u64,
    standing: Option<FollowerFetch>,
    /// Whether it was told, in this term, that the logs agree.
    told: bool,
    /// How far its log can reach: where it fetched from, or what it was sent since.
    sent_end: u64,
    /// What is durable on it, of this leader's log; `None` before its first good fetch.
    durable: Option<u64>,
    told_watermark: u64,
    told_starts: Starts,
    /// The round that it was asked to confirm last, and the one that it confirmed.
    pub asked_round: u64,
    pub confirmed_round: u64,
    /// Since when it has not had what the log had then, and how much that was.
    behind: Option<(Duration, u64)>,
}

/// What a leader does with a fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchVerdict {
    /// It stands until there is something to [send](Replica::due).
    Stands,
    /// It is answered at once.
    Answer(Answer),
    /// It is older than one that came before; nobody waits for an answer.
    Drop,
}

/// A fetch that can be answered: batches from `fetch.offset` on are to be read, and then sent if
/// [`Replica::sending`] agrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The fetch.
    pub fetch: FollowerFetch,
    /// Where the log ends now.
    pub end: u64,
}

/// Another in-sync set, to be written if the partition's row is still what the leader knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InSyncChange {
    /// The leader's term, which must still be the row's.
    pub epoch: i32,
    /// The row's `partition_epoch`, which must still be the row's.
    pub partition_epoch: i64,
    /// The new set.
    pub in_sync: Vec<BrokerId>,
    /// Who is new in it: the broker must still live this life, and not be fenced.
    pub added: Vec<(BrokerId, Incarnation)>,
}

/// What became of a change of the in-sync set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InSyncOutcome {
    /// The row as it is now, whether it is this change or another one.
    Row(Assignment),
    /// Nobody knows: the change may be made, or be made later.
    Unknown,
}

impl Leader {
    pub fn new(row: &Assignment, me: BrokerId, epoch_start: u64) -> Self {
        let mut leader = Self {
            me,
            epoch: row.epoch,
            epoch_start,
            in_sync: Vec::new(),
            partition_epoch: -1,
            min_insync_replicas: row.min_insync_replicas,
            adding: Vec::new(),
            asking: false,
            unresolved: false,
            removing: Vec::new(),
            followers: Vec::new(),
            rounds: Rounds::default(),
        };
        leader.adopt(row);
        leader
    }

    /// Takes over a row of this term. What was asked for before is decided: it was made, or never
    /// will be, because the row has moved on.
    pub fn adopt(&mut self, row: &Assignment) {
        self.min_insync_replicas = row.min_insync_replicas;
        if row.partition_epoch <= self.partition_epoch {
            return;
        }
        self.partition_epoch = row.partition_epoch;
        self.in_sync.clone_from(&row.in_sync);
        self.adding.clear();
        self.removing.clear();
        self.asking = false;
        self.unresolved = false;
        self.followers
            .retain(|follower| row.replicas.contains(&follower.broker));
        // A leader does not follow itself: it would wait for its own fetch for ever.
        for broker in row.replicas.iter().filter(|broker| **broker != self.me) {
            if !self.followers.iter().any(|f| f.broker == *broker) {
                self.followers.push(FollowerState::new(*broker));
            }
        }
    }

    pub fn has_min_in_sync(&self) -> bool {
        self.in_sync.len() >= self.min_insync_replicas
    }

    /// The least durable end over everybody who is, or may be, in the in-sync set.
    pub fn committed_end(&self, me: BrokerId, log: &impl ReplicaLog, rules: &Rules) -> Option<u64> {
        if !self.has_min_in_sync() && rules.hold(Rule::MinInSync) {
            return None;
        }
        let own = match rules.hold(Rule::Durable) {
            true => log.durable_end(),
            false => log.end(),
        };
        let mut end = own;
        for broker in self.members(rules).filter(|broker| *broker != me) {
            end = end.min(self.follower(broker)?.durable?);
        }
        Some(end)
    }

    /// Everybody who is, or may be, in the in-sync set.
    pub fn members(&self, rules: &Rules) -> impl Iterator<Item = BrokerId> {
        let (adds, removes) = (
            rules.hold(Rule::PendingAdditions),
            rules.hold(Rule::RemovalsOnceSeen),
        );
        let adding = self.adding.iter().filter(move |_| adds);
        let counted = self.in_sync.iter().chain(adding).copied();
        counted.filter(move |broker| removes || !self.removing.contains(broker))
    }

    pub fn follower(&self, broker: BrokerId) -> Option<&FollowerState> {
        self.followers.iter().find(|f| f.broker == broker)
    }

    fn follower_mut(&mut self, broker: BrokerId) -> Option<&mut FollowerState> {
        self.followers.iter_mut().find(|f| f.broker == broker)
    }
}

impl FollowerState {
    fn new(broker: BrokerId) -> Self {
        Self {
            broker,
            incarnation: None,
            last_request: 0,
            standing: None,
            told: false,
            sent_end: 0,
            durable: None,
            told_watermark: 0,
            told_starts: Starts::default(),
            asked_round: 0,
            confirmed_round: 0,
            behind: None,
        }
    }

    /// Lets a fetch in, unless it is of an earlier life or was overtaken by a later one.
    fn admit(
        &mut self,
        incarnation: Incarnation,
        request: u64,
        rules: &Rules,
    ) -> Result<bool, Refusal> {
        match self.incarnation {
            Some(known) if incarnation < known && rules.hold(Rule::FollowerIncarnation) => {
                return Err(Refusal::OldIncarnation);
            }
            Some(known) if incarnation == known => {
                if request <= self.last_request && rules.hold(Rule::Echo) {
                    return Ok(false);
                }
            }
            _ => {
                let behind = self.behind;
                *self = Self::new(self.broker);
                self.behind = behind;
            }
        }
        self.incarnation = Some(incarnation);
        self.last_request = request;
        self.standing = None;
        Ok(true)
    }
}

/// Whether a follower's log, which ends at the fetch's offset, agrees with the leader's; else what it
/// is told.
fn compare(fetch: &FollowerFetch, log: &impl ReplicaLog) -> Option<AnswerBody> {
    let (starts, end) = (log.starts(), log.end());
    if fetch.offset < starts.local {
        return Some(AnswerBody::OutOfRange(Beginning::of(log)));
    }
    let Some(last_epoch) = fetch.last_epoch else {
        // An empty log agrees with every other, if it begins within it.
        return (fetch.offset > end).then_some(AnswerBody::Diverging { epoch: None, end });
    };
    match log.end_offset_for(last_epoch) {
        Some((epoch, end)) if epoch != last_epoch || fetch.offset > end => {
            Some(AnswerBody::Diverging {
                epoch: Some(epoch),
                end,
            })
        }
        Some(_) => None,
        None => Some(AnswerBody::Diverging {
            epoch: None,
            end: starts.log,
        }),
    }
}

impl Replica {
    /// Takes in a follower's fetch. What it says counts only if the logs agree.
    pub fn on_fetch(
        &mut self,
        from: BrokerId,
        incarnation: Incarnation,
        fetch: FollowerFetch,
        log: &impl ReplicaLog,
    ) -> FetchVerdict {
        let (high_watermark, rules) = (self.high_watermark, self.rules);
        let answer = |epoch, body| {
            FetchVerdict::Answer(Answer {
                epoch,
                request: fetch.request,
                offset: fetch.offset,
                last_epoch: fetch.last_epoch,
                body,
            })
        };
        let seen_epoch = self.seen_epoch;
        let Role::Leader(leader) = &mut self.role else {
            // In the follower's own epoch, so that it hears it.
            return answer(fetch.epoch, AnswerBody::Refused(Refusal::NotLeader));
        };
        let epoch = leader.epoch;
        let refuse = |refusal| answer(fetch.epoch, AnswerBody::Refused(refusal));
        if fetch.epoch != epoch && rules.hold(Rule::Epoch) {
            return refuse(match fetch.epoch < seen_epoch {
                true => Refusal::OldEpoch,
                false => Refusal::NewEpoch,
            });
        }
        let Some(follower) = leader.follower_mut(from) else {
            return refuse(Refusal::NotReplica);
        };
        match follower.admit(incarnation, fetch.request, &rules) {
            Ok(true) => {}
            Ok(false) => return FetchVerdict::Drop,
            Err(refusal) => return refuse(refusal),
        }
        if rules.hold(Rule::Divergence)
            && let Some(body) = compare(&fetch, log)
        {
            return answer(epoch, body);
        }
        // Progress that was reported after the fetch may have come before it, and is not reported again.
        let reported = follower.durable.unwrap_or(0).max(fetch.durable);
        follower.durable = Some(reported.min(fetch.offset));
        follower.sent_end = fetch.offset;
        if log.end() > fetch.offset {
            follower.standing = Some(fetch);
            follower.told = true;
            return FetchVerdict::Stands;
        }
        if follower.told {
            follower.standing = Some(fetch);
            return FetchVerdict::Stands;
        }
        // The first in this term, with nothing to send: it is to know that its log is good.
        follower.told = true;
        follower.told_watermark = high_watermark;
        follower.told_starts = log.starts();
        answer(
            epoch,
            AnswerBody::Records {
                batches: Vec::new(),
                high_watermark,
                starts: follower.told_starts,
            },
        )
    }

    /// A follower's log has become durable further, or it confirms that it follows.
    pub fn on_progress(&mut self, from: BrokerId, incarnation: Incarnation, progress: Progress) {
        let rules = self.rules;
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        if progress.epoch != leader.epoch && rules.hold(Rule::Epoch) {
            return;
        }
        let Some(follower) = leader.follower_mut(from) else {
            return;
        };
        let lives = follower.incarnation == Some(incarnation);
        if !lives && rules.hold(Rule::FollowerIncarnation) {
            return;
        }
        if let Some(durable) = &mut follower.durable {
            *durable = (*durable).max(progress.durable.min(follower.sent_end));
        }
        if let Some(round) = progress.confirms {
            follower.confirmed_round = follower.confirmed_round.max(round);
        }
    }

    /// Whether a follower's standing fetch can be answered with records now.
    pub fn due(&self, follower: BrokerId, log: &impl ReplicaLog) -> Option<Due> {
        let Role::Leader(leader) = &self.role else {
            return None;
        };
        let fetch = leader.follower(follower)?.standing?;
        let end = log.end();
        (end > fetch.offset).then_some(Due { fetch, end })
    }

    /// Makes the answer out of batches that were read for a fetch and end at `end`. `None` if this
    /// replica stopped leading, or the fetch was overtaken, while they were read: then they may not be
    /// this leader's.
    pub fn sending(
        &mut self,
        follower: BrokerId,
        fetch: FollowerFetch,
        batches: Vec<bytes::Bytes>,
        end: u64,
        log: &impl ReplicaLog,
    ) -> Option<Answer> {
        let high_watermark = self.high_watermark;
        let Role::Leader(leader) = &mut self.role else {
            return None;
        };
        let epoch = leader.epoch;
        let follower = leader.follower_mut(follower)?;
        if follower.standing != Some(fetch) {
            return None;
        }
        follower.standing = None;
        follower.sent_end = follower.sent_end.max(end);
        follower.told_watermark = high_watermark;
        follower.told_starts = log.starts();
        Some(Answer {
            epoch,
            request: fetch.request,
            offset: fetch.offset,
            last_epoch: fetch.last_epoch,
            body: AnswerBody::Records {
                batches,
                high_watermark,
                starts: follower.told_starts,
            },
        })
    }

    /// The high watermark and where the log starts, if a follower has not been told one of them yet, or is
    /// to be asked whether it follows.
    pub fn watermark_for(
        &mut self,
        follower: BrokerId,
        log: &impl ReplicaLog,
    ) -> Option<Watermark> {
        let high_watermark = self.high_watermark;
        let Role::Leader(leader) = &mut self.role else {
            return None;
        };
        let (epoch, round) = (leader.epoch, leader.rounds.asked);
        let follower = leader.follower_mut(follower)?;
        let (starts, told) = (log.starts(), follower.told_starts);
        let knows = follower.told_watermark >= high_watermark
            && told.log >= starts.log
            && told.local >= starts.local;
        let asks = (follower.asked_round < round).then_some(round);
        if !follower.told || (knows && asks.is_none()) {
            return None;
        }
        follower.asked_round = round;
        follower.told_watermark = high_watermark;
        follower.told_starts = starts;
        leader.rounds.sent |= asks.is_some();
        Some(Watermark {
            epoch,
            high_watermark,
            starts,
            asks,
        })
    }

    /// The way to a follower broke: what it fetched is not waited for any more, and it is told anew.
    pub fn follower_left(&mut self, broker: BrokerId) {
        if let Role::Leader(leader) = &mut self.role
            && let Some(follower) = leader.follower_mut(broker)
        {
            follower.standing = None;
            follower.told = false;
            follower.asked_round = follower.confirmed_round;
        }
    }

    /// What is durable on a follower, as far as this leader knows; `None` of who follows nobody here or
    /// has not come yet.
    pub fn durable_on(&self, broker: BrokerId) -> Option<u64> {
        match &self.role {
            Role::Leader(leader) => leader.follower(broker)?.durable,
            Role::Idle | Role::Follower(_) => None,
        }
    }

    /// Whether there is nothing to look after: every replica is in sync and has everything.
    pub fn is_settled(&self, log: &impl ReplicaLog) -> bool {
        match &self.role {
            Role::Leader(leader) => {
                !leader.asking
                    && !leader.unresolved
                    && leader.adding.is_empty()
                    && self.high_watermark == log.end()
                    && leader
                        .followers
                        .iter()
                        .all(|f| f.durable == Some(log.end()) && leader.in_sync.contains(&f.broker))
            }
            Role::Idle | Role::Follower(_) => true,
        }
    }

    /// Looks, now and then, whether the in-sync set should be another one. `silent_for` says how long
    /// nothing was heard of a broker. What it answers is to be asked of the metadata, and the outcome
    /// told to [`Replica::on_in_sync`].
    pub fn review(
        &mut self,
        now: Duration,
        silent_for: impl Fn(BrokerId) -> Duration,
        log: &impl ReplicaLog,
    ) -> Option<InSyncChange> {
        let (high_watermark, rules, me) = (self.high_watermark, self.rules, self.me);
        let Role::Leader(leader) = &mut self.role else {
            return None;
        };
        let end = log.end();
        let mut late = Vec::new();
        for follower in &mut leader.followers {
            // Asked of the silent too: since when they are behind is noted there.
            let behind = follower.is_late(now, end, rules.lag_max);
            if behind || silent_for(follower.broker) > rules.lag_max {
                late.push(follower.broker);
            }
        }
        if leader.asking {
            return None;
        }
        let members = leader.in_sync.len();
        let spare = match rules.hold(Rule::MinInSync) {
            true => members.saturating_sub(leader.min_insync_replicas),
            false => members.saturating_sub(1),
        };
        let leaving: Vec<_> = late
            .iter()
            .copied()
            .filter(|broker| leader.in_sync.contains(broker) && *broker != me)
            .take(spare)
            .collect();
        let added = match leaving.is_empty() {
            true => leader.ready_to_join(&late, high_watermark, &rules),
            false => Vec::new(),
        };
        // One that may still be made is decided by another: even one that changes nothing.
        if leaving.is_empty() && added.is_empty() && !leader.unresolved {
            return None;
        }
        let mut in_sync = leader.in_sync.clone();
        in_sync.retain(|broker| !leaving.contains(broker));
        in_sync.extend(added.iter().map(|(broker, _)| *broker));
        for (broker, _) in &added {
            if !leader.adding.contains(broker) {
                leader.adding.push(*broker);
            }
        }
        leader.removing = leaving;
        leader.asking = true;
        Some(InSyncChange {
            epoch: leader.epoch,
            partition_epoch: leader.partition_epoch,
            in_sync,
            added,
        })
    }

    /// Whether what was appended has waited for `patience` for a member of the in-sync set that `is_mute`.
    /// Where the set may do without it, [`Replica::review`] has asked it to leave before.
    pub fn is_deserted(
        &self,
        now: Duration,
        patience: Duration,
        is_mute: impl Fn(BrokerId) -> bool,
        log: &impl ReplicaLog,
    ) -> bool {
        let Role::Leader(leader) = &self.role else {
            return false;
        };
        let waits_for = |follower: &FollowerState| {
            let since = follower.behind.map(|(since, _)| since);
            since.is_some_and(|since| now.saturating_sub(since) > patience)
                && leader.in_sync.contains(&follower.broker)
                && is_mute(follower.broker)
        };
        self.high_watermark < log.end() && leader.followers.iter().any(waits_for)
    }

    /// What became of a change that [`Replica::review`] asked for. If nobody knows, those who were to
    /// be added count on, and the next review asks again.
    pub fn on_in_sync(&mut self, change: &InSyncChange, outcome: InSyncOutcome) {
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        if (leader.epoch, leader.partition_epoch) != (change.epoch, change.partition_epoch) {
            // Of an earlier term, or decided already by a row that was heard of meanwhile.
            return;
        }
        leader.asking = false;
        leader.removing.clear();
        match outcome {
            InSyncOutcome::Unknown => leader.unresolved = true,
            InSyncOutcome::Row(row) => {
                if !leader.unresolved {
                    leader.adding.clear();
                }
                // A row of another term comes by the feed, which says what this replica is then.
                if row.epoch == leader.epoch && row.replicas.contains(&self.me) {
                    leader.adopt(&row);
                    self.partition_epoch = self.partition_epoch.max(row.partition_epoch);
                }
            }
        }
    }
}

impl Leader {
    /// Followers outside of the in-sync set that have everything that a member must have.
    fn ready_to_join(
        &self,
        late: &[BrokerId],
        high_watermark: u64,
        rules: &Rules,
    ) -> Vec<(BrokerId, Incarnation)> {
        let ready = self.followers.iter().filter(|follower| {
            let Some(durable) = follower.durable else {
                return false;
            };
            let committed = durable >= high_watermark || !rules.hold(Rule::JoinAtHighWatermark);
            let inherited = durable >= self.epoch_start || !rules.hold(Rule::JoinAtEpochStart);
            let outside = !self.in_sync.contains(&follower.broker);
            outside && committed && inherited && !late.contains(&follower.broker)
        });
        ready
            .filter_map(|follower| Some((follower.broker, follower.incarnation?)))
            .collect()
    }
}

impl FollowerState {
    /// Whether it has been behind for too long: what the log had that long ago, it still has not.
    fn is_late(&mut self, now: Duration, end: u64, lag_max: Duration) -> bool {
        let durable = self.durable.unwrap_or(0);
        if self.durable.is_some() && durable >= end {
            self.behind = None;
            return false;
        }
        match self.behind {
            Some((since, mark)) if self.durable.is_none() || durable < mark => {
                now.saturating_sub(since) > lag_max
            }
            _ => {
                self.behind = Some((now, end));
                false
            }
        }
    }
}
