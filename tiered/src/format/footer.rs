//! What an object is of, in words, so that a bucket alone tells everything.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Cleaning, FORMAT};

/// Most bytes of a footer.
pub(crate) const FOOTER_BYTES_MAX: u64 = 1 << 20;

/// A topic's id. Written as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// Reads 32 hexadecimal digits, small letters.
    pub fn parse(text: &str) -> Option<Self> {
        let id = Self(u128::from_str_radix(text, 16).ok()?.to_be_bytes());
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl From<TopicId> for String {
    fn from(id: TopicId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for TopicId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("a topic id is 32 hexadecimal digits")
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Something that has an id for ever and a name for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The id.
    pub id: String,
    /// The name at the time of writing.
    pub name: String,
}

/// What the uploader says about an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// Whose it is.
    pub organization: Named,
    /// The project in it.
    pub project: Named,
    /// The topic in that.
    pub topic: Named,
    /// The topic's id as brokers know it.
    pub topic_id: TopicId,
    /// Partitions of the topic.
    pub partitions: u32,
    /// Copies of each of its partitions on brokers; 0 in objects from before this was said.
    #[serde(default)]
    pub replication_factor: u32,
    /// The topic's settings, as text that is JSON to those who wrote it.
    pub settings: String,
    /// Counts changes of the settings.
    pub settings_version: u64,
    /// The partition's number.
    pub partition: u32,
    /// First offset that the object covers. Compaction may have taken any record between this and
    /// the end.
    pub base_offset: u64,
    /// One past the last offset that it covers.
    pub end_offset: u64,
    /// Epoch of the leader that uploads it.
    pub leader_epoch: u32,
    /// Epochs of the batches, ascending: each with the first offset that it holds for. Batches must
    /// agree with it.
    pub epochs: Vec<(u32, u64)>,
    /// When it was written, milliseconds since the epoch.
    pub written_at_ms: i64,
    /// The broker that wrote it.
    pub broker_id: String,
    /// The topic keeps the last record of each key: the object gets a block of keys.
    #[serde(default)]
    pub compacted: bool,
}

impl Descriptor {
    /// The epoch of the batch at `offset`, as far as `epochs` tells.
    pub(crate) fn epoch_at(&self, offset: u64) -> Option<u32> {
        let after = self.epochs.partition_point(|(_, first)| *first <= offset);
        self.epochs[..after].last().map(|(epoch, _)| *epoch)
    }
}

/// What writing an object found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Records.
    pub record_count: u64,
    /// Timestamp of the first record, or of one before it that compaction took, milliseconds since the
    /// epoch; -1 if there is none.
    pub first_timestamp_ms: i64,
    /// The highest timestamp, milliseconds since the epoch; -1 if there is no record.
    pub max_timestamp_ms: i64,
    /// Bytes of the batches.
    pub data_bytes: u64,
    /// SHA-256 of the batches, 64 hexadecimal digits.
    pub data_sha256: String,
    /// Bytes of the block of keys; 0 if there is none.
    #[serde(default)]
    pub keys_bytes: u64,
    /// Offset of the first record with a key and without a value, in objects of compacted topics.
    #[serde(default)]
    pub first_tombstone: Option<u64>,
}

/// The JSON near the end of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footer {
    /// The format's version.
    pub format: u32,
    /// What the uploader said.
    #[serde(flatten)]
    pub descriptor: Descriptor,
    /// What it found out.
    #[serde(flatten)]
    pub measured: Measured,
    /// How far compaction has come.
    #[serde(flatten)]
    pub cleaning: Cleaning,
}

impl Footer {
    pub(crate) fn new(descriptor: Descriptor, measured: Measured, cleaning: Cleaning) -> Self {
        Self {
            format: FORMAT,
            descriptor,
            measured,
            cleaning,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and integers always make JSON")
    }
}
