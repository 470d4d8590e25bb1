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

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn query(minutes: std::ops::Range<i64>, step: i64) -> UsageQuery<'static> {
        UsageQuery {
            organization: "acme",
            project: None,
            topic: None,
            from_ms: minutes.start * MINUTE,
            to_ms: minutes.end * MINUTE,
            step_ms: step * MINUTE,
        }
    }

    fn note(minute: i64, topic: &str, hot: i64) -> StoredNote {
        StoredNote {
            minute: minute * MINUTE,
            project_id: "orders".to_owned(),
            topic: topic.to_owned(),
            node: 1,
            stored_bytes_hot: hot,
            stored_bytes_cold: 1,
        }
    }

    fn traffic(minute: i64, requests: i64) -> UsagePoint {
        UsagePoint {
            time: minute * MINUTE,
            ingress_bytes: 0,
            egress_bytes: 0,
            records_in: 0,
            records_out: 0,
            requests,
        }
    }

    /// Minute, requests and hot bytes of each point.
    fn points(
        query: &UsageQuery<'_>,
        traffic: Vec<UsagePoint>,
        notes: Vec<StoredNote>,
    ) -> Option<Vec<(i64, u64, u64)>> {
        let mut levels = Levels::new(query);
        for note in notes {
            if !levels.note(note) {
                break;
            }
        }
        let steps = series(query, traffic, levels)?;
        let point =
            |step: UsageStep| (step.time_ms / MINUTE, step.counts.requests, step.stored.hot);
        Some(steps.into_iter().map(point).collect())
    }

    #[test]
    fn stored_bytes_carry_forward() {
        let gone = StoredNote {
            stored_bytes_cold: 0,
            ..note(14, "b", 0)
        };
        let points = points(
            &query(10..17, 1),
            vec![traffic(11, 3), traffic(16, 1)],
            vec![note(3, "a", 5), note(12, "b", 7), note(13, "a", 6), gone],
        );
        let expected = [
            (10, 0, 5),
            (11, 3, 5),
            (12, 0, 12),
            (13, 0, 13),
            (14, 0, 6),
            (15, 0, 6),
            (16, 1, 6),
        ];
        assert_eq!(points.as_deref(), Some(&expected[..]));
    }

    #[test]
    fn a_step_has_what_is_stored_at_its_end() {
        let points = points(
            &query(0..180, 60),
            vec![traffic(60, 9)],
            vec![note(61, "a", 1), note(100, "a", 2)],
        );
        assert_eq!(points.as_deref(), Some(&[(60, 9, 2), (120, 0, 2)][..]));
    }

    #[test]
    fn steps_with_nothing_are_no_points() {
        let long = query(0..100_000_000, 1);
        let far = points(&long, vec![traffic(0, 1), traffic(99_999_999, 1)], vec![]);
        assert_eq!(far.as_deref(), Some(&[(0, 1, 0), (99_999_999, 1, 0)][..]));
        assert_eq!(points(&long, vec![], vec![]).as_deref(), Some(&[][..]));
    }

    #[test]
    fn too_many_points_are_none() {
        let most = USAGE_POINTS_MAX as i64;
        let stored = |minutes| points(&query(0..minutes, 1), vec![], vec![note(0, "a", 1)]);
        assert_eq!(stored(most).map(|points| points.len()), Some(most as usize));
        assert_eq!(stored(most + 1), None);
        let flapping = (0..3 * most).map(|minute| note(minute, "a", minute % 2));
        assert_eq!(
            points(&query(0..3 * most, 1), vec![], flapping.collect()),
            None
        );
    }
}
