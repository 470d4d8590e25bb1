//! Why a record is refused, in words for its sender.

use super::error::{JsonError, JsonErrorKind};
use super::field::{Field, VALUES};
use super::limits::JsonLimits;

#[cold]
pub(super) fn out_of_range(at: usize, max: u64) -> Box<JsonError> {
    let message = match max {
        u64::MAX => "This number cannot be negative.".to_owned(),
        max => format!("Send a number from 0 to {max}."),
    };
    JsonError::new(JsonErrorKind::OutOfRange, at, message)
}

#[cold]
pub(super) fn unknown_field(at: usize, name: &[u8]) -> Box<JsonError> {
    JsonError::new(
        JsonErrorKind::UnknownField,
        at,
        "A record has no such field. It has key, value, value_text, headers, timestamp, partition \
         and the _base64 forms; put your own fields inside value.",
    )
    .inside_foreign(name)
}

#[cold]
pub(super) fn second(field: Field, taken: u16, at: usize) -> Box<JsonError> {
    let (kind, message) = if taken & field.bit() != 0 {
        (
            JsonErrorKind::DuplicateField,
            "This field is there twice. Give it once.",
        )
    } else if field.bit() & VALUES != 0 {
        (
            JsonErrorKind::Conflict,
            "Give one of value, value_text and value_base64, not two.",
        )
    } else {
        (JsonErrorKind::Conflict, "Give key or key_base64, not both.")
    };
    JsonError::new(kind, at, message).inside(field.name())
}

#[cold]
pub(super) fn missing_value(at: usize) -> Box<JsonError> {
    JsonError::new(
        JsonErrorKind::MissingField,
        at,
        "The record has no value. Give value, value_text or value_base64; a tombstone is \
         \"value\":null.",
    )
}

#[cold]
pub(super) fn too_large(
    kind: JsonErrorKind,
    at: usize,
    bytes: usize,
    limits: &JsonLimits,
) -> Box<JsonError> {
    let message = if kind == JsonErrorKind::KeyTooLarge {
        let max = limits.key_bytes_max;
        format!("The key has {bytes} bytes, at most {max} are allowed. Move content into value.")
    } else {
        let max = limits.record_bytes_max;
        format!("The record has {bytes} bytes, at most {max} are allowed. Split or shrink it.")
    };
    JsonError::new(kind, at, message)
}
