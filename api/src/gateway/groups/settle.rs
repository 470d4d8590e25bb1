//! What workers say of their leases.

use headwater_groups::{Action, Nack, Outcome, Reject, Reply, Settlement, Token};
use serde::Serialize;

use super::{Gateway, expect_reply, group_id, token::open_lease};
use crate::{auth::Access, problem::Problem};

/// What a worker says of its leases, as they were handed to it.
#[derive(Debug, Default)]
pub struct SettleAsk {
    /// Done.
    pub ack: Vec<String>,
    /// Failed: leases, how long to wait before the next attempt, and why.
    pub nack: Vec<(String, u32, String)>,
    /// Not done yet: leases, and how much longer they need.
    pub extend: Vec<(String, u32)>,
    /// Never to be tried again, and why.
    pub reject: Vec<(String, String)>,
}

/// What came of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettleStatus {
    /// It is as the worker wants it, also if it was so already.
    Ok,
    /// The record is leased again, given up, or was given back: the lease says nothing any more.
    Expired,
    /// The group never gave this lease, or was reset or made anew since.
    Unknown,
}

impl Gateway {
    /// Takes what a worker says. Answers what came of each lease, in the order ack, nack, extend, reject.
    ///
    /// # Errors
    /// 404 without such a group, 409 if it is partitioned.
    pub async fn settle_records(
        &self,
        access: &Access,
        group: &str,
        ask: &SettleAsk,
    ) -> Result<Vec<SettleStatus>, Problem> {
        let id = group_id(access, group)?;
        let mut good = Vec::new();
        let mut open = |text: &str| -> Option<Token> {
            let token = open_lease(&access.project, group, text);
            good.push(token.is_some());
            token
        };
        let settlement = Settlement {
            ack: ask.ack.iter().filter_map(|text| open(text)).collect(),
            nack: ask
                .nack
                .iter()
                .filter_map(|(text, delay_ms, reason)| {
                    Some(Nack {
                        token: open(text)?,
                        delay_ms: *delay_ms,
                        reason: reason.clone(),
                    })
                })
                .collect(),
            extend: ask
                .extend
                .iter()
                .filter_map(|(text, lease_ms)| Some((open(text)?, *lease_ms)))
                .collect(),
            reject: ask
                .reject
                .iter()
                .filter_map(|(text, reason)| {
                    Some(Reject {
                        token: open(text)?,
                        reason: reason.clone(),
                    })
                })
                .collect(),
            release: Vec::new(),
        };
        let may_kill = !settlement.nack.is_empty() || !settlement.reject.is_empty();
        let reply = self
            .ask_coordinator(&id, Action::Settle(settlement))
            .await?;
        let outcomes = expect_reply!(reply, Reply::Settled(outcomes) => outcomes)?;
        if may_kill {
            self.write_dead_letters(&id).await;
        }
        let mut outcomes = outcomes.into_iter();
        let statuses = good.into_iter().map(|is_good| match is_good {
            true => outcomes.next().map_or(SettleStatus::Unknown, status),
            false => SettleStatus::Unknown,
        });
        Ok(statuses.collect())
    }
}

fn status(outcome: Outcome) -> SettleStatus {
    match outcome {
        Outcome::Ok => SettleStatus::Ok,
        Outcome::Expired => SettleStatus::Expired,
        Outcome::Unknown => SettleStatus::Unknown,
    }
}

impl SettleAsk {
    /// All leases, in the order of what is answered.
    pub fn into_leases(self) -> impl Iterator<Item = String> {
        let nack = self.nack.into_iter().map(|(lease, ..)| lease);
        let extend = self.extend.into_iter().map(|(lease, _)| lease);
        let reject = self.reject.into_iter().map(|(lease, _)| lease);
        self.ack.into_iter().chain(nack).chain(extend).chain(reject)
    }
}
