//! When the group log gets a snapshot, and how far that is.

use headwater_groups::{Coordinator, Event, SnapshotCursor};

/// A log is not worth a snapshot below this.
const LOG_BYTES_MIN: u64 = 1 << 20;
/// How much larger than its last snapshot a log becomes: what is written twice for it is a fourth at most.
const LOG_PER_SNAPSHOT: u64 = 4;
/// Events of a snapshot that are appended at once, in bytes: calls go on between.
const STEP_BYTES: usize = 64 << 10;

/// The snapshots of one log. Each is written between other events; once it is committed, the log begins
/// where it begins.
#[derive(Default)]
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
        if let Some(writing) = self.writing.take() {
            self.since_bytes += writing.bytes;
        }
    }
}
