//! Writing an object that is too large for one request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, MultipartUpload, ObjectStoreExt, PutPayload};
use tokio::task::JoinSet;

use super::Store;
use super::backend::MultipartBackend;
use super::call::{Bounds, Tries};
use crate::error::{StoreError, StoreErrorKind};

/// Parts under way at once.
const PARTS_IN_FLIGHT: usize = 3;

/// An object that is being written in parts, all of one size but for the last. It comes into being
/// when it is [finished](Self::finish); dropped before, what is there of it is removed as far as the
/// store can be reached.
pub(crate) struct Multipart {
    store: Store,
    key: String,
    path: Path,
    way: Way,
    size_bytes: u64,
    ended: bool,
}

enum Way {
    Numbered {
        parts: Arc<dyn MultipartStore>,
        id: MultipartId,
        sending: JoinSet<Result<(usize, PartId), StoreError>>,
        sent: Vec<(usize, PartId)>,
        next: usize,
    },
    File(Box<dyn MultipartUpload>),
}

impl Multipart {
    pub async fn begin(store: &Store, key: &str) -> Result<Self, StoreError> {
        let path = store.path(key)?;
        let bounds = &store.options().background;
        let what = format!("beginning {key}");
        let way = match &store.0.multipart {
            MultipartBackend::Numbered(parts) => Way::Numbered {
                // Where the answer is lost an upload is left that nobody knows of; the bucket's own
                // rules take such away.
                id: bounds
                    .call(&what, || async { parts.create_multipart(&path).await })
                    .await?,
                parts: parts.clone(),
                sending: JoinSet::new(),
                sent: Vec::new(),
                next: 0,
            },
            MultipartBackend::File(files) => Way::File(
                bounds
                    .call(&what, || async { files.put_multipart(&path).await })
                    .await?,
            ),
        };
        Ok(Self {
            store: store.clone(),
            key: key.to_owned(),
            path,
            way,
            size_bytes: 0,
            ended: false,
        })
    }

    /// Sends the next part, and waits only if enough others are under way.
    pub async fn put(&mut self, part: Bytes) -> Result<(), StoreError> {
        self.size_bytes += part.len() as u64;
        match &mut self.way {
            Way::Numbered {
                parts,
                id,
                sending,
                sent,
                next,
            } => {
                while sending.len() >= PARTS_IN_FLIGHT {
                    sent.extend(one_of(sending).await?);
                }
                let number = *next;
                *next += 1;
                let (parts, path, id) = (parts.clone(), self.path.clone(), id.clone());
                let what = format!("writing part {} of {}", number + 1, self.key);
                let bounds = self.store.options().background;
                let payload = PutPayload::from_bytes(part);
                sending.spawn(async move {
                    let put =
                        || async { parts.put_part(&path, &id, number, payload.clone()).await };
                    let id = bounds.call(&what, put).await.map_err(forgotten)?;
                    Ok((number, id))
                });
            }
            Way::File(upload) => {
                let what = format!("writing {}", self.key);
                let writing = upload.put_part(PutPayload::from_bytes(part));
                once(&self.store.options().background, &what, writing).await?;
            }
        }
        Ok(())
    }

    /// Waits for all parts and makes the object of them.
    pub async fn finish(&mut self) -> Result<(), StoreError> {
        let bounds = self.store.options().background;
        let what = format!("finishing {}", self.key);
        match &mut self.way {
            Way::Numbered {
                parts,
                id,
                sending,
                sent,
                ..
            } => {
                while !sending.is_empty() {
                    sent.extend(one_of(sending).await?);
                }
                sent.sort_unstable_by_key(|(number, _)| *number);
                let ids: Vec<_> = sent.iter().map(|(_, id)| id.clone()).collect();
                let tries = AtomicU32::new(0);
                let complete = || async {
                    tries.fetch_add(1, Ordering::Relaxed);
                    let ids = ids.clone();
                    parts.complete_multipart(&self.path, id, ids).await
                };
                if let Err(error) = bounds.call(&what, complete).await {
                    // An earlier try may have been applied, or is being applied: that the store now
                    // knows of no such upload, whatever it calls that, says nothing.
                    let found = self.store.size_bytes(&self.key, &bounds).await;
                    if found != Ok(self.size_bytes) {
                        return Err(match tries.into_inner() {
                            1 => forgotten(error),
                            _ => StoreError::unavailable(error.to_string()),
                        });
                    }
                }
            }
            Way::File(upload) => {
                once(&bounds, &what, upload.complete()).await?;
            }
        }
        self.ended = true;
        Ok(())
    }

    /// Gives up; what is left in the store on failure is told to the log.
    pub async fn abort(mut self) {
        if let Some(abort) = self.aborting() {
            abort.await;
        }
    }

    fn aborting(&mut self) -> Option<impl Future<Output = ()> + Send + use<>> {
        if std::mem::replace(&mut self.ended, true) {
            return None;
        }
        let Way::Numbered {
            parts, id, sending, ..
        } = &mut self.way
        else {
            // A file without a name goes with its upload.
            return None;
        };
        sending.abort_all();
        let (parts, id) = (parts.clone(), id.clone());
        let (path, key) = (self.path.clone(), self.key.clone());
        let bounds = self.store.options().foreground;
        Some(async move {
            let abort = || async { parts.abort_multipart(&path, &id).await };
            let aborted = bounds.call(&format!("giving up {key}"), abort).await;
            if let Err(error) = aborted
                && error.kind() != StoreErrorKind::NotFound
            {
                tracing::warn!(%error, "parts of an upload are left in the store");
            }
        })
    }
}

impl Drop for Multipart {
    fn drop(&mut self) {
        // Without a runtime nothing can be sent any more.
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && let Some(abort) = self.aborting()
        {
            runtime.spawn(abort);
        }
    }
}

/// A part or an end of an upload that the store does not know any more: all of it can be sent again.
fn forgotten(error: StoreError) -> StoreError {
    match error.kind() {
        StoreErrorKind::NotFound => StoreError::unavailable(error.to_string()),
        _ => error,
    }
}

/// What cannot be tried again by itself: a part of a file is at the place where the last one ended.
async fn once<T>(
    bounds: &Bounds,
    what: &str,
    writing: impl Future<Output = Result<T, object_store::Error>>,
) -> Result<T, StoreError> {
    let written = Tries::new(bounds).within(writing).await;
    written
        .and_then(|written| written.map_err(StoreError::from))
        .map_err(|error| error.during(what))
}

async fn one_of(
    sending: &mut JoinSet<Result<(usize, PartId), StoreError>>,
) -> Result<Option<(usize, PartId)>, StoreError> {
    match sending.join_next().await {
        None => Ok(None),
        Some(Ok(sent)) => sent.map(Some),
        Some(Err(_)) => Err(StoreError::unavailable("sending a part was broken off")),
    }
}
