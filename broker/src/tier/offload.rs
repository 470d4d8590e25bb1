//! Uploading one segment: an intent, the object, a look at what was stored, and the row goes live.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use headwater_log::{ReadError, SealedSegment};
use headwater_tiered::{Descriptor, Named, SegmentKey, SegmentRef, TopicId, UploadError};

use super::Tier;
use crate::{
    manifest::{Term, Written},
    partition::Partition,
    placement::{BrokerId, TopicDescription},
};

/// Read from the disk at once.
const CHUNK_BYTES: usize = 1 << 20;

/// What is uploaded, and for whom.
pub(crate) struct Offload<'a> {
    pub partition: &'a Partition,
    pub term: Term,
    pub description: &'a TopicDescription,
    pub broker: BrokerId,
    pub now_ms: i64,
    /// Where the segments in the store end.
    pub from: u64,
    /// Nothing from here on: it is not committed.
    pub below: u64,
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Offloaded {
    /// A segment is live.
    Done(SegmentRef),
    /// There is nothing sealed and committed to upload.
    Nothing,
    /// This broker does not lead any more.
    Fenced,
    /// Segments in the store end here.
    NotNext(u64),
    /// It is to be tried again later: why.
    Failed(String),
}

impl Tier {
    /// Uploads the next segment of a partition.
    pub(crate) async fn offload(&self, offload: &Offload<'_>) -> Offloaded {
        let sealed = match open(offload).await {
            Ok(Some(sealed)) if sealed.end_offset() <= offload.below => sealed,
            Ok(_) => return Offloaded::Nothing,
            Err(why) => return Offloaded::Failed(why),
        };
        let descriptor = offload.descriptor(&sealed);
        let key = SegmentKey::fresh(&descriptor);
        let (base, end) = (sealed.base_offset(), sealed.end_offset());
        let intended = self
            .manifest
            .intend(offload.term, key.to_string(), base, end);
        match intended.await {
            Ok(Written::Done) => {}
            Ok(Written::Fenced) => return Offloaded::Fenced,
            Ok(Written::NotNext(end)) => return Offloaded::NotNext(end),
            Err(error) => return Offloaded::Failed(error.to_string()),
        }
        let segment = match self.store_segment(&key, &descriptor, sealed).await {
            Ok(segment) => segment,
            Err(why) => {
                self.failed_uploads.fetch_add(1, Ordering::Relaxed);
                if let Err(error) = self.manifest.abandon(offload.term).await {
                    tracing::debug!(%error, "an upload is given up later");
                }
                return Offloaded::Failed(why);
            }
        };
        match self.manifest.publish(offload.term, segment.clone()).await {
            Ok(Written::Done) => {
                self.uploaded_bytes
                    .fetch_add(segment.data_bytes, Ordering::Relaxed);
                Offloaded::Done(segment)
            }
            Ok(Written::Fenced) => Offloaded::Fenced,
            Ok(Written::NotNext(end)) => Offloaded::NotNext(end),
            // It may be live: the next look reads where segments end.
            Err(error) => Offloaded::Failed(error.to_string()),
        }
    }

    /// Writes the object, and reads it back.
    async fn store_segment(
        &self,
        key: &SegmentKey,
        descriptor: &Descriptor,
        sealed: SealedSegment,
    ) -> Result<SegmentRef, String> {
        let data = chunks(sealed);
        let uploaded = self
            .store
            .upload(key, descriptor, data, self.bandwidth.as_ref())
            .await;
        let segment = uploaded.map_err(|error| {
            if let UploadError::Damaged { from, to, .. } = &error {
                tracing::error!(topic = %descriptor.topic_id, partition = descriptor.partition, from,
                    to, "a segment is damaged on this disk and is not uploaded");
            }
            error.to_string()
        })?;
        let verified = self.store.verify(&segment).await;
        verified.map_err(|error| error.to_string())?;
        Ok(segment)
    }
}

async fn open(offload: &Offload<'_>) -> Result<Option<SealedSegment>, String> {
    let (log, from) = (offload.partition.log.clone(), offload.from);
    let opened = tokio::task::spawn_blocking(move || log.open_sealed(from)).await;
    match opened.map_err(|error| error.to_string())? {
        Ok(sealed) => Ok(sealed),
        // Nothing was appended since.
        Err(ReadError::OutOfRange { .. }) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

impl Offload<'_> {
    fn descriptor(&self, sealed: &SealedSegment) -> Descriptor {
        let (base, end) = (sealed.base_offset(), sealed.end_offset());
        let all = self.partition.log.epochs();
        let first = all.partition_point(|(_, start)| *start <= base);
        let within = all[first.saturating_sub(1)..].iter();
        let within = within.take_while(|(_, start)| *start < end);
        let epochs = within.map(|(epoch, start)| (unsigned(*epoch), (*start).max(base)));
        let TopicDescription {
            organization,
            project,
            topic,
            partitions,
            replication_factor,
            settings,
            settings_version,
        } = self.description.clone();
        let named = |(id, name)| Named { id, name };
        Descriptor {
            organization: named(organization),
            project: named(project),
            topic: named(topic),
            topic_id: TopicId(self.term.id.topic.0),
            partitions,
            replication_factor,
            settings,
            settings_version,
            partition: self.term.id.partition,
            base_offset: base,
            end_offset: end,
            leader_epoch: unsigned(self.term.epoch),
            epochs: epochs.collect(),
            written_at_ms: self.now_ms,
            broker_id: self.broker.to_string(),
        }
    }
}

/// Epochs of leaders count from 0.
fn unsigned(epoch: i32) -> u32 {
    u32::try_from(epoch).unwrap_or(0)
}

/// The segment's bytes, read off the runtime's threads.
fn chunks(sealed: SealedSegment) -> impl Stream<Item = io::Result<Bytes>> {
    let state = (Arc::new(sealed), 0);
    stream::try_unfold(state, |(sealed, position)| async move {
        if position >= sealed.bytes() {
            return Ok(None);
        }
        let reading = sealed.clone();
        let read = move || reading.read_at(position, CHUNK_BYTES);
        let read = tokio::task::spawn_blocking(read).await;
        let chunk = read.map_err(io::Error::other)?.map_err(io::Error::other)?;
        let next = position + chunk.len() as u64;
        Ok(Some((chunk, (sealed, next))))
    })
}
