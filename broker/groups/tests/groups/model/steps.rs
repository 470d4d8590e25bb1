//! What can happen next.

use headwater_groups::{Action, GroupError, Mark, Polled, Reply, TopicId};

use super::checks::positions;
use super::client::Client;
use super::world::{Pending, Snapshot, World};
use crate::support::{LEASE_MS, ORDERS, PAYMENTS, config, record, replayed};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const CLIENTS_MAX: usize = 8;

impl World {
    pub fn step(&mut self) {
        match self.dice.below(100) {
            0..8 => self.somebody_joins(),
            8..48 => self.any_client(Self::poll),
            48..54 => self.any_client(Self::commit),
            54..57 => self.any_client(Self::renew),
            57..59 => self.any_client(Self::leave),
            59..62 => self.any_client(Self::hang_up),
            62..72 => self.pass(),
            72..88 => self.log_advances(),
            88..90 => self.topics_change(),
            90..92 => self.ensure(),
            92..94 => self.reset(),
            94 => self.delete(),
            95..98 => self.snapshot_advances(),
            _ => self.fail_over(),
        }
        self.check();
    }

    fn any_client(&mut self, step: impl FnOnce(&mut Self, usize)) {
        if !self.clients.is_empty() {
            let client = self.dice.below(self.clients.len());
            step(self, client);
        }
    }

    /// It does not wait any longer for what it asked, and will ask again.
    fn hang_up(&mut self, client: usize) {
        self.clients[client].waits = false;
    }

    /// A new process or one that is there joins.
    fn somebody_joins(&mut self) {
        let is_new = self.clients.len() < CLIENTS_MAX && self.dice.percent(60);
        if is_new || self.clients.is_empty() {
            let name = NAMES[self.dice.below(NAMES.len())].to_owned();
            let instance = format!("i{}", self.clients.len());
            self.clients.push(Client::new(name, instance));
        }
        let client = match is_new {
            true => self.clients.len() - 1,
            false => self.dice.below(self.clients.len()),
        };
        self.join(client);
    }

    pub fn join(&mut self, client: usize) {
        let Client { name, instance, .. } = &self.clients[client];
        let action = Action::Join {
            member: name.clone(),
            instance: Some(instance.clone()),
            lease_ms: self.dice.percent(20).then_some(20_000),
        };
        self.ask(client, action);
    }

    /// A call of a client that waits for its answer.
    fn ask(&mut self, client: usize, action: Action) {
        let reply = self.act(action);
        self.asked(client, reply);
    }

    fn asked(&mut self, client: usize, reply: Result<Reply, GroupError>) {
        match reply {
            Ok(reply) => {
                // One that asks again does not wait for what it asked before.
                self.pending.retain(|pending| pending.client != client);
                self.clients[client].waits = true;
                self.pending.push(Pending {
                    records: self.log.len(),
                    client,
                    reply,
                });
            }
            Err(GroupError::MemberFenced) => {
                self.seen.fenced += 1;
                self.give_up(client);
            }
            Err(GroupError::MemberGone) => {
                self.seen.gone += 1;
                self.give_up(client);
            }
            Err(GroupError::NoGroup) => {}
            Err(other) => panic!("{other}"),
        }
    }

    /// Most clients that are refused join again; some go on asking.
    fn give_up(&mut self, client: usize) {
        if self.dice.percent(80) {
            self.clients[client].epoch = None;
        }
    }

    /// A call of a member that commits; it is checked against what the member may.
    fn ask_to_commit(&mut self, client: usize, ask: impl FnOnce(String, u64, Vec<Mark>) -> Action) {
        let Some(epoch) = self.clients[client].epoch else {
            if !self.clients[client].waits {
                self.join(client);
            }
            return;
        };
        let of = match self.dice.percent(5) {
            true => self.dice.below(self.clients.len()),
            false => client,
        };
        let marks = self.clients[of].marks(&mut self.dice);
        let before = self.look();
        let name = self.clients[client].name.clone();
        let reply = self.act(ask(name, epoch, marks.clone()));
        if let (Ok(_), Some(before)) = (&reply, before) {
            self.check_commit(client, &marks, &before);
        }
        self.asked(client, reply);
    }

    pub fn poll(&mut self, client: usize) {
        self.ask_to_commit(client, |member, epoch, commit| Action::Poll {
            member,
            epoch,
            commit,
        });
    }

    fn commit(&mut self, client: usize) {
        self.ask_to_commit(client, |member, epoch, commit| Action::Commit {
            member,
            epoch,
            commit,
        });
    }

    /// A poll that commits nothing, answered at once.
    pub fn poll_plain(&mut self, member: String, epoch: u64) -> Polled {
        let commit = Vec::new();
        match self.act(Action::Poll {
            member,
            epoch,
            commit,
        }) {
            Ok(Reply::Polled(polled)) => polled,
            other => panic!("{other:?}"),
        }
    }

    fn renew(&mut self, client: usize) {
        let Client { name, epoch, .. } = &self.clients[client];
        if let Some(epoch) = *epoch {
            let member = name.clone();
            self.ask(client, Action::Renew { member, epoch });
        }
    }

    fn leave(&mut self, client: usize) {
        let Client { name, epoch, .. } = &self.clients[client];
        if let Some(epoch) = *epoch {
            let (member, epoch) = (name.clone(), Some(epoch));
            self.ask(client, Action::Leave { member, epoch });
        }
    }

    fn pass(&mut self) {
        let longest_ms = if self.dice.percent(25) {
            2 * LEASE_MS
        } else {
            3_000
        };
        self.now_ms += self.dice.below(longest_ms as usize) as i64;
        // Now and then the timer is late.
        if self.dice.percent(85) {
            self.expire();
        }
    }

    fn log_advances(&mut self) {
        let uncommitted = self.log.len() - self.committed;
        self.committed += self.dice.below(uncommitted + 1);
        self.answer();
    }

    fn topics_change(&mut self) {
        match self.dice.below(4) {
            0 if self.topics.0.remove(&PAYMENTS).is_some() => self.seen.topics_gone += 1,
            1 if self.seen.topics_gone == 0 => {
                self.topics.0.entry(PAYMENTS).or_insert(2);
            }
            2 => *self.topics.0.entry(ORDERS).or_default() += 1,
            _ => {}
        }
    }

    pub fn ensure(&mut self) {
        let payments = self.topics.0.contains_key(&PAYMENTS) && self.dice.percent(50);
        let topics: &[TopicId] = if payments {
            &[ORDERS, PAYMENTS]
        } else {
            &[ORDERS]
        };
        let is_new = self.look().is_none();
        let config = config(topics);
        let offsets = Vec::new();
        self.act(Action::Ensure {
            config,
            offsets,
            only_new: false,
        })
        .expect("a group");
        if is_new {
            self.seen.recreated += u64::from(!self.log.is_empty());
        }
    }

    fn reset(&mut self) {
        let Some(group) = self.look() else {
            return;
        };
        let mut offsets = Vec::new();
        for position in &group.positions {
            if self.dice.percent(50) {
                offsets.push((position.partition, self.dice.below(30) as u64));
            }
        }
        let force = self.dice.percent(50);
        let action = Action::Reset {
            offsets: offsets.clone(),
            force,
            dry_run: false,
        };
        match self.act(action) {
            Err(GroupError::MembersActive) => assert!(!force && !group.members.is_empty()),
            Err(other) => panic!("{other}"),
            Ok(_) => {
                self.committed = self.log.len();
                self.answer();
                let after = self.look().expect("the group is there");
                let now = positions(&after);
                for (id, offset) in offsets {
                    assert_eq!(now.get(&id), Some(&offset));
                    self.is_newest(id, after.epoch);
                    self.acknowledged.remove(&id);
                    let delivered = self.delivered.entry(id).or_default();
                    *delivered = offset.max(*delivered);
                    self.seen.resets += 1;
                }
            }
        }
    }

    fn delete(&mut self) {
        match self.act(Action::Delete) {
            Ok(_) => self.acknowledged.clear(),
            Err(GroupError::MembersActive | GroupError::NoGroup) => {}
            Err(other) => panic!("{other}"),
        }
    }

    /// Appends the next event of a snapshot; once one is whole and committed, what is before it goes.
    fn snapshot_advances(&mut self) {
        let snapshot = self.snapshot.take().unwrap_or(Snapshot {
            first_record: self.log.len(),
            cursor: Default::default(),
        });
        if let Some((event, cursor)) = self.coordinator.snapshot_next(snapshot.cursor.clone()) {
            self.log.push(record(&event));
            if self.dice.percent(50) {
                self.coordinator.apply(event);
            }
            let first_record = snapshot.first_record;
            self.snapshot = Some(Snapshot {
                first_record,
                cursor,
            });
        } else {
            self.committed = self.log.len();
            self.answer();
            self.log_start = snapshot.first_record;
            let next = replayed(&self.log[self.log_start..]);
            assert_eq!(next, self.coordinator, "a snapshot and the rest");
            self.seen.trims += 1;
        }
    }
}
