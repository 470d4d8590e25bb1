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
    /// One for each processor: of what is ready to be worked on, an organization has so much in the
    /// runtime's queue, and the rest in its own.
    workers: Arc<Semaphore>,
    crowd: Arc<Crowd>,
}

/// A turn that was taken, over when dropped; none is needed where nobody else is.
#[must_use = "dropping it ends the turn"]
#[derive(Default)]
pub struct Turn {
    /// Until the first wait for something else, such as the disk.
    worker: Option<OwnedSemaphorePermit>,
    /// Until the end.
    share: Option<OwnedSemaphorePermit>,
}

impl Turn {
    /// Does the work, and lets the next of the organization work as soon as this has to wait.
    pub async fn work<T>(mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let done = std::future::poll_fn(|context| {
            let polled = work.as_mut().poll(context);
            if polled.is_pending() {
                self.worker = None;
            }
            polled
        })
        .await;
        drop(self.share);
        done
    }
}

impl Turns {
    /// All free, in a crowd that organizations share.
    pub fn new(crowd: Arc<Crowd>) -> Self {
        Self {
            free: Arc::new(Semaphore::new(TURNS)),
            workers: Arc::new(Semaphore::new(workers())),
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
            return Ok(Turn::default());
        }
        let share = (1 + bytes / TURN_BYTES).min(TURNS) as u32;
        let turn = async {
            let share = self.free.clone().acquire_many_owned(share).await.ok()?;
            let worker = self.workers.clone().acquire_owned().await.ok()?;
            Some(Turn {
                worker: Some(worker),
                share: Some(share),
            })
        };
        let turn = tokio::time::timeout(IN_FLIGHT_WAIT, turn).await;
        turn.ok().flatten().ok_or_else(|| {
            Problem::new(
                Code::Overloaded,
                "the organization has more requests in flight than its share of a busy node",
            )
        })
    }
}

fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes turns and waits with each, until `most` or the first that is refused.
    async fn wait_with(turns: &Turns, most: usize) -> (Vec<Turn>, Option<Code>) {
        let mut taken = Vec::new();
        while taken.len() < most {
            match turns.take(0).await {
                Ok(mut turn) => {
                    turn.worker = None;
                    taken.push(turn);
                }
                Err(problem) => return (taken, Some(problem.code)),
            }
        }
        (taken, None)
    }

    #[tokio::test]
    async fn only_a_crowd_takes_turns() {
        let crowd = Arc::new(Crowd::default());
        let [loud, quiet] = [(); 2].map(|()| Turns::new(crowd.clone()));
        let (alone, refused) = wait_with(&loud, 2 * TURNS).await;
        assert_eq!((alone.len(), refused), (2 * TURNS, None));
        loud.note(now());
        quiet.note(now());
        let (beside, refused) = wait_with(&loud, 2 * TURNS).await;
        assert_eq!((beside.len(), refused), (TURNS, Some(Code::Overloaded)));
        assert!(quiet.take(usize::MAX).await.is_ok());
        drop(beside);
        assert!(loud.take(0).await.is_ok());
    }

    #[tokio::test]
    async fn who_waits_lets_the_next_work_and_keeps_its_share() {
        let crowd = Arc::new(Crowd::default());
        let turns = Turns::new(crowd.clone());
        turns.note(now());
        let (send, receive) = tokio::sync::oneshot::channel::<()>();
        let turn = turns.take(usize::MAX).await.expect("a turn");
        assert_eq!(turns.workers.available_permits(), workers() - 1);
        let mut work = std::pin::pin!(turn.work(async { receive.await.is_ok() }));
        assert!(futures_util::poll!(work.as_mut()).is_pending());
        assert_eq!(turns.workers.available_permits(), workers());
        assert_eq!(turns.free.available_permits(), 0);
        send.send(()).expect("it waits");
        assert!(work.await);
        assert_eq!(turns.free.available_permits(), TURNS);
    }
}
