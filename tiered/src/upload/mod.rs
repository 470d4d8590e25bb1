//! Sending a segment to the store.

mod gauge;

use std::fmt;
use std::io;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use object_store::{PutMode, PutPayload};

use crate::bandwidth::Bandwidth;
use crate::error::StoreError;
use crate::format::{
    Cleaning, Descriptor, FOOTER_BYTES_MAX, Footer, IndexBuilder, Measured, Trailer,
};
use crate::key::SegmentKey;
use crate::segment_ref::SegmentRef;
use crate::store::{Multipart, Store};
use gauge::Gauge;

/// Objects up to this size are sent by one request, larger ones in parts of it.
const PART_BYTES: usize = 8 << 20;

/// Why a segment was not uploaded. The store holds no object of the key then, or one that nobody
/// refers to.
#[derive(Debug)]
pub enum UploadError {
    /// The local segment is not what it should be. Nothing of it can be read in the store.
    Damaged {
        /// First offset that is not believed.
        from: u64,
        /// One past the last that may be meant.
        to: u64,
        /// What is wrong.
        detail: String,
    },
    /// The local segment could not be read.
    Source(io::Error),
    /// The store.
    Store(StoreError),
}

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { from, to, detail } => {
                write!(f, "local damage at offsets {from}..{to}: {detail}")
            }
            Self::Source(error) => write!(f, "reading the local segment: {error}"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for UploadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Damaged { .. } => None,
            Self::Source(error) => Some(error),
            Self::Store(error) => Some(error),
        }
    }
}

impl From<StoreError> for UploadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Store {
    /// Uploads a segment: `data` is its batches, in chunks of any size. Each batch's checksum,
    /// offsets and epoch are checked on the way, and no object comes into being if one is wrong. Held
    /// are at most five parts of 8 MiB and one batch, and of a compacted topic some 80 MiB of keys. What
    /// answers is the row that the metadata keeps.
    ///
    /// The same key may be used again after a failure, for the same segment alone. Dropped, the
    /// upload is given up.
    ///
    /// # Errors
    /// [`UploadError`]; `Store` with [`Invalid`](crate::StoreErrorKind::Invalid) for a descriptor
    /// that the format cannot hold.
    pub async fn upload(
        &self,
        key: &SegmentKey,
        descriptor: &Descriptor,
        data: impl Stream<Item = io::Result<Bytes>>,
        bandwidth: Option<&Bandwidth>,
    ) -> Result<SegmentRef, UploadError> {
        self.upload_cleaned(key, descriptor, Cleaning::default(), data, bandwidth)
            .await
    }

    /// As [`upload`](Self::upload), for data that compaction has been over.
    pub(crate) async fn upload_cleaned(
        &self,
        key: &SegmentKey,
        descriptor: &Descriptor,
        cleaning: Cleaning,
        data: impl Stream<Item = io::Result<Bytes>>,
        bandwidth: Option<&Bandwidth>,
    ) -> Result<SegmentRef, UploadError> {
        check(key, descriptor)?;
        let mut sending = Sending {
            store: self,
            key: key.to_string(),
            bandwidth,
            multipart: None,
        };
        match sending.segment(descriptor, cleaning, data).await {
            Ok(segment) => Ok(segment),
            Err(error) => {
                if let Some(multipart) = sending.multipart.take() {
                    multipart.abort().await;
                }
                Err(error)
            }
        }
    }
}

fn check(key: &SegmentKey, descriptor: &Descriptor) -> Result<(), StoreError> {
    let offsets = descriptor
        .end_offset
        .checked_sub(descriptor.base_offset)
        .filter(|offsets| (1..=u64::from(u32::MAX)).contains(offsets));
    if offsets.is_none() {
        return Err(StoreError::invalid(format!(
            "a segment covers 1 to 2^32 - 1 offsets, not {}..{}",
            descriptor.base_offset, descriptor.end_offset
        )));
    }
    if *key != SegmentKey::with_random(descriptor, key.random) {
        return Err(StoreError::invalid(format!(
            "{key} is the key of another segment"
        )));
    }
    Ok(())
}

/// One upload under way.
struct Sending<'a> {
    store: &'a Store,
    key: String,
    bandwidth: Option<&'a Bandwidth>,
    /// Begun when the first part is full.
    multipart: Option<Multipart>,
}

impl Sending<'_> {
    async fn segment(
        &mut self,
        descriptor: &Descriptor,
        cleaning: Cleaning,
        data: impl Stream<Item = io::Result<Bytes>>,
    ) -> Result<SegmentRef, UploadError> {
        let mut data = std::pin::pin!(data);
        let mut gauge = Gauge::new(descriptor);
        let mut pending = BytesMut::new();
        // Bytes at the front of `pending` that are whole, good batches: only these are sent.
        let mut checked = 0;
        while let Some(chunk) = data.next().await {
            pending.extend_from_slice(&chunk.map_err(UploadError::Source)?);
            checked += gauge.take(&pending[checked..])?;
            while checked >= PART_BYTES {
                self.part(split_part(&mut pending)).await?;
                checked -= PART_BYTES;
            }
        }
        if checked < pending.len() {
            return Err(gauge.cut_off(pending.len() - checked));
        }
        let mut tail = Vec::new();
        let (measured, keys, index) = gauge.finish(&mut tail);
        let footer = Footer::new(descriptor.clone(), measured, cleaning);
        let trailer = finish(&footer, index, &mut tail)?;
        for page in keys.encode() {
            pending.extend_from_slice(&page);
            if pending.len() > PART_BYTES {
                self.part(split_part(&mut pending)).await?;
            }
        }
        pending.extend_from_slice(&tail);
        let size_bytes = trailer.index_position() + trailer.tail_bytes();
        self.finish(pending).await?;
        Ok(SegmentRef::new(
            self.key.clone(),
            size_bytes,
            &trailer,
            &footer,
        ))
    }

    async fn part(&mut self, part: Bytes) -> Result<(), StoreError> {
        if let Some(bandwidth) = self.bandwidth {
            bandwidth.take(part.len() as u64).await;
        }
        let multipart = match &mut self.multipart {
            Some(multipart) => multipart,
            none => none.insert(Multipart::begin(self.store, &self.key).await?),
        };
        multipart.put(part).await
    }

    async fn finish(&mut self, mut rest: BytesMut) -> Result<(), StoreError> {
        if self.multipart.is_none() && rest.len() <= PART_BYTES {
            if let Some(bandwidth) = self.bandwidth {
                bandwidth.take(rest.len() as u64).await;
            }
            let payload = PutPayload::from_bytes(rest.freeze());
            return self.store.put(&self.key, payload, PutMode::Overwrite).await;
        }
        while rest.len() > PART_BYTES {
            self.part(split_part(&mut rest)).await?;
        }
        self.part(rest.freeze()).await?;
        match &mut self.multipart {
            Some(multipart) => multipart.finish().await,
            None => Ok(()),
        }
    }
}

/// Takes the first part off, in memory of its own: it must not keep what comes after it.
fn split_part(pending: &mut BytesMut) -> Bytes {
    let mut rest = BytesMut::with_capacity(PART_BYTES + (PART_BYTES >> 2));
    rest.extend_from_slice(&pending[PART_BYTES..]);
    let mut part = std::mem::replace(pending, rest);
    part.truncate(PART_BYTES);
    part.freeze()
}

/// Appends what stands behind the producers' block to it.
fn finish(footer: &Footer, index: IndexBuilder, tail: &mut Vec<u8>) -> Result<Trailer, StoreError> {
    let producers_bytes = tail.len();
    index.encode(tail);
    let footer_from = tail.len();
    tail.extend_from_slice(&footer.encode());
    let footer_bytes = (tail.len() - footer_from) as u64;
    if footer_bytes > FOOTER_BYTES_MAX {
        return Err(StoreError::invalid(format!(
            "a descriptor of {footer_bytes} bytes is too long, {FOOTER_BYTES_MAX} are the most"
        )));
    }
    let Measured {
        data_bytes,
        keys_bytes,
        ..
    } = footer.measured;
    Ok(Trailer::append(
        data_bytes,
        keys_bytes,
        producers_bytes,
        footer_from,
        tail,
    ))
}
