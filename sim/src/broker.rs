//! A machine: its disk, and the process on it while one runs.

use std::collections::{BTreeMap, BTreeSet};

use headwater_broker::{
    BrokerId, Incarnation,
    cold::Cold,
    replica::{Assignment, InSyncChange, Replica, Round},
};

use crate::{log::LogFile, offload::Task, store::Micros};

/// What a machine keeps when its process ends.
#[derive(Debug, Clone)]
pub struct Disk {
    /// Its name, made with it.
    pub name: u64,
    /// How often the lease was renewed.
    pub renewals: i64,
    /// Index = partition.
    pub parts: Vec<PartDisk>,
}

/// One partition's part of a disk.
#[derive(Debug, Clone, Default)]
pub struct PartDisk {
    /// The records.
    pub log: LogFile,
    /// The highest epoch that was acted in.
    pub seen_epoch: i32,
    /// The high watermark that was noted last.
    pub high_watermark: u64,
}

impl Disk {
    /// An empty one.
    pub fn new(name: u64, partitions: usize) -> Self {
        Self {
            name,
            renewals: 0,
            parts: vec![PartDisk::default(); partitions],
        }
    }
}

/// A machine.
#[derive(Debug)]
pub struct Broker {
    /// Its disk.
    pub disk: Disk,
    /// An older copy of it.
    pub copy: Option<Disk>,
    /// The disk is not the one that the metadata knows, and has not been registered: nothing on it
    /// counts.
    pub lost_until_registered: bool,
    /// When its disk was lost last.
    pub lost_at: Option<Micros>,
    /// Counts processes: an event of one that is gone means nothing to the next.
    pub life: u64,
    /// The process, while it runs.
    pub process: Option<Process>,
    /// It stands still until then.
    pub paused_until: Option<Micros>,
    /// How many times slower than others its disk is.
    pub slowness: u64,
}

/// What is in a process's memory.
#[derive(Debug)]
pub struct Process {
    /// Its life, once it is registered.
    pub incarnation: Option<Incarnation>,
    /// Index = partition; empty before it is registered.
    pub parts: Vec<Part>,
    /// When each broker was heard last.
    pub heard: BTreeMap<BrokerId, Micros>,
    /// The connection to each leader, and from each follower.
    pub out: BTreeMap<BrokerId, u64>,
    /// The newest connection from each follower.
    pub inward: BTreeMap<BrokerId, u64>,
    /// Calls to the metadata without an answer.
    pub calls: BTreeMap<u64, Purpose>,
    /// It holds the controller's lease until then, and has since.
    pub controls_until: Micros,
    /// Since when it has been the controller and the metadata has answered.
    pub calm_since: Micros,
}

/// One replica in a process.
#[derive(Debug)]
pub struct Part {
    /// The core.
    pub replica: Replica,
    /// The newest row that is known.
    pub row: Option<Assignment>,
    /// A row whose epoch is being made durable.
    pub persisting: Option<Assignment>,
    /// Producers that wait for the high watermark.
    pub waiting: Vec<Waiting>,
    /// Strong reads that wait to be confirmed, each with what had been acknowledged before it began.
    pub strong_reads: Vec<(Round, u64)>,
    /// While it leads: the batches of each producer.
    pub window: BTreeMap<u64, Vec<(u64, u64, u64)>>,
    /// Fetches for which batches are being read.
    pub reading: BTreeSet<(BrokerId, u64)>,
    /// No fetch before then.
    pub patience: Micros,
    /// What of it is in the object store, as it was seen in a term that it led.
    pub cold: Option<Cold>,
    /// What is being done about that.
    pub task: Option<Task>,
    /// Where what is in the store ended when it was last seen that no more is to be compacted.
    pub compacted_to: u64,
}

/// A producer that waits.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    /// The attempt that is answered.
    pub attempt: Attempt,
    /// Its batch's offset,
    pub base: u64,
    /// and end.
    pub end: u64,
}

/// One try of one producer to have one batch appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The producer.
    pub client: usize,
    /// Its session.
    pub session: u64,
    /// The number of the batch's first record.
    pub sequence: u64,
    /// Counts tries.
    pub number: u64,
}

/// Why the metadata was called.
#[derive(Debug)]
pub enum Purpose {
    /// To begin a life.
    Register,
    /// To live on.
    Renew,
    /// To learn what changed.
    Poll,
    /// To be the controller.
    Control,
    /// As the controller: fence,
    Fence,
    /// look,
    Look,
    /// and write.
    Elect,
    /// As a leader, for another in-sync set.
    InSync {
        /// The partition.
        partition: usize,
        /// The change.
        change: InSyncChange,
    },
    /// As a leader, about segments of a partition.
    Tier(usize),
    /// To delete objects.
    Delete,
}

impl Process {
    /// One that has just started.
    pub fn new() -> Self {
        Self {
            incarnation: None,
            parts: Vec::new(),
            heard: BTreeMap::new(),
            out: BTreeMap::new(),
            inward: BTreeMap::new(),
            calls: BTreeMap::new(),
            controls_until: 0,
            calm_since: 0,
        }
    }
}

impl Broker {
    /// A machine with an empty disk, switched off.
    pub fn new(id: BrokerId, partitions: usize) -> Self {
        Self {
            disk: Disk::new(u64::from(id), partitions),
            copy: None,
            lost_until_registered: false,
            lost_at: None,
            life: 0,
            process: None,
            paused_until: None,
            slowness: 1,
        }
    }

    /// A replica of the running process and its log, if the process is registered.
    pub fn part(&mut self, partition: usize) -> Option<(&mut Part, &mut PartDisk)> {
        let part = self.process.as_mut()?.parts.get_mut(partition)?;
        Some((part, &mut self.disk.parts[partition]))
    }
}

impl Part {
    /// What of it is in the object store, if it leads and has looked.
    pub fn known_cold(&self) -> Option<Cold> {
        self.cold
            .filter(|cold| Some(cold.epoch) == self.replica.leads_in())
    }

    /// A row is heard of.
    pub fn known(&mut self, row: Assignment) {
        let newer = |known: &Assignment| known.partition_epoch < row.partition_epoch;
        if self.row.as_ref().is_none_or(newer) {
            self.row = Some(row);
        }
    }
}
