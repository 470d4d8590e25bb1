//! Leading: serving the sessions of followers.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use headwater_log::{PartitionId, ReadError};
use headwater_record::BatchView;
use parking_lot::Mutex;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::Node;
use crate::{
    partition::{Outbox, Partition},
    placement::{BrokerId, Incarnation},
    replica::{Answer, AnswerBody, Due, FetchVerdict, FollowerFetch, Refusal},
    session::{FollowerMessage, LeaderMessage, LeaderSession, SessionHost},
};

/// How often each side of a session is heard of, though it has nothing to say.
pub(super) const HEARTBEAT: Duration = Duration::from_millis(500);
/// Batches of one partition in one answer, bytes; the first always fits.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Batches in one message, bytes; an answer that is begun is finished.
const MESSAGE_BYTES_MAX: usize = 8 << 20;

/// Answers that need no reading.
type Ready = Mutex<Vec<(PartitionId, Answer)>>;

/// The sessions of one follower, of which one is served at a time. Where a connection breaks unnoticed
/// the next session begins before the last one has ended here; the last one would answer the fetches
/// of the next, and nobody would hear it.
#[derive(Default)]
pub(super) struct Serving {
    turn: Arc<tokio::sync::Mutex<()>>,
    over: CancellationToken,
}

impl Serving {
    /// Ends the last session. The next waits for its turn, and ends when it is over.
    fn next(&mut self) -> (Arc<tokio::sync::Mutex<()>>, CancellationToken) {
        self.over.cancel();
        self.over = CancellationToken::new();
        (self.turn.clone(), self.over.clone())
    }
}

impl SessionHost for Node {
    fn serve_follower(&self, session: LeaderSession) {
        let Some(node) = self.me.upgrade() else {
            return;
        };
        let LeaderSession {
            follower,
            incarnation,
            incoming,
            outgoing,
        } = session;
        let (turn, over) = self.serving.lock().entry(follower).or_default().next();
        tokio::spawn(async move {
            let _turn = turn.lock().await;
            if over.is_cancelled() {
                return;
            }
            tracing::info!(follower, incarnation, "a follower has come");
            let outbox = Arc::new(Outbox::default());
            let ready = Arc::new(Ready::default());
            node.topics
                .each(|partition| partition.follower_left(follower));
            let listening = listen(
                node.clone(),
                follower,
                incarnation,
                incoming,
                outbox.clone(),
                ready.clone(),
            );
            tokio::spawn(listening);
            tokio::select! {
                () = over.cancelled() => {}
                () = send(&node, follower, outgoing, &outbox, &ready) => {}
            }
            outbox.close();
            // Whoever is in sync and silent is asked to leave.
            node.look_after_those_of(follower);
            tracing::info!(follower, incarnation, "a follower has gone");
        });
    }
}

/// Takes in what a follower says.
async fn listen(
    node: Arc<Node>,
    follower: BrokerId,
    incarnation: Incarnation,
    mut incoming: mpsc::Receiver<FollowerMessage>,
    outbox: Arc<Outbox>,
    ready: Arc<Ready>,
) {
    while let Some(message) = incoming.recv().await {
        if outbox.is_closed() {
            // The next session is served: it would stand with what this one is answered.
            return;
        }
        node.heard(follower);
        for (id, fetch) in message.fetches {
            let verdict = match node.topics.existing(id) {
                Some(partition) => partition.on_fetch(follower, incarnation, fetch, &outbox),
                None => FetchVerdict::Answer(refusal(&fetch)),
            };
            match verdict {
                FetchVerdict::Stands => outbox.mark(id),
                FetchVerdict::Answer(answer) => {
                    ready.lock().push((id, answer));
                    outbox.wake();
                }
                FetchVerdict::Drop => {}
            }
        }
        for (id, progress) in message.progress {
            if let Some(partition) = node.topics.existing(id) {
                partition.on_progress(follower, incarnation, progress);
            }
        }
    }
    outbox.close();
}

fn refusal(fetch: &FollowerFetch) -> Answer {
    Answer {
        epoch: fetch.epoch,
        request: fetch.request,
        offset: fetch.offset,
        last_epoch: fetch.last_epoch,
        body: AnswerBody::Refused(Refusal::NotLeader),
    }
}

/// Sends a follower what it fetched, as it comes, until the session ends.
async fn send(
    node: &Node,
    follower: BrokerId,
    outgoing: mpsc::Sender<LeaderMessage>,
    outbox: &Outbox,
    ready: &Ready,
) {
    let mut heartbeat = Instant::now() + HEARTBEAT;
    loop {
        let due = tokio::time::timeout_at(heartbeat, outbox.marked())
            .await
            .is_err();
        if outbox.is_closed() {
            return;
        }
        if due {
            outbox.ripen();
        }
        let mut message = LeaderMessage {
            answers: std::mem::take(&mut *ready.lock()),
            watermarks: Vec::new(),
        };
        let mut bytes = 0;
        let marked = outbox.take();
        let mut marked = marked.into_iter();
        for id in marked.by_ref() {
            let Some(partition) = node.topics.existing(id) else {
                continue;
            };
            if let Some(due) = partition.due(follower)
                && let Some(answer) = answer(&partition, follower, due, &mut bytes).await
            {
                message.answers.push((id, answer));
            }
            if let Some(watermark) = partition.watermark_for(follower) {
                message.watermarks.push((id, watermark));
            }
            if bytes >= MESSAGE_BYTES_MAX {
                break;
            }
        }
        if marked.len() > 0 {
            outbox.mark_all(marked);
        }
        let empty = message.answers.is_empty() && message.watermarks.is_empty();
        if empty && !due {
            continue;
        }
        if outgoing.send(message).await.is_err() {
            return;
        }
        heartbeat = Instant::now() + HEARTBEAT;
    }
}

async fn answer(
    partition: &Partition,
    follower: BrokerId,
    Due { fetch, end }: Due,
    bytes: &mut usize,
) -> Option<Answer> {
    match partition.read(fetch.offset, end, ANSWER_BYTES_MAX).await {
        Ok(batches) => {
            *bytes += batches.iter().map(Bytes::len).sum::<usize>();
            let end = end_of(batches.last()?)?;
            partition.sending(follower, fetch, batches, end)
        }
        // Trimmed meanwhile, or gone from the disk.
        Err(ReadError::OutOfRange { .. } | ReadError::NotLocal { .. }) => {
            partition.out_of_range(follower, fetch)
        }
        Err(error) => {
            tracing::error!(partition = %partition.id, follower, %error, "a follower cannot be served");
            None
        }
    }
}

fn end_of(batch: &[u8]) -> Option<u64> {
    let (view, _) = BatchView::parse(batch).ok()?;
    Some(view.header().next_offset())
}
