//! The rows of a group, and what is looked up in them.

use std::collections::{BTreeMap, BTreeSet};

use headwater_log::PartitionId;

use super::rows::{Member, Partition, Rows};

/// All rows of a group. Everything below `partitions` follows from these, and is kept up by the two
/// setters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) epoch: u64,
    members: BTreeMap<String, Member>,
    partitions: BTreeMap<PartitionId, Partition>,
    /// Names by `joined`.
    names: BTreeMap<u64, String>,
    /// By owner; without those who own nothing.
    owned: BTreeMap<u64, BTreeSet<PartitionId>>,
    /// How many partitions each member owns, with its `joined`.
    loads: BTreeSet<(usize, u64)>,
    unowned: BTreeSet<PartitionId>,
}

impl Table {
    pub(super) const fn members(&self) -> &BTreeMap<String, Member> {
        &self.members
    }

    pub(super) const fn partitions(&self) -> &BTreeMap<PartitionId, Partition> {
        &self.partitions
    }

    pub(super) const fn names(&self) -> &BTreeMap<u64, String> {
        &self.names
    }

    pub(super) const fn loads(&self) -> &BTreeSet<(usize, u64)> {
        &self.loads
    }

    pub(super) const fn unowned(&self) -> &BTreeSet<PartitionId> {
        &self.unowned
    }

    pub(super) fn owned(&self, joined: u64) -> impl Iterator<Item = PartitionId> {
        self.owned.get(&joined).into_iter().flatten().copied()
    }

    pub(super) fn stints(&self, joined: u64) -> Vec<(PartitionId, u64)> {
        let owned = self.owned(joined);
        owned
            .map(|id| (id, self.partitions.get(&id).map_or(0, |row| row.stint)))
            .collect()
    }

    pub(super) fn load(&self, joined: u64) -> usize {
        self.owned.get(&joined).map_or(0, BTreeSet::len)
    }

    /// Puts a row there, or takes it away; gives what was there.
    pub(super) fn set_member(&mut self, name: &str, row: Option<Member>) -> Option<Member> {
        let old = self.members.remove(name);
        if let Some(old) = &old {
            self.names.remove(&old.joined);
            self.loads.remove(&(self.load(old.joined), old.joined));
        }
        if let Some(row) = row {
            self.names.insert(row.joined, name.to_owned());
            self.loads.insert((self.load(row.joined), row.joined));
            self.members.insert(name.to_owned(), row);
        }
        old
    }

    /// Puts a row there, or takes it away; gives what was there.
    pub(super) fn set_partition(
        &mut self,
        id: PartitionId,
        row: Option<Partition>,
    ) -> Option<Partition> {
        let old = match row {
            Some(row) => self.partitions.insert(id, row),
            None => self.partitions.remove(&id),
        };
        // A commit moves nothing.
        if old.map(|old| old.owner) == row.map(|row| row.owner) {
            return old;
        }
        match old.map(|old| old.owner) {
            Some(Some(owner)) => self.disown(owner, id),
            Some(None) => _ = self.unowned.remove(&id),
            None => {}
        }
        match row.map(|row| row.owner) {
            Some(Some(owner)) => self.own(owner, id),
            Some(None) => _ = self.unowned.insert(id),
            None => {}
        }
        old
    }

    fn own(&mut self, owner: u64, id: PartitionId) {
        let owned = self.owned.entry(owner).or_default();
        let before = owned.len();
        owned.insert(id);
        self.set_load(owner, before, before + 1);
    }

    fn disown(&mut self, owner: u64, id: PartitionId) {
        let Some(owned) = self.owned.get_mut(&owner) else {
            return;
        };
        let before = owned.len();
        owned.remove(&id);
        if owned.is_empty() {
            self.owned.remove(&owner);
        }
        self.set_load(owner, before, before - 1);
    }

    /// While rows are being put there, an owner may be no member yet, or no more.
    fn set_load(&mut self, joined: u64, before: usize, after: usize) {
        if self.loads.remove(&(before, joined)) {
            self.loads.insert((after, joined));
        }
    }

    /// Makes it what these rows say.
    pub(super) fn put(&mut self, rows: &Rows) {
        self.epoch = rows.epoch;
        for (name, row) in &rows.members {
            self.set_member(name, row.clone());
        }
        for (id, row) in &rows.partitions {
            self.set_partition(*id, *row);
        }
    }

    /// All rows.
    pub(super) fn rows(&self) -> Rows {
        let members = self.members.iter();
        let partitions = self.partitions.iter();
        Rows {
            epoch: self.epoch,
            members: members.map(|(k, v)| (k.clone(), Some(v.clone()))).collect(),
            partitions: partitions.map(|(k, v)| (*k, Some(*v))).collect(),
        }
    }
}
