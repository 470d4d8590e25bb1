//! Names of objects.

use std::fmt;

use crate::format::{Descriptor, TopicId};

const FOLDER: &str = "segments";
const SUFFIX: &str = ".segment";

/// The name of a segment's object below the store's prefix:
/// `segments/{topic id}/{partition}/{base}-{end}-{leader epoch}-{random}.segment`.
///
/// A name is used for one upload alone. So two leaders never write to the same one, and a write
/// whose answer was lost can be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SegmentKey {
    /// The topic.
    pub topic_id: TopicId,
    /// The partition's number in its topic.
    pub partition: u32,
    /// First offset that the object covers.
    pub base_offset: u64,
    /// One past the last offset that it covers.
    pub end_offset: u64,
    /// Epoch of the leader that uploads it.
    pub leader_epoch: u32,
    /// Drawn for each upload.
    pub random: u64,
}

impl SegmentKey {
    /// A name for an upload of what is described that nobody else has.
    pub fn fresh(descriptor: &Descriptor) -> Self {
        let random = getrandom::u64().expect("the system gives random bytes");
        Self::with_random(descriptor, random)
    }

    /// As [`fresh`](Self::fresh), with a number that the caller drew.
    pub fn with_random(descriptor: &Descriptor, random: u64) -> Self {
        Self {
            topic_id: descriptor.topic_id,
            partition: descriptor.partition,
            base_offset: descriptor.base_offset,
            end_offset: descriptor.end_offset,
            leader_epoch: descriptor.leader_epoch,
            random,
        }
    }

    /// The folder that a partition's names are in.
    pub(crate) fn folder(topic_id: TopicId, partition: u32) -> String {
        format!("{FOLDER}/{topic_id}/{partition:05}")
    }

    /// Reads a name; `None` for everything that [`SegmentKey`]'s `Display` does not write.
    pub fn parse(key: &str) -> Option<Self> {
        let mut parts = key.split('/');
        let folder = parts.next()?;
        let (topic, partition, name) = (parts.next()?, parts.next()?, parts.next()?);
        let mut numbers = name.strip_suffix(SUFFIX)?.split('-');
        let parsed = Self {
            topic_id: TopicId::parse(topic)?,
            partition: partition.parse().ok()?,
            base_offset: numbers.next()?.parse().ok()?,
            end_offset: numbers.next()?.parse().ok()?,
            leader_epoch: numbers.next()?.parse().ok()?,
            random: u64::from_str_radix(numbers.next()?, 16).ok()?,
        };
        // One text for one name: numbers without their zeroes, signs, or more parts are foreign.
        (folder == FOLDER && parsed.to_string() == key).then_some(parsed)
    }
}

impl fmt::Display for SegmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{:020}-{:020}-{:010}-{:016x}{SUFFIX}",
            Self::folder(self.topic_id, self.partition),
            self.base_offset,
            self.end_offset,
            self.leader_epoch,
            self.random
        )
    }
}
