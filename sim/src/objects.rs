//! The object store: whole objects by name, and calls to it that fail, hang, are done with nobody
//! listening, or are answered though only a part was kept.

use std::collections::BTreeMap;

use headwater_broker::{BrokerId, Written};

use crate::{
    content::Batch,
    manifest::Told,
    profile::{MILLI, SECOND},
    store::Micros,
    world::{Event, Inside, World},
};

/// How long a broker waits for the store.
const OBJECT_TIMEOUT: Micros = 2 * SECOND;

/// What is stored.
pub type Objects = BTreeMap<u64, Vec<Batch>>;

/// An object on its way.
#[derive(Debug)]
pub struct Put {
    /// Who sends it, in which of its processes.
    pub from: (BrokerId, u64),
    /// Its name.
    pub key: u64,
    /// What is in it.
    pub batches: Vec<Batch>,
    /// All of it has left the machine: it is stored though the process ends.
    pub is_sent: bool,
}

impl World {
    /// Writes an object.
    pub(crate) fn put(&mut self, id: BrokerId, partition: usize, key: u64, batches: &[Batch]) {
        let takes = self.dice.between(MILLI, self.profile.put_max);
        let mut put = Put {
            from: (id, self.broker(id).life),
            key,
            batches: batches.to_vec(),
            is_sent: self.dice.chance(5_000),
        };
        if self.objects_fail() {
            self.counts.puts_failed += 1;
            return self.object_answer(id, partition, takes, false);
        }
        if self.dice.chance(self.profile.object_hangs) {
            self.counts.puts_hung += 1;
            if self.dice.chance(5_000) {
                put.is_sent = true;
                let late = self.dice.between(OBJECT_TIMEOUT, 3 * OBJECT_TIMEOUT);
                self.schedule(late, Event::Put(put));
            }
            return self.object_answer(id, partition, OBJECT_TIMEOUT, false);
        }
        if self.dice.chance(self.profile.object_torn) {
            self.counts.puts_torn += 1;
            put.batches.pop();
        }
        let is_heard = !self.dice.chance(self.profile.object_unheard);
        self.counts.puts_unheard += u64::from(!is_heard);
        self.schedule(takes, Event::Put(put));
        self.object_answer(id, partition, takes + MILLI, is_heard);
    }

    /// Reads an object back, and compares.
    pub(crate) fn verify(&mut self, id: BrokerId, partition: usize, key: u64, batches: &[Batch]) {
        let takes = self.dice.between(MILLI, 10 * MILLI);
        let is_same = self.objects.get(&key).is_some_and(|kept| kept == batches);
        self.counts.puts_refuted += u64::from(!is_same);
        let done = is_same && !self.objects_fail();
        self.object_answer(id, partition, takes, done);
    }

    /// Whether the store fails a call.
    pub(crate) fn objects_fail(&mut self) -> bool {
        self.net.no_objects || self.dice.chance(self.profile.object_fails)
    }

    fn object_answer(&mut self, id: BrokerId, partition: usize, after: Micros, done: bool) {
        let told = done.then_some(Told::Written(Written::Done));
        self.later(id, after, Inside::Tiered(partition, told));
    }

    /// An object arrives in the store, if it left its machine.
    pub(crate) fn stored_object(&mut self, put: Put) {
        let (id, life) = put.from;
        if put.is_sent || self.broker(id).life == life {
            self.objects.insert(put.key, put.batches);
        }
    }
}
