//! Memory for what is in flight: bytes are taken before they are read.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    limits::{IN_FLIGHT_BYTES_MAX, IN_FLIGHT_WAIT},
    problem::{Code, Problem},
};

/// Bytes that requests may hold over all connections.
#[derive(Clone)]
pub struct Budget(Arc<Semaphore>);

/// Bytes taken, given back when dropped.
#[must_use = "dropping it gives the bytes back"]
pub struct Held(Option<OwnedSemaphorePermit>);

impl Budget {
    /// The whole budget, free.
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(IN_FLIGHT_BYTES_MAX)))
    }

    /// Takes `bytes`, waiting a little while others hold them: meanwhile the client's data stays in
    /// its socket.
    ///
    /// # Errors
    /// 503 `overloaded` when they do not come free in time.
    pub async fn take(&self, bytes: usize) -> Result<Held, Problem> {
        let bytes = bytes.min(IN_FLIGHT_BYTES_MAX) as u32;
        if let Ok(permit) = self.0.clone().try_acquire_many_owned(bytes) {
            return Ok(Held(Some(permit)));
        }
        match tokio::time::timeout(IN_FLIGHT_WAIT, self.0.clone().acquire_many_owned(bytes)).await {
            Ok(Ok(permit)) => Ok(Held(Some(permit))),
            Ok(Err(_)) | Err(_) => Err(Problem::new(
                Code::Overloaded,
                "too many request bytes are in flight",
            )),
        }
    }

    /// Bytes taken now.
    pub fn used(&self) -> usize {
        IN_FLIGHT_BYTES_MAX - self.0.available_permits()
    }
}

impl Held {
    /// Nothing taken yet.
    pub fn nothing() -> Self {
        Self(None)
    }

    /// Adds what `other` holds.
    pub fn merge(&mut self, other: Self) {
        match (&mut self.0, other.0) {
            (Some(mine), Some(more)) => mine.merge(more),
            (mine @ None, more) => *mine = more,
            (Some(_), None) => {}
        }
    }
}
