//! What must hold over both tiers: rows, objects and disks.

use headwater_broker::{
    BrokerId,
    cold::Step,
    replica::{ReplicaLog, Starts},
};

use crate::{
    content::Batch,
    manifest::{Change, Row, State},
    truth::{Broken, broken},
    world::{World, note},
};

impl World {
    /// Rows may have gone live, or ceased to be.
    pub(crate) fn check_segments(&mut self) {
        self.counts.abandoned_intents = self.store.manifest.abandoned;
        for (partition, row, change) in std::mem::take(&mut self.store.manifest.changed) {
            note!(self, "p{partition} segment row {change:?} {row:?}");
            let kept = match change {
                Change::Published => {
                    self.counts.offloads += 1;
                    self.check_live(partition, &row)
                }
                Change::Replaced => {
                    self.counts.compactions += 1;
                    self.check_replaced(partition, &row)
                }
                Change::Retired => {
                    self.counts.retired += 1;
                    self.check_retired(partition, &row)
                }
            };
            self.check(kept);
        }
    }

    /// A row went live: in the term of its intent, where the last one ended, and its object is whole.
    fn check_live(&self, partition: usize, row: &Row) -> Result<(), Broken> {
        self.check_term(partition, row)?;
        let others = self.store.manifest.live(partition);
        let ends = others.filter(|other| other.key != row.key).map(|r| r.end);
        let last = ends.max();
        let is_next = match last {
            Some(last) => row.base == last,
            None => row.base <= self.truths[partition].trimmed,
        };
        if !is_next {
            let what = format!("p{partition} ends at {last:?} in the store: {row:?}");
            return Err(broken("segments are contiguous", what));
        }
        self.check_object(partition, row)
    }

    fn check_term(&self, partition: usize, row: &Row) -> Result<(), Broken> {
        let term = self.store.rows()[partition].epoch;
        match row.epoch == term {
            true => Ok(()),
            false => {
                let what = format!("p{partition} is in term {term}: {row:?}");
                Err(broken("a segment goes live in its term", what))
            }
        }
    }

    /// A row took the place of others: in the term of its intent, so that no offset has two rows or none,
    /// and its object lacks nothing but what later records supersede.
    fn check_replaced(&self, partition: usize, row: &Row) -> Result<(), Broken> {
        self.check_term(partition, row)?;
        let mut live: Vec<Row> = self.store.manifest.live(partition).copied().collect();
        live.sort_unstable_by_key(|row| row.base);
        if !live.windows(2).all(|two| two[0].end == two[1].base) {
            let what = format!("p{partition} {row:?} among {live:?}");
            return Err(broken("segments are contiguous", what));
        }
        self.check_object(partition, row)
    }

    /// A live row's object holds exactly what is committed; after compaction it may lack what later
    /// records of the same key supersede.
    fn check_object(&self, partition: usize, row: &Row) -> Result<(), Broken> {
        let truth = &self.truths[partition];
        let committed = truth.batches(row.base, row.end);
        let stored = self.objects.get(&row.key).map(Vec::as_slice);
        let is_whole = match (&committed, stored) {
            (Some(committed), Some(stored)) if row.is_clean => {
                let mut rest = stored.iter().peekable();
                let mut all = committed.iter();
                all.all(|batch| {
                    rest.next_if(|kept| *kept == batch).is_some() || truth.is_superseded(batch)
                }) && rest.next().is_none()
            }
            (Some(committed), Some(stored)) => stored == committed,
            _ => false,
        };
        match is_whole {
            true => Ok(()),
            false => {
                let what = format!("p{partition} {row:?}: {stored:?}, committed is {committed:?}");
                Err(broken("a live object holds what is committed", what))
            }
        }
    }

    fn check_retired(&self, partition: usize, row: &Row) -> Result<(), Broken> {
        let trimmed = self.truths[partition].trimmed;
        match row.end <= trimmed {
            true => Ok(()),
            false => {
                let what = format!("p{partition} is trimmed to {trimmed}: {row:?}");
                Err(broken("what was not trimmed can be read", what))
            }
        }
    }

    /// What is below an offset has left a disk.
    pub(crate) fn check_dropped(&mut self, id: BrokerId, partition: usize, below: u64) {
        let leads = self.broker(id).part(partition);
        match leads.is_some_and(|(part, _)| part.replica.leads_in().is_some()) {
            true => self.counts.drops += 1,
            false => self.counts.drops_following += 1,
        }
        let live = self.store.manifest.live(partition).map(|row| row.end).max();
        if below > live.unwrap_or(0).max(self.truths[partition].trimmed) {
            let what = format!("b{id} p{partition} drops what is below {below}, live is {live:?}");
            self.check(Err(broken("no copy goes before it is live", what)));
        }
    }

    /// Objects were deleted.
    pub(crate) fn check_deleted(&mut self, keys: &[u64]) {
        for partition in 0..self.truths.len() {
            let rows = self.store.manifest.rows(partition);
            let is_deleted = |row: &&Row| row.state == State::Live && keys.contains(&row.key);
            if let Some(row) = rows.iter().find(is_deleted) {
                let what = format!("p{partition}: the object of {row:?} is deleted");
                self.check(Err(broken("no live row without its object", what)));
            }
        }
    }

    /// A leader reads a committed record, from its disk or the store.
    pub(crate) fn read_record(&mut self, id: BrokerId, partition: usize, below: u64) {
        let disk = &self.brokers[id as usize - 1].disk.parts[partition];
        let Starts { log, local } = disk.log.starts();
        if log >= below {
            return;
        }
        // The oldest record is asked for as often as all others: it is where tiers and trims meet.
        let offset = match self.dice.chance(5_000) {
            true => log,
            false => self.dice.between(log, below - 1),
        };
        if offset < local && (self.net.no_store.contains(&id) || self.objects_fail()) {
            self.counts.cold_reads_failed += 1;
            return;
        }
        let read = self.record(id, partition, offset);
        let truth = &self.truths[partition];
        if read.is_none() && offset < truth.trimmed {
            // This leader, which may be one no more, has not heard of it.
            self.counts.trimmed_reads += 1;
            return;
        }
        self.counts.cold_reads += u64::from(offset < local);
        let committed = truth.batch_at(offset);
        let is_superseded = committed.is_some_and(|batch| truth.is_superseded(&batch));
        if read.is_none() && offset < local && is_superseded {
            self.counts.compacted_reads += 1;
            return;
        }
        if read != committed {
            let what = format!(
                "b{id} p{partition} reads {read:?} at {offset}, its disk begins at {local}; committed is {committed:?}"
            );
            self.check(Err(broken("what was not trimmed can be read", what)));
        }
    }

    fn record(&self, id: BrokerId, partition: usize, offset: u64) -> Option<Batch> {
        let log = &self.brokers[id as usize - 1].disk.parts[partition].log;
        if offset >= log.starts().local {
            return log.memory().batch_at(offset);
        }
        let row = self.store.manifest.row_of(partition, offset)?;
        let object = self.objects.get(&row.key)?;
        let holds = |batch: &&Batch| (batch.base..batch.end()).contains(&offset);
        object.iter().find(holds).copied()
    }

    /// What is not well yet between a leader's disk and the store.
    pub(crate) fn tiers_ailment(&mut self, id: BrokerId, partition: usize) -> Option<String> {
        let (part, disk) = self.broker(id).part(partition)?;
        let Some(cold) = part.known_cold() else {
            return Some(format!("b{id} does not know what is in the store"));
        };
        if let Some(task) = &part.task {
            return Some(format!("b{id} is busy: {task:?}"));
        }
        let (starts, committed) = (disk.log.starts(), part.replica.high_watermark());
        let from = cold.next_offset(starts.local);
        if let Some(batches) = disk.log.sealed(from, committed, u64::from(id)) {
            return Some(format!("b{id} has yet to upload {batches:?}"));
        }
        let is_abandoned = cold.first_step() == Step::Intend;
        let rows = self.store.manifest.rows(partition);
        let stuck = rows.iter().find(|row| {
            // Of an intent that was made after nobody waited for it there is no object.
            row.state == State::Uploading && self.objects.contains_key(&row.key)
        });
        if let Some(row) = stuck.filter(|_| is_abandoned) {
            return Some(format!("an upload is stuck: {row:?}"));
        }
        let mut live: Vec<Row> = self.store.manifest.live(partition).copied().collect();
        live.sort_unstable_by_key(|row| row.base);
        let (first, last) = (live.first(), live.last());
        let is_read =
            |(first, last): (&Row, &Row)| first.base <= starts.log && starts.local <= last.end;
        if starts.log < starts.local && !first.zip(last).is_some_and(is_read) {
            return Some(format!("b{id} starts at {starts:?}, live are {live:?}"));
        }
        let is_whole = live.windows(2).all(|two| two[0].end == two[1].base);
        if !is_whole {
            return Some(format!("not contiguous: {live:?}"));
        }
        let damaged = live
            .iter()
            .find_map(|row| self.check_object(partition, row).err());
        damaged.map(|broken| broken.what)
    }

    /// Objects that no row knows of: what a sweep of the store would find.
    pub(crate) fn count_strays(&mut self) {
        let known = |key: &u64| {
            let mut parts = 0..self.truths.len();
            parts.any(|p| {
                self.store
                    .manifest
                    .rows(p)
                    .iter()
                    .any(|row| row.key == *key)
            })
        };
        let strays = self.objects.keys().filter(|key| !known(key)).count();
        self.counts.strays += strays as u64;
    }
}
