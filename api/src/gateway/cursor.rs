//! Cursors: a reader's whole state, signed, so that no gateway has to remember it.
//!
//! Layout before base64url: version (1 byte) · topic id (16) · offsets, one LEB128 varint a partition
//! · HMAC-SHA-256 of all before it under the project's secret, cut to 16 bytes.

use headwater_broker::TopicId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{
    metadata::{Project, Topic},
    problem::{Code, Problem},
};

const VERSION: u8 = 1;
const MAC_BYTES: usize = 16;

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
        let mut bytes = Vec::with_capacity(1 + 16 + self.offsets.len() * 4 + MAC_BYTES);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.topic.0);
        for offset in &self.offsets {
            let mut rest = *offset;
            while rest >= 0x80 {
                bytes.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            bytes.push(rest as u8);
        }
        let mac = mac(project, &bytes).finalize().into_bytes();
        bytes.extend_from_slice(&mac[..MAC_BYTES]);
        base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes)
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
        let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text).ok()?;
        let (body, sent) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
        mac(project, body).verify_truncated_left(sent).ok()?;
        let (&version, rest) = body.split_first()?;
        if version != VERSION {
            return None;
        }
        let (topic, mut rest) = rest.split_at_checked(16)?;
        let mut offsets = Vec::new();
        while !rest.is_empty() {
            let (mut offset, mut shift) = (0u64, 0);
            loop {
                let (&byte, after) = rest.split_first()?;
                rest = after;
                offset |= u64::from(byte & 0x7f).checked_shl(shift)?;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            offsets.push(offset);
        }
        Some(Self {
            topic: TopicId(topic.try_into().ok()?),
            offsets,
        })
    }
}

fn mac(project: &Project, bytes: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&project.cursor_secret)
        .expect("HMAC takes keys of any length");
    mac.update(bytes);
    mac
}
