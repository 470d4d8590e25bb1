//! Polls: heartbeat, commit and read in one call.

use std::{convert::Infallible, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use headwater_groups::{Action, GroupId, Owned, Polled, Reply};
use serde::Serialize;
use tokio::{sync::oneshot, time::Instant};

use super::{
    Gateway, TopicPartition,
    cursor::{Reached, ahead, open_reached, seal_reached},
    expect_reply, group_id,
    read::{Share, is_same},
};
use crate::{
    auth::Access,
    gateway::{FetchPage, ReadLimits, check_name, fetch::positions},
    limits::{GROUP_FENCED_WITHIN, GROUP_RENEWAL},
    problem::Problem,
};

/// What a member asks for.
#[derive(Debug, Clone)]
pub struct PollAsk {
    /// What it was last told, by a join or a poll.
    pub epoch: u64,
    /// The cursor of what it is done with.
    pub commit: Option<String>,
    /// The cursor to read on from, which commits nothing.
    pub after: Option<String>,
    /// How much to read.
    pub limits: ReadLimits,
}

/// What a member gets.
#[derive(Debug)]
pub struct GroupPage {
    /// The records.
    pub page: FetchPage,
    /// Commits what this poll and those before it delivered.
    pub cursor: String,
    /// What the next poll names.
    pub epoch: u64,
    /// What the member owns, and did not when it polled last.
    pub assigned: Vec<TopicPartition>,
    /// What it owned then, and does not now.
    pub revoked: Vec<TopicPartition>,
    /// Where its commit did not count, because it does not own the partition any more.
    pub ignored: Vec<TopicPartition>,
    /// How far behind it is.
    pub lag: Lag,
    /// What is missing.
    pub gaps: Vec<GroupGap>,
    /// When its lease ends.
    pub expires_at_ms: i64,
}

/// How far behind a member is in what it owns, by what is committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Lag {
    /// Records that it has not committed.
    #[schema(example = 120)]
    pub records: u64,
    /// The age of the oldest of them by its timestamp, in milliseconds; 0 if there is none. Of many
    /// partitions some are looked at.
    #[schema(example = 1500)]
    pub ms: u64,
}

/// Offsets that the group was to read and that are not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct GroupGap {
    /// The topic's name.
    #[schema(example = "orders")]
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// First offset missing.
    pub from: u64,
    /// First offset after the gap.
    pub to: u64,
    /// Why: `deleted` by retention or trim.
    pub reason: &'static str,
}

/// Whose lease is kept.
struct Lease<'a> {
    id: &'a GroupId,
    member: &'a str,
    epoch: u64,
}

impl Gateway {
    /// Commits, renews the member's lease, and reads what it owns. It waits for the first record as long
    /// as it may, and keeps the lease meanwhile; it stops waiting when the member is to know of other
    /// partitions.
    ///
    /// # Errors
    /// 409 when another instance has the member's name, 410 when its lease ended, 400 for a cursor of
    /// something else, and those of reading; a commit before that stands, and is nothing when repeated.
    pub async fn poll_group(
        &self,
        access: &Access,
        group: &str,
        member: &str,
        ask: &PollAsk,
    ) -> Result<GroupPage, Problem> {
        let id = group_id(access, group)?;
        check_name("member", member)?;
        let reached = |field: &str, cursor: &Option<String>| match cursor {
            Some(text) => open_reached(&access.project, group, field, text),
            None => Ok(Vec::new()),
        };
        let commit = reached("commit", &ask.commit)?;
        let after = reached("after", &ask.after)?;
        let action = Action::Poll {
            member: member.to_owned(),
            epoch: ask.epoch,
            commit: ahead(&commit),
        };
        let (is_answered, answered) = oneshot::channel();
        // Whoever is refused waits for no records.
        let (polled, guess) = tokio::try_join!(
            async {
                let reply = self.ask_coordinator(&id, action).await?;
                drop(is_answered);
                expect_reply!(reply, Reply::Polled(polled) => polled)
            },
            async {
                let shares = self.guessed(access, &commit, &after);
                Ok(self.read_ahead(shares, &ask.limits, answered).await)
            },
        )?;
        let mut shares = self.shares(access, &polled.owned, &after);
        let lease = Lease {
            id: &id,
            member,
            epoch: polled.epoch,
        };
        let page = match guess.filter(|(guessed, _)| is_same(guessed, &shares)) {
            Some((guessed, page)) => {
                for (share, guessed) in shares.iter_mut().zip(guessed) {
                    share.take_up(guessed);
                }
                page
            }
            None => {
                let mut limits = ask.limits;
                if !polled.revoked.is_empty() {
                    // Who has lost a partition hears of it at once.
                    limits.wait = Duration::ZERO;
                }
                self.read_with_lease(&mut shares, &limits, &lease).await?
            }
        };
        self.count_read(access, &shares, &page);
        let lag = self.lag(&shares).await;
        Ok(self.answered(access, group, polled, &shares, (page, lag)))
    }

    /// What the member will own, as a rule: what it owned when its cursor was made.
    fn guessed(&self, access: &Access, commit: &[Reached], after: &[Reached]) -> Vec<Share> {
        let owned = commit.iter().map(|Reached { mark, .. }| Owned {
            partition: mark.partition,
            stint: mark.stint,
            committed: Some(mark.next_offset),
        });
        self.shares(access, &owned.collect::<Vec<_>>(), after)
    }

    /// Reads while the commit is on its way. Nothing, if there are no records, or if that and the
    /// coordinator's answer take longer than memory is to be held for it, and the lease is not kept.
    async fn read_ahead(
        &self,
        mut shares: Vec<Share>,
        limits: &ReadLimits,
        answered: oneshot::Receiver<Infallible>,
    ) -> Option<(Vec<Share>, FetchPage)> {
        if shares.is_empty() {
            return None;
        }
        let read = async {
            let page = self.read_shares(&mut shares, limits).await.ok()?;
            if page.record_count == 0 {
                return None;
            }
            // It is said by hanging up.
            let _ = answered.await;
            Some(page)
        };
        let page = tokio::time::timeout(GROUP_RENEWAL, read).await.ok()??;
        Some((shares, page))
    }

    async fn read_with_lease(
        &self,
        shares: &mut [Share],
        limits: &ReadLimits,
        lease: &Lease<'_>,
    ) -> Result<FetchPage, Problem> {
        if !limits.wait.is_zero() {
            self.wait_with_lease(shares, limits, lease).await?;
        }
        tokio::select! {
            read = self.read_shares(shares, limits) => read,
            ended = self.keep_lease(lease) => Err(ended),
        }
    }

    fn answered(
        &self,
        access: &Access,
        group: &str,
        polled: Polled,
        shares: &[Share],
        (page, lag): (FetchPage, Lag),
    ) -> GroupPage {
        let mut reached: Vec<_> = shares.iter().flat_map(Share::reached).collect();
        reached.sort_unstable_by_key(|reached| reached.mark.partition);
        GroupPage {
            page,
            cursor: seal_reached(&access.project, group, &reached),
            epoch: polled.epoch,
            assigned: self.named(access, &polled.assigned),
            revoked: self.named(access, &polled.revoked),
            ignored: self.named(access, &polled.ignored),
            lag,
            gaps: shares.iter().flat_map(Share::gaps).collect(),
            expires_at_ms: polled.expires_at_ms,
        }
    }

    /// Waits for records, for the time to be over, or for the member to be told something.
    async fn wait_with_lease(
        &self,
        shares: &[Share],
        limits: &ReadLimits,
        lease: &Lease<'_>,
    ) -> Result<(), Problem> {
        let mut draining = self.draining.clone();
        let started = Instant::now();
        tokio::select! {
            biased;
            () = self.wait_for_any(shares, limits) => {}
            moved = self.keep_lease_until_moved(lease) => moved?,
            _ = draining.wait_for(|draining| *draining) => {}
        }
        // Whose name was taken over meanwhile gets nothing more.
        if started.elapsed() >= GROUP_FENCED_WITHIN {
            self.renew(lease).await?;
        }
        Ok(())
    }

    async fn wait_for_any(&self, shares: &[Share], limits: &ReadLimits) {
        let waits = shares.iter().map(async |share| {
            let positions = positions(&share.readings, limits);
            self.wait_for_records(&share.topic, &positions, limits.wait)
                .await
        });
        let mut waits: FuturesUnordered<_> = waits.collect();
        if waits.is_empty() {
            tokio::time::sleep(limits.wait).await;
        }
        while let Some(news) = waits.next().await {
            if news {
                return;
            }
        }
    }

    /// Renews the lease until others wait for what the member owns, or it owns something else.
    async fn keep_lease_until_moved(&self, lease: &Lease<'_>) -> Result<(), Problem> {
        loop {
            tokio::time::sleep(GROUP_RENEWAL).await;
            if self.renew(lease).await? {
                return Ok(());
            }
        }
    }

    /// Renews the lease until it is the member's no more.
    async fn keep_lease(&self, lease: &Lease<'_>) -> Problem {
        loop {
            tokio::time::sleep(GROUP_RENEWAL).await;
            if let Err(problem) = self.renew(lease).await {
                return problem;
            }
        }
    }

    /// Answers whether the member should poll soon.
    async fn renew(&self, lease: &Lease<'_>) -> Result<bool, Problem> {
        let action = Action::Renew {
            member: lease.member.to_owned(),
            epoch: lease.epoch,
        };
        match self.ask_coordinator(lease.id, action).await {
            Ok(reply) => expect_reply!(
                reply,
                Reply::Renewed { epoch, must_give_up, .. } => must_give_up || epoch != lease.epoch
            ),
            // The lease is longer than a coordinator is away, as a rule.
            Err(problem) if problem.code.retryable() => Ok(false),
            Err(problem) => Err(problem),
        }
    }
}
