//! Changes of metadata: one transaction each, with what the audit log says of it inside.

use std::{net::IpAddr, sync::Arc};

use super::Gateway;
use crate::{
    limits::METADATA_TIMEOUT,
    metadata::{Change, store::AuditRow},
    problem::{Code, Problem},
};

/// Who wants to change what, from where.
#[derive(Debug, Clone)]
pub struct Intent {
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
        AuditRow {
            id: format!("{at_ms:013}-{order:016x}-{:08x}", rand::random::<u32>()),
            organization_id: organization.to_owned(),
            at: at_ms,
            actor: self.actor.clone(),
            action: self.action.to_owned(),
            target: target.to_owned(),
            outcome: outcome.to_owned(),
            source_ip: self.source_ip.to_canonical().to_string(),
            request_id: self.request_id.to_string(),
        }
    }
}

impl Gateway {
    /// Begins a change of metadata, after those that are under way.
    pub(super) async fn change(&self) -> Result<Change, Problem> {
        let begun = self.store.change(self.clock.now_ms());
        match tokio::time::timeout(METADATA_TIMEOUT, begun).await {
            Ok(begun) => begun.map_err(unavailable),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Writes a change of `target` into the audit log of its organization and makes both so; a dry
    /// run leaves everything as it was.
    pub(super) async fn conclude(
        &self,
        mut change: Change,
        intent: &Intent,
        organization: &str,
        target: &str,
    ) -> Result<(), Problem> {
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
            Ok(dead_topics) => self.remove_topics(dead_topics).await,
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
