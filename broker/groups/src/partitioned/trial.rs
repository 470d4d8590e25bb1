//! A call tried out on a group and taken back, so that its event is what was different.

use std::collections::btree_map::Entry;
use std::ops::Deref;

use headwater_log::PartitionId;

use super::rows::{Member, Partition, Rows};
use super::table::Table;

/// A table on which a call is tried out: decisions read it as if their changes were made.
pub(super) struct Trial<'a> {
    table: &'a mut Table,
    /// The rows that were written to, as they were.
    before: Rows,
}

impl Deref for Trial<'_> {
    type Target = Table;

    fn deref(&self) -> &Table {
        self.table
    }
}

impl Table {
    /// What a call would answer, and the rows that it would change, if any. The table is as before.
    pub(super) fn attempt<T>(&mut self, call: impl FnOnce(&mut Trial) -> T) -> (Option<Rows>, T) {
        let before = Rows {
            epoch: self.epoch,
            ..Rows::default()
        };
        let mut trial = Trial {
            table: self,
            before,
        };
        let answer = call(&mut trial);
        (trial.take_back(), answer)
    }
}

impl Trial<'_> {
    /// The epoch that begins with this call: one, whatever it changes.
    pub(super) fn begin_epoch(&mut self) -> u64 {
        self.table.epoch = self.before.epoch + 1;
        self.table.epoch
    }

    pub(super) fn set_member(&mut self, name: &str, row: Option<Member>) {
        let old = self.table.set_member(name, row);
        if let Entry::Vacant(entry) = self.before.members.entry(name.to_owned()) {
            entry.insert(old);
        }
    }

    pub(super) fn set_partition(&mut self, id: PartitionId, row: Option<Partition>) {
        let old = self.table.set_partition(id, row);
        self.before.partitions.entry(id).or_insert(old);
    }

    /// Puts the rows back, and gives those that were different.
    fn take_back(self) -> Option<Rows> {
        let (table, before) = (self.table, self.before);
        let mut after = Rows {
            epoch: table.epoch,
            ..Rows::default()
        };
        for (name, old) in &before.members {
            let new = table.members().get(name);
            if new != old.as_ref() {
                after.members.insert(name.clone(), new.cloned());
            }
        }
        for (id, old) in &before.partitions {
            let new = table.partitions().get(id);
            if new != old.as_ref() {
                after.partitions.insert(*id, new.copied());
            }
        }
        let changed = after.epoch != before.epoch
            || !after.members.is_empty()
            || !after.partitions.is_empty();
        table.put(&before);
        changed.then_some(after)
    }
}
