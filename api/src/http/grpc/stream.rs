//! `ProduceStream`: batches in, answers out, many under way.
//!
//! The answering body drives everything: it reads the next message only while there is room, so a
//! client that does not take its answers is not read any further. A batch goes to the log once the one
//! before it has its offsets, and waits there for the disk together with it.

use std::sync::Arc;

use futures_util::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, FuturesOrdered},
};
use headwater_broker::Acks;
use prost::Message;
use tokio::sync::{oneshot, watch};
use tonic::{Status, Streaming};

use super::{
    call::{Call, too_late},
    pb::headwater::v1::{self as pb, produce_stream_response::Result as Told},
    produce::{acks_of, batch_of},
    records::{Answers, Raw, produced},
    status::to_message,
    wire::Fields,
};
use crate::{
    auth::permissions::ProduceBulk,
    gateway::{Encoded, Held},
    http::{call::InTopic, observe::Counted, produce::append, router::App},
    limits::{BODY_IDLE_TIMEOUT, PRODUCE_STREAM_BATCHES_MAX, PRODUCE_STREAM_BYTES_MAX},
    problem::{Code, Outcome, Problem},
    quota::Resource,
};

/// A stream that was opened.
pub struct ProduceStream {
    call: Call,
    messages: Streaming<Raw>,
    caller: Arc<InTopic>,
    acks: Acks,
    under_way: FuturesOrdered<BoxFuture<'static, Appended>>,
    bytes_under_way: usize,
    /// Resolves when the last batch that was read has its offsets, or will have none.
    last_placed: oneshot::Receiver<()>,
    /// What shuts callers out.
    changes: watch::Receiver<()>,
    draining: watch::Receiver<bool>,
    /// Why nothing more is read; nothing if the client has ended.
    ended: Option<Result<(), Status>>,
    _open: Counted,
}

/// What became of one batch.
struct Appended {
    answer: pb::ProduceStreamResponse,
    bytes: usize,
}

/// A message of the stream.
enum Part<'a> {
    Open(&'a [u8]),
    Batch(&'a [u8]),
}

impl<'a> Part<'a> {
    fn of(message: &'a [u8]) -> Result<Self, Problem> {
        let mut part = None;
        for field in Fields::of(message) {
            let next = match field? {
                (1, open) => Self::Open(open.bytes()?),
                (2, batch) => Self::Batch(batch.bytes()?),
                _ => continue,
            };
            if part.replace(next).is_some() {
                return Err(out_of_order("a message has one part"));
            }
        }
        part.ok_or_else(|| out_of_order("the message is empty"))
    }
}

fn out_of_order(why: &str) -> Problem {
    Problem::new(Code::InvalidRequest, why)
}

impl ProduceStream {
    /// The answers to a stream of messages.
    pub fn answers(call: Call, messages: Streaming<Raw>) -> Answers<pb::ProduceStreamResponse> {
        let opening = call.clone();
        let opened = async move {
            match Self::open(opening, messages).await {
                Ok(stream) => stream::unfold(Some(stream), Self::step).left_stream(),
                Err(status) => stream::iter([Err(status)]).right_stream(),
            }
        };
        Box::pin(opened.flatten_stream())
    }

    /// Reads the first message, and finds out whether the caller may.
    async fn open(call: Call, mut messages: Streaming<Raw>) -> Result<Self, Status> {
        let first = tokio::time::timeout(BODY_IDLE_TIMEOUT, messages.message());
        let first = first.await.unwrap_or_else(|_| {
            let problem = Problem::new(Code::RequestTimeout, "the stream was not opened");
            Err(call.status(&problem))
        })?;
        let opened = async {
            call.check_deadline()?;
            let message: Raw = first.ok_or_else(|| out_of_order("the stream has no message"))?;
            let Part::Open(open) = Part::of(&message.0)? else {
                return Err(out_of_order("the first message must open the stream"));
            };
            let open = pb::ProduceStreamOpen::decode(open)
                .map_err(|error| super::codec::malformed(&error.to_string()))?;
            let changes = call.app.gateway.catalog.changes();
            let caller = call.in_topic::<ProduceBulk>(&open.topic)?;
            let layers = caller.access.layers();
            // One who is in debt is slowed, one who may not write at all would wait for ever.
            layers.check_any(Resource::IngressBytesPerSecond)?;
            caller.check_stored(&call.app).await?;
            drop(call.in_memory.take_first());
            Ok((caller, acks_of(open.acks)?, changes))
        };
        let opened: Result<_, Problem> = opened.await;
        let (caller, acks, changes) = opened.map_err(|problem| call.status(&problem))?;
        let (placed, last_placed) = oneshot::channel();
        drop(placed);
        Ok(Self {
            messages,
            caller: caller.into(),
            acks,
            under_way: FuturesOrdered::new(),
            bytes_under_way: 0,
            last_placed,
            changes,
            draining: call.app.gateway.draining.clone(),
            ended: None,
            _open: Counted::new(&call.app.metrics.bulk_loads),
            call,
        })
    }

    /// The next answer, and what is left of the stream.
    async fn step(
        stream: Option<Self>,
    ) -> Option<(Result<pb::ProduceStreamResponse, Status>, Option<Self>)> {
        let mut stream = stream?;
        while stream.ended.is_none() || !stream.under_way.is_empty() {
            let has_room = stream.under_way.len() < PRODUCE_STREAM_BATCHES_MAX
                && stream.bytes_under_way < PRODUCE_STREAM_BYTES_MAX;
            tokio::select! {
                biased;
                // What ends it comes first: a busy stream would never see it.
                () = stream.call.expired() => {
                    let late = stream.call.status(&too_late(Outcome::Unknown));
                    return Some((Err(late), None));
                }
                () = stopping(&mut stream.draining), if stream.ended.is_none() => {
                    let stopping = Problem::new(Code::Unavailable, "the service is stopping");
                    stream.end_if(Err(stopping));
                }
                Ok(()) = stream.changes.changed(), if stream.ended.is_none() => {
                    let checked = stream.caller.check(&stream.call.app);
                    stream.end_if(checked);
                }
                Some(appended) = stream.under_way.next() => {
                    stream.bytes_under_way -= appended.bytes;
                    return Some((Ok(appended.answer), Some(stream)));
                }
                message = stream.messages.message(), if has_room && stream.ended.is_none() => {
                    match message {
                        Ok(Some(Raw(message))) => {
                            let begun = stream.begin(&message);
                            stream.end_if(begun);
                        }
                        Ok(None) => stream.ended = Some(Ok(())),
                        Err(status) => stream.ended = Some(Err(status)),
                    }
                }
            }
        }
        let status = stream.ended?.err()?;
        Some((Err(status), None))
    }

    /// Reads no more if something is refused. What was read is answered first: what was not, is not
    /// applied.
    fn end_if(&mut self, checked: Result<(), Problem>) {
        if let Err(problem) = checked {
            self.ended = Some(Err(self.call.status(&problem)));
        }
    }

    /// Encodes a batch, and has it wait for its turn.
    fn begin(&mut self, message: &[u8]) -> Result<(), Problem> {
        let held = self.call.in_memory.take_first();
        let Part::Batch(batch) = Part::of(message)? else {
            return Err(out_of_order("the stream is open already"));
        };
        let (sequence, records) = batch_of(batch)?;
        let app = self.call.app.clone();
        let encoded = records.and_then(|records| records.encode(&app.gateway, &self.caller.topic));
        let (placed, next_placed) = oneshot::channel();
        let work = Batch {
            app,
            caller: self.caller.clone(),
            acks: self.acks,
            before: std::mem::replace(&mut self.last_placed, next_placed),
            placed: Some(placed),
            held,
        };
        let bytes = message.len();
        self.bytes_under_way += bytes;
        let appended = async move {
            let told = match work.append(encoded).await {
                Ok(response) => Told::Produced(response),
                Err(problem) => Told::Error(to_message(&problem)),
            };
            let answer = pb::ProduceStreamResponse {
                sequence,
                result: Some(told),
            };
            Appended { answer, bytes }
        };
        self.under_way.push_back(appended.boxed());
        Ok(())
    }
}

async fn stopping(draining: &mut watch::Receiver<bool>) {
    // Its sender is gone when everything is over: that is a stop, too.
    let _ = draining.wait_for(|draining| *draining).await;
}

/// What appending a batch needs.
struct Batch {
    app: App,
    caller: Arc<InTopic>,
    acks: Acks,
    before: oneshot::Receiver<()>,
    /// Dropped, it says that this batch has no offsets to come.
    placed: Option<oneshot::Sender<()>>,
    held: Held,
}

impl Batch {
    async fn append(
        mut self,
        encoded: Result<Encoded, Problem>,
    ) -> Result<pb::ProduceResponse, Problem> {
        let (app, caller) = (&self.app, &*self.caller);
        // Gone is as good as placed.
        let _ = self.before.await;
        let encoded = encoded?;
        caller.wait_out_debt(app).await;
        caller.check(app)?;
        caller.check_stored(app).await?;
        let turn = caller.access.layers().turn(encoded.payload_bytes).await?;
        let mut placed = || drop(self.placed.take());
        let appended = append(app, caller, encoded, self.acks, &mut placed);
        let written = turn.work(appended).await?;
        drop(self.held);
        Ok(produced(&written))
    }
}
