//! Polls: heartbeat, commit and read in one call.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{StreamExt, stream::FuturesUnordered};
use headwater_groups::{Action, GroupId, Mark, Owned, PartitionId, Polled, Reply};
use serde::Serialize;
use tokio::time::Instant;

use super::{
    Gateway, TopicPartition,
    cursor::{open_marks, seal_marks},
    expect_reply, group_id,
};
use crate::{
    auth::Access,
    gateway::{
        FetchPage, ReadLimits, check_name,
        fetch::{Damaged, Reading, positions, rotation},
    },
    limits::{GROUP_AGES_AT_ONCE, GROUP_FENCED_WITHIN, GROUP_RENEWAL},
    metadata::Topic,
    problem::Problem,
    quota::Resource,
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

/// What a member reads of one topic.
struct Share {
    topic: Arc<Topic>,
    /// In the order in which partitions have their turns.
    readings: Vec<Reading>,
    /// In the same order.
    owned: Vec<Place>,
}

/// A partition that is read.
struct Place {
    stint: u64,
    committed: Option<u64>,
    /// Where this poll begins.
    start: u64,
    /// The ends that were seen last, log start and high watermark.
    ends: (u64, u64),
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
        let marks = |field: &str, cursor: &Option<String>| match cursor {
            Some(text) => open_marks(&access.project, group, field, text),
            None => Ok(Vec::new()),
        };
        let (commit, after) = (marks("commit", &ask.commit)?, marks("after", &ask.after)?);
        let action = Action::Poll {
            member: member.to_owned(),
            epoch: ask.epoch,
            commit,
        };
        let reply = self.ask_coordinator(&id, action).await?;
        let polled = expect_reply!(reply, Reply::Polled(polled) => polled)?;
        let mut shares = self.shares(access, &polled.owned, after);
        let lease = Lease {
            id: &id,
            member,
            epoch: polled.epoch,
        };
        // Who has lost a partition hears of it at once.
        if !ask.limits.wait.is_zero() && polled.revoked.is_empty() {
            self.wait_with_lease(&shares, &ask.limits, &lease).await?;
        }
        let (page, gaps) = tokio::select! {
            read = self.read_shares(access, &mut shares, &ask.limits) => read?,
            ended = self.keep_lease(&lease) => return Err(ended),
        };
        let lag = self.lag(&shares).await;
        Ok(self.answered(access, group, polled, shares, (page, gaps, lag)))
    }

    fn answered(
        &self,
        access: &Access,
        group: &str,
        polled: Polled,
        shares: Vec<Share>,
        (page, gaps, lag): (FetchPage, Vec<GroupGap>, Lag),
    ) -> GroupPage {
        let mut marks: Vec<_> = shares.iter().flat_map(Share::marks).collect();
        marks.sort_unstable_by_key(|mark| mark.partition);
        GroupPage {
            page,
            cursor: seal_marks(&access.project, group, &marks),
            epoch: polled.epoch,
            assigned: self.named(access, &polled.assigned),
            revoked: self.named(access, &polled.revoked),
            ignored: self.named(access, &polled.ignored),
            lag,
            gaps,
            expires_at_ms: polled.expires_at_ms,
        }
    }

    /// What is to be read of each topic, which takes turns in being first, as its partitions do.
    /// Topics that are deleted, or not heard of here yet, are not read.
    fn shares(&self, access: &Access, owned: &[Owned], after: Vec<Mark>) -> Vec<Share> {
        let after: BTreeMap<_, _> = after
            .into_iter()
            .map(|mark| ((mark.partition, mark.stint), mark.next_offset))
            .collect();
        let mut shares = Vec::new();
        for of_topic in owned.chunk_by(|a, b| a.partition.topic == b.partition.topic) {
            let Some(topic) = self.topic_read(access, of_topic[0].partition.topic) else {
                continue;
            };
            let mut share = Share {
                topic,
                readings: Vec::with_capacity(of_topic.len()),
                owned: Vec::with_capacity(of_topic.len()),
            };
            for owned in of_topic {
                let committed = owned.committed.unwrap_or(0);
                let after = after.get(&(owned.partition, owned.stint)).copied();
                let start = after.unwrap_or(0).max(committed);
                let partition = owned.partition.partition;
                share.readings.push(Reading::at(partition, start));
                share.owned.push(Place {
                    stint: owned.stint,
                    committed: owned.committed,
                    start,
                    ends: (0, 0),
                });
            }
            let starts = share.owned.iter().map(|place| place.start);
            let first = rotation(starts, of_topic.len() as u32) as usize;
            share.readings.rotate_left(first);
            share.owned.rotate_left(first);
            shares.push(share);
        }
        if !shares.is_empty() {
            let places = shares.iter().flat_map(|share| &share.owned);
            let first = rotation(places.map(|place| place.start), shares.len() as u32);
            shares.rotate_left(first as usize);
        }
        shares
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

    /// Reads a fair part of each topic, then what room is left, and counts it. A topic that cannot be
    /// read hides no other.
    async fn read_shares(
        &self,
        access: &Access,
        shares: &mut [Share],
        limits: &ReadLimits,
    ) -> Result<(FetchPage, Vec<GroupGap>), Problem> {
        let mut page = self.begin_page(limits).await?;
        let (mut gaps, mut failure) = (Vec::new(), None);
        let count = shares.len();
        for fair in [true, false] {
            if fair && count < 2 {
                continue;
            }
            for share in shares.iter_mut().filter(|share| share.has_more()) {
                let limits = match fair {
                    true => page.plus_part(limits, count),
                    false => *limits,
                };
                if page.is_full(&limits) {
                    continue;
                }
                let (records, bytes) = (page.record_count, page.payload_bytes);
                let read = self.read_share(&mut page, share, &limits).await;
                if let Err((problem, _)) = read
                    && self.catalog.topic_of(share.topic.id).is_some()
                {
                    failure.get_or_insert(problem);
                }
                let records = page.record_count - records;
                share.topic.meter.sent(records, page.payload_bytes - bytes);
                gaps.extend(share.gaps(std::mem::take(&mut page.gaps)));
            }
        }
        page.finish(limits);
        match failure {
            Some(problem) if page.record_count == 0 => return Err(problem),
            _ => {}
        }
        let layers = access.layers();
        layers.charge(Resource::EgressBytesPerSecond, page.payload_bytes as u64);
        Ok((page, gaps))
    }

    async fn read_share(
        &self,
        page: &mut FetchPage,
        share: &mut Share,
        limits: &ReadLimits,
    ) -> Result<(), Damaged> {
        let readings = &mut share.readings;
        let parts = self.fill_page(page, &share.topic, readings, limits).await?;
        for (place, part) in share.owned.iter_mut().zip(parts) {
            place.ends = (part.log_start, part.high_watermark);
        }
        Ok(())
    }

    async fn lag(&self, shares: &[Share]) -> Lag {
        let mut lag = Lag::default();
        for share in shares {
            let mut unknown = Vec::new();
            for (place, reading) in share.owned.iter().zip(&share.readings) {
                let (log_start, high_watermark) = place.ends;
                let from = place.committed.unwrap_or(0).max(log_start);
                let behind = high_watermark.saturating_sub(from);
                lag.records += behind;
                match reading.first_timestamp_ms {
                    Some(first_ms) if place.start <= from => {
                        lag.ms = lag.ms.max(self.age_ms(first_ms));
                    }
                    _ if behind > 0 => unknown.push((reading.partition, from)),
                    _ => {}
                }
            }
            unknown.truncate(GROUP_AGES_AT_ONCE);
            let ages = self.ages(&share.topic, &unknown).await;
            lag.ms = ages.into_values().fold(lag.ms, u64::max);
        }
        lag
    }
}

impl Share {
    /// Whether there is more than was read, or nothing was yet.
    fn has_more(&self) -> bool {
        let mut owned = self.owned.iter().zip(&self.readings);
        owned.any(|(place, reading)| place.ends == (0, 0) || reading.offset < place.ends.1)
    }

    /// What was missing, as clients are told. Where nothing was committed nothing was promised: the
    /// group begins at the oldest record.
    fn gaps(&self, gaps: Vec<crate::gateway::Gap>) -> Vec<GroupGap> {
        let begins = |partition| {
            let mut owned = self.owned.iter().zip(&self.readings);
            owned.any(|(place, reading)| {
                reading.partition == partition && place.start == 0 && place.committed.is_none()
            })
        };
        let gaps = gaps.into_iter().filter(|gap| !begins(gap.partition));
        gaps.map(|gap| GroupGap {
            topic: self.topic.name.clone(),
            partition: gap.partition,
            from: gap.from,
            to: gap.to,
            reason: gap.reason,
        })
        .collect()
    }

    /// What a commit of this poll would say: partitions where nothing was read since what is committed
    /// have no mark.
    fn marks(&self) -> impl Iterator<Item = Mark> {
        let owned = self.owned.iter().zip(&self.readings);
        let ahead = owned.filter(|(place, reading)| reading.offset > place.committed.unwrap_or(0));
        ahead.map(|(place, reading)| Mark {
            partition: PartitionId {
                topic: self.topic.id,
                partition: reading.partition,
            },
            stint: place.stint,
            next_offset: reading.offset,
        })
    }
}
