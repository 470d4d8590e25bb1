//! What a produce request means, worked out slowly with `serde_json`. The fuzz targets use it too.

use std::fmt;

use headwater_record::{JsonLimits, ValueKind};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub kind: ValueKind,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub timestamp_ms: Option<i64>,
    pub partition: Option<u32>,
}

/// An object's fields in order, repeated names included.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry::<String, &'de RawValue>()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

impl<'a> Fields<'a> {
    /// The fields of an object whose names are among `known` and not repeated.
    fn read(text: &'a str, known: &[&str]) -> Option<Self> {
        let fields: Self = serde_json::from_str(text).ok()?;
        for (i, (name, _)) in fields.0.iter().enumerate() {
            let repeated = fields.0[..i].iter().any(|(before, _)| before == name);
            if repeated || !known.is_empty() && !known.contains(&name.as_str()) {
                return None;
            }
        }
        Some(fields)
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.get())
    }
}

/// Whether `text` is one JSON value.
pub fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(text).is_ok()
}

/// The deepest nesting of a JSON text.
pub fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// The records of a request's body, or nothing if it is to be refused.
pub fn produce(body: &[u8], limits: &JsonLimits) -> Option<Vec<Expected>> {
    let body = Fields::read(str::from_utf8(body).ok()?, &["records", "acks"])?;
    if let Some(acks) = body.get("acks") {
        let acks: String = serde_json::from_str(acks).ok()?;
        ["quorum", "leader", "none"]
            .contains(&acks.as_str())
            .then_some(())?;
    }
    let records: Vec<&RawValue> = serde_json::from_str(body.get("records")?).ok()?;
    (1..=limits.records_max)
        .contains(&records.len())
        .then_some(())?;
    records
        .into_iter()
        .map(|text| record(text.get(), limits))
        .collect()
}

pub fn record(text: &str, limits: &JsonLimits) -> Option<Expected> {
    const KNOWN: [&str; 11] = [
        "key",
        "key_base64",
        "value",
        "value_text",
        "value_base64",
        "headers",
        "headers_base64",
        "timestamp",
        "partition",
        "offset",
        "topic",
    ];
    let fields = Fields::read(text, &KNOWN)?;
    let key = match (fields.get("key"), fields.get("key_base64")) {
        (Some(_), Some(_)) => return None,
        (Some(text), None) => serde_json::from_str::<Option<String>>(text)
            .ok()?
            .map(String::into),
        (None, Some(text)) => nullable_base64(text)?,
        (None, None) => None,
    };
    (key.as_ref().map_or(0, Vec::len) <= limits.key_bytes_max).then_some(())?;
    let values = ["value", "value_text", "value_base64"].map(|name| fields.get(name));
    let (kind, value) = match values {
        [Some("null"), None, None] => (ValueKind::Null, None),
        [Some(json), None, None] => {
            (depth(json) <= limits.depth_max).then_some(())?;
            (ValueKind::Json, Some(json.as_bytes().to_vec()))
        }
        [None, Some(text), None] => (
            ValueKind::Text,
            Some(serde_json::from_str::<String>(text).ok()?.into_bytes()),
        ),
        [None, None, Some(text)] => match nullable_base64(text)? {
            None => (ValueKind::Null, None),
            bytes => (ValueKind::Binary, bytes),
        },
        _ => return None,
    };
    let mut headers = Vec::new();
    for (name, _) in &fields.0 {
        match name.as_str() {
            "headers" | "headers_base64" => {
                read_headers(
                    fields.get(name)?,
                    name == "headers_base64",
                    limits,
                    &mut headers,
                )?;
            }
            _ => {}
        }
    }
    (headers.len() <= limits.headers_max).then_some(())?;
    let timestamp = integer(fields.get("timestamp"), 253_402_300_799_999)?;
    let partition = integer(fields.get("partition"), i32::MAX as u64)?;
    if let Some(offset) = fields.get("offset") {
        (offset == "null" || offset.bytes().all(|b| b.is_ascii_digit())).then_some(())?;
    }
    if let Some(topic) = fields.get("topic") {
        serde_json::from_str::<Option<String>>(topic).ok()?;
    }
    let bytes = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
    let header_bytes: usize = headers
        .iter()
        .map(|(name, value)| name.len() + bytes(value))
        .sum();
    (bytes(&key) + bytes(&value) + header_bytes <= limits.record_bytes_max).then_some(())?;
    Some(Expected {
        key,
        value,
        kind,
        headers,
        timestamp_ms: timestamp.map(|ms| ms as i64),
        partition: partition.map(|partition| partition as u32),
    })
}

fn nullable_base64(text: &str) -> Option<Option<Vec<u8>>> {
    match serde_json::from_str::<Option<String>>(text).ok()? {
        None => Some(None),
        Some(encoded) => base64_simd::STANDARD.decode_to_vec(encoded).ok().map(Some),
    }
}

fn read_headers(
    text: &str,
    base64: bool,
    limits: &JsonLimits,
    headers: &mut Vec<(Vec<u8>, Option<Vec<u8>>)>,
) -> Option<()> {
    if text == "null" {
        return Some(());
    }
    let fields = Fields::read(text, &[])?;
    (fields.0.len() <= limits.headers_max).then_some(())?;
    for (name, values) in fields.0 {
        let values = match values.get().as_bytes() {
            [b'[', ..] => serde_json::from_str::<Vec<&RawValue>>(values.get()).ok()?,
            _ => vec![values],
        };
        for value in values {
            let value = if base64 {
                nullable_base64(value.get())?
            } else {
                serde_json::from_str::<Option<String>>(value.get())
                    .ok()?
                    .map(String::into_bytes)
            };
            headers.push((name.clone().into_bytes(), value));
        }
    }
    Some(())
}

fn integer(text: Option<&str>, max: u64) -> Option<Option<u64>> {
    match text {
        None | Some("null") => Some(None),
        Some(text) if text.bytes().all(|b| b.is_ascii_digit()) => {
            text.parse().ok().filter(|number| *number <= max).map(Some)
        }
        Some(_) => None,
    }
}
