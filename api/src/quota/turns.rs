//! Turns: as long as several organizations want something of a node, none has more under way than a
//! share, so that nobody waits behind a queue that somebody else filled. Whoever is alone has the whole
//! node.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{nanoseconds, now};
use crate::{
    limits::{CROWDED_FOR, IN_FLIGHT_WAIT, TURN_BYTES, TURNS},
    problem::{Code, Problem},
};

/// Whether several organizations call at about the same time.
#[derive(Debug, Default)]
pub struct Crowd {
    /// Who called last: any number that is theirs alone.
    last: AtomicUsize,
    until_ns: AtomicI64,
}

impl Crowd {
    /// Somebody calls.
    pub fn note(&self, who: usize, now: Duration) {
        if self.last.load(Relaxed) != who {
            self.last.store(who, Relaxed);
            self.until_ns.store(nanoseconds(now + CROWDED_FOR), Relaxed);
        }
    }

    /// Whether somebody else called lately, whoever asks.
    pub fn is_here(&self, now: Duration) -> bool {
        nanoseconds(now) < self.until_ns.load(Relaxed)
    }
}

/// What one organization has under way.
#[derive(Debug)]
pub struct Turns {
    free: Arc<Semaphore>,
    crowd: Arc<Crowd>,
}

/// A turn that was taken, over when dropped; none is needed where nobody else is.
#[must_use = "dropping it ends the turn"]
pub struct Turn(#[allow(dead_code, reason = "held")] Option<OwnedSemaphorePermit>);

impl Turns {
    /// All free, in a crowd that organizations share.
    pub fn new(crowd: Arc<Crowd>) -> Self {
        Self {
            free: Arc::new(Semaphore::new(TURNS)),
            crowd,
        }
    }

    /// Its organization calls.
    pub fn note(&self, now: Duration) {
        self.crowd.note(Arc::as_ptr(&self.free).addr(), now);
    }

    /// Takes a turn for a request of about so many bytes, in the order of asking.
    ///
    /// # Errors
    /// 503 if none comes in time: the organization has far more under way than its share.
    pub async fn take(&self, bytes: usize) -> Result<Turn, Problem> {
        if !self.crowd.is_here(now()) {
            return Ok(Turn(None));
        }
        let share = (1 + bytes / TURN_BYTES).min(TURNS) as u32;
        if let Ok(permit) = self.free.clone().try_acquire_many_owned(share) {
            return Ok(Turn(Some(permit)));
        }
        let turn = self.free.clone().acquire_many_owned(share);
        match tokio::time::timeout(IN_FLIGHT_WAIT, turn).await {
            Ok(Ok(permit)) => Ok(Turn(Some(permit))),
            Ok(Err(_)) | Err(_) => Err(Problem::new(
                Code::Overloaded,
                "the organization has more requests in flight than its share of a busy node",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_crowd_takes_turns() {
        let crowd = Arc::new(Crowd::default());
        let [loud, quiet] = [(); 2].map(|()| Turns::new(crowd.clone()));
        let many = async |turns: &Turns| {
            let mut taken = Vec::new();
            while taken.len() < 2 * TURNS {
                match turns.take(0).await {
                    Ok(turn) => taken.push(turn),
                    Err(problem) => return (taken, Some(problem.code)),
                }
            }
            (taken, None)
        };
        let (alone, refused) = many(&loud).await;
        assert_eq!((alone.len(), refused), (2 * TURNS, None));
        loud.note(now());
        quiet.note(now());
        let (beside, refused) = many(&loud).await;
        assert_eq!((beside.len(), refused), (TURNS, Some(Code::Overloaded)));
        assert!(quiet.take(usize::MAX).await.is_ok());
        drop(beside);
        assert!(loud.take(0).await.is_ok());
    }
}
