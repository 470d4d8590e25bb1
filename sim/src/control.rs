//! The controller: whoever believes to be it fences, looks, and writes what `controller` says.

use headwater_broker::{
    BrokerId,
    controller::{self, BrokerState},
    replica::{Assignment, Leadership, Rule},
};

use crate::{
    broker::Purpose,
    profile::MILLI,
    store::{Proposal, Request, Snapshot},
    world::{LEASE, World, note},
};

impl World {
    /// Time to ask for the controller's lease.
    pub(crate) fn control(&mut self, id: BrokerId) {
        let Some(incarnation) = self.broker(id).process.as_ref().and_then(|p| p.incarnation) else {
            return;
        };
        if self
            .deluded
            .is_some_and(|(who, until)| who == id && until > self.now)
        {
            return self.call(id, Purpose::Look, Request::Read);
        }
        self.call(id, Purpose::Control, Request::Control { incarnation });
    }

    /// A broker is the controller, or is not.
    pub(crate) fn controls(&mut self, id: BrokerId, controls: bool) {
        let now = self.now;
        let Some(process) = &mut self.broker(id).process else {
            return;
        };
        if !controls {
            process.controls_until = 0;
            return;
        }
        if process.controls_until < now {
            process.calm_since = now;
        }
        process.controls_until = now + LEASE;
        if now - process.calm_since >= 2 * LEASE {
            self.call(id, Purpose::Fence, Request::Fence);
        } else {
            self.call(id, Purpose::Look, Request::Read);
        }
    }

    /// The controller has read the metadata, and writes what should be another.
    pub(crate) fn decide(&mut self, id: BrokerId, snapshot: Snapshot) {
        let mut proposals = Vec::new();
        for (partition, row) in snapshot.rows.iter().enumerate() {
            let home = self.dice.chance(500);
            let next = controller::next(row, &snapshot.brokers);
            let next = next.or_else(|| match home {
                true => controller::home(row, &snapshot.brokers),
                false => None,
            });
            let next = next.or_else(|| self.elect_anybody(row, &snapshot));
            if let Some(new) = next {
                proposals.push(Proposal {
                    partition,
                    was: row.partition_epoch,
                    row: new,
                    added: Vec::new(),
                });
            }
        }
        if !proposals.is_empty() {
            let partitions: Vec<_> = proposals.iter().map(|p| p.partition).collect();
            note!(self, "b{id} controls: writes {partitions:?}");
            let after = self.dice.below(5 * MILLI);
            if after < 4 * MILLI {
                self.call(id, Purpose::Elect, Request::Propose(proposals));
            }
        }
    }

    /// Anybody who lives leads a partition that nobody leads: what the rule of elections forbids.
    fn elect_anybody(&mut self, row: &Assignment, snapshot: &Snapshot) -> Option<Assignment> {
        if !self.lacks(Rule::ElectInSync) || row.leader.is_some() {
            return None;
        }
        let live = |broker: &BrokerId| {
            let view = snapshot.brokers.get(broker);
            view.is_some_and(|v| v.state == BrokerState::Live)
        };
        let mut live = row.replicas.iter().copied().filter(live);
        let broker = live.next()?;
        let incarnation = snapshot.brokers.get(&broker)?.incarnation;
        let mut new = row.clone();
        new.leader = Some(Leadership {
            broker,
            incarnation,
        });
        new.epoch += 1;
        if !new.in_sync.contains(&broker) {
            new.in_sync.push(broker);
        }
        Some(new)
    }
}
