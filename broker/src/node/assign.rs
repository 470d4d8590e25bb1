//! Taking the roles that the metadata gives.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use headwater_log::PartitionId;

use super::{Node, blocking};
use crate::{
    error::NodeError,
    look::look_until,
    partition::{Arrival, Partition, Roles, Standing},
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
        let _assigning = self.assigning.lock().await;
        let (mut epochs, mut gone, mut taking) = (Vec::new(), Vec::new(), Vec::new());
        for (id, row) in rows {
            let Some(partition) = self.copy_of(id, &row) else {
                if self.has_moved_away(id, &row) {
                    gone.push((id, row.epoch));
                }
                continue;
            };
            match partition.learn(&row) {
                // It took part in an earlier term, and in this one others have all that counts.
                Learned::NewEpoch(epoch) if self.is_elsewhere(&row) => {
                    gone.push((id, epoch));
                }
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
                Learned::Updated => self.follow_on(&partition, &row),
                Learned::Nothing => {}
            }
        }
        if !gone.is_empty() {
            self.remove_copies(gone).await?;
        }
        if !epochs.is_empty() {
            let log = self.log.clone();
            blocking(move || log.note_seen_epochs(&epochs)).await?;
        }
        let mut followed: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (partition, row) in taking {
            match partition.assume(&row) {
                Standing::Follows(leader) => followed.entry(leader).or_default().push(partition),
                Standing::Leads if row.replicas.len() > 1 => self.look_after(&partition),
                Standing::Neither if self.may_begin(&row) => {
                    self.to_begin.lock().insert(partition.id);
                }
                Standing::Leads | Standing::Neither => {}
            }
        }
        for (leader, partitions) in followed {
            self.follow(leader, &partitions);
        }
        self.roles_taken.notify_waiters();
        Ok(())
    }

    /// Removes copies that are not this broker's any more. The epoch in which they went is kept: by
    /// metadata from before it, which a restored database may hold, nobody is to lead with an empty log.
    async fn remove_copies(&self, gone: Vec<(PartitionId, i32)>) -> Result<(), NodeError> {
        for (id, _) in &gone {
            self.topics.remove(*id);
            self.arrivals.ended(*id);
        }
        let (log, copies) = (self.log.clone(), gone.len());
        blocking(move || {
            let ids: Vec<_> = gone.iter().map(|(id, _)| *id).collect();
            log.drop_partitions(&ids)?;
            log.note_seen_epochs(&gone)
        })
        .await?;
        tracing::info!(copies, "copies that moved away were removed");
        Ok(())
    }

    /// Whether the disk has a copy from an earlier term of a partition that is elsewhere now.
    fn has_moved_away(&self, id: PartitionId, row: &Assignment) -> bool {
        let log = self.log.existing(id);
        let is_older = log.is_some_and(|log| log.seen_epoch() < row.epoch && log.next_offset() > 0);
        is_older && self.is_elsewhere(row)
    }

    /// Whether others have the partition. A row that names nobody says nothing: it stands for one that
    /// could not be read, and is no reason to remove anything.
    fn is_elsewhere(&self, row: &Assignment) -> bool {
        !row.replicas.is_empty() && !row.replicas.contains(&self.id)
    }

    /// Has a copy looked at whose move may have changed: it may fetch now, or another may.
    fn follow_on(&self, partition: &Partition, row: &Assignment) {
        let id = partition.id;
        if !self.arrivals.is_idle() && partition.arrival() != Arrival::Comes {
            self.arrivals.ended(id);
        }
        if (row.target.is_some() || !row.in_sync.contains(&self.id))
            && let Some(leader) = partition.follows()
            && let Some(following) = self.following.lock().get(&leader)
        {
            following.look_at(id);
        }
    }

    /// Waits until this broker leads every partition of which it has the only copy: after a start it
    /// has to be elected anew. One that was made from the bucket may still become so, and is waited for
    /// as well. Gives up after `wait`.
    pub async fn until_it_leads(&self, wait: Duration) {
        let led = || self.leads_sole_copies().then_some(());
        if look_until(&self.roles_taken, wait, led).await.is_none() {
            tracing::warn!("some partitions have no leader yet");
        }
    }

    fn leads_sole_copies(&self) -> bool {
        self.placement.topics().iter().all(|topic| {
            topic.rows().all(|(id, row)| {
                let led = || self.topics.existing(id);
                let may_be_sole = row.replicas.is_empty() || row.replicas == [self.id];
                !may_be_sole || led().is_some_and(|partition| partition.leads())
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
            // What was noted may be of a log that lost its unsynced end since; what left the disk was
            // committed.
            let high_watermark = log.committed().min(log.durable_end());
            let replica = Replica::new(
                self.id,
                incarnation,
                Rules::new(self.lag_max),
                log.seen_epoch(),
                high_watermark.max(log.local_start()),
            );
            Partition::new(id, log, topic.readers.clone(), Roles::new(replica))
        });
        Some(made)
    }
}
