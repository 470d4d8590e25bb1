//! Calls to coordinators as messages and back.

mod call;
mod error;
mod reply;
mod shared;

use headwater_groups::{Config, Kind, PartitionId, Rules, Start, TopicId};

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
        settled_above: 0,
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

fn kind_message(kind: Kind) -> (u32, Option<proto::SharedRules>) {
    match kind {
        Kind::Partitioned => (1, None),
        Kind::Shared(rules) => {
            let rules = proto::SharedRules {
                max_attempts: rules.max_attempts,
                dead_letters: rules.dead_letters.map(calls::topic_bytes),
            };
            (2, Some(rules))
        }
    }
}

fn kind(number: u32, rules: Option<&proto::SharedRules>) -> Unread<Kind> {
    match (number, rules) {
        (1, _) => Some(Kind::Partitioned),
        (2, Some(rules)) => Some(Kind::Shared(Rules {
            max_attempts: rules.max_attempts,
            dead_letters: match &rules.dead_letters {
                Some(bytes) => Some(topic(bytes)?),
                None => None,
            },
        })),
        _ => None,
    }
}

fn config_message(config: &Config) -> proto::GroupConfig {
    let topics = config.topics.iter().copied();
    let (kind, rules) = kind_message(config.kind);
    proto::GroupConfig {
        topics: topics.map(calls::topic_bytes).collect(),
        kind,
        rules,
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
        kind: kind(message.kind, message.rules.as_ref())?,
        start: match message.start {
            1 => Start::Earliest,
            2 => Start::Latest,
            _ => return None,
        },
        lease_ms: message.lease_ms,
    })
}
