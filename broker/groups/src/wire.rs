//! Records of the internal log as bytes: protobuf, so that fields can come without a new format.
//!
//! ```text
//! key    f                                     the epoch floor
//!        g <bytes of project, u16> <project> <name>    a group
//! value  Floor | ChangeMessage; none: the group is deleted
//! ```

use std::collections::BTreeMap;

use headwater_log::{PartitionId, TopicId};
use prost::Message;

use crate::config::{Config, GroupId, Kind, Start};
use crate::error::CorruptEvent;
use crate::event::{BodyChange, Change};
use crate::partitioned::{Member, Partition, Rows};

#[derive(Clone, PartialEq, Message)]
struct Floor {
    #[prost(uint64, tag = "1")]
    epoch: u64,
}

#[derive(Clone, PartialEq, Message)]
struct ChangeMessage {
    #[prost(bool, tag = "1")]
    whole: bool,
    #[prost(message, optional, tag = "2")]
    config: Option<ConfigMessage>,
    #[prost(message, optional, tag = "3")]
    partitioned: Option<RowsMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct ConfigMessage {
    #[prost(bytes = "vec", repeated, tag = "1")]
    topics: Vec<Vec<u8>>,
    /// 1: partitioned.
    #[prost(uint32, tag = "2")]
    kind: u32,
    /// 1: earliest, 2: latest.
    #[prost(uint32, tag = "3")]
    start: u32,
    #[prost(uint32, tag = "4")]
    lease_ms: u32,
}

#[derive(Clone, PartialEq, Message)]
struct RowsMessage {
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

pub(crate) fn key(group: Option<&GroupId>) -> Vec<u8> {
    let Some(group) = group else {
        return b"f".to_vec();
    };
    let project_bytes =
        u16::try_from(group.project.len()).expect("ids are checked when a group is made");
    let mut key = b"g".to_vec();
    key.extend(project_bytes.to_be_bytes());
    key.extend(group.project.as_bytes());
    key.extend(group.name.as_bytes());
    key
}

pub(crate) fn decode_key(key: &[u8]) -> Result<Option<GroupId>, CorruptEvent> {
    if key == b"f" {
        return Ok(None);
    }
    let group = || {
        let (length, names) = key.strip_prefix(b"g")?.split_first_chunk()?;
        let (project, name) = names.split_at_checked(u16::from_be_bytes(*length).into())?;
        Some(GroupId {
            project: std::str::from_utf8(project).ok()?.to_owned(),
            name: std::str::from_utf8(name).ok()?.to_owned(),
        })
    };
    group()
        .map(Some)
        .ok_or_else(|| CorruptEvent("its key names no group".to_owned()))
}

pub(crate) fn encode_floor(epoch: u64) -> Vec<u8> {
    Floor { epoch }.encode_to_vec()
}

pub(crate) fn decode_floor(value: &[u8]) -> Result<u64, CorruptEvent> {
    Ok(Floor::decode(value).map_err(not_protobuf)?.epoch)
}

pub(crate) fn encode_change(change: &Change) -> Vec<u8> {
    let BodyChange::Partitioned(rows) = &change.body;
    let message = ChangeMessage {
        whole: change.whole,
        config: change.config.as_ref().map(config_message),
        partitioned: Some(rows_message(rows)),
    };
    message.encode_to_vec()
}

pub(crate) fn decode_change(value: &[u8]) -> Result<Change, CorruptEvent> {
    let message = ChangeMessage::decode(value).map_err(not_protobuf)?;
    let Some(rows) = message.partitioned else {
        return Err(CorruptEvent("a kind that is not known".to_owned()));
    };
    if message.whole && message.config.is_none() {
        return Err(CorruptEvent("a whole group without its config".to_owned()));
    }
    Ok(Change {
        whole: message.whole,
        config: message.config.map(config).transpose()?,
        body: BodyChange::Partitioned(self::rows(rows)?),
    })
}

fn not_protobuf(error: prost::DecodeError) -> CorruptEvent {
    CorruptEvent(error.to_string())
}

fn topic_id(bytes: &[u8]) -> Result<TopicId, CorruptEvent> {
    let id = bytes.try_into().map(TopicId);
    id.map_err(|_| CorruptEvent("a topic id is 16 bytes".to_owned()))
}

fn config_message(config: &Config) -> ConfigMessage {
    ConfigMessage {
        topics: config.topics.iter().map(|id| id.0.to_vec()).collect(),
        kind: match config.kind {
            Kind::Partitioned => 1,
        },
        start: match config.start {
            Start::Earliest => 1,
            Start::Latest => 2,
        },
        lease_ms: config.lease_ms,
    }
}

fn config(message: ConfigMessage) -> Result<Config, CorruptEvent> {
    let topics = message.topics.iter().map(|id| topic_id(id));
    Ok(Config {
        topics: topics.collect::<Result<_, _>>()?,
        kind: match message.kind {
            1 => Kind::Partitioned,
            other => return Err(CorruptEvent(format!("unknown kind {other}"))),
        },
        start: match message.start {
            1 => Start::Earliest,
            2 => Start::Latest,
            other => return Err(CorruptEvent(format!("unknown start {other}"))),
        },
        lease_ms: message.lease_ms,
    })
}

fn rows_message(rows: &Rows) -> RowsMessage {
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

fn rows(message: RowsMessage) -> Result<Rows, CorruptEvent> {
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
