//! How far a redrive is, in memory and as its cursor.
//!
//! Content of the cursor: the dead-letter topic's id (16 bytes) · of each partition where to go on and how
//! many offsets there are from there, as LEB128 varints. It is bound to the group's name.

use headwater_broker::{PartitionState, TopicId};

use crate::{
    gateway::sealed::{Purpose, open, put_varint, seal, take_varint},
    metadata::Project,
    problem::{Code, Problem},
};

/// How far a redrive is in a partition of the dead-letter topic. It ends where the partition did when the
/// redrive began: what dies again is not for the same redrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub next: u64,
    pub end: u64,
}

/// How far it is in each, by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places(pub Vec<Place>);

impl Places {
    /// At the beginning.
    pub fn of(states: &[PartitionState]) -> Self {
        let places = states.iter().map(|state| Place {
            next: state.log_start,
            end: state.high_watermark,
        });
        Self(places.collect())
    }

    /// The first partition in which there is something left, and how far it is there.
    pub fn open(&self) -> Option<(u32, Place)> {
        let mut places = (0..).zip(&self.0);
        let open = places.find(|(_, place)| place.next < place.end);
        open.map(|(partition, place)| (partition, *place))
    }

    /// Where to go on in a partition.
    pub fn next_in(&self, partition: u32) -> u64 {
        self.0.get(partition as usize).map_or(0, |place| place.next)
    }

    /// Where the redrive ends in a partition.
    pub fn end_of(&self, partition: u32) -> u64 {
        self.0.get(partition as usize).map_or(0, |place| place.end)
    }

    /// Goes on in a partition.
    pub fn go_on(&mut self, partition: u32, next: u64) {
        if let Some(place) = self.0.get_mut(partition as usize) {
            place.next = next.min(place.end);
        }
    }

    /// The cursor; none at the end.
    pub fn seal(&self, project: &Project, group: &str, topic: TopicId) -> Option<String> {
        self.open()?;
        let mut content = topic.0.to_vec();
        for place in &self.0 {
            put_varint(&mut content, place.next);
            put_varint(&mut content, place.end.saturating_sub(place.next));
        }
        Some(seal(project, Purpose::Redrive, group, &content))
    }

    /// What a client sent back.
    ///
    /// # Errors
    /// 400 if it is not of a redrive of this group from this topic.
    pub fn unseal(
        project: &Project,
        group: &str,
        topic: TopicId,
        text: &str,
    ) -> Result<Self, Problem> {
        let content = open(project, Purpose::Redrive, group, text);
        let places = content.and_then(|content| Self::read(&content, topic));
        places.ok_or_else(|| {
            let detail = "the cursor was not made by a redrive of this group";
            let message = "send a cursor back as it came, or begin without one";
            Problem::new(Code::InvalidCursor, detail).at("/cursor", "invalid_cursor", message)
        })
    }

    fn read(content: &[u8], topic: TopicId) -> Option<Self> {
        let mut rest = content.strip_prefix(topic.0.as_slice())?;
        let mut places = Vec::new();
        while !rest.is_empty() {
            let next = take_varint(&mut rest)?;
            let end = next.checked_add(take_varint(&mut rest)?)?;
            places.push(Place { next, end });
        }
        Some(Self(places))
    }
}
