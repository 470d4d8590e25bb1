//! Making sure that a group is there, and deleting it.

use std::{collections::BTreeSet, sync::Arc};

use headwater_groups::{
    Action, Config, Description, Ensured, Kind, PartitionId, Reply, Rules, Start, TopicId,
};
use serde::{Deserialize, Serialize};

use super::{Gateway, Group, expect_reply, group_id, unknown_topic};
use crate::{
    auth::{
        Access, Permission,
        permissions::{EnsureGroup, Grant, KeyRule, Operation},
    },
    gateway::check_name,
    limits::{GROUP_ATTEMPTS, GROUP_LEASE_MS, GROUP_TOPICS_MAX},
    metadata::{Topic, not_null},
    problem::{Code, Problem},
};

/// How a group shares its records out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupType {
    /// Each partition has one member that reads it, in order.
    Partitioned,
    /// Any number of workers lease single records, as of a queue.
    Shared,
}

/// Where a group begins that has committed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupStart {
    /// At the oldest records.
    Earliest,
    /// At the ends as they are when the group is made.
    Latest,
}

/// What a group shall be. What is left out is not compared with a group that is there.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"topics": ["orders"], "type": "partitioned", "start": "earliest"}))]
pub struct GroupSpec {
    /// The topics that it reads, each once.
    #[schema(min_items = 1, max_items = 100)]
    pub topics: Vec<String>,
    /// How records are shared out; `partitioned` by default.
    #[serde(default, rename = "type", deserialize_with = "not_null")]
    #[schema(nullable = false)]
    pub kind: Option<GroupType>,
    /// Where it begins; `earliest` by default.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    pub start: Option<GroupStart>,
    /// The lease of members, or of records, where none is asked for; 45 000 by default.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, minimum = 10000, maximum = 300000, example = 45000)]
    pub lease_ms: Option<u32>,
    /// Of shared groups: how often a record is tried, 5 times by default.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, minimum = 1, maximum = 1000)]
    pub max_attempts: Option<u32>,
    /// Of shared groups: the topic where records go that were tried so often, or rejected. It must be
    /// there, and is none of those that the group reads. Without one they are dropped and counted.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    pub dead_letter_topic: Option<String>,
}

/// A key chooses topics for a group that it may read itself.
pub(super) const READS: [Permission; 2] = [by_key(Grant::Fetch), by_key(Grant::Consume)];

const fn by_key(grant: Grant) -> Permission {
    Permission {
        key: KeyRule::Topic(grant),
        ..EnsureGroup::ROW
    }
}

/// And dead letters for what it may produce.
pub(super) const WRITES: Permission = by_key(Grant::Produce);

impl Gateway {
    /// Creates the group, or finds that it already is what `wanted` says. Answers whether it was
    /// created.
    ///
    /// # Errors
    /// 409 if it exists and differs, 422 over a topic that does not exist, 403 over one that the
    /// caller may not read.
    pub async fn put_group(
        &self,
        access: &Access,
        name: &str,
        wanted: GroupSpec,
    ) -> Result<(Group, bool), Problem> {
        check_name("group", name)?;
        check(&wanted)?;
        let topics = self.topics_wanted(access, &wanted.topics)?;
        let dead_letters = self.dead_letters_wanted(access, &wanted)?;
        let id = group_id(access, name)?;
        let find = async || match self.ask_coordinator(&id, Action::Describe).await {
            Ok(reply) => {
                let is = expect_reply!(reply, Reply::Described(is) => is)?;
                compare(&is, &wanted, &topics, dead_letters)?;
                Ok(Some((self.group(access, is).await, false)))
            }
            Err(problem) if problem.code == Code::GroupNotFound => Ok(None),
            Err(problem) => Err(problem),
        };
        if let Some(found) = find().await? {
            return Ok(found);
        }
        let start = match wanted.start {
            None | Some(GroupStart::Earliest) => Start::Earliest,
            Some(GroupStart::Latest) => Start::Latest,
        };
        let offsets = match start {
            Start::Earliest => Vec::new(),
            Start::Latest => self.ends_of(&topics).await?,
        };
        let config = Config {
            topics: topics.iter().map(|topic| topic.id).collect(),
            kind: match wanted.kind {
                None | Some(GroupType::Partitioned) => Kind::Partitioned,
                Some(GroupType::Shared) => Kind::Shared(Rules {
                    max_attempts: wanted.max_attempts.unwrap_or(GROUP_ATTEMPTS.0),
                    dead_letters,
                }),
            },
            start,
            lease_ms: wanted.lease_ms.unwrap_or(GROUP_LEASE_MS.1),
        };
        let action = Action::Ensure {
            config,
            offsets,
            only_new: true,
        };
        let reply = match self.ask_coordinator(&id, action).await {
            // Somebody else was faster; it may be what is wanted all the same.
            Err(problem) if problem.code == Code::GroupExists => {
                return find().await?.ok_or(problem);
            }
            reply => reply?,
        };
        let (ensured, is) = expect_reply!(reply, Reply::Ensured(ensured, is) => (ensured, is))?;
        Ok((self.group(access, is).await, ensured == Ensured::Created))
    }

    /// Deletes a group that has no members.
    ///
    /// # Errors
    /// 409 while it has members.
    pub async fn delete_group(&self, access: &Access, name: &str) -> Result<(), Problem> {
        let id = group_id(access, name)?;
        let reply = self.ask_coordinator(&id, Action::Delete).await?;
        expect_reply!(reply, Reply::Deleted => ())
    }

    /// The dead-letter topic. A key chooses one that it may produce to itself.
    fn dead_letters_wanted(
        &self,
        access: &Access,
        wanted: &GroupSpec,
    ) -> Result<Option<TopicId>, Problem> {
        let Some(name) = &wanted.dead_letter_topic else {
            return Ok(None);
        };
        if !access.allows(&WRITES, Some(name)) {
            let why = format!("the API key's scopes do not allow to produce to the topic {name}");
            return Err(Problem::new(Code::Forbidden, why));
        }
        let pointer = "/dead_letter_topic";
        let topic = self.topic(access, name);
        let topic = topic.map_err(|_| unknown_topic(pointer, name))?;
        if topic.settings.is_compacted() {
            let message = "a compacted topic keeps one record of a key, and takes none without";
            let problem = Problem::new(Code::InvalidSetting, "");
            return Err(problem.at(pointer, "compacted", message));
        }
        Ok(Some(topic.id))
    }

    fn topics_wanted(&self, access: &Access, names: &[String]) -> Result<Vec<Arc<Topic>>, Problem> {
        // Alike whether or not there is such a topic.
        for name in names {
            if !READS.iter().any(|row| access.allows(row, Some(name))) {
                let detail = format!("the API key's scopes do not allow to read the topic {name}");
                return Err(Problem::new(Code::Forbidden, detail));
            }
        }
        let topics = (0..).zip(names).map(|(place, name): (usize, _)| {
            let topic = self.topic(access, name);
            topic.map_err(|_| unknown_topic(format!("/topics/{place}"), name))
        });
        topics.collect()
    }

    /// The end of every partition.
    async fn ends_of(&self, topics: &[Arc<Topic>]) -> Result<Vec<(PartitionId, u64)>, Problem> {
        let mut ends = Vec::new();
        for topic in topics {
            for (partition, state) in (0..).zip(self.partition_states(topic).await?) {
                let id = PartitionId {
                    topic: topic.id,
                    partition,
                };
                ends.push((id, state.high_watermark));
            }
        }
        Ok(ends)
    }
}

fn check(wanted: &GroupSpec) -> Result<(), Problem> {
    if !(1..=GROUP_TOPICS_MAX).contains(&wanted.topics.len()) {
        let message = format!("must be 1 to {GROUP_TOPICS_MAX}");
        return Err(Problem::invalid("/topics", "out_of_range", message));
    }
    for (place, name) in wanted.topics.iter().enumerate() {
        let pointer = format!("/topics/{place}");
        check_name(&pointer, name)?;
        if wanted.topics[..place].contains(name) {
            let message = "name each topic once";
            return Err(Problem::invalid(pointer, "duplicate", message));
        }
    }
    if let Some(lease_ms) = wanted.lease_ms {
        check_lease("/lease_ms", lease_ms)?;
    }
    if wanted.kind == Some(GroupType::Shared) {
        return check_shared(wanted);
    }
    for (pointer, given) in [
        ("/max_attempts", wanted.max_attempts.is_some()),
        ("/dead_letter_topic", wanted.dead_letter_topic.is_some()),
    ] {
        if given {
            let message = "only shared groups have it";
            return Err(Problem::new(Code::InvalidSetting, "").at(
                pointer,
                "not_of_this_type",
                message,
            ));
        }
    }
    Ok(())
}

fn check_shared(wanted: &GroupSpec) -> Result<(), Problem> {
    let most = GROUP_ATTEMPTS.1;
    if let Some(attempts) = wanted.max_attempts
        && !(1..=most).contains(&attempts)
    {
        let message = format!("must be 1 to {most}");
        return Err(Problem::invalid("/max_attempts", "out_of_range", message));
    }
    if let Some(name) = &wanted.dead_letter_topic {
        let pointer = "/dead_letter_topic";
        check_name(pointer, name)?;
        if wanted.topics.contains(name) {
            let message =
                "must not be a topic that the group reads: what is given up would come back";
            let problem = Problem::new(Code::InvalidSetting, "");
            return Err(problem.at(pointer, "own_topic", message));
        }
    }
    Ok(())
}

/// Whether a lease is neither so short that a pause ends it nor so long that a dead member's
/// partitions wait for ever.
pub(super) fn check_lease(pointer: &str, lease_ms: u32) -> Result<(), Problem> {
    let (least, _, most) = GROUP_LEASE_MS;
    if (least..=most).contains(&lease_ms) {
        return Ok(());
    }
    let message = format!("must be {least} to {most}");
    Err(Problem::invalid(pointer, "out_of_range", message))
}

/// PUT ensures: what the body names must already be so.
fn compare(
    is: &Description,
    wanted: &GroupSpec,
    topics: &[Arc<Topic>],
    dead_letters: Option<TopicId>,
) -> Result<(), Problem> {
    let mut problem = Problem::new(Code::GroupExists, "");
    let mut differs = |pointer: &str, differs: bool| {
        if differs {
            let message =
                "the existing group has another value; delete it first, or take another name";
            problem = problem.clone().at(pointer, "different", message);
        }
    };
    let (kind, rules) = match is.config.kind {
        Kind::Partitioned => (GroupType::Partitioned, None),
        Kind::Shared(rules) => (GroupType::Shared, Some(rules)),
    };
    differs("/type", wanted.kind.is_some_and(|wanted| wanted != kind));
    differs(
        "/max_attempts",
        wanted.max_attempts.is_some()
            && wanted.max_attempts != rules.map(|rules| rules.max_attempts),
    );
    differs(
        "/dead_letter_topic",
        dead_letters.is_some() && dead_letters != rules.and_then(|rules| rules.dead_letters),
    );
    let reads: BTreeSet<_> = is.config.topics.iter().copied().collect();
    let wants: BTreeSet<_> = topics.iter().map(|topic| topic.id).collect();
    differs("/topics", reads != wants);
    let start = match is.config.start {
        Start::Earliest => GroupStart::Earliest,
        Start::Latest => GroupStart::Latest,
    };
    differs("/start", wanted.start.is_some_and(|wanted| wanted != start));
    let lease_ms = is.config.lease_ms;
    differs(
        "/lease_ms",
        wanted.lease_ms.is_some_and(|wanted| wanted != lease_ms),
    );
    match problem.errors.is_empty() {
        true => Ok(()),
        false => Err(problem),
    }
}
