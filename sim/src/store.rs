//! The cluster's metadata: rows changed by compare-and-set, leases by its own clock. What it means is
//! what `placement::Registry` says; calls to it and answers from it are lost and late elsewhere.

use std::collections::{BTreeMap, VecDeque};

use headwater_broker::{
    BrokerId, Incarnation,
    controller::{BrokerState, BrokerView, Brokers},
    replica::{Assignment, Rule, Rules},
};

use crate::manifest::{Ask, Manifest, Told};

/// Microseconds of simulated time.
pub type Micros = u64;

/// How many states are kept for reads that are late.
const PAST_MAX: usize = 64;

/// What a broker asks.
#[derive(Debug, Clone)]
pub enum Request {
    /// Begin a new life.
    Register {
        /// The name of the disk.
        disk: u64,
        /// The renewals that the disk remembers.
        renewals: i64,
    },
    /// Live on.
    Renew {
        /// The life.
        incarnation: Incarnation,
        /// The renewals, this one counted.
        renewals: i64,
    },
    /// Be the controller, or stay it.
    Control {
        /// The life.
        incarnation: Incarnation,
    },
    /// Fence those whose lease has expired.
    Fence,
    /// Everything there is.
    Read,
    /// Replace rows.
    Propose(Vec<Proposal>),
    /// About a partition's segments, in a term.
    Segments(usize, i32, Ask),
    /// Which objects are to be deleted.
    Doomed,
    /// These objects are deleted.
    Forget(Vec<u64>),
}

impl Request {
    /// Whether it is about segments: of partitions it changes nothing.
    pub fn is_of_segments(&self) -> bool {
        matches!(self, Self::Segments(..) | Self::Doomed | Self::Forget(_))
    }
}

/// Another row, if the partition's is still the one with this `partition_epoch`.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The partition.
    pub partition: usize,
    /// The `partition_epoch` of the row that is replaced.
    pub was: i64,
    /// The new row.
    pub row: Assignment,
    /// Who is new in the in-sync set, and in which life.
    pub added: Vec<(BrokerId, Incarnation)>,
}

/// What the store answers.
#[derive(Debug, Clone)]
pub enum Reply {
    /// The new life.
    Registered(Incarnation),
    /// Another disk holds the number, with a live lease.
    Taken,
    /// The lease runs on.
    Renewed,
    /// Another life has begun.
    Replaced,
    /// Whether the asker is the controller.
    Controls(bool),
    /// Those that had expired are fenced.
    Fenced,
    /// Everything there is.
    Read(Snapshot),
    /// The rows as they are now.
    Rows(Vec<Assignment>),
    /// About segments.
    Segments(Told),
    /// Objects that are to be deleted.
    Doomed(Vec<u64>),
    /// Their rows are gone.
    Forgotten,
}

/// The metadata at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Index = partition.
    pub rows: Vec<Assignment>,
    /// Lives and states.
    pub brokers: Brokers,
}

#[derive(Debug)]
struct Member {
    incarnation: Incarnation,
    disk: Option<u64>,
    renewals: i64,
    lease_until: Micros,
    fenced: bool,
}

/// The metadata.
#[derive(Debug)]
pub struct Store {
    rows: Vec<Assignment>,
    members: BTreeMap<BrokerId, Member>,
    controller: Option<(BrokerId, Incarnation, Micros)>,
    past: VecDeque<(Micros, Snapshot)>,
    lease: Micros,
    rules: Rules,
    /// Rows of segments.
    pub manifest: Manifest,
    /// Partitions whose row changed, to be told to everybody.
    pub changed: Vec<usize>,
}

impl Store {
    /// A store with partitions, and no broker that lives.
    pub fn new(rows: Vec<Assignment>, brokers: u32, lease: Micros, rules: Rules) -> Self {
        let member = || Member {
            incarnation: 0,
            disk: None,
            renewals: 0,
            lease_until: 0,
            fenced: true,
        };
        Self {
            manifest: Manifest::new(rows.len(), rules),
            rows,
            members: (1..=brokers).map(|id| (id, member())).collect(),
            controller: None,
            past: VecDeque::new(),
            lease,
            rules,
            changed: Vec::new(),
        }
    }

    /// The rows, index = partition.
    pub fn rows(&self) -> &[Assignment] {
        &self.rows
    }

    /// The renewals that the metadata knows of a broker.
    pub fn renewals(&self, broker: BrokerId) -> i64 {
        self.members.get(&broker).map_or(0, |m| m.renewals)
    }

    /// Everything, as it is now.
    pub fn snapshot(&self) -> Snapshot {
        let view = |member: &Member| BrokerView {
            incarnation: member.incarnation,
            state: match member.fenced {
                true => BrokerState::Fenced,
                false => BrokerState::Live,
            },
            rack: None,
        };
        Snapshot {
            rows: self.rows.clone(),
            brokers: self.members.iter().map(|(id, m)| (*id, view(m))).collect(),
        }
    }

    /// Everything, as it was at a moment that is not too long ago.
    pub fn snapshot_at(&self, then: Micros) -> Snapshot {
        let past = self.past.iter().rev().find(|(at, _)| *at <= then);
        past.map_or_else(|| self.snapshot(), |(_, snapshot)| snapshot.clone())
    }

    /// Keeps the present for [`Store::snapshot_at`].
    pub fn remember(&mut self, now: Micros) {
        if self.past.len() == PAST_MAX {
            self.past.pop_front();
        }
        self.past.push_back((now, self.snapshot()));
    }

    /// Does what is asked, at once and whole.
    pub fn call(&mut self, now: Micros, from: BrokerId, request: Request) -> Reply {
        match request {
            Request::Register { disk, renewals } => self.register(now, from, disk, renewals),
            Request::Renew {
                incarnation,
                renewals,
            } => self.renew(now, from, incarnation, renewals),
            Request::Control { incarnation } => {
                let free = self.controller.is_none_or(|(by, life, until)| {
                    (by, life) == (from, incarnation) || until < now
                });
                if free {
                    self.controller = Some((from, incarnation, now + self.lease));
                }
                Reply::Controls(free)
            }
            Request::Fence => {
                for member in self.members.values_mut() {
                    member.fenced |= member.lease_until < now;
                }
                Reply::Fenced
            }
            Request::Read => Reply::Read(self.snapshot()),
            Request::Propose(proposals) => {
                let rows = proposals.into_iter().map(|p| self.propose(p)).collect();
                Reply::Rows(rows)
            }
            Request::Segments(partition, epoch, ask) => {
                let terms = (epoch, self.rows[partition].epoch);
                Reply::Segments(self.manifest.ask(now, partition, terms, ask))
            }
            Request::Doomed => Reply::Doomed(self.manifest.doomed(now)),
            Request::Forget(keys) => {
                self.manifest.forget(&keys);
                Reply::Forgotten
            }
        }
    }

    fn register(&mut self, now: Micros, from: BrokerId, disk: u64, renewals: i64) -> Reply {
        let lease = self.lease;
        let Some(member) = self.members.get_mut(&from) else {
            return Reply::Taken;
        };
        let other = member.disk.is_some_and(|known| known != disk);
        if other && !member.fenced && member.lease_until >= now {
            return Reply::Taken;
        }
        let lost = other || (member.disk.is_some() && renewals < member.renewals);
        *member = Member {
            incarnation: member.incarnation + 1,
            disk: Some(disk),
            renewals,
            lease_until: now + lease,
            fenced: false,
        };
        let incarnation = member.incarnation;
        if lost && self.rules.hold(Rule::LostDisk) {
            self.lost_copies(from);
        }
        Reply::Registered(incarnation)
    }

    /// Takes a broker out of every in-sync set, also below the least: its copies are gone.
    fn lost_copies(&mut self, broker: BrokerId) {
        for partition in 0..self.rows.len() {
            let mut row = self.rows[partition].clone();
            if !row.in_sync.contains(&broker) {
                continue;
            }
            row.in_sync.retain(|member| *member != broker);
            if row.leader.is_some_and(|leader| leader.broker == broker) {
                row.leader = None;
            }
            self.write(partition, row);
        }
    }

    fn renew(
        &mut self,
        now: Micros,
        from: BrokerId,
        incarnation: Incarnation,
        renewals: i64,
    ) -> Reply {
        let lease = self.lease;
        match self.members.get_mut(&from) {
            Some(member) if member.incarnation == incarnation => {
                member.renewals = member.renewals.max(renewals);
                member.lease_until = now + lease;
                member.fenced = false;
                Reply::Renewed
            }
            _ => Reply::Replaced,
        }
    }

    /// Fences a broker whether it lives or not.
    pub fn fence(&mut self, broker: BrokerId) {
        if let Some(member) = self.members.get_mut(&broker) {
            member.fenced = true;
        }
    }

    fn propose(&mut self, proposal: Proposal) -> Assignment {
        let Proposal {
            partition,
            was,
            row,
            added,
        } = proposal;
        let lives = |&(broker, incarnation): &(BrokerId, Incarnation)| {
            let member = self.members.get(&broker);
            member.is_some_and(|m| m.incarnation == incarnation && !m.fenced)
        };
        let living = added.iter().all(lives) || !self.rules.hold(Rule::FollowerIncarnation);
        if self.rows[partition].partition_epoch == was && living {
            self.write(partition, row);
        }
        self.rows[partition].clone()
    }

    /// Writes a row as the next one.
    pub fn write(&mut self, partition: usize, mut row: Assignment) {
        row.partition_epoch = self.rows[partition].partition_epoch + 1;
        self.rows[partition] = row;
        self.changed.push(partition);
    }
}
