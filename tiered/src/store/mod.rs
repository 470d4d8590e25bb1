//! A bucket, a directory or memory, behind calls that end.

mod backend;
mod call;
mod claim;
mod inspect;
mod list;
mod multipart;
mod probe;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};

use crate::error::StoreError;
use backend::Backend;
pub use call::{Bounds, StoreOptions};
pub use claim::CLAIM_KEY;
pub use inspect::Inspected;
pub use list::Listed;
pub(crate) use multipart::Multipart;
pub use probe::Probe;

/// An object store, or the part of one below a prefix. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    objects: Arc<dyn ObjectStore>,
    multipart: backend::MultipartBackend,
    prefix: Path,
    /// What it is called in messages: the URL, which holds no credentials.
    name: String,
    options: StoreOptions,
}

impl Store {
    /// Opens a store by URL; nothing is sent yet.
    ///
    /// - `s3://bucket/prefix`: Amazon S3 and what speaks like it. Credentials, region and endpoint
    ///   come from the usual `AWS_*` variables; [`StoreOptions::settings`] wins over them.
    /// - `gs://bucket/prefix`, `az://container/prefix`: with the features `gcp` and `azure`.
    /// - `file:///directory`: made if it is not there.
    /// - `memory:`: a new, empty store that goes with the last clone.
    ///
    /// # Errors
    /// [`Invalid`](crate::StoreErrorKind::Invalid), in one line.
    pub fn open(url: &str, options: StoreOptions) -> Result<Self, StoreError> {
        let Backend {
            objects,
            multipart,
            prefix,
            name,
        } = backend::open(url, &options)?;
        Ok(Self(Arc::new(Inner {
            objects,
            multipart,
            prefix,
            name,
            options,
        })))
    }

    pub(crate) fn options(&self) -> &StoreOptions {
        &self.0.options
    }

    pub(crate) fn path(&self, key: &str) -> Result<Path, StoreError> {
        let key = Path::parse(key)
            .map_err(|_| StoreError::invalid(format!("no key of an object: {key:?}")))?;
        Ok(self.0.prefix.parts().chain(key.parts()).collect())
    }

    /// The bytes of an object in `range`, all of them, and the size of the object.
    pub(crate) async fn get_range(
        &self,
        key: &str,
        range: Range<u64>,
        bounds: &Bounds,
    ) -> Result<(Bytes, u64), StoreError> {
        let path = self.path(key)?;
        let wanted = range.clone();
        let what = format!("reading {key}");
        let (bytes, size_bytes) = bounds
            .call(&what, || async {
                let options = GetOptions {
                    range: Some(GetRange::Bounded(wanted.clone())),
                    ..GetOptions::default()
                };
                let result = self.0.objects.get_opts(&path, options).await?;
                let size_bytes = result.meta.size;
                Ok((result.bytes().await?, size_bytes))
            })
            .await?;
        if bytes.len() as u64 != range.end - range.start {
            return Err(StoreError::corrupt(format!(
                "{what}: bytes {}..{} were asked for, {} came; the object has {size_bytes}",
                range.start,
                range.end,
                bytes.len()
            )));
        }
        Ok((bytes, size_bytes))
    }

    /// The bytes of an object in `range`, by one request that is tried again like all others; not
    /// cached, not checked.
    ///
    /// # Errors
    /// [`Corrupt`](crate::StoreErrorKind::Corrupt) if the object ends before the range does.
    pub async fn read_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let bounds = &self.0.options.background;
        Ok(self.get_range(key, range, bounds).await?.0)
    }

    pub(crate) async fn size_bytes(&self, key: &str, bounds: &Bounds) -> Result<u64, StoreError> {
        let path = self.path(key)?;
        let head = || async { self.0.objects.head(&path).await };
        let meta = bounds.call(&format!("looking at {key}"), head).await?;
        Ok(meta.size)
    }

    pub(crate) async fn put(
        &self,
        key: &str,
        payload: PutPayload,
        mode: PutMode,
    ) -> Result<(), StoreError> {
        let path = self.path(key)?;
        let put = || async {
            let options = PutOptions::from(mode.clone());
            self.0
                .objects
                .put_opts(&path, payload.clone(), options)
                .await
        };
        let bounds = &self.0.options.background;
        bounds.call(&format!("writing {key}"), put).await?;
        Ok(())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.0.name)
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name)
    }
}
