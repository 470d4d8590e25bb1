//! How groups are.

use futures_util::{StreamExt, TryStreamExt, stream};
use headwater_groups::{
    Action, Description, Kind, MemberDescription, Reply, Start, State, Summary,
};
use serde::Serialize;

use super::{
    Gateway, GroupPosition, GroupStart, GroupType, TopicPartition, as_rfc3339, expect_reply,
    group_id,
};
use crate::{
    auth::{Access, Operation, permissions::ListGroups},
    limits::GROUPS_AT_ONCE,
    problem::{Code, Problem},
};

/// How a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupState {
    /// It has no members, or no worker has a record of it.
    Empty,
    /// Every partition is where it is to be.
    Stable,
    /// Partitions are to move when their owners poll.
    Rebalancing,
}

/// A member of a group.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct GroupMember {
    /// Its name.
    #[schema(example = "worker-1")]
    pub member: String,
    /// Which life of it; null if it did not say.
    pub instance: Option<String>,
    /// What it owns.
    pub assignment: Vec<TopicPartition>,
    /// When its lease ends: RFC 3339.
    #[serde(rename = "expires_at", serialize_with = "as_rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub expires_at_ms: i64,
}

/// A group's settings.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct GroupConfig {
    /// Where it began.
    pub start: GroupStart,
    /// The lease of members, or of records, where none is asked for.
    pub lease_ms: u32,
    /// Of a shared group: how often a record is tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Of a shared group: where records go that were tried so often, if anywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter_topic: Option<String>,
}

/// How much of a shared group's work is in which state.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct GroupWork {
    /// Records with a worker.
    pub leased: usize,
    /// Records that were given back, or whose lease ended, and that wait for their next attempt.
    pub waiting: usize,
    /// Records that are to be written to the dead-letter topic.
    pub dead: usize,
    /// Records that were ever given up while there was no dead-letter topic.
    pub dropped: u64,
}

/// A group in a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct GroupSummary {
    /// Its name.
    #[schema(example = "billing")]
    pub group: String,
    /// How records are shared out.
    #[serde(rename = "type")]
    pub kind: GroupType,
    /// How it is.
    pub state: GroupState,
    /// What it reads; a topic that was deleted is not in it any more.
    pub topics: Vec<String>,
    /// By name.
    pub members: Vec<GroupMember>,
    /// Its settings.
    pub config: GroupConfig,
}

/// A group.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(example = json!({
    "group": "billing", "type": "partitioned", "state": "stable", "topics": ["orders"],
    "members": [{"member": "worker-1", "instance": "pod-7f9c", "assignment": [{"topic": "orders",
    "partition": 0}], "expires_at": "2026-01-31T12:00:45.000Z"}], "config": {"start": "earliest",
    "lease_ms": 45000}, "positions": [{"topic": "orders", "partition": 0, "committed": 42,
    "high_watermark": 43, "lag": 1, "lag_ms": 1500}]
}))]
pub struct Group {
    /// What a list says of it, too.
    #[serde(flatten)]
    pub summary: GroupSummary,
    /// How far it is, by topic and partition.
    pub positions: Vec<GroupPosition>,
    /// Of a shared group: what its workers are at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work: Option<GroupWork>,
}

impl Gateway {
    /// A group, with how far it is and how far behind.
    ///
    /// # Errors
    /// 404 without such a group.
    pub async fn get_group(&self, access: &Access, name: &str) -> Result<Group, Problem> {
        let is = self.description(access, name).await?;
        Ok(self.group(access, is).await)
    }

    /// The project's groups after `after` that the caller may see, by name, at most `most`.
    ///
    /// # Errors
    /// A coordinator cannot be asked.
    pub async fn list_groups_of(
        &self,
        access: &Access,
        after: &str,
        most: usize,
    ) -> Result<Vec<GroupSummary>, Problem> {
        let names = self.group_names(access, after, most).await?;
        let described = names.into_iter().map(async |name| {
            match self.description(access, &name).await {
                Ok(is) => Ok(Some(self.summary(access, is))),
                // It was deleted meanwhile.
                Err(problem) if problem.code == Code::GroupNotFound => Ok(None),
                Err(problem) => Err(problem),
            }
        });
        let described = stream::iter(described).buffered(GROUPS_AT_ONCE);
        described
            .try_filter_map(async |summary| Ok(summary))
            .try_collect()
            .await
    }

    /// Page by page: of a project with many groups a key may see few.
    async fn group_names(
        &self,
        access: &Access,
        after: &str,
        most: usize,
    ) -> Result<Vec<String>, Problem> {
        let project = &access.project.id;
        let mut names = Vec::new();
        let mut after = Some(after.to_owned()).filter(|after| !after.is_empty());
        loop {
            let (page, more) = self.list_groups(project, after, most).await?;
            after = page.last().map(|last| last.name.clone());
            let seen = |group: &Summary| access.allows(&ListGroups::ROW, Some(&group.name));
            names.extend(page.into_iter().filter(seen).map(|group| group.name));
            names.truncate(most);
            if !more || after.is_none() || names.len() == most {
                return Ok(names);
            }
        }
    }

    async fn description(&self, access: &Access, name: &str) -> Result<Description, Problem> {
        let id = group_id(access, name)?;
        let reply = self.ask_coordinator(&id, Action::Describe).await?;
        expect_reply!(reply, Reply::Described(is) => is)
    }

    /// A group as clients see it.
    pub(super) async fn group(&self, access: &Access, is: Description) -> Group {
        let positions = self.positions_told(access, &is.positions).await;
        Group {
            work: is.work.map(|work| GroupWork {
                leased: work.leased,
                waiting: work.waiting,
                dead: work.dead,
                dropped: work.dropped,
            }),
            summary: self.summary(access, is),
            positions,
        }
    }

    fn summary(&self, access: &Access, is: Description) -> GroupSummary {
        let topics = is.config.topics.iter();
        let names = topics.filter_map(|id| Some(self.topic_read(access, *id)?.name.clone()));
        let member = |member: MemberDescription| GroupMember {
            assignment: self.named(access, &member.assignment),
            expires_at_ms: member.expires_at_ms,
            member: member.name,
            instance: member.instance,
        };
        let (kind, rules) = match is.config.kind {
            Kind::Partitioned => (GroupType::Partitioned, None),
            Kind::Shared(rules) => (GroupType::Shared, Some(rules)),
        };
        let dead_letters = rules.and_then(|rules| self.topic_read(access, rules.dead_letters?));
        GroupSummary {
            group: is.id.name,
            kind,
            state: match is.state {
                State::Empty => GroupState::Empty,
                State::Stable => GroupState::Stable,
                State::Rebalancing => GroupState::Rebalancing,
            },
            topics: names.collect(),
            members: is.members.into_iter().map(member).collect(),
            config: GroupConfig {
                start: match is.config.start {
                    Start::Earliest => GroupStart::Earliest,
                    Start::Latest => GroupStart::Latest,
                },
                lease_ms: is.config.lease_ms,
                max_attempts: rules.map(|rules| rules.max_attempts),
                dead_letter_topic: dead_letters.map(|topic| topic.name.clone()),
            },
        }
    }
}
