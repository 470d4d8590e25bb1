//! The role of a replica: leading, following, or neither.

use std::sync::{Arc, atomic::Ordering};

use super::{Outbox, Partition, UNREADABLE, Writer};
use crate::{
    placement::BrokerId,
    replica::{Assignment, Learned, NotAppendable, Replica, Round},
};

/// A replica, and the row of the metadata that it acts by.
#[derive(Debug)]
pub(crate) struct Roles {
    pub(super) replica: Replica,
    pub(super) row: Option<Arc<Assignment>>,
    /// The last round of which those who wait have been told.
    confirmed: Option<Round>,
}

/// What a broker is to a partition now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Leads,
    Follows(BrokerId),
    Neither,
}

impl Roles {
    pub fn new(replica: Replica) -> Self {
        Self {
            replica,
            row: None,
            confirmed: None,
        }
    }

    pub fn high_watermark(&self) -> u64 {
        self.replica.high_watermark()
    }
}

impl Partition {
    /// Takes in the metadata's row. If the old role is over nothing is appended or acknowledged in it
    /// after this.
    pub fn learn(&self, row: &Arc<Assignment>) -> Learned {
        let mut writer = self.writer.lock();
        let mut roles = self.replica.lock();
        let learned = roles.replica.learn(row);
        match learned {
            Learned::Updated => roles.row = Some(row.clone()),
            Learned::NewEpoch(_) | Learned::Assume => {
                self.outboxes.write().clear();
                writer.handing_over = false;
            }
            Learned::Nothing | Learned::Older => {}
        }
        self.publish_role(&mut writer, &roles);
        drop((roles, writer));
        self.advance();
        learned
    }

    /// Takes the role that the row gives; its epoch is durable. Answers what the role is.
    pub fn assume(&self, row: &Arc<Assignment>) -> Standing {
        let mut writer = self.writer.lock();
        let mut roles = self.replica.lock();
        roles.replica.assume(row, &*self.log);
        roles.row = Some(row.clone());
        // It falls where a loss was accepted.
        self.committed
            .store(roles.replica.high_watermark(), Ordering::Release);
        self.publish_role(&mut writer, &roles);
        let standing = match roles.replica.follows() {
            Some(leader) => Standing::Follows(leader),
            None if roles.replica.leads_in().is_some() => Standing::Leads,
            None => Standing::Neither,
        };
        drop((roles, writer));
        self.advance();
        standing
    }

    /// Keeps what is read without the replica's lock in step with it.
    pub(super) fn publish_role(&self, writer: &mut Writer, roles: &Roles) {
        let term = roles.replica.leads_in();
        self.leads.store(term.is_some(), Ordering::Release);
        let copies = roles.row.as_ref().map_or(0, |row| row.replicas.len());
        self.replicated.store(copies > 1, Ordering::Relaxed);
        writer.may_append = match writer.handing_over {
            true => Err(NotAppendable::NotLeader),
            false => roles.replica.appendable(),
        };
        for waiters in [&self.committed_waiters, &self.durable_waiters] {
            let mut waiters = waiters.lock();
            if !waiters.is(term) {
                waiters.begin(term);
                writer.window = None;
            }
        }
        if self.publish_readable(roles) {
            self.readers.notify_waiters();
        }
        self.confirmations.notify_waiters();
    }

    fn publish_readable(&self, roles: &Roles) -> bool {
        let readable = roles.replica.readable().unwrap_or(UNREADABLE);
        self.readable.swap(readable, Ordering::AcqRel) != readable
    }

    /// Moves the high watermark as far as it may, and releases whoever waited for it. Answers whether
    /// this is a follower.
    pub fn advance(&self) -> bool {
        let mut roles = self.replica.lock();
        let moved = roles.replica.advance(&*self.log);
        if let Some(high_watermark) = moved {
            self.committed.store(high_watermark, Ordering::Release);
            self.log.set_committed(high_watermark);
        }
        // Before anybody is acknowledged: who was may read it.
        let told = self.publish_readable(&roles);
        if let Some(high_watermark) = moved {
            // Only a leader has any: a term ends under the replica's lock.
            self.committed_waiters.lock().reached(high_watermark);
        }
        let confirmed = roles.replica.confirmed();
        if std::mem::replace(&mut roles.confirmed, confirmed) != confirmed {
            self.confirmations.notify_waiters();
        }
        let (leads, follows) = (
            roles.replica.leads_in().is_some(),
            roles.replica.follows().is_some(),
        );
        drop(roles);
        if told {
            self.readers.notify_waiters();
        }
        if moved.is_some() && leads {
            self.tell_sessions_later();
        }
        follows
    }

    /// Has the sessions that carry this partition look at it.
    pub fn tell_sessions(&self) {
        for outbox in self.outboxes.read().iter() {
            outbox.mark(self.id);
        }
    }

    /// The same, with the next heartbeat.
    pub fn tell_sessions_later(&self) {
        for outbox in self.outboxes.read().iter() {
            outbox.mark_later(self.id);
        }
    }

    /// Has a session hear of this partition.
    pub fn tell(&self, outbox: &Arc<Outbox>) {
        let known = |outboxes: &[Arc<Outbox>]| outboxes.iter().any(|o| Arc::ptr_eq(o, outbox));
        if known(&self.outboxes.read()) {
            return;
        }
        let mut outboxes = self.outboxes.write();
        outboxes.retain(|outbox| !outbox.is_closed());
        if !known(&outboxes) {
            outboxes.push(outbox.clone());
        }
    }

    /// The row that it acts by.
    pub fn row(&self) -> Option<Arc<Assignment>> {
        self.replica.lock().row.clone()
    }
}
