//! The producer window: which requests a partition has already taken.
//!
//! An idempotency key becomes a producer id in the batch header, so the window is rebuilt from the
//! log itself after a restart or a change of leader.

use std::collections::{HashMap, VecDeque};

use headwater_record::Producer;

/// How long a key is remembered, in milliseconds.
pub const PRODUCER_WINDOW_MS: i64 = 15 * 60 * 1000;
/// How many keys a partition remembers at most.
pub const PRODUCER_WINDOW_BATCHES_MAX: usize = 100_000;

/// The producer that stands for an idempotency key: bit 62 marks it as derived, the low 62 bits are
/// a hash. Small ids stay free for producers that number their batches themselves.
pub fn idempotent_producer(hash: u64) -> Producer {
    Producer {
        id: ((1 << 62) | (hash >> 2)) as i64,
        epoch: 0,
        base_sequence: 0,
    }
}

/// The batches of known producers, newest last, bounded in number and age.
#[derive(Debug, Default)]
pub(crate) struct ProducerWindow {
    base_offsets: HashMap<i64, u64>,
    /// Insertion order with the time of insertion, for expiry.
    order: VecDeque<(i64, i64)>,
}

impl ProducerWindow {
    /// The base offset of the batch that `producer` wrote, if it is still remembered.
    pub fn base_offset(&mut self, producer: i64, now_ms: i64) -> Option<u64> {
        self.expire(now_ms);
        self.base_offsets.get(&producer).copied()
    }

    /// Remembers a batch, forgetting what is over age or number.
    pub fn insert(&mut self, producer: i64, base_offset: u64, now_ms: i64) {
        self.expire(now_ms);
        if self.order.len() >= PRODUCER_WINDOW_BATCHES_MAX {
            self.forget_oldest();
        }
        self.base_offsets.insert(producer, base_offset);
        self.order.push_back((producer, now_ms));
    }

    /// Forgets what is over age.
    pub fn expire(&mut self, now_ms: i64) {
        while self
            .order
            .front()
            .is_some_and(|(_, at)| now_ms - at > PRODUCER_WINDOW_MS)
        {
            self.forget_oldest();
        }
        if self.order.is_empty() && self.order.capacity() > 1024 {
            *self = Self::default();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((producer, _)) = self.order.pop_front() {
            self.base_offsets.remove(&producer);
        }
    }
}
