//! Memory for what is in flight: bytes are taken before they are read.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    limits::IN_FLIGHT_WAIT,
    problem::{Code, Problem},
};

/// Bytes that requests may hold over all connections.
#[derive(Clone)]
pub struct Budget {
    free: Arc<Semaphore>,
    bytes_max: usize,
}

/// Bytes taken, given back when dropped.
#[derive(Debug)]
#[must_use = "dropping it gives the bytes back"]
pub struct Held(Option<OwnedSemaphorePermit>);

impl Budget {
    /// The whole budget, free.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(bytes_max)),
            bytes_max,
        }
    }

    /// Takes `bytes`, waiting a little while others hold them: meanwhile the client's data stays in
    /// its socket.
    ///
    /// # Errors
    /// 503 `overloaded` when they do not come free in time.
    pub async fn take(&self, bytes: usize) -> Result<Held, Problem> {
        let bytes = bytes.min(self.bytes_max) as u32;
        if let Ok(permit) = self.free.clone().try_acquire_many_owned(bytes) {
            return Ok(Held(Some(permit)));
        }
        match tokio::time::timeout(IN_FLIGHT_WAIT, self.free.clone().acquire_many_owned(bytes))
            .await
        {
            Ok(Ok(permit)) => Ok(Held(Some(permit))),
            Ok(Err(_)) | Err(_) => Err(Problem::new(
                Code::Overloaded,
                "too many bytes are in flight",
            )),
        }
    }

    /// Bytes taken now.
    pub fn used(&self) -> usize {
        self.bytes_max - self.free.available_permits()
    }
}

impl Held {
    /// Nothing taken yet.
    pub fn nothing() -> Self {
        Self(None)
    }

    /// Gives back all but `bytes`.
    pub fn shrink(&mut self, bytes: usize) {
        if let Some(permit) = &mut self.0 {
            let excess = permit.num_permits().saturating_sub(bytes);
            drop(permit.split(excess));
        }
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
