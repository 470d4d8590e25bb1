//! Moving copies: which partitions should be elsewhere, and how their rows say so.

use headwater_log::PartitionId;

use super::{
    BrokerState, BrokerView, Brokers,
    elect::stamped,
    place::{BrokerLoad, pick},
};
use crate::{placement::BrokerId, replica::Assignment};

/// The row with its copies on their way to `target`, the preferred leader first; `None` if they are
/// there or on their way already. Copies that are to go stay until all of the target is in sync.
pub fn relocate(row: &Assignment, target: &[BrokerId]) -> Option<Assignment> {
    let mut new = row.clone();
    let added = target
        .iter()
        .filter(|broker| !row.replicas.contains(broker));
    new.replicas.extend(added);
    new.target = Some(target.to_vec());
    if new.replicas.len() == target.len() {
        // Nobody comes and nobody goes.
        new.replicas = target.to_vec();
        new.target = None;
    }
    stamped(row, new)
}

/// Where all copies are, to be spread better.
#[derive(Debug)]
pub struct Spread {
    /// All brokers, by number.
    pub(super) brokers: Vec<BrokerLoad>,
    pub(super) partitions: Vec<Placed>,
    /// Brokers whose copies are to be elsewhere.
    leaving: Vec<BrokerId>,
}

/// A partition, and the brokers of its copies as they were and as they are to be.
#[derive(Debug)]
pub(super) struct Placed {
    id: PartitionId,
    was: Vec<BrokerId>,
    pub replicas: Vec<BrokerId>,
    pub bytes: u64,
}

impl Spread {
    /// The brokers, and all partitions with their rows and the bytes of one copy, as far as these are
    /// known. A partition that moves counts where it is going.
    pub fn new<'a>(
        brokers: &Brokers,
        partitions: impl IntoIterator<Item = (PartitionId, &'a Assignment, u64)>,
    ) -> Self {
        let load = |(&id, view): (&BrokerId, &BrokerView)| BrokerLoad {
            id,
            rack: view.rack.clone(),
            leaders: 0,
            replicas: 0,
            bytes: 0,
            takes: view.state == BrokerState::Live,
        };
        let leaving = brokers.iter().filter(|(_, view)| view.state.is_leaving());
        let mut spread = Self {
            brokers: brokers.iter().map(load).collect(),
            partitions: Vec::new(),
            leaving: leaving.map(|(id, _)| *id).collect(),
        };
        for (id, row, bytes) in partitions {
            let replicas = row.target.as_ref().unwrap_or(&row.replicas).clone();
            for (place, broker) in replicas.iter().enumerate() {
                if let Some(load) = spread.load(*broker) {
                    load.leaders += u64::from(place == 0);
                    load.replicas += 1;
                    load.bytes += bytes;
                }
            }
            spread.partitions.push(Placed {
                id,
                was: replicas.clone(),
                replicas,
                bytes,
            });
        }
        spread
    }

    /// Gives the copies of brokers that leave to others, where there are any that have none.
    #[must_use]
    pub fn evacuated(mut self) -> Self {
        for partition in 0..self.partitions.len() {
            for place in 0..self.partitions[partition].replicas.len() {
                let mut rest = self.partitions[partition].replicas.clone();
                let leaves = self.leaving.contains(&rest.remove(place));
                if leaves && let Some(to) = pick(&self.brokers, &rest, place == 0) {
                    self.hand(partition, place, self.brokers[to].id);
                }
            }
        }
        self
    }

    /// The partitions whose copies should be elsewhere, and where, the preferred leader first.
    pub fn moves(self) -> impl Iterator<Item = (PartitionId, Vec<BrokerId>)> {
        let differ = |placed: &Placed| placed.replicas != placed.was;
        let moved = self.partitions.into_iter().filter(differ);
        moved.map(|placed| (placed.id, placed.replicas))
    }

    pub(super) fn load(&mut self, broker: BrokerId) -> Option<&mut BrokerLoad> {
        self.brokers.iter_mut().find(|load| load.id == broker)
    }

    /// Gives the copy at that place of a partition's list to another broker.
    pub(super) fn hand(&mut self, partition: usize, place: usize, to: BrokerId) {
        let placed = &mut self.partitions[partition];
        let from = std::mem::replace(&mut placed.replicas[place], to);
        let (leads, bytes) = (u64::from(place == 0), placed.bytes);
        if let Some(load) = self.load(from) {
            load.leaders -= leads;
            load.replicas -= 1;
            load.bytes -= bytes;
        }
        if let Some(load) = self.load(to) {
            load.leaders += leads;
            load.replicas += 1;
            load.bytes += bytes;
        }
    }
}
