//! Members: joining and leaving.

use headwater_groups::{Action, Reply};
use serde::Serialize;

use super::{
    Gateway, TopicPartition, as_rfc3339,
    cursor::{ahead, open_reached},
    ensure::check_lease,
    expect_reply, group_id,
};
use crate::{auth::Access, gateway::check_name, problem::Problem};

/// What a member is told that joined, or renewed its lease.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(example = json!({
    "epoch": 3, "assignment": [{"topic": "orders", "partition": 0}],
    "expires_at": "2026-01-31T12:00:45.000Z"
}))]
pub struct Joined {
    /// What the next poll names.
    #[schema(example = 3)]
    pub epoch: u64,
    /// What the member owns.
    pub assignment: Vec<TopicPartition>,
    /// When its lease ends: RFC 3339.
    #[serde(rename = "expires_at", serialize_with = "as_rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub expires_at_ms: i64,
}

/// What a member is told that committed.
#[derive(Debug)]
pub struct Committed {
    /// Where it did not count, because the member does not own the partition any more.
    pub ignored: Vec<TopicPartition>,
    /// When the member's lease ends.
    pub expires_at_ms: i64,
}

impl Gateway {
    /// Joins, renews the lease of the same instance, or takes the name over from another one.
    ///
    /// # Errors
    /// 404 without such a group, 400 for a name that is none.
    pub async fn join_group(
        &self,
        access: &Access,
        group: &str,
        member: &str,
        instance: Option<String>,
        lease_ms: Option<u32>,
    ) -> Result<Joined, Problem> {
        let id = group_id(access, group)?;
        check_name("member", member)?;
        if let Some(instance) = &instance {
            check_name("/instance", instance)?;
        }
        if let Some(lease_ms) = lease_ms {
            check_lease("/lease_ms", lease_ms)?;
        }
        let action = Action::Join {
            member: member.to_owned(),
            instance,
            lease_ms,
        };
        let reply = self.ask_coordinator(&id, action).await?;
        let (epoch, assignment, expires_at_ms) = expect_reply!(
            reply,
            Reply::Joined { epoch, assignment, expires_at_ms } => (epoch, assignment, expires_at_ms)
        )?;
        Ok(Joined {
            epoch,
            assignment: self.named(access, &assignment),
            expires_at_ms,
        })
    }

    /// Renews the lease and commits, without reading.
    ///
    /// # Errors
    /// 409 when another instance has the member's name, 410 when its lease ended, 400 for a cursor of
    /// something else.
    pub async fn commit_group(
        &self,
        access: &Access,
        group: &str,
        member: &str,
        epoch: u64,
        cursor: &str,
    ) -> Result<Committed, Problem> {
        let id = group_id(access, group)?;
        check_name("member", member)?;
        let action = Action::Commit {
            member: member.to_owned(),
            epoch,
            commit: ahead(&open_reached(&access.project, group, "cursor", cursor)?),
        };
        let reply = self.ask_coordinator(&id, action).await?;
        let (ignored, expires_at_ms) = expect_reply!(
            reply,
            Reply::Committed { ignored, expires_at_ms } => (ignored, expires_at_ms)
        )?;
        Ok(Committed {
            ignored: self.named(access, &ignored),
            expires_at_ms,
        })
    }

    /// Leaves; its partitions move at once. Who names an epoch leaves only if nobody has taken the
    /// name over since. Who is not there has left.
    ///
    /// # Errors
    /// 404 without such a group, 409 if somebody has the name by now.
    pub async fn leave_group(
        &self,
        access: &Access,
        group: &str,
        member: &str,
        epoch: Option<u64>,
    ) -> Result<(), Problem> {
        let id = group_id(access, group)?;
        check_name("member", member)?;
        let action = Action::Leave {
            member: member.to_owned(),
            epoch,
        };
        let reply = self.ask_coordinator(&id, action).await?;
        expect_reply!(reply, Reply::Left => ())
    }
}
