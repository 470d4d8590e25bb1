//! Calls to coordinators as messages and back.

mod call;
mod error;
mod reply;

use headwater_groups::{Config, Kind, PartitionId, Start, TopicId};

use super::{calls, proto};

pub(super) use call::{call, request};
pub(super) use reply::{answer, response};

/// Something in a message that this version does not know.
type Unread<T> = Option<T>;

fn topic(bytes: &[u8]) -> Unread<TopicId> {
    bytes.try_into().ok().map(TopicId)
}

fn partition(bytes: &[u8], partition: u32) -> Unread<PartitionId> {
    let topic = topic(bytes)?;
    Some(PartitionId { topic, partition })
}

fn all<M, T>(messages: Vec<M>, read: impl Fn(M) -> Unread<T>) -> Unread<Vec<T>> {
    messages.into_iter().map(read).collect()
}

fn position_message(
    id: PartitionId,
    offset: Option<u64>,
    before: Option<u64>,
) -> proto::GroupPosition {
    proto::GroupPosition {
        topic: calls::topic_bytes(id.topic),
        partition: id.partition,
        offset,
        before,
    }
}

fn ids_message(ids: Vec<PartitionId>) -> Vec<proto::GroupPosition> {
    let ids = ids.into_iter();
    ids.map(|id| position_message(id, None, None)).collect()
}

fn ids(messages: Vec<proto::GroupPosition>) -> Unread<Vec<PartitionId>> {
    all(messages, |m| partition(&m.topic, m.partition))
}

fn offsets_message(offsets: Vec<(PartitionId, u64)>) -> Vec<proto::GroupPosition> {
    let offsets = offsets.into_iter();
    offsets
        .map(|(id, offset)| position_message(id, Some(offset), None))
        .collect()
}

fn offsets(messages: Vec<proto::GroupPosition>) -> Unread<Vec<(PartitionId, u64)>> {
    all(messages, |m| {
        Some((partition(&m.topic, m.partition)?, m.offset?))
    })
}

fn stint_message(id: PartitionId, stint: u64, offset: Option<u64>) -> proto::GroupStint {
    proto::GroupStint {
        topic: calls::topic_bytes(id.topic),
        partition: id.partition,
        stint,
        offset,
    }
}

fn kind_number(kind: Kind) -> u32 {
    match kind {
        Kind::Partitioned => 1,
    }
}

fn kind(number: u32) -> Unread<Kind> {
    match number {
        1 => Some(Kind::Partitioned),
        _ => None,
    }
}

fn config_message(config: &Config) -> proto::GroupConfig {
    let topics = config.topics.iter().copied();
    proto::GroupConfig {
        topics: topics.map(calls::topic_bytes).collect(),
        kind: kind_number(config.kind),
        start: match config.start {
            Start::Earliest => 1,
            Start::Latest => 2,
        },
        lease_ms: config.lease_ms,
    }
}

fn config(message: &proto::GroupConfig) -> Unread<Config> {
    let topics = message.topics.iter().map(|bytes| topic(bytes));
    Some(Config {
        topics: topics.collect::<Option<_>>()?,
        kind: kind(message.kind)?,
        start: match message.start {
            1 => Start::Earliest,
            2 => Start::Latest,
            _ => return None,
        },
        lease_ms: message.lease_ms,
    })
}
