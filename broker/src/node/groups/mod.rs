//! Coordinating consumer groups: each partition of the group log that this broker leads has, once it is
//! asked for, a task that drives its [`Coordinator`](headwater_groups::Coordinator).

mod answer;
mod burials;
mod driver;
mod events;
mod known;
mod leases;
mod replay;
mod snapshots;
mod stats;

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use headwater_groups::{Call, Reply};
use headwater_log::PartitionId;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::Node;
use crate::{
    error::{CoordinateError, FetchError, ProduceError},
    partition::Partition,
};
use answer::{Answer, Ask};
use driver::{Driver, Home};
use stats::Figures;

pub use stats::GroupStats;

/// Calls that wait for a coordinator to look at them.
const MAILBOX: usize = 1_024;
/// How long a call waits for its answer.
const ANSWER_WAIT: Duration = Duration::from_secs(25);

/// The coordinators that run on this broker, one a partition.
#[derive(Default)]
pub(super) struct Coordinators(Mutex<HashMap<PartitionId, Running>>);

struct Running {
    term: i32,
    asks: mpsc::Sender<Ask>,
    partition: Arc<Partition>,
    figures: Arc<Figures>,
}

impl Coordinators {
    /// The coordinator of a partition in the term, started if it does not run. One that has ended in the
    /// same term appends nothing any more.
    fn of(&self, node: &Weak<Node>, partition: &Arc<Partition>, term: i32) -> mpsc::Sender<Ask> {
        let mut running = self.0.lock();
        if let Some(running) = running.get(&partition.id)
            && running.term == term
            && !running.asks.is_closed()
        {
            return running.asks.clone();
        }
        let (asks, mailbox) = mpsc::channel(MAILBOX);
        // Counted over all terms.
        let figures = running.get(&partition.id).map(|last| last.figures.clone());
        let figures = figures.unwrap_or_default();
        let home = Home {
            node: node.clone(),
            partition: partition.clone(),
            term,
            figures: figures.clone(),
        };
        tokio::spawn(Driver::run(home, mailbox));
        let started = Running {
            term,
            asks: asks.clone(),
            partition: partition.clone(),
            figures,
        };
        running.insert(partition.id, started);
        asks
    }
}

impl Node {
    pub(super) async fn ask_coordinator(
        &self,
        log: PartitionId,
        call: Call,
    ) -> Result<Reply, CoordinateError> {
        if self.placement.group_log() != Some(log.topic) {
            return Err(CoordinateError::UnknownPartition);
        }
        let partition = self.led(log).await.map_err(|error| match error {
            FetchError::NotLeader => CoordinateError::NotLeader,
            _ => CoordinateError::UnknownPartition,
        })?;
        self.room().await?;
        let (sender, answered) = oneshot::channel();
        let mut ask = Ask {
            call,
            answer: Answer::new(sender),
        };
        loop {
            let term = partition.leads_in().ok_or(CoordinateError::NotLeader)?;
            let asks = self.coordinators.of(&self.me, &partition, term);
            ask = match asks.try_send(ask) {
                Ok(()) => break,
                Err(mpsc::error::TrySendError::Full(_)) => return Err(CoordinateError::Overloaded),
                // It has just ended; in the next round the term has, too, or another one is started.
                Err(mpsc::error::TrySendError::Closed(ask)) => ask,
            };
            if self.stopped() {
                return Err(CoordinateError::NotLeader);
            }
        }
        let answered = tokio::time::timeout(ANSWER_WAIT, answered).await;
        answered
            .unwrap_or(Ok(Err(CoordinateError::Unknown)))
            .unwrap_or(Err(CoordinateError::Unknown))
    }
}

impl From<ProduceError> for CoordinateError {
    fn from(error: ProduceError) -> Self {
        match error {
            ProduceError::UnknownPartition => Self::UnknownPartition,
            ProduceError::NotLeader => Self::NotLeader,
            ProduceError::TooFewInSync => Self::TooFewInSync,
            ProduceError::StorageFull => Self::StorageFull,
            ProduceError::Overloaded => Self::Overloaded,
            ProduceError::Unreachable => Self::Unreachable("the broker that leads".into()),
            // Events have no producer: one that was used before is as unheard-of as what is unknown.
            ProduceError::ProducerReused | ProduceError::Unknown => Self::Unknown,
        }
    }
}
