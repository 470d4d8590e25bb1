//! What a coordinator asks of the cluster's metadata.

use headwater_log::TopicId;

/// How many partitions topics have now.
pub trait Topics {
    /// The number of partitions; `None` when the topic is deleted for good: its positions go. Topic
    /// ids are never used again, so there is no way back. Metadata that is behind must not say
    /// `None` of a topic that it has not heard of yet, but 0: fewer partitions than are known already
    /// mean nothing.
    fn partitions(&self, topic: TopicId) -> Option<u32>;
}
