//! When the group log gets a snapshot, how far that is, and what is trimmed for it.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use headwater_groups::{Coordinator, Event, SnapshotCursor};

use super::driver::{Driver, Over};
use crate::{error::ProduceError, node::Node, partition::Partition};

/// A log is not worth a snapshot below this.
const LOG_BYTES_MIN: u64 = 1 << 20;
/// How much larger than its last snapshot a log becomes: what is written twice for it is a fourth at most.
const LOG_PER_SNAPSHOT: u64 = 4;
/// Events of a snapshot that are appended at once, in bytes: calls go on between.
const STEP_BYTES: usize = 64 << 10;
/// How long a snapshot waits for a disk that is behind.
const CROWDED_WAIT: Duration = Duration::from_millis(10);

/// The snapshots of one log. Each is written between other events; once it is committed, the log begins
/// where it begins.
pub(super) struct Snapshots {
    /// Bytes of the log since the last snapshot began.
    since_bytes: u64,
    last_bytes: u64,
    writing: Option<Writing>,
}

#[derive(Default)]
struct Writing {
    cursor: SnapshotCursor,
    /// The offset of its first event.
    begin: Option<u64>,
    bytes: u64,
}

impl Snapshots {
    /// Of a log of so many bytes, and what a coordinator has made of it. How long its last snapshot was
    /// is not in it; what the next one would be is about as much.
    pub fn of(log_bytes: u64, coordinator: &Coordinator) -> Self {
        let mut last_bytes = 0;
        let mut next = coordinator.snapshot_next(SnapshotCursor::default());
        while let Some((event, cursor)) = next {
            last_bytes += event.value().map_or(0, |value| value.len() as u64);
            next = coordinator.snapshot_next(cursor);
        }
        Self {
            since_bytes: log_bytes,
            last_bytes,
            writing: None,
        }
    }

    /// The log has so much more.
    pub fn appended(&mut self, bytes: usize) {
        self.since_bytes += bytes as u64;
    }

    /// Whether there is something to [append](Self::step).
    pub fn is_writing(&mut self) -> bool {
        let least = LOG_BYTES_MIN.max(LOG_PER_SNAPSHOT * self.last_bytes);
        if self.writing.is_none() && self.since_bytes > least {
            self.writing = Some(Writing::default());
            self.since_bytes = 0;
        }
        self.writing.is_some()
    }

    /// The next events of the snapshot; none when it is complete. They are to be appended, and
    /// [noted](Self::wrote), before anything else is applied.
    pub fn step(&mut self, coordinator: &Coordinator) -> Vec<Event> {
        let Some(writing) = &mut self.writing else {
            return Vec::new();
        };
        let (mut events, mut bytes) = (Vec::new(), 0);
        while bytes < STEP_BYTES
            && let Some((event, cursor)) = coordinator.snapshot_next(writing.cursor.clone())
        {
            bytes += event.value().map_or(0, |value| value.len());
            events.push(event);
            writing.cursor = cursor;
        }
        events
    }

    /// A step was appended there.
    pub fn wrote(&mut self, base_offset: u64, bytes: usize) {
        if let Some(writing) = &mut self.writing {
            writing.begin.get_or_insert(base_offset);
            writing.bytes += bytes as u64;
        }
    }

    /// The snapshot is complete. Answers below which offset the log is to be trimmed once it is committed.
    pub fn complete(&mut self) -> Option<u64> {
        let writing = self.writing.take()?;
        self.last_bytes = writing.bytes;
        writing.begin
    }

    /// The log refused a step: there will be another snapshot when it has grown on.
    pub fn abandon(&mut self) {
        self.writing = None;
    }
}

impl Driver {
    /// Appends the next part of a snapshot, and has the log trimmed after the last.
    pub(super) fn write_snapshot(&mut self) -> Result<(), Over> {
        let events = self.snapshots.step(&self.coordinator);
        if events.is_empty() {
            if let Some(begin) = self.snapshots.complete() {
                let partition = self.home.partition.clone();
                let figures = self.home.figures.clone();
                self.when_committed(0, move || {
                    figures.snapshots.fetch_add(1, Ordering::Relaxed);
                    trim(partition, begin);
                });
            }
            return Ok(());
        }
        match self.append(&events) {
            Ok((base_offset, bytes)) => {
                self.snapshots.wrote(base_offset, bytes);
                Ok(())
            }
            Err(ProduceError::Unknown) => Err(Over),
            Err(error) => {
                tracing::warn!(partition = %self.home.partition.id, %error, "a snapshot is given up");
                self.snapshots.abandon();
                Ok(())
            }
        }
    }
}

/// Waits until a snapshot may go on.
pub(super) async fn room(node: &Weak<Node>) {
    match node.upgrade().is_some_and(|node| node.log.crowded()) {
        true => tokio::time::sleep(CROWDED_WAIT).await,
        false => tokio::task::yield_now().await,
    }
}

/// Lets go of what a committed snapshot stands for, also if the term has ended by now.
fn trim(partition: Arc<Partition>, before_offset: u64) {
    tokio::task::spawn_blocking(move || match partition.log.trim(before_offset) {
        Ok(log_start) => {
            partition.tell_sessions();
            tracing::debug!(partition = %partition.id, log_start, "the group log was trimmed");
        }
        Err(error) => {
            tracing::warn!(partition = %partition.id, %error, "the group log is trimmed later");
        }
    });
}

#[cfg(test)]
mod tests {
    use headwater_groups::{Action, Call, Config, GroupId, Kind, Start, TopicId, Topics};

    use super::*;

    struct Many;

    impl Topics for Many {
        fn partitions(&self, _: TopicId) -> Option<u32> {
            Some(2_000)
        }
    }

    fn call(group: usize, action: Action) -> Call {
        let id = GroupId {
            project: "main".into(),
            name: format!("group-{group}"),
        };
        Call::Group(id, action)
    }

    /// Has something happen; the events, as they are appended.
    fn happens(coordinator: &mut Coordinator, call: Call) -> Vec<Event> {
        let handled = coordinator.handle(1_000, call, &Many);
        let (events, _) = handled.expect("it is done");
        events
            .iter()
            .for_each(|event| coordinator.apply(event.clone()));
        events
    }

    #[test]
    fn a_log_cut_at_the_beginning_of_a_snapshot_says_the_same() {
        let mut coordinator = Coordinator::new();
        for group in 0..40 {
            let config = Config {
                topics: vec![TopicId([1; 16])],
                kind: Kind::Partitioned,
                start: Start::Earliest,
                lease_ms: 10_000,
            };
            let offsets = Vec::new();
            happens(
                &mut coordinator,
                call(
                    group,
                    Action::Ensure {
                        config,
                        offsets,
                        only_new: false,
                    },
                ),
            );
        }
        let mut snapshots = Snapshots::of(0, &coordinator);
        let state_bytes = snapshots.last_bytes;
        assert!(state_bytes > 4 * STEP_BYTES as u64, "{state_bytes}");
        let least = LOG_BYTES_MIN.max(LOG_PER_SNAPSHOT * state_bytes);
        snapshots.appended(usize::try_from(least).expect("it fits"));
        assert!(!snapshots.is_writing());
        snapshots.appended(1);
        let (mut log, mut steps) = (Vec::new(), 0);
        while snapshots.is_writing() {
            let events = snapshots.step(&coordinator);
            if events.is_empty() {
                assert_eq!(snapshots.complete(), Some(7));
                break;
            }
            snapshots.wrote(7 + log.len() as u64, STEP_BYTES);
            log.extend(events);
            // Of groups that are in the snapshot already, and of others.
            let join = Action::Join {
                member: format!("m-{steps}"),
                instance: None,
                lease_ms: None,
            };
            log.extend(happens(&mut coordinator, call(steps * 5 % 40, join)));
            steps += 1;
        }
        assert!(steps > 4, "{steps}");
        assert!(!snapshots.is_writing());
        let mut replayed = Coordinator::new();
        for event in log {
            let replay = replayed.replay(&event.key(), event.value().as_deref());
            replay.expect("an event");
        }
        assert_eq!(replayed, coordinator);
    }
}
