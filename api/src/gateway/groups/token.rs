//! What workers of shared groups hold of a record: a lease, signed.
//!
//! Content: the topic's id (16 bytes) · partition · offset · number of the lease, as LEB128 varints. It is
//! bound to the group's name; the number is of one group of that name alone, as its epochs are.

use headwater_groups::{PartitionId, Token, TopicId};

use crate::{
    gateway::sealed::{Purpose, open, put_varint, seal, take_varint},
    metadata::Project,
};

/// The text of a lease.
pub(super) fn seal_lease(project: &Project, group: &str, token: &Token) -> String {
    let mut content = Vec::with_capacity(40);
    content.extend_from_slice(&token.partition.topic.0);
    put_varint(&mut content, token.partition.partition.into());
    put_varint(&mut content, token.offset);
    put_varint(&mut content, token.lease);
    seal(project, Purpose::Lease, group, &content)
}

/// The lease of a text; `None` if this service did not make it for this group.
pub(super) fn open_lease(project: &Project, group: &str, text: &str) -> Option<Token> {
    let content = open(project, Purpose::Lease, group, text)?;
    let (topic, mut rest) = content.split_at_checked(16)?;
    let topic = TopicId(topic.try_into().ok()?);
    let partition = take_varint(&mut rest)?.try_into().ok()?;
    Some(Token {
        partition: PartitionId { topic, partition },
        offset: take_varint(&mut rest)?,
        lease: take_varint(&mut rest)?,
    })
}
