//! Cursors of groups: where a member goes on in each partition that it owned when it polled, behind what
//! that poll and those before it delivered.
//!
//! Content: each topic's id (16 bytes) · how many partitions · of each its number, its stint, and twice the
//! offset to go on at, plus one if that is ahead of what is committed. Numbers are LEB128 varints. It is
//! bound to the group's name. The stint says whose it was: stints are numbered by the group's epoch, which
//! nothing gives twice.

use headwater_groups::{Mark, PartitionId, TopicId};

use crate::{
    gateway::sealed::{Purpose, open, put_varint, seal, take_varint},
    metadata::Project,
    problem::{Code, Problem},
};

/// Where a member goes on in a partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reached {
    pub(super) mark: Mark,
    /// Whether there is something to commit. Where there is not, the mark only says that it is owned.
    pub(super) is_ahead: bool,
}

/// The cursor of these places, which are in the order of partitions.
pub(super) fn seal_reached(project: &Project, group: &str, reached: &[Reached]) -> String {
    let mut content = Vec::with_capacity(32 + reached.len() * 8);
    for of_topic in reached.chunk_by(|a, b| a.mark.partition.topic == b.mark.partition.topic) {
        content.extend_from_slice(&of_topic[0].mark.partition.topic.0);
        put_varint(&mut content, of_topic.len() as u64);
        for Reached { mark, is_ahead } in of_topic {
            put_varint(&mut content, mark.partition.partition.into());
            put_varint(&mut content, mark.stint);
            put_varint(&mut content, mark.next_offset << 1 | u64::from(*is_ahead));
        }
    }
    seal(project, Purpose::Group, group, &content)
}

/// What a commit of these says.
pub(super) fn ahead(reached: &[Reached]) -> Vec<Mark> {
    let ahead = reached.iter().filter(|reached| reached.is_ahead);
    ahead.map(|reached| reached.mark).collect()
}

/// The places of a cursor that a client sent back in `field`.
///
/// # Errors
/// 400 if it is not one that this service made for this group.
pub(super) fn open_reached(
    project: &Project,
    group: &str,
    field: &str,
    text: &str,
) -> Result<Vec<Reached>, Problem> {
    let content = open(project, Purpose::Group, group, text);
    content.and_then(|content| read(&content)).ok_or_else(|| {
        let detail = "the cursor was not made by a poll of this group";
        let message = "send a cursor back as it came, to the group that it came from";
        Problem::new(Code::InvalidCursor, detail).at(format!("/{field}"), "invalid_cursor", message)
    })
}

fn read(mut content: &[u8]) -> Option<Vec<Reached>> {
    let mut reached = Vec::new();
    while !content.is_empty() {
        let (topic, rest) = content.split_at_checked(16)?;
        let topic = TopicId(topic.try_into().ok()?);
        content = rest;
        for _ in 0..take_varint(&mut content)? {
            let partition = take_varint(&mut content)?.try_into().ok()?;
            let stint = take_varint(&mut content)?;
            let twice = take_varint(&mut content)?;
            let mark = Mark {
                partition: PartitionId { topic, partition },
                stint,
                next_offset: twice >> 1,
            };
            reached.push(Reached {
                mark,
                is_ahead: twice & 1 == 1,
            });
        }
    }
    Some(reached)
}
