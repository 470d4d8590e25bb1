//! Asking the coordinators of consumer groups, which are the leaders of the group log's partitions.

use std::sync::Arc;

use futures_util::future::try_join_all;
use headwater_broker::{CoordinateError, PartitionId, TopicId};
use headwater_groups::{Action, Call, GroupError, GroupId, Reply, Summary, limits::PAGE_MAX};
use headwater_record::partition_for_key;

use super::{Gateway, changes::unavailable, no_leader, placing::Room};
use crate::{
    metadata::{Kind, PartitionRow, Topic, TopicRow, group_log::GROUP_LOG_PARTITIONS},
    problem::{Code, Problem},
};

impl Gateway {
    /// Has the group's coordinator do something. What is answered is committed.
    ///
    /// # Errors
    /// The group refuses it, or its coordinator is not found in time.
    pub(super) async fn ask_coordinator(
        &self,
        group: &GroupId,
        action: Action,
    ) -> Result<Reply, Problem> {
        let log = match (self.catalog.group_log(), &action) {
            (Some(log), _) => log,
            (None, Action::Ensure { .. }) => self.make_group_log().await?,
            (None, _) => {
                // Somebody may have made the first group a moment ago, at another gateway.
                let dead_topics = self.catch_up().await.map_err(unavailable)?;
                self.catalog.leave_dead(dead_topics);
                let log = self.catalog.group_log();
                log.ok_or_else(|| refused(GroupError::NoGroup))?
            }
        };
        let key = format!("{}/{}", group.project, group.name);
        let partition = partition_for_key(key.as_bytes(), log.partitions());
        let call = Call::Group(group.clone(), action);
        self.coordinate(&log, partition, call).await
    }

    /// The project's groups after `after`, by name, at most `max` and [`PAGE_MAX`], and whether there are
    /// more.
    ///
    /// # Errors
    /// A coordinator is not found in time.
    pub(super) async fn list_groups(
        &self,
        project: &str,
        after: Option<String>,
        max: usize,
    ) -> Result<(Vec<Summary>, bool), Problem> {
        let Some(log) = self.catalog.group_log() else {
            return Ok((Vec::new(), false));
        };
        // No partition has names between those of its page.
        let max = max.min(PAGE_MAX);
        let page = |partition| {
            let call = Call::List {
                project: project.to_owned(),
                after: after.clone(),
                max,
            };
            self.coordinate(&log, partition, call)
        };
        let (mut groups, mut more) = (Vec::new(), false);
        for reply in try_join_all((0..log.partitions()).map(page)).await? {
            let Reply::Page {
                groups: some,
                more: others,
            } = reply
            else {
                return Err(Problem::internal("a list of groups", "another answer"));
            };
            groups.extend(some);
            more |= others;
        }
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        more |= groups.len() > max;
        groups.truncate(max);
        Ok((groups, more))
    }

    /// Asks whoever leads the partition, and again while nothing was done, or it may be done twice.
    async fn coordinate(&self, log: &Topic, partition: u32, call: Call) -> Result<Reply, Problem> {
        let id = PartitionId {
            topic: log.id,
            partition,
        };
        let may_repeat = may_repeat(&call);
        let mut patience = self.patience();
        // Whether a try may have been done, of which the answer did not come.
        let mut is_open = false;
        loop {
            let current = self.catalog.group_log().ok_or_else(no_leader)?;
            let error = match self.cluster.leader(&current.placement, partition) {
                Some(broker) => match broker.coordinate(id, call.clone()).await {
                    Ok(reply) => return Ok(reply),
                    Err(CoordinateError::Refused(error)) => return Err(refused(error)),
                    Err(error) => error,
                },
                None => CoordinateError::NotLeader,
            };
            is_open |= error == CoordinateError::Unknown;
            let again = match &error {
                CoordinateError::NotLeader
                | CoordinateError::Unreachable(_)
                | CoordinateError::UnknownPartition => true,
                CoordinateError::Unknown => may_repeat,
                _ => false,
            };
            if !again || !patience.again().await {
                return Err(match is_open {
                    true => failed(CoordinateError::Unknown),
                    false => failed(error),
                });
            }
        }
    }

    /// The group log, made if nobody has made it yet.
    async fn make_group_log(&self) -> Result<Arc<Topic>, Problem> {
        let mut change = self.change().await?;
        let mut room = Room::of(&mut change).await?;
        let id = TopicId(uuid::Uuid::now_v7().into_bytes());
        let copies = room.replication_factor();
        let row = TopicRow::of_group_log(id, copies, change.at_ms()).map_err(unavailable)?;
        if row.insert(&mut change).await.map_err(unavailable)? {
            let places = room.place(id, 0..GROUP_LOG_PARTITIONS, copies, "")?;
            let placed = PartitionRow::insert(&mut change, &places).await;
            placed.map_err(unavailable)?;
            let touched = change.touch(Kind::Topic, &row.id).await;
            touched.map_err(unavailable)?;
            self.commit(change).await?;
            tracing::info!(topic = row.id, copies, "the group log was made");
        } else {
            // Another gateway was faster.
            drop(change);
            let dead_topics = self.catch_up().await.map_err(unavailable)?;
            self.catalog.leave_dead(dead_topics);
        }
        self.catalog.group_log().ok_or_else(no_leader)
    }
}

/// Whether a call may be done a second time while its caller waits: it changes nothing, or finds what it
/// has done. A commit and a settlement count once; who has joined joins again; who has left is not there.
/// A lease whose answer was lost ends by its time. A deletion
/// would answer that there is nothing, and a reset set back what was done since.
fn may_repeat(call: &Call) -> bool {
    match call {
        Call::List { .. } => true,
        Call::Group(_, action) => matches!(
            action,
            Action::Ensure { .. }
                | Action::Describe
                | Action::Join { .. }
                | Action::Leave { .. }
                | Action::Poll { .. }
                | Action::Renew { .. }
                | Action::Commit { .. }
                | Action::Positions
                | Action::Lease { .. }
                | Action::Offer(_)
                | Action::Settle(_)
                | Action::DeadLetters { .. }
                | Action::DeadLettered(_)
                | Action::Redrives
                | Action::Redriven(_)
                | Action::Reset { dry_run: true, .. }
        ),
    }
}

/// A group's refusal, as the client is told.
fn refused(error: GroupError) -> Problem {
    let detail = error.to_string();
    match error {
        GroupError::NoGroup => Problem::new(Code::GroupNotFound, "the project has no such group"),
        GroupError::Exists => Problem::new(Code::GroupExists, detail),
        GroupError::OtherKind => Problem::new(Code::GroupTypeConflict, detail),
        GroupError::MembersActive => Problem::new(Code::GroupActive, detail),
        GroupError::MemberFenced => Problem::new(Code::MemberFenced, detail),
        GroupError::MemberGone => Problem::new(Code::MemberExpired, detail),
        GroupError::NoTopic(_) => {
            Problem::new(Code::UnknownTopic, "").at("/topics", "topic_not_found", detail)
        }
        GroupError::NoPartition(_) => {
            Problem::new(Code::InvalidSetting, "").at("/partitions", "partition_not_found", detail)
        }
        GroupError::Invalid { field, why } => {
            Problem::invalid(format!("/{field}"), "out_of_range", why)
        }
        GroupError::TooMany { max, .. } => {
            let mut problem = Problem::new(Code::RateExceeded, detail);
            problem.rate_limit = Some(max as u64);
            problem
        }
    }
}

/// Why no coordinator answered, as the client is told.
fn failed(error: CoordinateError) -> Problem {
    match error {
        CoordinateError::Refused(error) => refused(error),
        CoordinateError::UnknownPartition | CoordinateError::NotLeader => no_leader(),
        CoordinateError::Unreachable(why) => {
            tracing::debug!(%why, "a group's coordinator is not reached");
            no_leader()
        }
        CoordinateError::TooFewInSync => Problem::new(
            Code::Unavailable,
            "fewer copies of the group's log are in sync than a change needs",
        ),
        CoordinateError::Unavailable(why) => {
            tracing::error!(%why, "a group's log cannot be read");
            Problem::new(Code::Unavailable, "the group's log cannot be read now")
        }
        CoordinateError::StorageFull => {
            Problem::new(Code::StorageFull, "the disk is full up to its reserve")
        }
        CoordinateError::Overloaded => Problem::new(
            Code::Overloaded,
            "the group's coordinator has as many calls as it can hold",
        ),
        CoordinateError::Unknown => Problem::new(
            Code::OutcomeUnknown,
            "the group's coordinator did not confirm the call; it may be done",
        ),
    }
}
