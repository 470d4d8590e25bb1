//! Looking after in-sync sets: who is late is asked to leave, who has caught up is asked in.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use headwater_log::PartitionId;

use super::Node;
use crate::{
    partition::Partition,
    placement::{BrokerId, Proposal},
    replica::{InSyncChange, InSyncOutcome},
};

/// Between two looks at the partitions that are not settled.
const REVIEW: Duration = Duration::from_millis(250);
/// Looks between two tries to give leadership to whom it belongs.
const LOOKS_UNTIL_HOME: u32 = 20;
/// Changes that are asked for at once.
const PROPOSALS_MAX: usize = 5_000;

type Asked = (Arc<Partition>, InSyncChange);

/// Starts the task; it ends with the node.
pub(super) fn start(node: &Weak<Node>) {
    tokio::spawn(review(node.clone()));
}

async fn review(node: Weak<Node>) {
    let mut ticks = tokio::time::interval(REVIEW);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for looks in 1_u32.. {
        ticks.tick().await;
        let Some(node) = node.upgrade().filter(|node| !node.stopped()) else {
            return;
        };
        if looks.is_multiple_of(LOOKS_UNTIL_HOME) && !node.is_leaving() {
            node.bring_home().await;
        }
        let (asked, proposals) = node.look();
        if !proposals.is_empty() {
            // The next look waits for the answer, or for its bound: one question at a time.
            node.ask(asked, proposals).await;
        }
        // Who can be done without has been asked to leave by now.
        node.resign().await;
    }
}

impl Node {
    /// Has a partition's in-sync set looked after until it is settled.
    pub(super) fn look_after(&self, partition: &Partition) {
        if !partition.unsettled.swap(true, Ordering::AcqRel) {
            self.unsettled.lock().insert(partition.id);
        }
    }

    /// The same of all in which a broker follows this one.
    pub(super) fn look_after_those_of(&self, follower: BrokerId) {
        self.topics.each(|partition| {
            let row = partition.row();
            if row.is_some_and(|row| row.replicas.contains(&follower)) {
                self.look_after(partition);
            }
        });
    }

    /// Hears of a follower.
    pub(super) fn heard(&self, follower: BrokerId) {
        self.heard.lock().insert(follower, self.started.elapsed());
    }

    /// Whether a broker was heard of as a follower within `time`.
    pub(super) fn hears(&self, follower: BrokerId, time: Duration) -> bool {
        let heard = self.heard.lock().get(&follower).copied();
        heard.is_some_and(|at| self.started.elapsed().saturating_sub(at) < time)
    }

    fn look(&self) -> (Vec<Asked>, Vec<Proposal>) {
        let now = self.started.elapsed();
        let heard = self.heard.lock().clone();
        let brokers = self.placement.brokers();
        let silent_for = |broker: BrokerId| {
            let view = brokers.views.get(&broker);
            match heard.get(&broker) {
                // The database says it is gone; nothing is waited for.
                _ if view.is_some_and(|view| !view.state.is_live()) => Duration::MAX,
                Some(at) => now.saturating_sub(*at),
                // Who has not come yet is judged by what it lacks.
                None => Duration::ZERO,
            }
        };
        let ids: Vec<PartitionId> = self.unsettled.lock().iter().copied().collect();
        let (mut asked, mut proposals) = (Vec::new(), Vec::new());
        for id in ids {
            let Some(partition) = self.topics.existing(id) else {
                self.unsettled.lock().remove(&id);
                continue;
            };
            if partition.is_settled() {
                // The mark goes first: who appends now puts it on the list again.
                partition.unsettled.store(false, Ordering::Release);
                self.unsettled.lock().remove(&id);
                if !partition.is_settled() {
                    self.look_after(&partition);
                }
                continue;
            }
            if proposals.len() < PROPOSALS_MAX
                && let Some((change, proposal)) = partition.review(now, silent_for)
            {
                asked.push((partition, change));
                proposals.push(proposal);
            }
        }
        (asked, proposals)
    }

    async fn ask(&self, asked: Vec<Asked>, proposals: Vec<Proposal>) {
        let changes = proposals.len();
        let Some(joined) = self.joined.get() else {
            return;
        };
        let outcomes = match joined.registry.propose(proposals).await {
            Ok(rows) => {
                tracing::info!(changes, "in-sync sets were changed");
                let known = |row: Option<_>| row.map_or(InSyncOutcome::Unknown, InSyncOutcome::Row);
                rows.into_iter().map(known).collect()
            }
            Err(error) => {
                tracing::warn!(changes, %error, "in-sync sets could not be changed");
                vec![InSyncOutcome::Unknown; changes]
            }
        };
        for ((partition, change), outcome) in asked.into_iter().zip(outcomes) {
            partition.on_in_sync(&change, outcome);
        }
    }
}
