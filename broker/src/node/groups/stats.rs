//! What operators are told of groups.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::Coordinators;
use crate::node::Node;

/// Groups, as the coordinators on one node have them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupStats {
    /// Partitions of the group log that are coordinated here; those that nobody has asked for are not.
    pub coordinators: usize,
    /// Groups in them.
    pub groups: usize,
    /// Members of these.
    pub members: usize,
    /// Bytes of their logs.
    pub log_bytes: u64,
    /// Snapshots written since the start.
    pub snapshots: u64,
}

/// What one coordinator has.
#[derive(Debug, Default)]
pub(super) struct Figures {
    groups: AtomicUsize,
    members: AtomicUsize,
    pub snapshots: AtomicU64,
}

impl Figures {
    pub fn note(&self, (groups, members): (usize, usize)) {
        self.groups.store(groups, Ordering::Relaxed);
        self.members.store(members, Ordering::Relaxed);
    }
}

impl Coordinators {
    fn stats(&self) -> GroupStats {
        let mut stats = GroupStats::default();
        for running in self.0.lock().values() {
            stats.snapshots += running.figures.snapshots.load(Ordering::Relaxed);
            if !running.asks.is_closed() {
                stats.coordinators += 1;
                stats.groups += running.figures.groups.load(Ordering::Relaxed);
                stats.members += running.figures.members.load(Ordering::Relaxed);
                stats.log_bytes += running.partition.log.bytes();
            }
        }
        stats
    }
}

impl Node {
    /// Counters and gauges of groups.
    pub fn group_stats(&self) -> GroupStats {
        self.coordinators.stats()
    }
}
