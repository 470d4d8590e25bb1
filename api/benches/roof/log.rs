//! What was appended lately, in memory.

use std::collections::VecDeque;

use axum::body::Bytes;
use parking_lot::RwLock;
use tokio::sync::watch;

/// Older batches go when there is more than this.
const BYTES_MAX: usize = 320 * 1024 * 1024;

/// The one partition.
pub struct Log {
    batches: RwLock<Batches>,
    high_watermark: watch::Sender<u64>,
}

#[derive(Default)]
struct Batches {
    /// Base offset and bytes.
    list: VecDeque<(u64, Bytes)>,
    bytes: usize,
}

impl Log {
    /// An empty log.
    pub fn new() -> Log {
        Log {
            batches: RwLock::default(),
            high_watermark: watch::Sender::new(0),
        }
    }

    /// Adds committed batches and wakes who waits.
    pub fn publish(&self, committed: impl Iterator<Item = (u64, Bytes)>, high_watermark: u64) {
        let mut batches = self.batches.write();
        for (base_offset, bytes) in committed {
            batches.bytes += bytes.len();
            batches.list.push_back((base_offset, bytes));
        }
        while batches.bytes > BYTES_MAX {
            let Some((_, bytes)) = batches.list.pop_front() else {
                break;
            };
            batches.bytes -= bytes.len();
        }
        drop(batches);
        self.high_watermark.send_replace(high_watermark);
    }

    /// The offset after the last record.
    pub fn high_watermark(&self) -> u64 {
        *self.high_watermark.borrow()
    }

    /// The first offset that is kept.
    pub fn start(&self) -> u64 {
        self.batches
            .read()
            .list
            .front()
            .map_or(0, |(base_offset, _)| *base_offset)
    }

    /// Waits until there is a record at `offset`.
    pub async fn wait_for(&self, offset: u64) {
        let mut high_watermark = self.high_watermark.subscribe();
        // The sender lives as long as this.
        let _ = high_watermark.wait_for(|end| *end > offset).await;
    }

    /// Batches from the one that holds `offset` on, until `enough` says so after one.
    pub fn read(&self, offset: u64, mut enough: impl FnMut(u64, &Bytes) -> bool) -> Vec<Bytes> {
        let batches = self.batches.read();
        let after = batches
            .list
            .partition_point(|(base_offset, _)| *base_offset <= offset);
        let mut found = Vec::new();
        for (base_offset, bytes) in batches.list.range(after.saturating_sub(1)..) {
            found.push(bytes.clone());
            if enough(*base_offset, bytes) {
                break;
            }
        }
        found
    }
}
