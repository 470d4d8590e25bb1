//! What a replication session has to look at next.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
};

use headwater_log::PartitionId;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Partitions that a session is to look at. Whatever happens to a partition meanwhile, it is in here
/// once: a slow session looks less often, at more.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    marked: Mutex<Marked>,
    notify: Notify,
    closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Marked {
    now: HashSet<PartitionId>,
    later: HashSet<PartitionId>,
}

impl Outbox {
    /// Has the session look at a partition now.
    pub fn mark(&self, id: PartitionId) {
        if self.marked.lock().now.insert(id) {
            self.notify.notify_one();
        }
    }

    /// The same of many.
    pub fn mark_all(&self, ids: impl IntoIterator<Item = PartitionId>) {
        self.marked.lock().now.extend(ids);
        self.notify.notify_one();
    }

    /// Has the session look at a partition when it next sends a heartbeat.
    pub fn mark_later(&self, id: PartitionId) {
        self.marked.lock().later.insert(id);
    }

    /// Moves what was left for later to now.
    pub fn ripen(&self) {
        let mut marked = self.marked.lock();
        let later = std::mem::take(&mut marked.later);
        marked.now.extend(later);
    }

    /// Takes what is to be looked at now.
    pub fn take(&self) -> Vec<PartitionId> {
        self.marked.lock().now.drain().collect()
    }

    /// Waits for something to look at.
    pub async fn marked(&self) {
        self.notify.notified().await;
    }

    /// Has the session look, though nothing is marked.
    pub fn wake(&self) {
        self.notify.notify_one();
    }

    /// The session is over.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.notify.notify_one();
    }

    /// Whether the session is over.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}
