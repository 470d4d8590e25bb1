//! What of members is not in the log: when their leases end, and what they were last told.

use std::collections::{BTreeMap, BTreeSet};

use headwater_log::PartitionId;

use super::table::Table;

/// How many tellings are kept of a member that names an older one again and again.
const TELLINGS_MAX: usize = 4;

/// Partitions that a member owns, in their order, and in which stint each.
pub(super) type Stints = Vec<(PartitionId, u64)>;

/// What a member was told that it owns, and with which epoch. Who owns what never changes without a
/// new epoch, so an epoch that a member names says what it knows.
#[derive(Debug, Clone)]
struct Telling {
    epoch: u64,
    stints: Stints,
}

#[derive(Debug, Clone, Default)]
struct Session {
    ends_ms: i64,
    lease_ms: u32,
    has_polled: bool,
    /// From the epoch that the member named last to the one that it was told last: any of them may be
    /// what it names next, as answers are lost.
    told: Vec<Telling>,
}

impl Session {
    fn note(&mut self, epoch: u64, stints: Stints) {
        // What the log refused to make so was not told either, and its epoch is another's.
        self.told.retain(|telling| telling.epoch < epoch);
        if self.told.len() == TELLINGS_MAX {
            // The first one stays: it is what the member is known to know.
            self.told.remove(1);
        }
        self.told.push(Telling { epoch, stints });
    }
}

/// The sessions of a group's members, by `joined`.
#[derive(Debug, Clone, Default)]
pub(super) struct Sessions {
    sessions: BTreeMap<u64, Session>,
    ends: BTreeSet<(i64, u64)>,
}

impl Sessions {
    /// When the next lease ends.
    pub(super) fn due_ms(&self) -> Option<i64> {
        self.ends.first().map(|(ends_ms, _)| *ends_ms)
    }

    /// Whose leases are over.
    pub(super) fn over(&self, now_ms: i64) -> impl Iterator<Item = u64> {
        let over = self.ends.range(..=(now_ms, u64::MAX));
        over.map(|(_, joined)| *joined)
    }

    /// When the member's lease ends; `None` of no member.
    pub(super) fn ends_ms(&self, joined: u64) -> Option<i64> {
        Some(self.sessions.get(&joined)?.ends_ms)
    }

    /// Begins the lease of a member again; gives its end.
    pub(super) fn begin(&mut self, joined: u64, lease_ms: u32, now_ms: i64) -> i64 {
        let session = self.sessions.entry(joined).or_default();
        self.ends.remove(&(session.ends_ms, joined));
        session.ends_ms = now_ms.saturating_add(lease_ms.into());
        session.lease_ms = lease_ms;
        self.ends.insert((session.ends_ms, joined));
        session.ends_ms
    }

    /// Begins all leases again. What was told by another coordinator is not known.
    pub(super) fn resume(&mut self, now_ms: i64) {
        self.ends.clear();
        for (joined, session) in &mut self.sessions {
            session.has_polled = false;
            session.ends_ms = now_ms.saturating_add(session.lease_ms.into());
            self.ends.insert((session.ends_ms, *joined));
        }
    }

    /// Begins a lease for who joined or has another one, and ends those of who is no member any more.
    pub(super) fn follow(&mut self, table: &Table, now_ms: i64) {
        let ends = &mut self.ends;
        self.sessions.retain(|joined, session| {
            let stays = table.names().contains_key(joined);
            if !stays {
                ends.remove(&(session.ends_ms, *joined));
            }
            stays
        });
        for member in table.members().values() {
            let session = self.sessions.get(&member.joined);
            let is_new = session.is_none();
            if session.is_none_or(|session| session.lease_ms != member.lease_ms) {
                self.begin(member.joined, member.lease_ms, now_ms);
            }
            if is_new {
                self.note(member.joined, table.epoch, table.stints(member.joined));
            }
        }
    }

    /// Notes what a member that joins is told.
    pub(super) fn note(&mut self, joined: u64, epoch: u64, stints: Stints) {
        if let Some(session) = self.sessions.get_mut(&joined) {
            session.note(epoch, stints);
        }
    }

    /// Notes what a member is told that names the epoch `known`; gives what was assigned to it and
    /// revoked since. Its first poll is told all as assigned.
    pub(super) fn tell(
        &mut self,
        joined: u64,
        known: u64,
        epoch: u64,
        stints: Stints,
    ) -> (Vec<PartitionId>, Vec<PartitionId>) {
        let session = self.sessions.entry(joined).or_default();
        session.told.retain(|telling| telling.epoch >= known);
        let before = session.told.first().filter(|first| first.epoch == known);
        let before = before.map_or(&[][..], |first| &first.stints);
        let assigned = match session.has_polled {
            true => only_in(&stints, before),
            false => only_in(&stints, &[]),
        };
        let revoked = only_in(before, &stints);
        session.has_polled = true;
        session.note(epoch, stints);
        (assigned, revoked)
    }
}

fn only_in(these: &[(PartitionId, u64)], those: &[(PartitionId, u64)]) -> Vec<PartitionId> {
    let only = these
        .iter()
        .filter(|stint| those.binary_search(stint).is_err());
    only.map(|(id, _)| *id).collect()
}
