//! What is between brokers: connections that break, messages that are lost, late, or come twice.

use std::collections::BTreeSet;

use headwater_broker::{BrokerId, replica::Replica};

use crate::{
    profile::MILLI,
    store::Micros,
    world::{Inside, Message, World},
};

/// Which ways are closed.
#[derive(Debug, Default)]
pub struct Net {
    /// From one broker to another.
    pub closed: BTreeSet<(BrokerId, BrokerId)>,
    /// Brokers that do not reach the metadata.
    pub no_store: BTreeSet<BrokerId>,
    /// The metadata answers late.
    pub stalled: bool,
    /// Nobody reaches the object store.
    pub no_objects: bool,
}

impl World {
    /// Sends a message, over the connection between a follower and its leader: `out` if the sender is
    /// the follower.
    pub(crate) fn send(&mut self, from: BrokerId, to: BrokerId, out: bool, message: Message) {
        let fresh = self.number();
        let Some(process) = &mut self.broker(from).process else {
            return;
        };
        let session = match out {
            true => *process.out.entry(to).or_insert(fresh),
            false => match process.inward.get(&to) {
                Some(session) => *session,
                None => return,
            },
        };
        let closed = self.net.closed.contains(&(from, to)) || self.broker(to).process.is_none();
        if closed || self.dice.chance(self.profile.message_lost) {
            let (follower, leader) = if out { (from, to) } else { (to, from) };
            self.lose(follower, leader, session);
            return;
        }
        if self.dice.chance(self.profile.message_twice) {
            let (delay, message) = (self.delay(), message.clone());
            self.arrive(from, to, session, 3 * delay, message);
        }
        let delay = self.delay();
        self.arrive(from, to, session, delay, message);
    }

    fn arrive(
        &mut self,
        from: BrokerId,
        to: BrokerId,
        session: u64,
        after: Micros,
        message: Message,
    ) {
        let deliver = Inside::Deliver {
            from,
            session,
            message,
        };
        self.later(to, after, deliver);
    }

    fn delay(&mut self) -> Micros {
        let late = self.dice.chance(self.profile.message_late);
        let most = if late {
            self.profile.late_max
        } else {
            2 * MILLI
        };
        self.dice.between(200, most)
    }

    /// A message was lost: the connection is broken, and each end will notice in its time.
    fn lose(&mut self, follower: BrokerId, leader: BrokerId, session: u64) {
        for (id, peer, out) in [(follower, leader, true), (leader, follower, false)] {
            let after = self.dice.between(30, 900) * MILLI;
            self.later(id, after, Inside::Broke { peer, session, out });
        }
    }

    /// The process on a broker is gone: whoever was connected notices.
    pub(crate) fn hang_up(&mut self, id: BrokerId) {
        for peer in self.ids() {
            let Some(process) = &self.broker(peer).process else {
                continue;
            };
            let ends = [
                (true, process.out.get(&id).copied()),
                (false, process.inward.get(&id).copied()),
            ];
            for (out, session) in ends {
                if let Some(session) = session {
                    let after = self.dice.between(1, 700) * MILLI;
                    let broke = Inside::Broke {
                        peer: id,
                        session,
                        out,
                    };
                    self.later(peer, after, broke);
                }
            }
        }
    }

    /// An end of a connection notices that it is broken.
    pub(crate) fn broke(&mut self, id: BrokerId, peer: BrokerId, session: u64, out: bool) {
        let Some(process) = &mut self.broker(id).process else {
            return;
        };
        let known = if out {
            &mut process.out
        } else {
            &mut process.inward
        };
        if known.get(&peer) != Some(&session) {
            return;
        }
        known.remove(&peer);
        for part in &mut process.parts {
            match out {
                true if part.replica.follows() == Some(peer) => part.replica.disconnected(),
                true => {}
                false => part.replica.follower_left(peer),
            }
        }
        if out {
            self.settle_all(id);
        }
    }

    /// A message arrives.
    pub(crate) fn deliver(&mut self, id: BrokerId, from: BrokerId, session: u64, message: Message) {
        let now = self.now;
        let Some(process) = &mut self.broker(id).process else {
            return;
        };
        process.heard.insert(from, now);
        let from_follower = matches!(
            message,
            Message::Fetch(..) | Message::Progress(..) | Message::Ping
        );
        let known = process.inward.get(&from).copied().unwrap_or(0);
        if from_follower && session < known {
            // Of each follower a leader serves one session: what an older one still says is not heard.
            return;
        }
        if from_follower && session > known {
            process.inward.insert(from, session);
            let parts = process.parts.iter_mut();
            parts.for_each(|part| part.replica.follower_left(from));
        }
        if process.parts.is_empty() {
            // Started, and not registered yet: it hangs up.
            let (follower, leader) = if from_follower {
                (from, id)
            } else {
                (id, from)
            };
            return self.lose(follower, leader, session);
        }
        match message {
            Message::Fetch(partition, incarnation, fetch) => {
                self.fetched(id, partition, from, incarnation, fetch);
            }
            Message::Answer(partition, answer) => self.answered(id, partition, answer),
            Message::Progress(partition, incarnation, progress) => {
                self.replica(id, partition, |replica| {
                    replica.on_progress(from, incarnation, progress);
                });
                self.settle(id, partition);
            }
            Message::Watermark(partition, watermark) => {
                self.replica(id, partition, |replica| replica.on_watermark(watermark));
                self.settle(id, partition);
            }
            Message::Ping => {}
        }
    }

    /// Does something to a replica, if there is one.
    pub(crate) fn replica(
        &mut self,
        id: BrokerId,
        partition: usize,
        act: impl FnOnce(&mut Replica),
    ) {
        if let Some((part, _)) = self.broker(id).part(partition) {
            act(&mut part.replica);
        }
    }
}
