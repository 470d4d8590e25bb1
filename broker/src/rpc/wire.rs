//! One HTTP/2 connection as tonic's clients take it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use hyper::{body::Incoming, client::conn::http2::SendRequest};
use tonic::{Status, body::Body, codegen::Service};

use super::hello;

/// Sends calls on one connection; clones share it.
#[derive(Clone)]
pub(super) struct Wire(SendRequest<Body>);

impl Wire {
    pub(super) fn new(sender: SendRequest<Body>) -> Self {
        Self(sender)
    }

    /// Whether the connection is over.
    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl Service<http::Request<Body>> for Wire {
    type Response = http::Response<Incoming>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        // A closed connection hands the request back: that is told from one that was sent.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let sending = self.0.try_send_request(request);
        Box::pin(async move {
            sending.await.map_err(|mut failed| {
                // hyper hands the request back only if nothing of it was written.
                let unsent = failed.take_message().is_some();
                let why = failed.into_error().to_string();
                if unsent {
                    hello::refusal("unsent", why)
                } else {
                    Status::unavailable(why)
                }
            })
        })
    }
}
