//! Having a partition go on with a copy that may lack what was acknowledged, because nobody who has all
//! of it will come back. A person decides that.

use std::sync::Arc;

use futures_util::future::join_all;
use headwater_broker::{
    BrokerId, CopyState, Manifest, PartitionId, Placement, Proposal,
    controller::{Brokers, is_lost, led_with_loss},
    replica::Assignment,
};
use tokio::time::timeout;

use super::{
    Gateway, Intent,
    changes::{changed_meanwhile, unavailable, write_down},
    partition_not_found,
};
use crate::{
    auth::Caller,
    limits::HOLDINGS_WAIT,
    metadata::store::BrokerRow,
    problem::{Code, Problem},
};

/// Who may lead a partition of which no in-sync copy is left, and what that costs.
pub struct LossyElection {
    /// The partition.
    pub id: PartitionId,
    /// The term that begins.
    pub epoch: i32,
    /// Who leads in it, if one was named.
    pub leader: Option<BrokerId>,
    /// Whose copies are given up: those that had everything.
    pub given_up: Vec<BrokerId>,
    /// The copies of live brokers, the one that has the most first.
    pub candidates: Vec<Candidate>,
    /// Live brokers with a copy that did not say what they have.
    pub silent: Vec<BrokerId>,
}

/// A copy that could lead.
pub struct Candidate {
    /// Its broker.
    pub broker: BrokerId,
    /// What it has.
    pub copy: CopyState,
    /// What would be lost.
    pub lost: Lost,
}

/// Offsets that are lost. What the copies that are given up had beyond them, nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// The first.
    pub from: u64,
    /// One past the last that anybody who answers knows of; `from` if nobody knows of any.
    pub known_to: u64,
}

/// A partition as it was before an election.
struct Found {
    row: Arc<Assignment>,
    brokers: Brokers,
    /// Everything below is in the object store.
    cold_end: u64,
}

impl Gateway {
    /// Has `leader` lead a partition of which no in-sync copy lives, if whoever asks accepts the loss.
    /// A dry run says who can, and what would be lost.
    ///
    /// # Errors
    /// 404 without such a partition; 409 while a copy lives that has everything, or if the broker cannot
    /// lead; 412 if something changed meanwhile; 422 if the loss is not accepted.
    pub async fn elect_with_loss(
        &self,
        intent: &Intent,
        caller: &Caller,
        id: PartitionId,
        leader: Option<BrokerId>,
        accepts_loss: bool,
    ) -> Result<LossyElection, Problem> {
        let found = self.find_lost(id).await?;
        let (election, lost) = self.ask_copies(id, leader, &found).await?;
        if intent.dry_run {
            return Ok(election);
        }
        let (Some(leader), Some(lost)) = (leader, lost) else {
            return Err(Problem::new(Code::InvalidSetting, "").at(
                "/broker",
                "required",
                "name the broker that shall lead; a dry run lists those that can",
            ));
        };
        if !accepts_loss {
            let message = format!("{lost}: say that this is accepted");
            let problem = Problem::new(Code::InvalidSetting, "");
            return Err(problem.at("/accept_loss", "required", message));
        }
        let mut change = self.begin(intent).await?;
        // A copy that has everything may have come back while the others were asked.
        let mut now = Brokers::new();
        for row in BrokerRow::all(&mut change).await.map_err(unavailable)? {
            now.insert(row.number().map_err(unavailable)?, row.view());
        }
        let new = led_with_loss(&found.row, leader, &now).ok_or_else(changed_meanwhile)?;
        let lives = found.brokers.get(&leader).map(|view| view.incarnation);
        let proposal = Proposal {
            id,
            was: found.row.partition_epoch,
            row: new.clone(),
            // The life in which it said what it has.
            added: lives.map(|life| (leader, life)).into_iter().collect(),
        };
        let proposed = change.propose(vec![proposal]).await.map_err(unavailable)?;
        if proposed.rows != [Some(new)] {
            return Err(changed_meanwhile());
        }
        let epoch = election.epoch;
        let target = format!("cluster/partitions/{id}: broker {leader} leads term {epoch}, {lost}");
        self.write_down_loss(&mut change, intent, caller, id, &target)
            .await?;
        tracing::warn!(partition = %id, leader, epoch, %lost, actor = intent.actor, "a loss was accepted");
        self.commit(change).await?;
        Ok(election)
    }

    /// A partition that nobody can lead who has everything.
    async fn find_lost(&self, id: PartitionId) -> Result<Found, Problem> {
        let dead_topics = self.catch_up().await.map_err(unavailable)?;
        self.catalog.leave_dead(dead_topics);
        let topic = self.catalog.topic_of(id.topic);
        let topic = topic
            .ok_or_else(|| Problem::new(Code::TopicNotFound, "there is no topic of this id"))?;
        let row = topic.placement.partitions.get(id.partition as usize);
        let row = row.ok_or_else(|| partition_not_found(&topic))?.clone();
        let brokers = self.catalog.brokers().views.clone();
        if !is_lost(&row, &brokers) {
            let members = row.in_sync.iter();
            let live = members.filter(|id| brokers.get(id).is_some_and(|v| v.state.is_live()));
            let live: Vec<_> = live.map(BrokerId::to_string).collect();
            return Err(Problem::new(
                Code::InSyncCopyLives,
                format!("everything is on broker {}", live.join(", ")),
            ));
        }
        let summaries = self.store.summaries(vec![id]).await.map_err(unavailable)?;
        Ok(Found {
            row,
            brokers,
            cold_end: summaries.first().map_or(0, |cold| cold.end),
        })
    }

    /// Has the live copies say what they have, and holds that of `leader` against the others.
    async fn ask_copies(
        &self,
        id: PartitionId,
        leader: Option<BrokerId>,
        found: &Found,
    ) -> Result<(LossyElection, Option<Lost>), Problem> {
        let is_live = |id: &&BrokerId| found.brokers.get(id).is_some_and(|v| v.state.is_live());
        let asked = found
            .row
            .replicas
            .iter()
            .filter(is_live)
            .map(|&broker| async move {
                let remote = self.cluster.broker(broker)?;
                let copy = timeout(HOLDINGS_WAIT, remote.copy(id)).await;
                Some((broker, copy.ok()?.ok()?))
            });
        let copies: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
        let said = |broker: &BrokerId| copies.iter().any(|(said, _)| said == broker);
        let silent = found.row.replicas.iter().filter(is_live);
        let silent = silent.filter(|broker| !said(broker)).copied().collect();
        let candidates = candidates(copies, found.cold_end);
        let lost = match leader {
            Some(leader) => Some(lost_with(leader, &candidates, found)?),
            None => None,
        };
        let election = LossyElection {
            id,
            epoch: found.row.epoch + 1,
            leader,
            given_up: found.row.in_sync.clone(),
            candidates,
            silent,
        };
        Ok((election, lost))
    }

    /// Writes the loss into the audit logs of those who asked for it, and of the organization whose
    /// records they were.
    async fn write_down_loss(
        &self,
        change: &mut crate::metadata::Change,
        intent: &Intent,
        caller: &Caller,
        id: PartitionId,
        target: &str,
    ) -> Result<(), Problem> {
        self.write_down_at_large(change, intent, caller, target)
            .await?;
        let Some(topic) = Placement::describe(&*self.catalog, id.topic) else {
            return Ok(());
        };
        let (owner, _) = topic.organization;
        let theirs = caller.organizations(&self.catalog);
        match theirs
            .iter()
            .any(|(organization, _)| organization.id == owner)
        {
            true => Ok(()),
            false => write_down(change, intent, &owner, target).await,
        }
    }
}

/// The copies, the one that has the most first, each with what those that have more tell of its loss.
fn candidates(mut copies: Vec<(BrokerId, CopyState)>, cold_end: u64) -> Vec<Candidate> {
    copies.sort_by_key(|(_, copy)| std::cmp::Reverse(copy.rank()));
    let lost = |copy: &CopyState| {
        let more = copies
            .iter()
            .filter(|(_, other)| other.rank() > copy.rank());
        let mut lost = Lost {
            from: copy.end,
            known_to: copy.end.max(cold_end),
        };
        for (_, other) in more {
            lost.from = lost.from.min(copy.parts_from(other));
            lost.known_to = lost.known_to.max(other.end);
        }
        lost
    };
    let losses: Vec<_> = copies.iter().map(|(_, copy)| lost(copy)).collect();
    let candidates = copies.into_iter().zip(losses);
    candidates
        .map(|((broker, copy), lost)| Candidate { broker, copy, lost })
        .collect()
}

/// What is lost if this broker leads.
fn lost_with(leader: BrokerId, candidates: &[Candidate], found: &Found) -> Result<Lost, Problem> {
    let cannot = |why: String| Err(Problem::new(Code::CannotLead, why));
    if !found.row.replicas.contains(&leader) {
        return cannot(format!("broker {leader} has no copy of the partition"));
    }
    let Some(candidate) = candidates.iter().find(|c| c.broker == leader) else {
        return cannot(format!("broker {leader} does not say what it has"));
    };
    // What is in the object store would be there under other records' offsets.
    if candidate.copy.end < found.cold_end {
        return cannot(format!(
            "the copy of broker {leader} ends at {}, and the object store has everything below {}",
            candidate.copy.end, found.cold_end
        ));
    }
    Ok(candidate.lost)
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from, known_to } = self;
        write!(
            f,
            "offsets from {from} on are lost, known to have gone to {known_to}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_loses_what_those_have_that_have_more() {
        let copy = |end, epochs: &[(i32, u64)]| CopyState {
            log_start: 0,
            end,
            epochs: epochs.to_vec(),
        };
        let copies = vec![
            (1, copy(90, &[(1, 0)])),
            (2, copy(120, &[(1, 0), (3, 80)])),
            (3, copy(150, &[(1, 0), (2, 85)])),
        ];
        let lost: Vec<_> = candidates(copies, 100)
            .iter()
            .map(|c| (c.broker, c.lost.from, c.lost.known_to))
            .collect();
        assert_eq!(lost, [(2, 120, 120), (3, 80, 150), (1, 80, 150)]);
    }
}
