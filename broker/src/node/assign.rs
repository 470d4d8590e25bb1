//! Taking the roles that the metadata gives.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use headwater_log::PartitionId;

use super::Node;
use crate::{
    error::NodeError,
    look::look_until,
    partition::{Partition, Roles, Standing},
    replica::{Assignment, Learned, Replica, Rules},
};

/// A partition and the row that it is to act by.
type Assigned = (PartitionId, Arc<Assignment>);

impl Node {
    /// Takes in rows of the metadata: ends old roles, makes the new epochs durable, all at once, and
    /// takes the new roles. Rows that are known already cost next to nothing.
    ///
    /// # Errors
    /// The log failed: the node has no roles in the new epochs.
    pub async fn assign(&self, rows: Vec<Assigned>) -> Result<(), NodeError> {
        let mut epochs = Vec::new();
        let mut taking = Vec::new();
        for (id, row) in rows {
            let Some(partition) = self.copy_of(id, &row) else {
                continue;
            };
            match partition.learn(&row) {
                Learned::NewEpoch(epoch) => {
                    epochs.push((id, epoch));
                    taking.push((partition, row));
                }
                Learned::Assume => taking.push((partition, row)),
                Learned::Older => tracing::error!(
                    partition = %id,
                    epoch = row.epoch,
                    "the metadata is older than what this broker has seen: was it restored from a copy?"
                ),
                // Somebody else may have taken a member out.
                Learned::Updated if partition.leads() && row.replicas.len() > 1 => {
                    self.look_after(&partition);
                }
                Learned::Nothing | Learned::Updated => {}
            }
        }
        if !epochs.is_empty() {
            let log = self.log.clone();
            let noted = tokio::task::spawn_blocking(move || log.note_seen_epochs(&epochs));
            noted
                .await
                .map_err(|_| NodeError("the start of a term was cancelled".into()))?
                .map_err(|error| NodeError(error.to_string()))?;
        }
        let mut followed: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (partition, row) in taking {
            match partition.assume(&row) {
                Standing::Follows(leader) => followed.entry(leader).or_default().push(partition),
                Standing::Leads if row.replicas.len() > 1 => self.look_after(&partition),
                Standing::Leads | Standing::Neither => {}
            }
        }
        for (leader, partitions) in followed {
            self.follow(leader, &partitions);
        }
        self.roles_taken.notify_waiters();
        Ok(())
    }

    /// Waits until this broker leads every partition of which it has the only copy: after a start it
    /// has to be elected anew. Gives up after `wait`.
    pub async fn until_it_leads(&self, wait: Duration) {
        let led = || self.leads_sole_copies().then_some(());
        if look_until(&self.roles_taken, wait, led).await.is_none() {
            tracing::warn!("some partitions have no leader yet");
        }
    }

    fn leads_sole_copies(&self) -> bool {
        self.placement.topics().iter().all(|topic| {
            let mut rows = (0..).zip(&topic.partitions);
            rows.all(|(partition, row)| {
                let topic = topic.id;
                let led = || self.topics.existing(PartitionId { topic, partition });
                row.replicas != [self.id] || led().is_some_and(|partition| partition.leads())
            })
        })
    }

    /// This broker's copy of a partition, made if the row gives it one.
    fn copy_of(&self, id: PartitionId, row: &Assignment) -> Option<Arc<Partition>> {
        if !row.replicas.contains(&self.id) {
            return self.topics.existing(id);
        }
        let incarnation = self.incarnation()?;
        let topic = self.topics.get(id.topic);
        let made = topic.ensure(id.partition, || {
            let log = self.log.partition(id);
            // What was noted may be of a log that lost its unsynced end since.
            let high_watermark = log.committed().min(log.durable_end());
            let replica = Replica::new(
                self.id,
                incarnation,
                Rules::new(self.lag_max),
                log.seen_epoch(),
                high_watermark.max(log.log_start()),
            );
            Partition::new(id, log, topic.readers.clone(), Roles::new(replica))
        });
        Some(made)
    }
}
