//! A member as its process sees it: it knows what it was answered, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use headwater_groups::{Mark, Owned, PartitionId, Polled};

use super::dice::Dice;

/// One process. Several may bear the same name.
pub struct Client {
    pub name: String,
    pub instance: String,
    /// The newest epoch that it was told; none before it has joined.
    pub epoch: Option<u64>,
    /// What it owns, by what it was told.
    pub known: BTreeSet<PartitionId>,
    /// Whether a coordinator died since it was last told: it is not told what it lost then.
    pub missed: bool,
    /// Everything that it was given to read, by stint: up to where.
    pub read: BTreeMap<(PartitionId, u64), u64>,
    /// Whether an answer is still to come.
    pub waits: bool,
}

impl Client {
    pub fn new(name: String, instance: String) -> Self {
        Self {
            name,
            instance,
            epoch: None,
            known: BTreeSet::new(),
            missed: false,
            read: BTreeMap::new(),
            waits: false,
        }
    }

    pub fn joined(&mut self, epoch: u64, assignment: Vec<PartitionId>) {
        self.epoch = Some(epoch);
        self.known = assignment.into_iter().collect();
        self.missed = false;
    }

    /// What it commits: everything that it read, or less, of stints that may be long over.
    pub fn marks(&self, dice: &mut Dice) -> Vec<Mark> {
        let late = dice.percent(20);
        let mut marks = Vec::new();
        for ((partition, stint), end) in &self.read {
            if dice.percent(70) {
                let back = if late { dice.below(4) as u64 } else { 0 };
                marks.push(Mark {
                    partition: *partition,
                    stint: *stint,
                    next_offset: end.saturating_sub(back),
                });
            }
        }
        marks
    }

    /// Takes up an answer; gives from where it reads on in what it owns, as the gateway would: after
    /// what it has read in the same stint, or at what is committed.
    pub fn polled(&mut self, polled: &Polled, dice: &mut Dice) -> Vec<(Owned, u64)> {
        for id in &polled.revoked {
            assert!(self.known.remove(id), "{id} was its own");
        }
        self.known.extend(&polled.assigned);
        let owned: BTreeSet<_> = polled.owned.iter().map(|owned| owned.partition).collect();
        match self.missed {
            true => assert!(self.known.is_superset(&owned)),
            false => assert_eq!(self.known, owned, "what was told adds up"),
        }
        self.known = owned;
        self.missed = false;
        self.epoch = Some(polled.epoch);
        let reads_on = dice.percent(50);
        let froms = polled.owned.iter().map(|owned| {
            let read = self.read.get(&(owned.partition, owned.stint));
            let committed = owned.committed.unwrap_or(0);
            let from = read.filter(|_| reads_on).map_or(committed, |end| *end);
            (*owned, from)
        });
        froms.collect()
    }
}
