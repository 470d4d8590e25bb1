//! Shared groups: a partitioned log worked off record by record, as a queue.
//!
//! Any number of nameless workers [lease](SharedGroup::lease) single records and
//! [settle](SharedGroup::settle) them. What this promises:
//!
//! - A record has at most one live lease, and no record of a key is leased before all earlier ones
//!   of that key are settled. Other keys go on meanwhile; records without a key have no order.
//! - Every record is settled once: acknowledged, written to the dead letters, dropped where there
//!   are none, or gone from the log. A settled record is never leased again.
//! - The floor of a partition, below which all is settled, never goes back but by
//!   [`SharedGroup::move_to`].
//! - Memory is bounded: [`WINDOW_RECORDS_MAX`] records are known at a time, over all partitions, and
//!   what is remembered of settled ones above a floor is at most a range for each unsettled one.
//!
//! A window on each partition holds the records that were offered and are not settled:
//!
//! ```text
//! offset   … 99 │ 100    101     102     103     104    105    106     107    108 │ 109 …
//! key           │  a      b       a              b      c      a              c   │
//! record        │ leased settled behind settled ready  dead   behind  ready behind│
//!               │                                                                 │
//!               └ floor: all below is settled          next wanted: not offered yet ┘
//! ```
//!
//! 102 and 106 wait behind 100, 108 behind 105 until that is written to the dead letters. Offsets
//! that do not exist (compacted, trimmed) are settled together with their neighbours.
//!
//! *Durable* are floors, settled ranges, and what is known of records that were leased and are not
//! settled: attempts, the last lease, a delay, a death. All else (the window itself, deadlines, what
//! is available) is built again from offers and [`SharedGroup::resume`]. A call does not change
//! durable state: it gives the event that [`SharedGroup::apply`] changes it by, here and in every
//! replay of the log.
//!
//! What the caller promises:
//!
//! - The event of a call is applied before the next call. If it cannot be appended, the whole state
//!   is thrown away.
//! - A reply, with an event or without, rests on all events before it, and goes out when they are
//!   committed: what a repeated acknowledgement finds settled may be settled by one that is not.
//! - [`SharedGroup::expire`] is called when [`SharedGroup::due_ms`] is past.
//! - Times are milliseconds since the Unix epoch: a delay outlives the machine that began it.
//! - Numbers of leases begin again with a new group: what a worker holds names the group's
//!   generation, too.

mod apply;
mod codec;
mod draft;
mod event;
mod lease;
mod offer;
mod progress;
mod ranges;
mod settle;
mod timers;
mod types;
mod window;

use std::collections::{BTreeMap, BTreeSet};

pub use codec::DecodeError;
pub use event::SharedEvent;
use progress::Progress;
use timers::Timers;
pub use types::{
    Cause, Config, DeadLetter, Leased, Nack, Outcome, Partition, Position, Reject, Settlement,
    Token, Want,
};
use window::Window;

/// The most records that a group knows and has not settled, over all its partitions.
pub const WINDOW_RECORDS_MAX: usize = 50_000;
/// The most records that one [`SharedGroup::lease`] gives, and that one event of
/// [`SharedGroup::expire`] is about; callers are to refuse a longer [`Settlement`].
pub const CALL_RECORDS_MAX: usize = 1_000;
/// The shortest lease; a shorter one is made as long.
pub const LEASE_MS_MIN: u32 = 10_000;
/// The longest lease; a longer one is made as short.
pub const LEASE_MS_MAX: u32 = 300_000;
/// The longest delay of a nack: a day; a longer one is made as short.
pub const DELAY_MS_MAX: u32 = 86_400_000;
/// The longest reason that is kept with a dead letter; the rest is cut off.
pub const REASON_BYTES_MAX: usize = 256;

/// A group of workers that share the records of some partitions; the module says what it promises.
#[derive(Debug)]
pub struct SharedGroup {
    config: Config,
    partitions: BTreeMap<Partition, Share>,
    /// The number of the next lease; numbers are never used twice by one group.
    next_lease: u64,
    dropped: u64,

    // From here on nothing is durable.
    timers: Timers,
    /// Records that wait to be written to the dead letters.
    dead: BTreeSet<(Partition, u64)>,
    /// Partitions that have available records.
    ready: BTreeSet<Partition>,
    /// The last partition that was leased from: the next lease begins after it.
    served: Partition,
    /// How many records are in all windows.
    known: usize,
}

/// A group's share of one partition: what is durable, and the window on it.
#[derive(Debug)]
struct Share {
    progress: Progress,
    window: Window,
}

impl Share {
    fn starting_at(offset: u64) -> Self {
        Self {
            progress: Progress::starting_at(offset),
            window: Window::default(),
        }
    }
}

impl SharedGroup {
    /// A group without partitions: [`SharedGroup::move_to`] gives it some.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            partitions: BTreeMap::new(),
            next_lease: 1,
            dropped: 0,
            timers: Timers::default(),
            dead: BTreeSet::new(),
            ready: BTreeSet::new(),
            served: Partition::default(),
            known: 0,
        }
    }

    /// Other rules from now on; what is dead already stays so.
    pub fn configure(&mut self, config: Config) {
        self.config = config;
    }

    /// Where each partition is, in their order.
    pub fn positions(&self) -> impl Iterator<Item = Position> {
        self.partitions.iter().map(|(partition, share)| Position {
            partition: *partition,
            floor: share.progress.floor,
            settled_above: share.progress.settled.total(),
            next_wanted: share.window.next_wanted(&share.progress),
        })
    }

    /// Whether [`SharedGroup::lease`] would give a record now.
    pub fn has_available(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether a worker holds a lease that has not ended.
    pub fn has_live_lease(&self) -> bool {
        let mut tried = self
            .partitions
            .values()
            .flat_map(|share| &share.progress.tried);
        tried.any(|(_, tried)| tried.is_leased() && tried.due_ms.is_some())
    }

    /// How many records were settled without a trace: given up while there was no dead-letter topic.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}
