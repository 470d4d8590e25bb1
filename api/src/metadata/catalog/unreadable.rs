//! Rows that this version cannot read.

use std::{
    fmt::Display,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::metadata::store::StoreError;

/// Counts rows that this version cannot read, of a newer one or of a hand at the database. Each is taken
/// for absent, which shuts out those whom it is about and nobody else.
#[derive(Debug, Default)]
pub struct Unreadable(AtomicU64);

impl Unreadable {
    /// What was read of a row, if it could be.
    pub fn or_absent<T>(
        &self,
        kind: &str,
        id: impl Display,
        read: Result<T, StoreError>,
    ) -> Option<T> {
        // The error may quote what the row holds, which is not for the log.
        read.inspect_err(|_| {
            self.0.fetch_add(1, Relaxed);
            tracing::error!(
                kind,
                %id,
                "this version cannot read a row of the metadata database; it counts as absent"
            );
        })
        .ok()
    }

    /// How many were met since the start, each as often as it was.
    pub fn count(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
