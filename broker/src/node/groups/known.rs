//! What a coordinator knows of topics.

use std::{collections::HashMap, sync::Arc, time::Instant};

use headwater_groups::{TopicId, Topics};
use parking_lot::Mutex;

use crate::placement::Placement;

/// Topics that are not known, at most: beyond, they are noted anew.
const ABSENT_MAX: usize = 100_000;

/// The metadata as a coordinator asks it.
///
/// Groups name topics that exist: a topic that is asked about and not known was there before the first
/// question. So once everything is known that was so then, one that is still absent is deleted.
pub(super) struct KnownTopics {
    placement: Arc<dyn Placement>,
    /// Since when topics are asked about that are not known.
    absent: Mutex<HashMap<TopicId, Instant>>,
}

impl KnownTopics {
    pub fn new(placement: Arc<dyn Placement>) -> Self {
        Self {
            placement,
            absent: Mutex::default(),
        }
    }
}

impl Topics for KnownTopics {
    fn partitions(&self, topic: TopicId) -> Option<u32> {
        if let Some(known) = self.placement.topic(topic) {
            return Some(known.partitions.len() as u32);
        }
        let mut absent = self.absent.lock();
        if absent.len() >= ABSENT_MAX {
            absent.clear();
        }
        let since = *absent.entry(topic).or_insert_with(Instant::now);
        match self.placement.is_deleted(topic, since) {
            true => None,
            false => Some(0),
        }
    }
}
