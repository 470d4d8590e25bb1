//! Complaints that repeat are logged now and then.

use std::{collections::HashMap, hash::Hash, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

const EVERY: Duration = Duration::from_secs(60);
/// Beyond as many the oldest are forgotten: they may be logged again.
const KEYS_MAX: usize = 1_024;

/// Says whether something may be logged again, by what it is about.
#[derive(Debug)]
pub(super) struct Seldom<K>(Mutex<HashMap<K, Instant>>);

impl<K> Default for Seldom<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq> Seldom<K> {
    /// Whether it was not logged within the last minute. The answer counts as logging it.
    pub(super) fn now(&self, key: K) -> bool {
        let now = Instant::now();
        let mut last = self.0.lock();
        if last.len() >= KEYS_MAX {
            last.retain(|_, at| now.duration_since(*at) < EVERY);
            if last.len() >= KEYS_MAX {
                last.clear();
            }
        }
        match last.get(&key) {
            Some(at) if now.duration_since(*at) < EVERY => false,
            _ => {
                last.insert(key, now);
                true
            }
        }
    }
}
