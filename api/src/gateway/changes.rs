//! Changes of metadata: one transaction each, with what the audit log says of it inside.

use std::{net::IpAddr, sync::Arc};

use super::{Gateway, in_time};
use crate::{
    auth::{Access, Caller, Permission, Role},
    limits::{CHANGE_WAIT, REMOVED_AT_ONCE},
    metadata::{Change, Kind, store::AuditRow},
    problem::{Code, Problem},
};

/// What a call was let in for, to be asked again when its change begins: between the two lie a body
/// and other changes.
#[derive(Clone)]
pub struct Standing {
    /// Who.
    pub caller: Caller,
    /// For what.
    pub permission: Permission,
    /// Where.
    pub place: Place,
}

/// What a call is about.
#[derive(Debug, Clone)]
pub enum Place {
    /// No organization in particular.
    AtLarge,
    /// An organization, and a person in it.
    Organization(String, Option<String>),
    /// A project, and a topic or group in it.
    Project(String, Option<String>),
}

/// Who wants to change what, from where.
#[derive(Clone)]
pub struct Intent {
    /// What the caller was let in for; nothing where the call proves itself.
    pub standing: Option<Standing>,
    /// As the audit log names them.
    pub actor: String,
    /// Where the request came from.
    pub source_ip: IpAddr,
    /// The request's id.
    pub request_id: Arc<str>,
    /// The operation's id.
    pub action: &'static str,
    /// Whether everything but the change is to be done.
    pub dry_run: bool,
}

impl Intent {
    /// What the audit log says of it. Events sort by time, and changes of one millisecond by `order`.
    pub fn event(
        &self,
        organization: &str,
        target: &str,
        outcome: &str,
        at_ms: i64,
        order: i64,
    ) -> AuditRow {
        // Names out of a request: bounded, on one line, and such that every database takes them.
        let plain = |text: &str, most: usize| -> String {
            let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
            text.chars().map(plain).take(most).collect()
        };
        AuditRow {
            id: format!("{at_ms:013}-{order:016x}-{:08x}", rand::random::<u32>()),
            organization_id: organization.to_owned(),
            at: at_ms,
            actor: plain(&self.actor, 512),
            action: self.action.to_owned(),
            target: plain(target, 512),
            outcome: outcome.to_owned(),
            source_ip: self.source_ip.to_canonical().to_string(),
            request_id: self.request_id.to_string(),
        }
    }
}

impl Gateway {
    /// Begins a change of metadata, after those that are under way, if who wants it still may. What
    /// they and their organization are then stays so until it ends.
    pub(super) async fn begin(&self, intent: &Intent) -> Result<Change, Problem> {
        Ok(self.begin_with_role(intent).await?.0)
    }

    /// The same in an organization, with what the caller is in it.
    pub(super) async fn begin_with_role(
        &self,
        intent: &Intent,
    ) -> Result<(Change, Option<Role>), Problem> {
        let (change, standing) = self.begin_again(intent).await?;
        let Some(Standing {
            caller,
            permission,
            place,
        }) = standing
        else {
            return Ok((change, None));
        };
        let role = match &place {
            Place::AtLarge => {
                caller.check_at_large(&self.catalog, &permission)?;
                None
            }
            Place::Organization(id, about) => {
                let about = about.as_deref();
                let (_, role) = caller.open_organization(&self.catalog, &permission, id, about)?;
                Some(role)
            }
            Place::Project(id, name) => {
                let name = name.as_deref();
                let access = caller.open_project(&self.catalog, &permission, id, name)?;
                Some(access.role)
            }
        };
        Ok((change, role))
    }

    /// The same in a project, with what the caller may there.
    pub(super) async fn begin_in_project(
        &self,
        intent: &Intent,
    ) -> Result<(Change, Access), Problem> {
        let (change, standing) = self.begin_again(intent).await?;
        match standing {
            Some(Standing {
                caller,
                permission,
                place: Place::Project(id, name),
            }) => {
                let name = name.as_deref();
                let access = caller.open_project(&self.catalog, &permission, &id, name)?;
                Ok((change, access))
            }
            _ => Err(Problem::internal("a change has no project", intent.action)),
        }
    }

    async fn begin_again(&self, intent: &Intent) -> Result<(Change, Option<Standing>), Problem> {
        let mut change = self.change().await?;
        let Some(standing) = &intent.standing else {
            return Ok((change, None));
        };
        let heard = in_time(self.catalog.catch_up_in(&mut change)).await;
        self.catalog.leave_dead(heard.map_err(unavailable)?);
        let now_ms = self.clock.now_ms();
        let caller = standing.caller.again(&self.catalog, now_ms)?;
        let standing = Standing {
            caller,
            ..standing.clone()
        };
        Ok((change, Some(standing)))
    }

    /// Begins a change of metadata, after those that are under way.
    pub(super) async fn change(&self) -> Result<Change, Problem> {
        let begun = self.store.change(self.clock.now_ms());
        match tokio::time::timeout(CHANGE_WAIT, begun).await {
            Ok(begun) => begun.map_err(unavailable),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Has every node read again what was changed, writes the change of `target` into the audit log of
    /// its organization, and makes all of it so; a dry run leaves everything as it was.
    pub(super) async fn conclude(
        &self,
        mut change: Change,
        intent: &Intent,
        (kind, id): (Kind, &str),
        organization: &str,
        target: &str,
    ) -> Result<(), Problem> {
        change.touch(kind, id).await.map_err(unavailable)?;
        if intent.dry_run {
            return Ok(());
        }
        write_down(&mut change, intent, organization, target).await?;
        self.commit(change).await
    }

    /// Makes a change so, and has this node know of it before its caller does.
    pub(super) async fn commit(&self, change: Change) -> Result<(), Problem> {
        let committed = change.commit().await;
        committed.map_err(|error| {
            tracing::error!(%error, "a change of metadata was not confirmed");
            Problem::new(
                Code::OutcomeUnknown,
                "the metadata database did not confirm the change; read it again",
            )
        })?;
        match self.catch_up().await {
            Ok(dead_topics) if dead_topics.len() <= REMOVED_AT_ONCE => {
                self.remove_topics(dead_topics).await;
            }
            // The answer does not wait for so many; who follows the feed removes them.
            Ok(dead_topics) => self.catalog.leave_dead(dead_topics),
            Err(error) => tracing::warn!(%error, "a change is made, and not yet known here"),
        }
        Ok(())
    }
}

/// Writes a change into an organization's audit log, in the change's own transaction.
pub(super) async fn write_down(
    change: &mut Change,
    intent: &Intent,
    organization: &str,
    target: &str,
) -> Result<(), Problem> {
    let (at_ms, order) = (change.at_ms(), change.number());
    let event = intent.event(organization, target, "allowed", at_ms, order);
    event.insert(change).await.map_err(unavailable)
}

/// Whether `if_match` names this version, or none is asked for.
///
/// # Errors
/// 412 if not.
pub(super) fn check_version(version: i64, if_match: Option<&str>) -> Result<(), Problem> {
    let tag = format!("\"{version}\"");
    match if_match {
        Some(wanted) if wanted != "*" && !wanted.split(',').any(|wanted| wanted.trim() == tag) => {
            Err(changed_meanwhile())
        }
        _ => Ok(()),
    }
}

/// Whether something may be made that must not exist for the call to have been made blindly.
///
/// # Errors
/// 412 if the call expected something to be there.
pub(super) fn check_absent(if_match: Option<&str>) -> Result<(), Problem> {
    match if_match {
        Some(_) => Err(changed_meanwhile()),
        None => Ok(()),
    }
}

pub(super) fn changed_meanwhile() -> Problem {
    Problem::new(
        Code::PreconditionFailed,
        "it was changed meanwhile; read it again",
    )
}

pub(super) fn unavailable(error: impl std::fmt::Display) -> Problem {
    tracing::error!(%error, "the metadata database failed");
    Problem::new(Code::Unavailable, "the metadata database does not answer")
}
