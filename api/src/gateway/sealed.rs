//! What a client keeps for the service and sends back: signed with its project's secret, for one
//! purpose, so that no gateway has to remember it.
//!
//! Layout before base64url: purpose (1 byte) · content · HMAC-SHA-256 of all before it and of what it is
//! bound to, under the project's secret, cut to 16 bytes.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::metadata::Project;

const MAC_BYTES: usize = 16;

/// What a text is for: one is never taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Reading all partitions of a topic.
    Topic = 1,
    /// A lease of a record.
    Lease = 3,
    /// What a poll of a group delivered. 2 was another form of it, whose numbers meant something else.
    Group = 4,
    /// Moving a group's dead letters back.
    Redrive = 5,
}

/// The text of some content. Who opens it must name what it is bound to.
pub(super) fn seal(project: &Project, purpose: Purpose, bound_to: &str, content: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(1 + content.len() + MAC_BYTES);
    bytes.push(purpose as u8);
    bytes.extend_from_slice(content);
    let mac = mac(project, &bytes, bound_to).finalize().into_bytes();
    bytes.extend_from_slice(&mac[..MAC_BYTES]);
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes)
}

/// The content of a text that this service made; `None` of any other.
pub(super) fn open(
    project: &Project,
    purpose: Purpose,
    bound_to: &str,
    text: &str,
) -> Option<Vec<u8>> {
    let mut bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text).ok()?;
    let (body, sent) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
    mac(project, body, bound_to)
        .verify_truncated_left(sent)
        .ok()?;
    if *body.first()? != purpose as u8 {
        return None;
    }
    bytes.truncate(bytes.len() - MAC_BYTES);
    bytes.remove(0);
    Some(bytes)
}

fn mac(project: &Project, body: &[u8], bound_to: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&project.cursor_secret)
        .expect("HMAC takes keys of any length");
    mac.update(body);
    if !bound_to.is_empty() {
        // Its length keeps it apart from the body's end.
        mac.update(bound_to.as_bytes());
        mac.update(&(bound_to.len() as u64).to_be_bytes());
    }
    mac
}

/// Appends a number as LEB128.
pub(super) fn put_varint(bytes: &mut Vec<u8>, number: u64) {
    let mut rest = number;
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

/// Takes a number off the front.
pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let (mut number, mut shift) = (0u64, 0);
    loop {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        shift += 7;
        if byte < 0x80 {
            return Some(number);
        }
    }
}
