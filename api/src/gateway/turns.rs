//! Organizations side by side: one that brings more than the machine can do waits for itself, not
//! others for it.
//!
//! While one organization alone is active nothing is held back. As soon as others are, each works on
//! a few requests at a time and has a bounded number of bytes on the way to the disk; the rest of it
//! waits in its own line, first come first served. A newcomer then stands behind what the others are
//! at, not behind all that they have sent.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{LANE_BYTES_MAX, NEIGHBOURS_REMEMBERED};

/// Bytes are counted in these.
const UNIT_BYTES: usize = 1 << 10;

/// Lets organizations take turns.
pub struct Turns {
    hasher: RandomState,
    started: Instant,
    /// Who came last, as a hash; 0 before the first.
    last: AtomicU64,
    /// Until when more than one is active, in milliseconds after `started`.
    contended_until_ms: AtomicU64,
    at_once: usize,
    lanes: Mutex<HashMap<String, Arc<Lane>>>,
}

/// An organization's line.
struct Lane {
    turns: Arc<Semaphore>,
    units: Arc<Semaphore>,
}

/// What a request may do now.
#[derive(Default)]
pub struct Turn {
    /// Until it waits for something.
    working: Option<OwnedSemaphorePermit>,
    /// Until its bytes are where they shall be.
    bytes: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// For this machine.
    pub fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            hasher: RandomState::new(),
            started: Instant::now(),
            last: AtomicU64::new(0),
            contended_until_ms: AtomicU64::new(0),
            at_once: processors,
            lanes: Mutex::default(),
        }
    }

    /// Waits for the organization's turn to work on `bytes`.
    pub async fn take(&self, organization: &str, bytes: usize) -> Turn {
        if !self.is_contended(organization) {
            return Turn::default();
        }
        let lane = self.lane(organization);
        let units = bytes.div_ceil(UNIT_BYTES).clamp(1, lane_units()) as u32;
        // Neither is ever closed.
        let bytes = lane.units.clone().acquire_many_owned(units).await.ok();
        let working = lane.turns.clone().acquire_owned().await.ok();
        Turn { working, bytes }
    }

    /// Whether anybody else was there lately.
    fn is_contended(&self, organization: &str) -> bool {
        let who = self.hasher.hash_one(organization) | 1;
        let last = self.last.load(Ordering::Relaxed);
        let until_ms = self.contended_until_ms.load(Ordering::Relaxed);
        if last == who && until_ms == 0 {
            return false;
        }
        let now_ms = self.started.elapsed().as_millis() as u64;
        if last != who {
            self.last.store(who, Ordering::Relaxed);
            if last != 0 {
                let until_ms = now_ms + NEIGHBOURS_REMEMBERED.as_millis() as u64;
                self.contended_until_ms.store(until_ms, Ordering::Relaxed);
                return true;
            }
        }
        if now_ms < until_ms {
            return true;
        }
        // Lines in which nobody stands go with the time in which there were several.
        self.contended_until_ms.store(0, Ordering::Relaxed);
        self.lanes
            .lock()
            .retain(|_, lane| Arc::strong_count(lane) > 1 || lane.is_busy(self.at_once));
        false
    }

    fn lane(&self, organization: &str) -> Arc<Lane> {
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.get(organization) {
            return lane.clone();
        }
        let lane = Arc::new(Lane {
            turns: Arc::new(Semaphore::new(self.at_once)),
            units: Arc::new(Semaphore::new(lane_units())),
        });
        lanes.insert(organization.to_owned(), lane.clone());
        lane
    }
}

impl Lane {
    fn is_busy(&self, at_once: usize) -> bool {
        self.turns.available_permits() < at_once || self.units.available_permits() < lane_units()
    }
}

fn lane_units() -> usize {
    LANE_BYTES_MAX / UNIT_BYTES
}

impl Turn {
    /// Does the work, and lets the next of the line work as soon as this has to wait for something.
    pub async fn work<T>(mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let done = std::future::poll_fn(|context| {
            let polled = work.as_mut().poll(context);
            if polled.is_pending() {
                self.working = None;
            }
            polled
        })
        .await;
        drop(self.bytes);
        done
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicUsize, time::Duration};

    use super::*;

    #[tokio::test]
    async fn nobody_waits_alone_and_a_newcomer_waits_for_few() {
        let turns = Turns::new();
        for _ in 0..1_000 {
            let turn = turns.take("a", 1 << 20).await;
            assert!(turn.working.is_none() && turn.bytes.is_none());
            std::mem::forget(turn);
        }
        // From now on there are two.
        let first = turns.take("b", 10).await;
        assert!(first.working.is_some() && first.bytes.is_some());
        let mut held = Vec::new();
        for _ in 0..turns.at_once {
            held.push(turns.take("a", 10).await);
        }
        let another = tokio::time::timeout(Duration::from_millis(20), turns.take("a", 10)).await;
        assert!(another.is_err(), "the line is full");
        let neighbour = tokio::time::timeout(Duration::from_secs(5), turns.take("b", 10)).await;
        assert!(neighbour.is_ok() || turns.at_once == 1, "others have their own");
        held.pop();
        turns.take("a", 10).await;
    }

    #[tokio::test]
    async fn who_waits_lets_the_next_work_and_keeps_its_bytes() {
        let turns = Turns::new();
        turns.take("b", 1).await;
        let worked = AtomicUsize::new(0);
        let (send, receive) = tokio::sync::oneshot::channel::<()>();
        let waiting = turns.take("a", LANE_BYTES_MAX).await;
        let waits = waiting.work(async {
            worked.fetch_add(1, Ordering::Relaxed);
            receive.await.is_ok()
        });
        let mut waits = std::pin::pin!(waits);
        assert!(futures_util::poll!(waits.as_mut()).is_pending());
        assert_eq!(turns.lane("a").turns.available_permits(), turns.at_once);
        assert_eq!(turns.lane("a").units.available_permits(), 0);
        send.send(()).expect("it waits");
        assert!(waits.await);
        assert_eq!(turns.lane("a").units.available_permits(), lane_units());
    }
}
