//! Following: one session with each broker that leads partitions of which this one has copies.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;
use headwater_log::PartitionId;
use parking_lot::Mutex;
use tokio::{sync::mpsc, time::Instant};

use super::{Node, lead::HEARTBEAT};
use crate::{
    partition::{Arrival, Next, Outbox, Partition},
    placement::BrokerId,
    replica::{Answer, AnswerBody, Starts},
    session::{FollowerMessage, FollowerSession, LeaderMessage},
};

/// Between two tries to reach a leader.
const RETRY: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// Between two looks at copies that had to wait: for room, or for the metadata.
const PATIENCE: Duration = Duration::from_millis(100);
/// Fetches in one message.
const FETCHES_MAX: usize = 10_000;

/// Of a topic whose settings are not known any more.
const SEGMENT_BYTES: u64 = 256 << 20;

/// The partitions in which this broker follows one other.
#[derive(Default)]
pub(super) struct Following {
    partitions: Mutex<HashSet<PartitionId>>,
    outbox: Arc<Outbox>,
}

impl Following {
    /// Has its session look at a partition.
    pub fn look_at(&self, id: PartitionId) {
        self.outbox.mark(id);
    }
}

impl Node {
    /// Follows a leader in these partitions.
    pub(super) fn follow(&self, leader: BrokerId, partitions: &[Arc<Partition>]) {
        let Some(node) = self.me.upgrade() else {
            return;
        };
        let mut all = self.following.lock();
        let following = all.entry(leader).or_insert_with(|| {
            let following = Arc::<Following>::default();
            tokio::spawn(keep_following(node, leader, following.clone()));
            following
        });
        let ids: Vec<_> = partitions.iter().map(|partition| partition.id).collect();
        for partition in partitions {
            partition.tell(&following.outbox);
        }
        following.partitions.lock().extend(&ids);
        following.outbox.mark_all(ids);
    }
}

/// Keeps a session with a leader for as long as the node lives.
async fn keep_following(node: Arc<Node>, leader: BrokerId, following: Arc<Following>) {
    let weak = Arc::downgrade(&node);
    drop(node);
    let mut retry = RETRY;
    let mut told = false;
    loop {
        let Some(node) = weak.upgrade() else {
            return;
        };
        if node.has_left() {
            return;
        }
        let Some(joined) = node.joined.get() else {
            return;
        };
        match joined.network.follow(leader).await {
            Ok(session) => {
                tracing::info!(leader, "following");
                (retry, told) = (RETRY, false);
                follow(&node, leader, &following, session).await;
                tracing::info!(leader, "no longer following: the connection ended");
            }
            Err(error) => {
                if !told {
                    tracing::warn!(leader, %error, "a leader cannot be reached");
                    told = true;
                }
            }
        }
        drop(node);
        // Brokers that lost the same leader do not come back to it all at once.
        tokio::time::sleep(retry.mul_f64(0.5 + fastrand::f64())).await;
        retry = (retry * 2).min(RETRY_MAX);
    }
}

/// Follows until the session ends.
async fn follow(node: &Node, leader: BrokerId, following: &Following, session: FollowerSession) {
    let FollowerSession { outgoing, incoming } = session;
    let ids: Vec<_> = following.partitions.lock().iter().copied().collect();
    for id in &ids {
        if let Some(partition) = node.topics.existing(*id) {
            partition.disconnected();
        }
    }
    following.outbox.mark_all(ids);
    // Sending must not wait for what is received, nor the other way round.
    tokio::select! {
        () = ask(node, leader, following, outgoing) => {}
        () = listen(node, following, incoming) => {}
    }
    if !node.arrivals.is_idle() {
        let ids: Vec<_> = following.partitions.lock().iter().copied().collect();
        ids.into_iter().for_each(|id| node.arrivals.ended(id));
    }
}

/// Fetches, and says what became durable.
async fn ask(
    node: &Node,
    leader: BrokerId,
    following: &Following,
    outgoing: mpsc::Sender<FollowerMessage>,
) {
    let outbox = &following.outbox;
    let mut heartbeat = Instant::now() + HEARTBEAT;
    let mut ripening = Instant::now() + PATIENCE;
    loop {
        let wake = heartbeat.min(ripening);
        let _ = tokio::time::timeout_at(wake, outbox.marked()).await; // both are reasons to look
        if node.has_left() {
            return;
        }
        let now = Instant::now();
        if now >= ripening {
            outbox.ripen();
            ripening = now + PATIENCE;
        }
        let mut message = FollowerMessage::default();
        let mut marked = outbox.take().into_iter();
        for id in marked.by_ref() {
            let followed = node.topics.existing(id);
            let Some(partition) = followed.filter(|p| p.follows() == Some(leader)) else {
                following.partitions.lock().remove(&id);
                node.arrivals.ended(id);
                continue;
            };
            let may_fetch = match partition.arrival() {
                Arrival::Settled => true,
                Arrival::Comes => node.arrivals.may_fetch(id, outbox),
                Arrival::Goes => false,
            };
            if let Some(to) = partition.trim_to() {
                trim(&partition, to, outbox);
            }
            let (fetch, progress) = partition.to_leader(may_fetch);
            message.fetches.extend(fetch.map(|fetch| (id, fetch)));
            message
                .progress
                .extend(progress.map(|progress| (id, progress)));
            if message.fetches.len() >= FETCHES_MAX {
                break;
            }
        }
        if marked.len() > 0 {
            outbox.mark_all(marked);
        }
        let empty = message.fetches.is_empty() && message.progress.is_empty();
        if empty && Instant::now() < heartbeat {
            continue;
        }
        if outgoing.send(message).await.is_err() {
            return;
        }
        heartbeat = Instant::now() + HEARTBEAT;
    }
}

/// Takes in what the leader says.
async fn listen(node: &Node, following: &Following, mut incoming: mpsc::Receiver<LeaderMessage>) {
    let outbox = &following.outbox;
    while let Some(message) = incoming.recv().await {
        if !message.answers.is_empty() {
            // The leader's next answers wait in the connection meanwhile.
            node.until_room().await;
        }
        for (id, answer) in message.answers {
            if let Some(partition) = node.topics.existing(id) {
                take_in(node, &partition, answer, outbox);
            }
        }
        for (id, watermark) in message.watermarks {
            let Some(partition) = node.topics.existing(id) else {
                continue;
            };
            if let Some(to) = partition.on_watermark(watermark) {
                trim(&partition, to, outbox);
            }
            if watermark.asks.is_some() {
                outbox.mark(id);
            }
        }
    }
}

fn take_in(node: &Node, partition: &Arc<Partition>, answer: Answer, outbox: &Arc<Outbox>) {
    let (id, term) = (partition.id, answer.epoch);
    let settings = node.placement.topic(id.topic).map(|topic| topic.settings);
    if let AnswerBody::Records { batches, .. } = &answer.body
        && partition.arrival() == Arrival::Comes
    {
        node.arrivals.came(batches.iter().map(Bytes::len).sum());
    }
    let segment_bytes = settings.map_or(SEGMENT_BYTES, |settings| settings.segment_bytes);
    match partition.on_answer(answer, segment_bytes) {
        Next::Fetch => outbox.mark(id),
        Next::FetchLater => outbox.mark_later(id),
        Next::Halt => {}
        Next::Cut(cut) => {
            let partition = partition.clone();
            in_background(outbox, move || partition.cut(cut, term), id);
        }
    }
}

/// Lets go of what the leader has let go of; the copy goes on meanwhile.
fn trim(partition: &Arc<Partition>, to: Starts, outbox: &Arc<Outbox>) {
    let (partition, id) = (partition.clone(), partition.id);
    let work = move || {
        partition.log.trim(to.log)?;
        partition.log.drop_local(to.local).map(|_| ())
    };
    in_background(outbox, work, id);
}

/// Does what blocks, then has the partition looked at again.
fn in_background(
    outbox: &Arc<Outbox>,
    work: impl FnOnce() -> Result<(), headwater_log::AppendError> + Send + 'static,
    id: PartitionId,
) {
    let outbox = outbox.clone();
    tokio::spawn(async move {
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(())) => outbox.mark(id),
            Ok(Err(error)) => {
                tracing::warn!(partition = %id, %error, "a copy could not be cut");
                outbox.mark_later(id);
            }
            Err(error) => tracing::error!(partition = %id, %error, "a copy was not cut"),
        }
    });
}
