//! The object store beside brokers' disks: where sealed segments go, and where they are read from once
//! they are on no disk any more.

mod compact;
mod offload;
mod plan;
mod read;
mod windows;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use headwater_tiered::{Bandwidth, ColdReader, ColdReaderOptions, ColdStats, Store, StoreError};
use tokio::sync::Semaphore;

use crate::manifest::Manifest;
pub(crate) use compact::Compacted;
pub(crate) use offload::{Offload, Offloaded, descriptor};
pub(crate) use plan::{Plan, group, is_clean, plan};
use windows::Windows;

/// Reads of the store at once; more wait for their turn.
const READS_MAX: usize = 64;
/// Segments on their way into the store at once, over all partitions.
pub(crate) const UPLOADS_AT_ONCE: usize = 2;

/// How a broker uses the object store.
#[derive(Debug, Clone)]
pub struct TierOptions {
    /// Directory of the cache of what was read, emptied at the start.
    pub cache_dir: PathBuf,
    /// Bytes of it.
    pub cache_bytes_max: u64,
    /// How fast segments are uploaded; `None` is as fast as they can be.
    pub upload_bytes_per_second: Option<u64>,
    /// How long objects stay after nothing refers to them: for those who read them just then.
    pub object_delete_delay: Duration,
}

/// The object store as one broker uses it.
pub struct Tier {
    store: Store,
    reader: ColdReader,
    manifest: Arc<dyn Manifest>,
    windows: Windows,
    bandwidth: Option<Bandwidth>,
    reads: Semaphore,
    uploads: Semaphore,
    object_delete_delay: Duration,
    is_claimed: AtomicBool,
    uploaded_bytes: AtomicU64,
    failed_uploads: AtomicU64,
    compacted_bytes: AtomicU64,
    failed_compactions: AtomicU64,
    backlog_bytes: AtomicU64,
}

/// What operators see of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct TierStats {
    /// What was read from it.
    pub reads: ColdStats,
    /// Bytes of batches that were uploaded and verified.
    pub uploaded_bytes: u64,
    /// Uploads that failed, to be tried again.
    pub failed_uploads: u64,
    /// Bytes of batches that were read to be compacted, and replaced.
    pub compacted_bytes: u64,
    /// Compactions that failed, to be tried again.
    pub failed_compactions: u64,
    /// Bytes of sealed segments that are yet to be uploaded, as of the last look.
    pub backlog_bytes: u64,
}

impl Tier {
    /// Uses the store, of which `manifest` says what is in it.
    pub fn new(store: Store, manifest: Arc<dyn Manifest>, options: TierOptions) -> Self {
        let cache = ColdReaderOptions::new(options.cache_dir, options.cache_bytes_max);
        Self {
            reader: ColdReader::new(store.clone(), cache),
            store,
            manifest,
            windows: Windows::default(),
            bandwidth: options.upload_bytes_per_second.map(Bandwidth::new),
            reads: Semaphore::new(READS_MAX),
            uploads: Semaphore::new(UPLOADS_AT_ONCE),
            object_delete_delay: options.object_delete_delay,
            is_claimed: AtomicBool::new(false),
            uploaded_bytes: AtomicU64::new(0),
            failed_uploads: AtomicU64::new(0),
            compacted_bytes: AtomicU64::new(0),
            failed_compactions: AtomicU64::new(0),
            backlog_bytes: AtomicU64::new(0),
        }
    }

    /// The rows that say what is in the store.
    pub(crate) fn manifest(&self) -> &dyn Manifest {
        &*self.manifest
    }

    /// The store.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Makes sure that the store is this cluster's before anything is written to it: two clusters would
    /// take each other's objects for strays.
    ///
    /// # Errors
    /// It is another's, or does not answer.
    pub(crate) async fn claim(&self, cluster_id: &str) -> Result<(), StoreError> {
        if !self.is_claimed.load(Ordering::Relaxed) {
            self.store.claim(cluster_id).await?;
            self.is_claimed.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    pub(crate) fn object_delete_delay(&self) -> Duration {
        self.object_delete_delay
    }

    pub(crate) fn note_backlog(&self, bytes: u64) {
        self.backlog_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Counters and gauges.
    pub fn stats(&self) -> TierStats {
        TierStats {
            reads: self.reader.stats(),
            uploaded_bytes: self.uploaded_bytes.load(Ordering::Relaxed),
            failed_uploads: self.failed_uploads.load(Ordering::Relaxed),
            compacted_bytes: self.compacted_bytes.load(Ordering::Relaxed),
            failed_compactions: self.failed_compactions.load(Ordering::Relaxed),
            backlog_bytes: self.backlog_bytes.load(Ordering::Relaxed),
        }
    }
}
