//! Consumer groups. Everything of a group is with its coordinator; a gateway translates between names
//! and ids, reads records, and signs cursors, so that any of them serves any call.

mod cursor;
mod describe;
mod ensure;
mod lag;
mod lease;
mod letters;
mod members;
mod offers;
mod offsets;
mod poll;
mod read;
mod redrive;
mod reset;
mod settle;
mod token;

use std::sync::Arc;

use headwater_groups::{GroupId, PartitionId, Reply, TopicId};
use serde::Serialize;

use super::{Gateway, check_name};
use crate::{
    auth::{Access, Permission},
    metadata::Topic,
    problem::{Code, Problem},
};

pub use describe::{Group, GroupState, GroupSummary};
pub use ensure::{GroupSpec, GroupStart, GroupType};
pub use lease::{LeaseAsk, LeasePage};
pub use letters::{Letters, Writing};
pub use members::Joined;
pub use offsets::GroupPosition;
pub use poll::{GroupGap, GroupPage, Lag, PollAsk};
pub use redrive::{
    LetterOffsets, RecordPlace, RedriveAsk, RedriveFilter, RedrivePage, RedrivenLetter,
};
pub use reset::{ResetAsk, ResetOffset, ResetPartition, ResetTo};
pub use settle::{SettleAsk, SettleStatus};

/// A partition as clients name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
pub struct TopicPartition {
    /// The topic's name.
    #[schema(example = "orders")]
    pub topic: String,
    /// The partition.
    #[schema(example = 0)]
    pub partition: u32,
}

impl Gateway {
    /// Looks again whether a caller still may do to a group what they were let in for.
    ///
    /// # Errors
    /// 401, 403 and 404, as at first, and 503 when nothing is known for too long.
    pub fn check_group(
        &self,
        access: &Access,
        row: &Permission,
        group: &str,
    ) -> Result<(), Problem> {
        let (catalog, now_ms) = (&self.catalog, self.clock.now_ms());
        let version = catalog.version();
        if access.is_unchanged(catalog, now_ms)? {
            return Ok(());
        }
        let caller = access.caller.again(catalog, now_ms)?;
        caller.open_project(catalog, row, &access.project.id, Some(group))?;
        access.asked_at.note(version);
        Ok(())
    }

    /// The topic of that id, if this node knows it and it is of the caller's project.
    fn topic_read(&self, access: &Access, id: TopicId) -> Option<Arc<Topic>> {
        self.topic_in(&access.project.id, id)
    }

    /// The topic of that id, if this node knows it and it is of that project.
    fn topic_in(&self, project: &str, id: TopicId) -> Option<Arc<Topic>> {
        let topic = self.catalog.topic_of(id)?;
        (topic.project == project).then_some(topic)
    }

    /// The partitions by the names of their topics. Those of deleted topics have none.
    fn named(&self, access: &Access, partitions: &[PartitionId]) -> Vec<TopicPartition> {
        let mut named = Vec::with_capacity(partitions.len());
        for of_topic in partitions.chunk_by(|a, b| a.topic == b.topic) {
            let Some(topic) = self.topic_read(access, of_topic[0].topic) else {
                continue;
            };
            named.extend(of_topic.iter().map(|id| TopicPartition {
                topic: topic.name.clone(),
                partition: id.partition,
            }));
        }
        named.sort_unstable();
        named
    }
}

/// The group of that name in the caller's project.
///
/// # Errors
/// 404 if it is no name: there can be no such group.
fn group_id(access: &Access, name: &str) -> Result<GroupId, Problem> {
    check_name("group", name).map_err(|_| group_not_found())?;
    Ok(GroupId {
        project: access.project.id.clone(),
        name: name.to_owned(),
    })
}

fn group_not_found() -> Problem {
    Problem::new(Code::GroupNotFound, "the project has no such group")
}

/// Something is deleted that a group was to read.
fn unknown_topic(pointer: impl Into<String>, name: &str) -> Problem {
    let detail = format!("the project has no topic {name}");
    Problem::new(Code::UnknownTopic, detail.clone()).at(pointer, "topic_not_found", detail)
}

/// Times are RFC 3339 in what clients read.
fn as_rfc3339<S: serde::Serializer>(ms: &i64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&crate::http::rfc3339(*ms))
}

/// The coordinator answered something else.
fn strange(reply: &Reply) -> Problem {
    Problem::internal(
        "a group's coordinator was misunderstood",
        format!("{reply:?}"),
    )
}

/// Takes the answer that a call has, out of those that there are.
macro_rules! expect_reply {
    ($reply:expr, $pattern:pat => $value:expr) => {
        match $reply {
            $pattern => Ok($value),
            other => Err($crate::gateway::groups::strange(&other)),
        }
    };
}
use expect_reply;
