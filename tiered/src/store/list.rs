//! All objects of a store, and taking some away.

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::Store;
use super::backend::MultipartBackend;
use super::call::Tries;
use crate::error::{StoreError, StoreErrorKind};
use crate::format::TopicId;
use crate::key::SegmentKey;

/// Deletions under way at once.
const DELETIONS: usize = 16;

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Name of the object below the store's prefix.
    pub key: String,
    /// The name read; `None` for what is no segment.
    pub segment: Option<SegmentKey>,
    /// Bytes of the object.
    pub size_bytes: u64,
    /// By the store's clock, milliseconds since the epoch.
    pub last_modified_ms: i64,
}

impl Store {
    /// Every object of the store, whoever put it there. The first error is the last item.
    pub fn list(&self) -> BoxStream<'static, Result<Listed, StoreError>> {
        self.list_below(self.0.prefix.clone())
    }

    /// The same of what is in the folder of one partition.
    pub fn list_partition(
        &self,
        topic_id: TopicId,
        partition: u32,
    ) -> BoxStream<'static, Result<Listed, StoreError>> {
        let folder = Path::from(SegmentKey::folder(topic_id, partition));
        self.list_below(self.0.prefix.parts().chain(folder.parts()).collect())
    }

    /// The object of that name, if there is one.
    ///
    /// # Errors
    /// What calls to the store fail with.
    pub async fn find(&self, key: &str) -> Result<Option<Listed>, StoreError> {
        let path = self.path(key)?;
        let head = || async { self.0.objects.head(&path).await };
        let bounds = &self.options().background;
        match bounds.call(&format!("looking at {key}"), head).await {
            Ok(meta) => Ok(self.listed(&meta)),
            Err(error) if error.kind() == StoreErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn list_below(
        &self,
        folder: Path,
    ) -> BoxStream<'static, Result<Listed, StoreError>> {
        let folder = Some(folder).filter(|folder| !folder.as_ref().is_empty());
        let listing = Listing {
            objects: self.0.objects.list(folder.as_ref()),
            folder,
            last: None,
            store: self.clone(),
        };
        stream::try_unfold(listing, |mut listing| async move {
            let next = listing.next().await?;
            Ok(next.map(|object| (object, listing)))
        })
        .boxed()
    }

    fn listed(&self, meta: &ObjectMeta) -> Option<Listed> {
        let below = meta.location.prefix_match(&self.0.prefix)?;
        let key = below.collect::<Path>().to_string();
        Some(Listed {
            segment: SegmentKey::parse(&key),
            key,
            size_bytes: meta.size,
            last_modified_ms: meta.last_modified.timestamp_millis(),
        })
    }

    /// Deletes objects; those that are not there are fine. All are tried, whatever happens to one.
    ///
    /// # Errors
    /// The first one that there was.
    pub async fn delete(&self, keys: Vec<String>) -> Result<(), StoreError> {
        let failed: Vec<StoreError> = stream::iter(keys)
            .map(|key| async move { self.delete_one(&key).await.err() })
            .buffer_unordered(DELETIONS)
            .filter_map(std::future::ready)
            .collect()
            .await;
        failed.into_iter().next().map_or(Ok(()), Err)
    }

    async fn delete_one(&self, key: &str) -> Result<(), StoreError> {
        let path = self.path(key)?;
        let delete = || async { self.0.objects.delete(&path).await };
        let bounds = &self.options().background;
        match bounds.call(&format!("deleting {key}"), delete).await {
            Err(error) if error.kind() == StoreErrorKind::NotFound => Ok(()),
            deleted => deleted,
        }
    }
}

/// A listing that goes on where it broke off.
struct Listing {
    store: Store,
    folder: Option<Path>,
    objects: BoxStream<'static, Result<ObjectMeta, object_store::Error>>,
    last: Option<Path>,
}

impl Listing {
    async fn next(&mut self) -> Result<Option<Listed>, StoreError> {
        let mut tries = Tries::new(&self.store.options().background);
        loop {
            let error = match tries.within(self.objects.next()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(meta))) => {
                    if let Some(listed) = self.store.listed(&meta) {
                        self.last = Some(meta.location);
                        return Ok(Some(listed));
                    }
                    continue;
                }
                Ok(Some(Err(error))) => StoreError::from(error),
                Err(error) => error,
            };
            let error = error.during("listing objects");
            // A directory is listed in no order: there is no place to go on at.
            if matches!(self.store.0.multipart, MultipartBackend::File(_)) {
                return Err(error);
            }
            tries.pause(error).await?;
            let (objects, prefix) = (&self.store.0.objects, self.folder.as_ref());
            self.objects = match &self.last {
                Some(last) => objects.list_with_offset(prefix, last),
                None => objects.list(prefix),
            };
        }
    }
}
