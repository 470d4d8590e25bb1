//! Handing leadership over without losing a request: appends stop, what was appended is committed,
//! then the metadata names the next leader.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::Node;
use crate::{
    controller::{BrokerState, away, home},
    partition::Partition,
    placement::Proposal,
    replica::Assignment,
};

/// How long what was appended may take to be committed, until the leader goes on leading.
const SETTLE: Duration = Duration::from_millis(300);
const SETTLE_POLL: Duration = Duration::from_millis(2);
/// Partitions that are handed over at once.
const TRANSFERS_MAX: usize = 5_000;

impl Node {
    /// Leaves the cluster in good order, before a stop: other members of the in-sync sets lead, and
    /// wait for this broker no more. Where there is nobody, nothing changes.
    pub async fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
        let brokers = self.placement.brokers();
        let led = self.led_rows(|row| {
            let mut row = away(row, self.id, &brokers.views)?;
            // Whoever leads next need not wait for this broker.
            excuse(&mut row, self.id);
            Some(row)
        });
        let partitions = led.len();
        self.transfer(led).await;
        let mut followed = Vec::new();
        self.topics.each(|partition| {
            let row = partition.row().filter(|_| partition.follows().is_some());
            if let Some(mut row) = row.map(|row| (*row).clone())
                && excuse(&mut row, self.id)
            {
                row.partition_epoch += 1;
                followed.push(self.proposal(partition, row));
            }
        });
        if let Some(joined) = self.joined.get()
            && !followed.is_empty()
            && let Err(error) = joined.registry.propose(followed).await
        {
            tracing::warn!(%error, "this broker leaves without being excused");
        }
        // Who follows on is asked in again.
        self.left.store(true, Ordering::Release);
        tracing::info!(partitions, "leadership was handed over");
    }

    /// Ends moves that are done, gives partitions back to those who are to lead them, and all of them
    /// away if this broker drains.
    pub async fn bring_home(&self) {
        let brokers = self.placement.brokers();
        let drains = brokers.views.get(&self.id).map(|view| view.state);
        let drains = drains == Some(BrokerState::Draining);
        let led = self.led_rows(|row| {
            let home = home(row, &brokers.views).filter(|row| self.hears_leader(row));
            home.or_else(|| away(row, self.id, &brokers.views).filter(|_| drains))
        });
        self.transfer(led).await;
    }

    /// Partitions that this broker leads, with the row that `next` wants for them.
    fn led_rows(
        &self,
        next: impl Fn(&Assignment) -> Option<Assignment>,
    ) -> Vec<(Arc<Partition>, Assignment)> {
        let mut led = Vec::new();
        self.topics.each(|partition| {
            if partition.leads()
                && partition.is_replicated()
                && led.len() < TRANSFERS_MAX
                && let Some(row) = partition.row().and_then(|row| next(&row))
            {
                led.push((partition.clone(), row));
            }
        });
        led
    }

    /// Whether the row's leader is this broker, or follows it now. To one that is cut off nothing is
    /// given, though it renews its lease and is still in sync.
    fn hears_leader(&self, row: &Assignment) -> bool {
        row.leader.is_some_and(|leader| {
            leader.broker == self.id || self.hears(leader.broker, self.lag_max)
        })
    }

    fn proposal(&self, partition: &Partition, row: Assignment) -> Proposal {
        Proposal {
            id: partition.id,
            was: row.partition_epoch - 1,
            row,
            added: Vec::new(),
        }
    }

    async fn transfer(&self, led: Vec<(Arc<Partition>, Assignment)>) {
        if led.is_empty() {
            return;
        }
        led.iter()
            .for_each(|(partition, _)| partition.hand_over(true));
        let deadline = tokio::time::Instant::now() + SETTLE;
        let open = || led.iter().any(|(partition, _)| !partition.is_committed());
        while open() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(SETTLE_POLL).await;
        }
        let (settled, open): (Vec<_>, Vec<_>) = led
            .into_iter()
            .partition(|(partition, _)| partition.is_committed());
        open.iter()
            .for_each(|(partition, _)| partition.hand_over(false));
        self.give_up(settled).await;
    }

    /// Has others lead, by these rows. Nothing is appended from here on until it is known whether
    /// they do.
    pub(super) async fn give_up(&self, led: Vec<(Arc<Partition>, Assignment)>) {
        let Some(joined) = self.joined.get().filter(|_| !led.is_empty()) else {
            return;
        };
        led.iter()
            .for_each(|(partition, _)| partition.hand_over(true));
        let proposals = led
            .iter()
            .map(|(partition, row)| self.proposal(partition, row.clone()))
            .collect();
        match joined.registry.propose(proposals).await {
            Ok(rows) => {
                let known = led
                    .iter()
                    .zip(rows)
                    .filter_map(|((partition, _), row)| Some((partition.id, Arc::new(row?))));
                // The feed would say so too, a little later.
                if let Err(error) = self.assign(known.collect()).await {
                    tracing::error!(%error, "roles cannot be given up");
                }
            }
            Err(error) => tracing::warn!(%error, "leadership could not be handed over"),
        }
        // Those who lead still go on; for those who do not it means nothing.
        led.iter()
            .for_each(|(partition, _)| partition.hand_over(false));
    }
}

/// Takes `me` out of the in-sync set, if it is in there and enough stay. Answers whether it did.
fn excuse(row: &mut Assignment, me: u32) -> bool {
    let can = row.in_sync.contains(&me) && row.in_sync.len() > row.min_insync_replicas;
    if can {
        row.in_sync.retain(|broker| *broker != me);
    }
    can
}
