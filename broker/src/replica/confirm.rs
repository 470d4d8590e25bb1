//! Confirmation: how a leader knows that it was one when a strong read came.
//!
//! Who was replaced may not have heard of it, and what it reads is right but may be old. So before a
//! strong read it asks every other member of the in-sync set, additions that are being asked for
//! included, whether it still follows in this term. With the answers of all of them, nothing that was
//! acknowledged before the question is missing in this leader's log:
//!
//! - Assume that a record was acknowledged before, in a later term. Let F be the first who led in any
//!   later term, and led at all: elections whose winner never heard of them change nothing but the
//!   term.
//! - F was elected out of the in-sync set of the row. Additions to it are asked for by the leader alone,
//!   of the row that it knows; so until F led, the set was a part of what this leader counts. Others
//!   only take members out. F is not this leader, which has heard of no later term.
//! - So F was asked. It had made its term durable before it led, which was before the record was
//!   acknowledged and so before the question; from then on it follows in no earlier term, restarted or
//!   not. F does not confirm.
//!
//! A disk that was lost forgets the term. Its broker takes the rows as they are after it has registered,
//! and so none of a term before the one in which it led.
//!
//! What earlier terms acknowledged is in the log, and committed here once the high watermark has passed
//! the beginning of the term: no round is confirmed before.

use super::{Replica, Role, Rule};

/// A question to all followers; later ones are greater. Any number of reads may wait for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Round {
    epoch: i32,
    number: u64,
}

/// The rounds of one term.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    /// The last one.
    pub asked: u64,
    /// Somebody was asked already: an answer may be older than a read that comes now.
    pub sent: bool,
}

impl Replica {
    /// Has the followers asked whether they follow. A read that began before this may be served once
    /// [`Replica::confirmed`] has come to the round. `None` if this replica does not lead.
    pub fn ask(&mut self) -> Option<Round> {
        let Role::Leader(leader) = &mut self.role else {
            return None;
        };
        let rounds = &mut leader.rounds;
        if rounds.sent || rounds.asked == 0 {
            rounds.asked += 1;
            rounds.sent = false;
        }
        Some(Round {
            epoch: leader.epoch,
            number: rounds.asked,
        })
    }

    /// The last round that everybody has confirmed who may be a member of the in-sync set.
    pub fn confirmed(&self) -> Option<Round> {
        let Role::Leader(leader) = &self.role else {
            return None;
        };
        self.readable()?;
        let mut number = leader.rounds.asked;
        if self.rules.hold(Rule::ConfirmedReads) {
            for broker in leader.members(&self.rules).filter(|id| *id != self.me) {
                number = number.min(leader.follower(broker)?.confirmed_round);
            }
        }
        Some(Round {
            epoch: leader.epoch,
            number,
        })
    }

    /// Whether this replica still leads in a round's term.
    pub fn leads_for(&self, round: Round) -> bool {
        self.leads_in() == Some(round.epoch)
    }
}
