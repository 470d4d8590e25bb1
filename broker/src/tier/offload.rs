//! Uploading segments: of each an intent, the object, a look at what was stored, and the row goes live.

use std::{
    io,
    ops::Range,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use headwater_log::{ReadError, SealedSegment};
use headwater_tiered::{Descriptor, Named, SegmentKey, SegmentRef, TopicId, UploadError};
use tokio::{sync::watch, time::Instant};

use super::{Tier, UPLOADS_AT_ONCE};
use crate::{
    cold::{Next, Step},
    manifest::{Place, Term, Written},
    partition::Partition,
    placement::{BrokerId, TopicDescription},
};

/// Segments of one partition before others have their turn.
const SEGMENTS_A_TURN: usize = 8;
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
    /// No further segment is begun after that, but one is in any case.
    pub until: Instant,
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Offloaded {
    /// A segment is live.
    Live(SegmentRef),
    /// This broker does not lead any more, or the intent was given up.
    Fenced,
    /// It is to be tried again after another look at what is live: why.
    Failed(String),
}

/// A segment on its way.
struct Way {
    key: SegmentKey,
    descriptor: Descriptor,
    sealed: Arc<SealedSegment>,
    /// What was written.
    stored: Option<SegmentRef>,
}

impl Tier {
    /// Uploads the next segments of a partition, some at once; they go live in their order. Behind one
    /// that does not none does: whoever hears of it drops the rest, and gives up what was intended.
    pub(crate) fn offload<'a>(
        &'a self,
        offload: &'a Offload<'a>,
    ) -> impl Stream<Item = Offloaded> + 'a {
        let sealed = stream::unfold(offload.from, move |from| async move {
            if from > offload.from && Instant::now() >= offload.until {
                return None;
            }
            match open(offload, from).await {
                Ok(Some(sealed)) if sealed.end_offset() <= offload.below => {
                    let end = sealed.end_offset();
                    Some((Ok(sealed), end))
                }
                Ok(_) => None,
                Err(why) => Some((Err(why), from)),
            }
        });
        let live_to = Arc::new(watch::Sender::new(offload.from));
        let ways = sealed.take(SEGMENTS_A_TURN).map(move |sealed| {
            let live_to = live_to.clone();
            async move {
                match sealed {
                    Ok(sealed) => self.bring(offload, sealed, &live_to).await,
                    Err(why) => Offloaded::Failed(why),
                }
            }
        });
        // One more, which waits: for its turn, or for the one before it to go live.
        ways.buffered(UPLOADS_AT_ONCE + 1)
    }

    /// Takes a segment all its way. `live_to` is where those before it end that are live.
    async fn bring(
        &self,
        offload: &Offload<'_>,
        sealed: SealedSegment,
        live_to: &watch::Sender<u64>,
    ) -> Offloaded {
        let offsets = sealed.base_offset()..sealed.end_offset();
        let descriptor = descriptor(
            offload.partition,
            offload.term,
            offload.description,
            offload.broker,
            offload.now_ms,
            offsets.clone(),
        );
        let mut way = Way {
            key: SegmentKey::fresh(&descriptor),
            descriptor,
            sealed: Arc::new(sealed),
            stored: None,
        };
        let mut turn = self.uploads.acquire().await.ok();
        let mut step = Step::Intend;
        loop {
            if step == Step::Publish {
                turn.take();
                let mut live_to = live_to.subscribe();
                let is_next = live_to.wait_for(|end| *end >= offsets.start).await;
                is_next.expect("the sender is borrowed");
            }
            let answer = self.take(step, offload.term, &mut way).await;
            if answer.is_err() && matches!(step, Step::Put | Step::Verify) {
                self.failed_uploads.fetch_add(1, Ordering::Relaxed);
            }
            match (step.after(answer.as_ref().ok().copied()), answer) {
                (Next::Step(next), _) => step = next,
                (Next::Live, _) => {
                    live_to.send_replace(offsets.end);
                    let segment = way.stored().clone();
                    self.uploaded_bytes
                        .fetch_add(segment.data_bytes, Ordering::Relaxed);
                    return Offloaded::Live(segment);
                }
                (Next::Fenced, _) => return Offloaded::Fenced,
                (Next::Look, Err(why)) => return Offloaded::Failed(why),
                (Next::Look, Ok(written)) => return Offloaded::Failed(format!("{written:?}")),
            }
        }
    }

    /// Takes one step of a segment's way. After an error nobody knows whether it was done.
    async fn take(&self, step: Step, term: Term, way: &mut Way) -> Result<Written, String> {
        match step {
            Step::Abandon => self.manifest.abandon(term).await.map_err(text),
            Step::Intend => {
                let offsets = way.sealed.base_offset()..way.sealed.end_offset();
                let key = way.key.to_string();
                let intended = self.manifest.intend(term, key, offsets, Place::Next);
                intended.await.map_err(text)
            }
            Step::Put => self.put(way).await.map(|()| Written::Done),
            Step::Verify => {
                let verified = self.store.verify_written(way.stored()).await;
                verified.map(|()| Written::Done).map_err(text)
            }
            Step::Publish => {
                let published = self.manifest.publish(term, way.stored().clone());
                published.await.map_err(text)
            }
        }
    }

    /// Writes the object.
    async fn put(&self, way: &mut Way) -> Result<(), String> {
        let (descriptor, data) = (&way.descriptor, chunks(way.sealed.clone()));
        let uploaded = self
            .store
            .upload(&way.key, descriptor, data, self.bandwidth.as_ref())
            .await;
        let stored = uploaded.map_err(|error| {
            if let UploadError::Damaged { from, to, .. } = &error {
                tracing::error!(topic = %descriptor.topic_id, partition = descriptor.partition, from,
                    to, "a segment is damaged on this disk and is not uploaded");
            }
            text(error)
        })?;
        way.stored = Some(stored);
        Ok(())
    }
}

impl Way {
    /// What was written.
    fn stored(&self) -> &SegmentRef {
        let stored = self.stored.as_ref();
        stored.expect("an object is written before it is read back and published")
    }
}

async fn open(offload: &Offload<'_>, from: u64) -> Result<Option<SealedSegment>, String> {
    let log = offload.partition.log.clone();
    let opened = tokio::task::spawn_blocking(move || log.open_sealed(from)).await;
    match opened.map_err(text)? {
        Ok(sealed) => Ok(sealed),
        // Nothing was appended since.
        Err(ReadError::OutOfRange { .. }) => Ok(None),
        Err(error) => Err(text(error)),
    }
}

pub(super) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// What an object of these offsets says of itself.
pub(crate) fn descriptor(
    partition: &Partition,
    term: Term,
    description: &TopicDescription,
    broker: BrokerId,
    now_ms: i64,
    offsets: Range<u64>,
) -> Descriptor {
    let all = partition.log.epochs();
    let first = all.partition_point(|(_, start)| *start <= offsets.start);
    let within = all[first.saturating_sub(1)..].iter();
    let within = within.take_while(|(_, start)| *start < offsets.end);
    let epochs = within.map(|(epoch, start)| (unsigned(*epoch), (*start).max(offsets.start)));
    let TopicDescription {
        organization,
        project,
        topic,
        partitions,
        replication_factor,
        settings,
        settings_version,
        is_compacted,
    } = description.clone();
    let named = |(id, name)| Named { id, name };
    Descriptor {
        organization: named(organization),
        project: named(project),
        topic: named(topic),
        topic_id: TopicId(term.id.topic.0),
        partitions,
        replication_factor,
        settings,
        settings_version,
        compacted: is_compacted,
        partition: term.id.partition,
        base_offset: offsets.start,
        end_offset: offsets.end,
        leader_epoch: unsigned(term.epoch),
        epochs: epochs.collect(),
        written_at_ms: now_ms,
        broker_id: broker.to_string(),
    }
}

/// Epochs of leaders count from 0.
fn unsigned(epoch: i32) -> u32 {
    u32::try_from(epoch).unwrap_or(0)
}

/// The segment's bytes, read off the runtime's threads.
fn chunks(sealed: Arc<SealedSegment>) -> impl Stream<Item = io::Result<Bytes>> {
    stream::try_unfold((sealed, 0), |(sealed, position)| async move {
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
