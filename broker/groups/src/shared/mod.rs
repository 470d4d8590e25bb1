//! Groups in which any number of nameless workers share the records, as of a queue.
//!
//! Workers [lease](Shared::lease) single records and [settle](Shared::settle) them. What this
//! promises:
//!
//! - A record has at most one live lease, and no record of a key is leased before all earlier ones
//!   of that key are settled. Other keys go on meanwhile; records without a key have no order.
//! - Every record is settled once: acknowledged, written to the dead letters, dropped where there
//!   are none, or gone from the log. A settled record is never leased again.
//! - The floor of a partition, below which all is settled, never goes back but by a reset.
//! - Memory is bounded: [`WINDOW_RECORDS_MAX`](crate::limits::WINDOW_RECORDS_MAX) records are known at a time, over all partitions, and
//!   what is remembered of settled ones above a floor is at most a range for each unsettled one.
//!
//! A window on each partition holds the records that were [offered](Shared::offer) and are not
//! settled:
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
//! settled: attempts, the last lease, a delay, a death; and which offsets of the dead-letter topic are
//! done with. All else (the window itself, deadlines, what
//! is available) is built again from offers and [`Shared::resume`]. A call does not change durable
//! state: it gives the [`Step`] that [`Shared::apply`] changes it by, here and in every replay.
//!
//! Each lease has a number, the group's epoch: what a worker holds of a group that is deleted, or of
//! before a reset, is below the fence of what is there now.

mod apply;
mod calls;
mod draft;
mod lease;
mod offer;
mod partitions;
mod progress;
mod ranges;
mod redriven;
mod settle;
mod snapshot;
mod step;
mod timers;
pub(crate) mod types;
mod window;

use std::collections::{BTreeMap, BTreeSet};

use headwater_log::PartitionId;

use crate::call::{Position, State};
use crate::config::Rules;
use progress::Progress;
pub(crate) use progress::{State as RecordState, Tried};
pub use ranges::Ranges;
use redriven::Redriven;
pub(crate) use snapshot::Place;
pub(crate) use step::{Changes, Piece, Step};
use timers::Timers;
use types::Work;
use window::Window;

/// A group whose workers share the records of some partitions.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    /// Those of the group's config.
    pub(crate) rules: Rules,
    partitions: BTreeMap<PartitionId, Share>,
    /// The number of the last lease.
    epoch: u64,
    dropped: u64,
    /// Of the dead-letter topic.
    redriven: Redriven,

    // From here on nothing is durable.
    timers: Timers,
    /// Records that wait to be written to the dead letters.
    dead: BTreeSet<(PartitionId, u64)>,
    /// Partitions that have available records.
    ready: BTreeSet<PartitionId>,
    /// The last partition that was leased from: the next lease begins after it.
    served: Option<PartitionId>,
    /// The last partition that somebody was asked to offer: the next one comes after it.
    asked: Option<PartitionId>,
    /// How many records are in all windows.
    known: usize,
}

/// What the log says; windows and deadlines are not of it.
impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        (self.epoch, self.dropped, &self.partitions, &self.redriven)
            == (
                other.epoch,
                other.dropped,
                &other.partitions,
                &other.redriven,
            )
    }
}

/// A group's share of one partition: what is durable, and the window on it.
#[derive(Clone, Debug)]
struct Share {
    /// Leases up to this one are of before the partition was moved.
    fence: u64,
    progress: Progress,
    window: Window,
}

impl PartialEq for Share {
    fn eq(&self, other: &Self) -> bool {
        (self.fence, &self.progress) == (other.fence, &other.progress)
    }
}

impl Share {
    fn starting_at(fence: u64, offset: u64) -> Self {
        Self {
            fence,
            progress: Progress::starting_at(offset),
            window: Window::default(),
        }
    }
}

impl Shared {
    /// A group without partitions, whose epochs begin here.
    pub(crate) fn new(epoch: u64, rules: Rules) -> Self {
        Self {
            rules,
            partitions: BTreeMap::new(),
            epoch,
            dropped: 0,
            redriven: Redriven::default(),
            timers: Timers::default(),
            dead: BTreeSet::new(),
            ready: BTreeSet::new(),
            served: None,
            asked: None,
            known: 0,
        }
    }

    /// Goes by other rules from now on. What became of the letters of another topic is of no use.
    pub(crate) fn obey(&mut self, rules: Rules) {
        self.rules = rules;
        self.redriven.keep(rules.dead_letters);
    }

    pub(crate) const fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn positions(&self) -> Vec<Position> {
        let positions = self.partitions.iter().map(|(id, share)| Position {
            partition: *id,
            committed: Some(share.progress.floor),
            settled_above: share.progress.settled.total(),
        });
        positions.collect()
    }

    pub(crate) fn state(&self) -> State {
        match self.is_active() {
            false => State::Empty,
            true => State::Stable,
        }
    }

    /// Whether a worker holds a lease that has not ended.
    pub(crate) fn is_active(&self) -> bool {
        self.tried().any(Tried::is_live)
    }

    pub(crate) fn work(&self) -> Work {
        let leased = self.tried().filter(|tried| tried.is_live()).count();
        let dead = self.dead.len();
        Work {
            leased,
            waiting: self.tried().count() - leased - dead,
            dead,
            dropped: self.dropped,
        }
    }

    fn tried(&self) -> impl Iterator<Item = &Tried> {
        let shares = self.partitions.values();
        shares.flat_map(|share| share.progress.tried.values())
    }

    /// When [`Shared::expire`] next has something to do.
    pub(crate) fn due_ms(&self) -> Option<i64> {
        match self.has_undeliverable() {
            true => Some(0),
            false => self.timers.first_ms(),
        }
    }

    /// Whether there are dead letters and no topic for them any more.
    fn has_undeliverable(&self) -> bool {
        self.rules.dead_letters.is_none() && !self.dead.is_empty()
    }
}
