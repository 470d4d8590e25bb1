//! Trying out what a store lets its user do.

use std::time::Duration;

use futures_util::TryStreamExt;
use object_store::{Error, PutMode, PutPayload};
use tokio::time::Instant;

use super::Store;
use crate::error::StoreError;

/// Where objects are that try a store out; no segment has such a key.
const FOLDER: &str = "doctor";
const TEXT: &[u8] = b"made by `headwater doctor`, which deletes it again";

/// What a store did with a small object of its own.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// How long it took to write it.
    pub write_elapsed: Duration,
    /// How long it took to read it.
    pub read_elapsed: Duration,
    /// Whether it was left alone when it was to be written only if it is not there.
    pub is_conditional: bool,
}

impl Store {
    /// Writes an object that nothing else has a name for, reads it, lists it, tries to create it once
    /// more, and deletes it.
    ///
    /// # Errors
    /// The first of these that failed, in one line.
    pub async fn probe(&self) -> Result<Probe, StoreError> {
        let random = getrandom::u64().unwrap_or(0);
        let key = format!("{FOLDER}/{random:016x}");
        let probed = self.probe_at(&key).await;
        // It goes even if something failed on the way.
        let deleted = self.delete(vec![key.clone()]).await;
        let probe = probed?;
        deleted?;
        match self.find(&key).await? {
            None => Ok(probe),
            Some(_) => Err(StoreError::invalid(format!(
                "{key} was deleted and is there still"
            ))),
        }
    }

    async fn probe_at(&self, key: &str) -> Result<Probe, StoreError> {
        let started = Instant::now();
        self.put(key, PutPayload::from_static(TEXT), PutMode::Overwrite)
            .await?;
        let write_elapsed = started.elapsed();
        let started = Instant::now();
        let read = self.read_range(key, 0..TEXT.len() as u64).await?;
        let read_elapsed = started.elapsed();
        if read != TEXT {
            return Err(StoreError::corrupt(format!(
                "reading {key}: not what was written"
            )));
        }
        let folder = self.path(FOLDER)?;
        let listed = self.list_below(folder).try_filter(|object| {
            let is_it = object.key == key;
            async move { is_it }
        });
        if std::pin::pin!(listed).try_next().await?.is_none() {
            return Err(StoreError::invalid(format!(
                "listing {FOLDER}/: {key} was written and is not in it"
            )));
        }
        Ok(Probe {
            write_elapsed,
            read_elapsed,
            is_conditional: self.refuses_another(key).await?,
        })
    }

    async fn refuses_another(&self, key: &str) -> Result<bool, StoreError> {
        let path = self.path(key)?;
        let create = || async {
            let payload = PutPayload::from_static(TEXT);
            let objects = &self.0.objects;
            let mode = PutMode::Create.into();
            match objects.put_opts(&path, payload, mode).await {
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(true),
                Err(Error::NotImplemented { .. }) => Ok(false),
                created => created.map(|_| false),
            }
        };
        let bounds = &self.options().background;
        bounds.call(&format!("creating {key}"), create).await
    }
}
