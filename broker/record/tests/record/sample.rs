//! Records, JSON texts and damage to them, at random.

use headwater_record::{
    BatchBuilder, BatchView, Compression, DecodeError, Headers, NewRecord, Producer, RecordHeader,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

pub const DECODED_BYTES_MAX: usize = 64 << 20;

/// A record that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub json: bool,
    pub timestamp_ms: i64,
    pub server_timestamp: bool,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Owned {
    pub fn push(&self, builder: &mut BatchBuilder) {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| RecordHeader {
                name: name.as_bytes(),
                value: value.as_deref(),
            })
            .collect();
        builder.push(&NewRecord {
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            json: self.json,
            timestamp_ms: self.timestamp_ms,
            server_timestamp: self.server_timestamp,
            headers: Headers::new(&headers),
        });
    }
}

pub fn encode(records: &[Owned], compression: Compression) -> Vec<u8> {
    encode_from(records, Producer::NONE, compression)
}

pub fn encode_from(records: &[Owned], producer: Producer, compression: Compression) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for record in records {
        record.push(&mut builder);
    }
    builder.finish(producer, compression).freeze().into()
}

pub fn decode(bytes: &[u8]) -> Result<Vec<Owned>, DecodeError> {
    let (view, _) = BatchView::parse(bytes)?;
    let mut scratch = Vec::new();
    view.records(&mut scratch, DECODED_BYTES_MAX)?
        .map(|record| {
            let record = record?;
            Ok(Owned {
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                json: record.is_json(),
                timestamp_ms: record.timestamp_ms,
                server_timestamp: record.server_timestamp(),
                headers: record
                    .headers()
                    .map(|header| {
                        let name = String::from_utf8(header.name.to_vec()).unwrap();
                        (name, header.value.map(<[u8]>::to_vec))
                    })
                    .collect(),
            })
        })
        .collect()
}

pub fn record() -> impl Strategy<Value = Owned> {
    (
        option::of(vec(any::<u8>(), 0..40)),
        option::of(vec(any::<u8>(), 0..300)),
        any::<bool>(),
        prop_oneof![any::<i64>(), 1_700_000_000_000_i64..1_700_000_100_000],
        any::<bool>(),
        vec(("[a-zé]{0,8}", option::of(vec(any::<u8>(), 0..20))), 0..4),
    )
        .prop_map(
            |(key, value, json, timestamp_ms, server_timestamp, headers)| Owned {
                key,
                value,
                json,
                timestamp_ms,
                server_timestamp,
                headers,
            },
        )
}

pub fn records() -> impl Strategy<Value = Vec<Owned>> {
    vec(record(), 1..20)
}

pub fn compression() -> impl Strategy<Value = Compression> {
    prop_oneof![
        Just(Compression::None),
        Just(Compression::Gzip),
        Just(Compression::Snappy),
        Just(Compression::Lz4),
        Just(Compression::Zstd),
    ]
}

/// The text of a JSON string, quotes included; half surrogate pairs among its escapes.
pub fn json_string() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "\"[a-z0-9 ]{0,40}\"",
        2 => r#""([^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}|\\ud83d\\ude00){0,24}""#,
    ]
}

fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just(""), 1 => Just(" "), 1 => Just("\n\t\r  ")]
}

/// The text of any JSON value, white space and odd numbers included.
pub fn json_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,4})?",
        json_string(),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let element = (space(), inner.clone(), space())
            .prop_map(|(a, v, b)| format!("{a}{v}{b}"))
            .boxed();
        let field = (space(), json_string(), space(), element.clone())
            .prop_map(|(a, name, b, value)| format!("{a}{name}{b}:{value}"));
        prop_oneof![
            (vec(element, 0..6), space()).prop_map(|(elements, s)| match elements.len() {
                0 => format!("[{s}]"),
                _ => format!("[{}]", elements.join(",")),
            }),
            (vec(field, 0..6), space()).prop_map(|(fields, s)| match fields.len() {
                0 => format!("{{{s}}}"),
                _ => format!("{{{}}}", fields.join(",")),
            }),
        ]
    })
}

/// A change to a text: where, how many bytes go, what comes.
pub type Damage = (prop::sample::Index, usize, Vec<u8>);

pub fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let byte = prop_oneof![
        4 => prop::sample::select(b"{}[]\",:\\utnf0123456789-+.eE \n\x00\x1f/ab".to_vec()),
        1 => any::<u8>(),
    ];
    vec(
        (any::<prop::sample::Index>(), 0_usize..3, vec(byte, 0..3)),
        0..3,
    )
}

pub fn damaged(text: &[u8], damage: &[Damage]) -> Vec<u8> {
    let mut text = text.to_vec();
    for (index, removed, added) in damage {
        let at = index.index(text.len() + 1);
        let end = (at + removed).min(text.len());
        text.splice(at..end, added.iter().copied());
    }
    text
}
