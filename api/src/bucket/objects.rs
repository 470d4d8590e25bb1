//! What the objects of a partition say of themselves.

use futures_util::{StreamExt, TryStreamExt};
use headwater_tiered::{Descriptor, Inspected, Listed, Store as Objects, StoreErrorKind, TopicId};

use super::{
    Done,
    chain::Piece,
    report::{Finding, Kind},
};

/// Objects whose ends are read at once.
const INSPECTED_AT_ONCE: usize = 32;

/// What the objects of a partition say.
#[derive(Default)]
pub struct Found {
    /// Those that are whole, as far as their ends tell.
    pub pieces: Vec<Piece>,
    /// What is wrong with the others.
    pub damaged: Vec<Finding>,
    /// The highest epoch of a leader that any of them names.
    pub epoch_max: u32,
    /// What the one says that knows the topic's settings best.
    pub newest: Option<Descriptor>,
    /// Objects.
    pub count: u64,
}

impl Found {
    /// Reads the end of every object of a partition.
    pub async fn of(objects: &Objects, topic_id: TopicId, partition: u32) -> Done<Self> {
        let mut found = Self::default();
        let mut inspected = objects
            .list_partition(topic_id, partition)
            .try_filter(|listed| std::future::ready(listed.segment.is_some()))
            .map_ok(|listed| async move {
                let inspected = objects.inspect(&listed.key).await;
                Ok((listed, inspected))
            })
            .try_buffer_unordered(INSPECTED_AT_ONCE)
            .boxed();
        while let Some((listed, inspected)) = inspected.try_next().await? {
            match inspected {
                Ok(inspected) => found.take(&listed, inspected),
                Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                    found.damaged(&listed, error);
                }
                // Brokers that still use the bucket have deleted it.
                Err(error) if error.kind() == StoreErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    fn damaged(&mut self, listed: &Listed, detail: impl ToString) {
        self.count += 1;
        if let Some(segment) = listed.segment {
            self.epoch_max = self.epoch_max.max(segment.leader_epoch);
        }
        let finding = Finding::of_key(Kind::Damaged, &listed.key, listed.size_bytes, detail);
        self.damaged.push(finding);
    }

    fn take(&mut self, listed: &Listed, inspected: Inspected) {
        let descriptor = inspected.footer.descriptor;
        if let Err(why) = check(listed, &descriptor) {
            return self.damaged(listed, why);
        }
        self.count += 1;
        let epochs = descriptor.epochs.clone();
        let last_epoch = epochs.last().map_or(0, |(epoch, _)| *epoch);
        let own = descriptor.leader_epoch.max(last_epoch);
        self.epoch_max = self.epoch_max.max(own);
        self.pieces.push(Piece {
            segment: inspected.segment,
            epochs,
        });
        self.learn(descriptor);
    }

    /// Keeps what knows the topic's settings best.
    pub fn learn(&mut self, descriptor: Descriptor) {
        let age = |descriptor: &Descriptor| (descriptor.settings_version, descriptor.written_at_ms);
        let known = self.newest.as_ref();
        if known.is_none_or(|known| age(known) < age(&descriptor)) {
            self.newest = Some(descriptor);
        }
    }
}

/// Whether an object is what its name says, and can be a partition's.
fn check(listed: &Listed, descriptor: &Descriptor) -> Result<(), &'static str> {
    let is_named = listed.segment.is_some_and(|segment| {
        segment.topic_id == descriptor.topic_id
            && segment.partition == descriptor.partition
            && segment.base_offset == descriptor.base_offset
            && segment.end_offset == descriptor.end_offset
            && segment.leader_epoch == descriptor.leader_epoch
    });
    if !is_named {
        return Err("its footer names another segment than its key does");
    }
    if descriptor.base_offset >= descriptor.end_offset {
        return Err("its offsets make no range");
    }
    if i64::try_from(descriptor.end_offset).is_err() {
        return Err("its offsets are higher than any can be");
    }
    Ok(())
}
