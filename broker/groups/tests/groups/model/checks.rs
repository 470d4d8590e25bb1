//! What has to hold, whatever happens.

use std::collections::{BTreeMap, BTreeSet};

use headwater_groups::{Description, Mark, PartitionId, Polled, Reply, State};

use super::client::Client;
use super::world::{Pending, World};
use crate::support::replayed;

pub fn positions(group: &Description) -> BTreeMap<PartitionId, u64> {
    let committed = group.positions.iter();
    committed
        .filter_map(|p| Some((p.partition, p.committed?)))
        .collect()
}

/// What of a group a client owns.
pub fn owned_by(group: &Description, client: &Client) -> Option<Vec<PartitionId>> {
    let member = group.members.iter().find(|member| {
        (&member.name, member.instance.as_ref()) == (&client.name, Some(&client.instance))
    });
    member.map(|member| member.assignment.clone())
}

impl World {
    /// The log is the state, each partition has one owner, and nothing acknowledged is gone.
    pub fn check(&mut self) {
        if self.dice.percent(10) {
            let next = replayed(&self.log[self.log_start..]);
            assert_eq!(next, self.coordinator, "the log is the state");
        }
        let Some(group) = self.look() else {
            return;
        };
        let mut owned = BTreeSet::new();
        for id in group.members.iter().flat_map(|member| &member.assignment) {
            assert!(owned.insert(*id), "{id} has two owners");
        }
        let all: BTreeSet<_> = group.positions.iter().map(|p| p.partition).collect();
        if !group.members.is_empty() {
            assert_eq!(owned, all, "everything has an owner");
        }
        let positions = positions(&group);
        for (id, position) in &positions {
            let delivered = self.delivered.get(id).copied().unwrap_or(0);
            assert!(*position <= delivered, "{id} skips records");
        }
        self.acknowledged.retain(|id, _| all.contains(id));
        for (id, acknowledged) in &self.acknowledged {
            assert!(
                positions.get(id) >= Some(acknowledged),
                "{id} lost a commit"
            );
        }
    }

    /// That a client committed was its right, for all that changed.
    pub fn check_commit(&mut self, client: usize, marks: &[Mark], before: &Description) {
        let owned = owned_by(before, &self.clients[client]).expect("it is a member, not fenced");
        let after = self.look().expect("the group is there");
        let (before, after) = (positions(before), positions(&after));
        for (id, position) in &before {
            // Of a topic that is deleted nothing remains.
            if let Some(after) = after.get(id) {
                assert!(after >= position, "{id} goes back");
            }
        }
        for (id, position) in after {
            if before.get(&id) == Some(&position) {
                continue;
            }
            assert!(owned.contains(&id), "{id} is committed by its owner");
            let newest = self.newest_stint.get(&id).copied().unwrap_or(0);
            let is_marked = |mark: &Mark| {
                (mark.partition, mark.next_offset) == (id, position) && mark.stint >= newest
            };
            assert!(
                marks.iter().any(is_marked),
                "{id} was committed, of this stint"
            );
            self.seen.commits += 1;
        }
    }

    /// Answers all whose records are committed.
    pub fn answer(&mut self) {
        let (ready, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|pending| pending.records <= self.committed);
        self.pending = waiting;
        for Pending { client, reply, .. } in ready {
            if !std::mem::take(&mut self.clients[client].waits) {
                // It has given up waiting.
                continue;
            }
            match reply {
                Reply::Joined {
                    epoch, assignment, ..
                } => self.clients[client].joined(epoch, assignment),
                Reply::Polled(polled) => self.answer_poll(client, &polled),
                _ => {}
            }
        }
    }

    /// Nothing of an older stint may be committed from now on.
    pub fn is_newest(&mut self, id: PartitionId, stint: u64) {
        let newest = self.newest_stint.entry(id).or_default();
        *newest = stint.max(*newest);
    }

    fn answer_poll(&mut self, client: usize, polled: &Polled) {
        self.seen.moved += polled.revoked.len() as u64;
        self.seen.ignored += polled.ignored.len() as u64;
        let froms = self.clients[client].polled(polled, &mut self.dice);
        for (owned, from) in froms {
            let id = owned.partition;
            let owner = *self.stints.entry((id, owned.stint)).or_insert(client);
            assert_eq!(owner, client, "a stint is of one client alone");
            self.is_newest(id, owned.stint);
            if let Some(committed) = owned.committed {
                self.acknowledge(id, committed);
            }
            let delivered = self.delivered.entry(id).or_default();
            assert!(from <= *delivered, "{id} skips records");
            let end = from + self.dice.below(5) as u64;
            *delivered = end.max(*delivered);
            let read = &mut self.clients[client].read;
            read.insert((id, owned.stint), end);
        }
    }

    /// An answer said that this is committed. It may be older than a reset that was made since.
    fn acknowledge(&mut self, id: PartitionId, committed: u64) {
        let now = self.look().map(|group| positions(&group));
        if now.is_some_and(|now| now.get(&id) >= Some(&committed)) {
            let newest = self.acknowledged.entry(id).or_default();
            *newest = committed.max(*newest);
        }
    }

    /// Everybody who is still there polls, and nothing else happens: it ends even and at rest.
    pub fn quiesce(&mut self) {
        if self.look().is_none() {
            self.ensure();
        }
        self.committed = self.log.len();
        self.answer();
        for _ in 0..2 {
            let group = self.look().expect("the group is there");
            for member in &group.members {
                let is = |client: &Client| {
                    (&client.name, Some(&client.instance))
                        == (&member.name, member.instance.as_ref())
                };
                let client = self.clients.iter().position(is).expect("a client's member");
                if self.clients[client].epoch < Some(member.joined) {
                    // The answer to its joining was lost.
                    self.join(client);
                    self.committed = self.log.len();
                    self.answer();
                }
                self.poll(client);
                self.committed = self.log.len();
                self.answer();
            }
        }
        let group = self.look().expect("the group is there");
        let loads = group.members.iter().map(|member| member.assignment.len());
        if let Some((least, most)) = loads.clone().min().zip(loads.max()) {
            assert!(most - least <= 1, "it ends balanced");
            assert_eq!(group.state, State::Stable);
        } else {
            assert_eq!(group.state, State::Empty);
        }
        let epoch = group.epoch;
        for member in &group.members {
            let (name, joined) = (member.name.clone(), member.joined);
            let polled = self.poll_plain(name, joined);
            assert!(!polled.rebalancing);
        }
        assert_eq!(self.look().expect("it is there").epoch, epoch, "it rests");
        let next = replayed(&self.log[self.log_start..]);
        assert_eq!(next, self.coordinator, "the log is the state");
    }
}
