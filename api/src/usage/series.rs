//! Usage over time, from what was written down: traffic is added up by step, stored bytes stay what
//! they were until another note.

use std::collections::HashMap;

use super::Stored;
use crate::{
    limits::USAGE_POINTS_MAX,
    metadata::store::{StoredNote, UsagePoint, UsageQuery},
};

/// One step of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageStep {
    /// The step's start, in milliseconds since the epoch.
    pub time_ms: i64,
    /// What was counted in it.
    pub counts: super::Counts,
    /// What was stored at its end.
    pub stored: Stored,
}

/// What all topics together have stored, step by step.
pub struct Levels {
    from_ms: i64,
    step_ms: i64,
    /// What each topic has on each node, as it was noted last.
    latest: HashMap<(String, String, i64), Stored>,
    total: Stored,
    /// What was stored before the first step.
    before: Stored,
    /// What was stored at the end of the steps in which that changed.
    changes: Vec<(i64, Stored)>,
}

impl Levels {
    /// Nothing is stored as far as is known.
    pub fn new(query: &UsageQuery<'_>) -> Self {
        Self {
            from_ms: query.from_ms,
            step_ms: query.step_ms,
            latest: HashMap::new(),
            total: Stored::default(),
            before: Stored::default(),
            changes: Vec::new(),
        }
    }

    /// Takes the next note, in the order of time; `false` if the series has too many points for
    /// another to matter.
    pub fn note(&mut self, note: StoredNote) -> bool {
        let unsigned = |bytes: i64| u64::try_from(bytes).unwrap_or(0);
        let stored = Stored {
            hot: unsigned(note.stored_bytes_hot),
            cold: unsigned(note.stored_bytes_cold),
        };
        let whose = (note.project_id, note.topic, note.node);
        let old = self.latest.insert(whose, stored).unwrap_or_default();
        // What was added before is taken away: this cannot fall below nothing.
        self.total.hot = self.total.hot - old.hot + stored.hot;
        self.total.cold = self.total.cold - old.cold + stored.cold;
        if note.minute < self.from_ms {
            self.before = self.total;
            return true;
        }
        let step = note.minute - note.minute.rem_euclid(self.step_ms);
        match self.changes.last_mut() {
            Some((last, level)) if *last == step => *level = self.total,
            _ => self.changes.push((step, self.total)),
        }
        // Every other change at least is to something, which makes a point.
        self.changes.len() <= 2 * USAGE_POINTS_MAX + 1
    }
}

/// A point for every step that has traffic or stored bytes, in the order of time; `None` if those
/// are too many.
pub fn series(
    query: &UsageQuery<'_>,
    traffic: Vec<UsagePoint>,
    levels: Levels,
) -> Option<Vec<UsageStep>> {
    let mut points = Vec::new();
    let mut traffic = traffic.into_iter().peekable();
    let mut changes = levels.changes.into_iter().peekable();
    let (mut time_ms, mut stored) = (query.from_ms, levels.before);
    while time_ms < query.to_ms {
        if let Some((_, level)) = changes.next_if(|(at, _)| *at <= time_ms) {
            stored = level;
        }
        let moved = traffic.next_if(|point| point.time <= time_ms);
        if moved.is_none() && stored == Stored::default() {
            // On to where something happens.
            let next = [
                traffic.peek().map(|point| point.time),
                changes.peek().map(|(at, _)| *at),
            ];
            match next.into_iter().flatten().min() {
                Some(next) => time_ms = next,
                None => break,
            }
            continue;
        }
        if points.len() == USAGE_POINTS_MAX {
            return None;
        }
        points.push(UsageStep {
            time_ms,
            counts: moved.map(|point| point.counts()).unwrap_or_default(),
            stored,
        });
        time_ms += query.step_ms;
    }
    Some(points)
}
