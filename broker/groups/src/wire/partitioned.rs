//! Partitioned groups.

use std::collections::BTreeMap;

use headwater_log::{PartitionId, TopicId};
use prost::Message;

use super::topic_id;
use crate::error::CorruptEvent;
use crate::partitioned::{Member, Partition, Rows};

#[derive(Clone, PartialEq, Message)]
pub(super) struct RowsMessage {
    #[prost(uint64, tag = "1")]
    epoch: u64,
    #[prost(message, repeated, tag = "2")]
    members: Vec<MemberMessage>,
    #[prost(string, repeated, tag = "3")]
    members_gone: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    topics: Vec<TopicMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct MemberMessage {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, optional, tag = "2")]
    instance: Option<String>,
    #[prost(uint64, tag = "3")]
    joined: u64,
    #[prost(uint32, tag = "4")]
    lease_ms: u32,
}

#[derive(Clone, PartialEq, Message)]
struct TopicMessage {
    #[prost(bytes = "vec", tag = "1")]
    topic: Vec<u8>,
    #[prost(message, repeated, tag = "2")]
    partitions: Vec<PartitionMessage>,
    #[prost(uint32, repeated, tag = "3")]
    partitions_gone: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
struct PartitionMessage {
    #[prost(uint32, tag = "1")]
    partition: u32,
    #[prost(uint64, optional, tag = "2")]
    owner: Option<u64>,
    #[prost(uint64, tag = "3")]
    stint: u64,
    #[prost(uint64, optional, tag = "4")]
    position: Option<u64>,
}

pub(super) fn rows_message(rows: &Rows) -> RowsMessage {
    let mut message = RowsMessage {
        epoch: rows.epoch,
        ..RowsMessage::default()
    };
    for (name, member) in &rows.members {
        match member {
            None => message.members_gone.push(name.clone()),
            Some(member) => message.members.push(MemberMessage {
                name: name.clone(),
                instance: member.instance.clone(),
                joined: member.joined,
                lease_ms: member.lease_ms,
            }),
        }
    }
    let mut topics: BTreeMap<TopicId, TopicMessage> = BTreeMap::new();
    for (id, partition) in &rows.partitions {
        let topic = topics.entry(id.topic).or_insert_with(|| TopicMessage {
            topic: id.topic.0.to_vec(),
            ..TopicMessage::default()
        });
        match partition {
            None => topic.partitions_gone.push(id.partition),
            Some(row) => topic.partitions.push(PartitionMessage {
                partition: id.partition,
                owner: row.owner,
                stint: row.stint,
                position: row.position,
            }),
        }
    }
    message.topics = topics.into_values().collect();
    message
}

pub(super) fn rows(message: RowsMessage) -> Result<Rows, CorruptEvent> {
    let mut rows = Rows {
        epoch: message.epoch,
        ..Rows::default()
    };
    for member in message.members {
        let row = Member {
            instance: member.instance,
            joined: member.joined,
            lease_ms: member.lease_ms,
        };
        rows.members.insert(member.name, Some(row));
    }
    for name in message.members_gone {
        rows.members.insert(name, None);
    }
    for message in message.topics {
        let topic = topic_id(&message.topic)?;
        for row in message.partitions {
            let partition = Partition {
                owner: row.owner,
                stint: row.stint,
                position: row.position,
            };
            let id = PartitionId {
                topic,
                partition: row.partition,
            };
            rows.partitions.insert(id, Some(partition));
        }
        for partition in message.partitions_gone {
            rows.partitions
                .insert(PartitionId { topic, partition }, None);
        }
    }
    Ok(rows)
}
