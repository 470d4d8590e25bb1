//! Cursors of topics: a reader's whole state, signed, so that no gateway has to remember it.
//!
//! Content: topic id (16 bytes) · offsets, one LEB128 varint a partition.

use headwater_broker::TopicId;

use super::sealed::{Purpose, open, put_varint, seal, take_varint};
use crate::{
    metadata::{Project, Topic},
    problem::{Code, Problem},
};

/// The next offset to read of every partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The topic.
    pub topic: TopicId,
    /// Index = partition number.
    pub offsets: Vec<u64>,
}

impl Cursor {
    /// The cursor as a client keeps it.
    pub fn seal(&self, project: &Project) -> String {
        let mut content = Vec::with_capacity(16 + self.offsets.len() * 4);
        content.extend_from_slice(&self.topic.0);
        for offset in &self.offsets {
            put_varint(&mut content, *offset);
        }
        seal(project, Purpose::Topic, "", &content)
    }

    /// Reads a cursor that a client sent back for `topic`. Partitions that the topic gained since are
    /// read from their start, so that nothing is missed.
    ///
    /// # Errors
    /// 400 if it is not one that this service made for this topic.
    pub fn open(text: &str, project: &Project, topic: &Topic) -> Result<Self, Problem> {
        Self::verify(text, project)
            .filter(|cursor| cursor.topic == topic.id)
            .map(|mut cursor| {
                let partitions = topic.partitions() as usize;
                cursor
                    .offsets
                    .resize(partitions.max(cursor.offsets.len()), 0);
                cursor
            })
            .ok_or_else(|| {
                Problem::new(
                    Code::InvalidCursor,
                    "the cursor was not made for this topic",
                )
                .at(
                    "cursor",
                    "invalid_cursor",
                    "send a cursor back as it came, to the topic that it came from",
                )
            })
    }

    fn verify(text: &str, project: &Project) -> Option<Self> {
        let content = open(project, Purpose::Topic, "", text)?;
        let (topic, mut rest) = content.split_at_checked(16)?;
        let mut offsets = Vec::new();
        while !rest.is_empty() {
            offsets.push(take_varint(&mut rest)?);
        }
        Some(Self {
            topic: TopicId(topic.try_into().ok()?),
            offsets,
        })
    }
}
