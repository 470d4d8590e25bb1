//! Cursors of groups: what a poll, and those before it that nobody committed, delivered.
//!
//! Content: each topic's id (16 bytes) · how many marks · of each its partition, its stint and the offset
//! to go on at. Numbers are LEB128 varints. It is bound to the group's name. The stint says whose it was:
//! stints are numbered by the group's epoch, which nothing gives twice.

use headwater_groups::{Mark, PartitionId, TopicId};

use crate::{
    gateway::sealed::{Purpose, open, put_varint, seal, take_varint},
    metadata::Project,
    problem::{Code, Problem},
};

/// The cursor of these marks, which are in the order of partitions.
pub(super) fn seal_marks(project: &Project, group: &str, marks: &[Mark]) -> String {
    let mut content = Vec::with_capacity(32 + marks.len() * 8);
    for of_topic in marks.chunk_by(|a, b| a.partition.topic == b.partition.topic) {
        content.extend_from_slice(&of_topic[0].partition.topic.0);
        put_varint(&mut content, of_topic.len() as u64);
        for mark in of_topic {
            put_varint(&mut content, mark.partition.partition.into());
            put_varint(&mut content, mark.stint);
            put_varint(&mut content, mark.next_offset);
        }
    }
    seal(project, Purpose::Group, group, &content)
}

/// The marks of a cursor that a client sent back in `field`.
///
/// # Errors
/// 400 if it is not one that this service made for this group.
pub(super) fn open_marks(
    project: &Project,
    group: &str,
    field: &str,
    text: &str,
) -> Result<Vec<Mark>, Problem> {
    let content = open(project, Purpose::Group, group, text);
    content.and_then(|content| read(&content)).ok_or_else(|| {
        let detail = "the cursor was not made by a poll of this group";
        let message = "send a cursor back as it came, to the group that it came from";
        Problem::new(Code::InvalidCursor, detail).at(format!("/{field}"), "invalid_cursor", message)
    })
}

fn read(mut content: &[u8]) -> Option<Vec<Mark>> {
    let mut marks = Vec::new();
    while !content.is_empty() {
        let (topic, rest) = content.split_at_checked(16)?;
        let topic = TopicId(topic.try_into().ok()?);
        content = rest;
        for _ in 0..take_varint(&mut content)? {
            let partition = take_varint(&mut content)?.try_into().ok()?;
            marks.push(Mark {
                partition: PartitionId { topic, partition },
                stint: take_varint(&mut content)?,
                next_offset: take_varint(&mut content)?,
            });
        }
    }
    Some(marks)
}
