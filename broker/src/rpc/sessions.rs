//! Replication sessions: messages of channels as frames of a call. When either direction ends, for
//! whatever reason, the other does too, and both channels close.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};
use tonic::{Status, Streaming, codegen::tokio_stream::Stream};

use super::proto::{FollowerFrame, Hello};

/// The first frame of a session.
pub(super) fn first(hello: Hello) -> FollowerFrame {
    FollowerFrame {
        hello: Some(hello),
        ..FollowerFrame::default()
    }
}

/// What keeps the two directions of a session together. Dropping it ends both.
pub(super) struct Ends<M> {
    ended: CancellationToken,
    guard: DropGuard,
    messages: Arc<Mutex<mpsc::Receiver<M>>>,
}

impl<M> Ends<M> {
    /// A session that sends what comes from `messages`, after `first`.
    pub(super) fn new<F>(messages: mpsc::Receiver<M>, first: Option<F>) -> (Self, Outgoing<M, F>) {
        Self::under(&CancellationToken::new(), messages, first)
    }

    /// The same, which ends with `parent`.
    pub(super) fn under<F>(
        parent: &CancellationToken,
        messages: mpsc::Receiver<M>,
        first: Option<F>,
    ) -> (Self, Outgoing<M, F>) {
        let ended = parent.child_token();
        let messages = Arc::new(Mutex::new(messages));
        let outgoing = Outgoing {
            first,
            messages: messages.clone(),
            ended: Box::pin(ended.clone().cancelled_owned()),
            _guard: ended.clone().drop_guard(),
        };
        let guard = ended.clone().drop_guard();
        (
            Self {
                ended,
                guard,
                messages,
            },
            outgoing,
        )
    }

    /// Hands over what comes in until either direction ends, and what has come by then.
    pub(super) async fn receive<F, I>(self, mut frames: Streaming<F>, to: mpsc::Sender<I>)
    where
        I: TryFrom<F, Error = Malformed>,
    {
        let receiving = async {
            // A place first: whoever stops this between two messages loses none.
            while let Ok(place) = to.reserve().await
                && let Some(message) = understood(frames.message().await)
            {
                place.send(message);
            }
        };
        tokio::select! {
            () = self.ended.cancelled() => {}
            // Who does not listen any more has left, even if nothing comes.
            () = to.closed() => {}
            () = receiving => {}
        }
        // The sending half may be stuck behind a full window: its channel closes anyway.
        self.messages.lock().close();
        drop(self.guard);
        // The end of one direction may be noticed before the last words of the other are read.
        while let Ok(place) = to.reserve().await
            && let Some(arrived) = frames.message().now_or_never()
            && let Some(message) = understood(arrived)
        {
            place.send(message);
        }
    }
}

/// The message of a frame; `None` at the end of a session.
fn understood<F, I>(frame: Result<Option<F>, Status>) -> Option<I>
where
    I: TryFrom<F, Error = Malformed>,
{
    let frame = match frame {
        Ok(frame) => frame?,
        Err(status) => {
            let why = status.message();
            tracing::debug!(why, "a replication session broke");
            return None;
        }
    };
    let message = I::try_from(frame);
    if message.is_err() {
        // A newer version says something that a session must not do to an older one.
        tracing::error!("a replication session said what is not understood; it ends");
    }
    message.ok()
}

/// A message that is not of this version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The frames of the sending direction.
pub(super) struct Outgoing<M, F> {
    first: Option<F>,
    messages: Arc<Mutex<mpsc::Receiver<M>>>,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    _guard: DropGuard,
}

impl<M, F> Unpin for Outgoing<M, F> {}

impl<M, F: From<M>> Outgoing<M, F> {
    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<F>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        let ended = self.ended.as_mut().poll(context).is_ready();
        let mut messages = self.messages.lock();
        if ended {
            // What was handed over already is still sent.
            messages.close();
        }
        messages
            .poll_recv(context)
            .map(|message| message.map(F::from))
    }
}

/// As the body of a request.
impl<M, F: From<M>> Stream for Outgoing<M, F> {
    type Item = F;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<F>> {
        self.next(context)
    }
}

/// As the body of an answer, which may fail in general; this one ends instead.
pub(super) struct Answering<M, F>(pub(super) Outgoing<M, F>);

impl<M, F: From<M>> Stream for Answering<M, F> {
    type Item = Result<F, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.next(context).map(|frame| frame.map(Ok))
    }
}
