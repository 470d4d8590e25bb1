//! Records of the internal log as bytes: protobuf, so that fields can come without a new format.
//!
//! ```text
//! key    f                                     the epoch floor
//!        g <bytes of project, u16> <project> <name>    a group
//! value  Floor | ChangeMessage; none: the group is deleted
//! ```

mod partitioned;
mod shared;

use headwater_log::TopicId;
use prost::Message;

use self::partitioned::RowsMessage;
use self::shared::StepMessage;
use crate::config::{Config, GroupId, Kind, Rules, Start};
use crate::error::CorruptEvent;
use crate::event::{BodyChange, Change};

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
    #[prost(message, optional, tag = "4")]
    shared: Option<StepsMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct StepsMessage {
    #[prost(message, repeated, tag = "1")]
    steps: Vec<StepMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct ConfigMessage {
    #[prost(bytes = "vec", repeated, tag = "1")]
    topics: Vec<Vec<u8>>,
    /// 1: partitioned, 2: shared.
    #[prost(uint32, tag = "2")]
    kind: u32,
    /// 1: earliest, 2: latest.
    #[prost(uint32, tag = "3")]
    start: u32,
    #[prost(uint32, tag = "4")]
    lease_ms: u32,
    #[prost(uint32, tag = "5")]
    max_attempts: u32,
    #[prost(bytes = "vec", optional, tag = "6")]
    dead_letters: Option<Vec<u8>>,
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
    let mut message = ChangeMessage {
        whole: change.whole,
        config: change.config.as_ref().map(config_message),
        ..ChangeMessage::default()
    };
    match &change.body {
        BodyChange::Partitioned(rows) => {
            message.partitioned = Some(partitioned::rows_message(rows));
        }
        BodyChange::Shared(steps) => {
            let steps = steps.iter().map(shared::step_message).collect();
            message.shared = Some(StepsMessage { steps });
        }
    }
    message.encode_to_vec()
}

pub(crate) fn decode_change(value: &[u8]) -> Result<Change, CorruptEvent> {
    let message = ChangeMessage::decode(value).map_err(not_protobuf)?;
    let body = match (message.partitioned, message.shared) {
        (Some(rows), None) => BodyChange::Partitioned(partitioned::rows(rows)?),
        (None, Some(message)) => {
            let steps = message.steps.into_iter().map(shared::step);
            BodyChange::Shared(steps.collect::<Result<_, _>>()?)
        }
        _ => return Err(CorruptEvent("a kind that is not known".to_owned())),
    };
    if message.whole && message.config.is_none() {
        return Err(CorruptEvent("a whole group without its config".to_owned()));
    }
    Ok(Change {
        whole: message.whole,
        config: message.config.map(config).transpose()?,
        body,
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
    let (kind, rules) = match config.kind {
        Kind::Partitioned => (1, None),
        Kind::Shared(rules) => (2, Some(rules)),
    };
    let dead_letters = rules.and_then(|rules| rules.dead_letters);
    ConfigMessage {
        topics: config.topics.iter().map(|id| id.0.to_vec()).collect(),
        kind,
        start: match config.start {
            Start::Earliest => 1,
            Start::Latest => 2,
        },
        lease_ms: config.lease_ms,
        max_attempts: rules.map_or(0, |rules| rules.max_attempts),
        dead_letters: dead_letters.map(|id| id.0.to_vec()),
    }
}

fn config(message: ConfigMessage) -> Result<Config, CorruptEvent> {
    let topics = message.topics.iter().map(|id| topic_id(id));
    let dead_letters = message.dead_letters.as_deref().map(topic_id);
    Ok(Config {
        topics: topics.collect::<Result<_, _>>()?,
        kind: match message.kind {
            1 => Kind::Partitioned,
            2 => Kind::Shared(Rules {
                max_attempts: message.max_attempts,
                dead_letters: dead_letters.transpose()?,
            }),
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
