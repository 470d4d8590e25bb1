//! Where the partitions of a new topic go.

use std::{collections::HashMap, ops::Range};

use headwater_broker::{
    BrokerId, Incarnation, PartitionId, TopicId,
    controller::{BrokerLoad, BrokerState, place},
    replica::{Assignment, Leadership},
};

use super::changes::unavailable;
use crate::{
    metadata::{
        Change, PartitionRow,
        store::{BrokerRow, Result as Stored},
    },
    problem::{Code, Problem},
};

/// How many replicas partitions have where nobody says, if there are enough brokers.
const REPLICATION_FACTOR: usize = 3;

/// The brokers as a change finds them, and what they carry.
pub(super) struct Room {
    /// Those that may be given copies.
    brokers: Vec<BrokerLoad>,
    lives: HashMap<BrokerId, Incarnation>,
    /// How many could be given copies if all of them were well.
    staying: usize,
}

impl Room {
    /// What there is, which nobody else changes before `change` ends.
    pub async fn of(change: &mut Change) -> Result<Self, Problem> {
        Self::read(change).await.map_err(unavailable)
    }

    async fn read(change: &mut Change) -> Stored<Self> {
        let mut room = Self {
            brokers: Vec::new(),
            lives: HashMap::new(),
            staying: 0,
        };
        for row in BrokerRow::all(change).await? {
            let id = row.number()?;
            room.staying += usize::from(row.draining == 0);
            if row.view().state == BrokerState::Live {
                room.lives.insert(id, row.incarnation);
                room.brokers.push(BrokerLoad {
                    id,
                    rack: row.rack,
                    leaders: 0,
                    replicas: 0,
                    bytes: 0,
                    takes: true,
                });
            }
        }
        // One alone takes all, whatever it carries.
        if room.brokers.len() > 1 {
            for (replicas, partitions) in PartitionRow::spread(change).await? {
                for broker in &mut room.brokers {
                    if replicas.contains(&broker.id) {
                        broker.replicas += partitions;
                    }
                    if replicas.first() == Some(&broker.id) {
                        broker.leaders += partitions;
                    }
                }
            }
        }
        Ok(room)
    }

    /// How many replicas partitions have where nobody says. Brokers that are away for a while count:
    /// a topic that is made meanwhile shall be no less safe.
    pub fn replication_factor(&self) -> u32 {
        self.staying.clamp(1, REPLICATION_FACTOR) as u32
    }

    /// Places these partitions of a topic. `pointer` is what asks for more than there is room for.
    ///
    /// # Errors
    /// 422 if there are too few brokers, 503 if too few of them are well.
    pub fn place(
        &mut self,
        topic: TopicId,
        partitions: Range<u32>,
        replication_factor: u32,
        pointer: &str,
    ) -> Result<Vec<PartitionRow>, Problem> {
        let copies = replication_factor as usize;
        if self.staying < copies {
            let message = match self.staying {
                1 => "this installation has one broker".to_owned(),
                brokers => format!("this installation has {brokers} brokers for copies"),
            };
            let problem = Problem::new(Code::InvalidSetting, "");
            return Err(problem.at(pointer, "not_enough_brokers", message));
        }
        let placed = place(&mut self.brokers, partitions.len(), copies).map_err(|few| {
            let detail = format!("{few} now, and {copies} are needed; try again");
            Problem::new(Code::Unavailable, detail)
        })?;
        let row = |(partition, replicas): (u32, Vec<BrokerId>)| {
            let leader = replicas.first().and_then(|broker| {
                Some(Leadership {
                    broker: *broker,
                    incarnation: *self.lives.get(broker)?,
                })
            });
            let place = Assignment {
                in_sync: replicas.clone(),
                replicas,
                target: None,
                leader,
                epoch: 1,
                partition_epoch: 1,
                min_insync_replicas: 1,
                loss_epoch: None,
            };
            PartitionRow::new(PartitionId { topic, partition }, &place)
        };
        Ok(partitions.zip(placed).map(row).collect())
    }
}
