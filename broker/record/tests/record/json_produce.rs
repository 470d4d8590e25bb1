use std::convert::Infallible;

use headwater_record::{
    Acks, JsonLimits, JsonRecord, JsonScratch, ParseError, ProduceBody, parse_produce, parse_record,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::oracle::{self, Expected};
use crate::sample::{Damage, damage, damaged, json_string, json_value};

pub fn owned(record: &JsonRecord<'_>) -> Expected {
    let expected = Expected {
        key: record.key.map(<[u8]>::to_vec),
        value: record.value.map(<[u8]>::to_vec),
        kind: record.kind,
        headers: record
            .headers
            .iter()
            .map(|header| (header.name.to_vec(), header.value.map(<[u8]>::to_vec)))
            .collect(),
        timestamp_ms: record.timestamp_ms,
        partition: record.partition,
    };
    let bytes = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
    let headers: usize = expected
        .headers
        .iter()
        .map(|(n, v)| n.len() + bytes(v))
        .sum();
    assert_eq!(
        record.payload_bytes(),
        bytes(&expected.key) + bytes(&expected.value) + headers
    );
    expected
}

pub fn parse(
    body: &[u8],
    limits: &JsonLimits,
) -> Result<(ProduceBody, Vec<Expected>), ParseError<Infallible>> {
    let mut records = Vec::new();
    let body = parse_produce(body, limits, &mut JsonScratch::new(), |index, record| {
        assert_eq!(index, records.len());
        records.push(owned(record));
        Ok(())
    })?;
    assert_eq!(body.records, records.len());
    Ok((body, records))
}

/// Low enough for the generated requests to run into them.
fn limits() -> JsonLimits {
    JsonLimits {
        record_bytes_max: 200,
        key_bytes_max: 30,
        headers_max: 4,
        records_max: 5,
        depth_max: 4,
    }
}

fn base64_string() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => vec(any::<u8>(), 0..20).prop_map(|b| base64_simd::STANDARD.encode_to_string(b)),
        1 => vec(any::<u8>(), 0..20)
            .prop_map(|b| base64_simd::STANDARD.encode_to_string(b).replace('/', "\\/")),
        1 => "[A-Za-z0-9+/=_-]{0,8}",
    ]
    .prop_map(|text| format!("\"{text}\""))
}

fn headers(value: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    let name = prop_oneof![4 => "\"[a-c]{1,2}\"", 1 => json_string()];
    let values = prop_oneof![
        3 => value.clone(),
        1 => vec(value, 0..3).prop_map(|values| format!("[{}]", values.join(" ,"))),
        1 => Just("null".to_owned()),
    ];
    let field = (name, values).prop_map(|(name, value)| format!("{name}: {value}"));
    vec(field, 0..4).prop_map(|fields| format!("{{{}}}", fields.join(",")))
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (0..2_500_000_000_u64).prop_map(|n| n.to_string()),
        1 => prop::sample::select(vec![
            "null", "-1", "-0", "1.0", "1e3", "0", "253402300799999", "253402300800000",
            "2147483647", "2147483648", "18446744073709551616",
        ]).prop_map(str::to_owned),
    ]
}

fn field() -> impl Strategy<Value = String> {
    let headers_base64 = headers(base64_string().boxed());
    prop_oneof![
        4 => json_string().prop_map(|v| format!(r#""key":{v}"#)),
        1 => base64_string().prop_map(|v| format!(r#""key_base64":{v}"#)),
        6 => json_value().prop_map(|v| format!(r#""value" : {v}"#)),
        1 => json_value().prop_map(|v| format!(r#""\u0076alue":{v}"#)),
        1 => json_string().prop_map(|v| format!(r#""value_text":{v}"#)),
        1 => base64_string().prop_map(|v| format!(r#""value_base64":{v}"#)),
        2 => headers(json_string().boxed()).prop_map(|v| format!(r#""headers":{v}"#)),
        1 => headers_base64.prop_map(|v| format!(r#""headers_base64":{v}"#)),
        1 => number().prop_map(|v| format!(r#""timestamp":{v}"#)),
        1 => number().prop_map(|v| format!(r#""partition":{v}"#)),
        1 => number().prop_map(|v| format!(r#""offset":{v}"#)),
        1 => json_string().prop_map(|v| format!(r#""topic":{v}"#)),
    ]
}

/// A record that is good but for odd strings and numbers.
fn likely_record() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        4 => json_value().prop_map(|v| format!(r#""value" : {v}"#)),
        1 => json_string().prop_map(|v| format!(r#""value_text":{v}"#)),
        1 => base64_string().prop_map(|v| format!(r#""value_base64":{v}"#)),
    ];
    let key = prop_oneof![
        3 => json_string().prop_map(|v| format!(r#""key":{v}"#)),
        1 => base64_string().prop_map(|v| format!(r#""key_base64":{v}"#)),
    ];
    let headers = prop_oneof![
        headers(json_string().boxed()).prop_map(|v| format!(r#""headers":{v}"#)),
        headers(base64_string().boxed()).prop_map(|v| format!(r#""headers_base64":{v}"#)),
    ];
    let number = prop_oneof![
        number().prop_map(|v| format!(r#""timestamp":{v}"#)),
        number().prop_map(|v| format!(r#""partition":{v}"#)),
        number().prop_map(|v| format!(r#""offset":{v}"#)),
    ];
    (
        value,
        option::of(key),
        option::weighted(0.3, headers),
        option::weighted(0.3, number),
    )
        .prop_map(|(value, key, headers, number)| {
            [Some(value), key, headers, number]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
        })
        .prop_shuffle()
        .prop_map(|fields| format!("{{{}}}", fields.join(" , ")))
}

fn record() -> impl Strategy<Value = String> {
    let any_fields = vec(field(), 0..5).prop_map(|fields| format!("{{{}}}", fields.join(",")));
    prop_oneof![9 => likely_record(), 1 => any_fields]
}

fn body() -> impl Strategy<Value = String> {
    let acks = prop::sample::select(vec!["", ",\"acks\":\"leader\"", ",\"acks\":\"\\u006eone\""]);
    (vec(record(), 0..7), acks, any::<bool>()).prop_map(|(records, acks, acks_first)| {
        let records = format!("\"records\":[{}]", records.join(","));
        match acks.strip_prefix(',') {
            Some(acks) if acks_first => format!("{{{acks} ,{records}}}"),
            _ => format!("{{{records}{acks}}}\n"),
        }
    })
}

/// None, more often than not.
fn some_damage() -> impl Strategy<Value = Vec<Damage>> {
    prop_oneof![2 => Just(Vec::new()), 1 => damage()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn agrees_with_serde(body in body(), damage in some_damage(), low in any::<bool>()) {
        let limits = if low { limits() } else { JsonLimits::default() };
        let body = damaged(body.as_bytes(), &damage);
        let parsed = parse(&body, &limits);
        let expected = oracle::produce(&body, &limits);
        prop_assert_eq!(
            parsed.as_ref().ok().map(|(_, records)| records),
            expected.as_ref(),
            "{:?}: {:?}", String::from_utf8_lossy(&body), parsed.as_ref().err()
        );
    }

    #[test]
    fn lines_agree_with_serde(record in record(), damage in some_damage()) {
        let limits = JsonLimits::default();
        let line = damaged(record.as_bytes(), &damage);
        let mut parsed = None;
        let result = parse_record(&line, &limits, &mut JsonScratch::new(), |record| {
            parsed = Some(owned(record));
            Ok::<_, Infallible>(())
        });
        prop_assert_eq!(result.is_ok(), parsed.is_some());
        let expected = str::from_utf8(&line).ok().and_then(|line| oracle::record(line, &limits));
        prop_assert_eq!(parsed, expected, "{:?}: {:?}", String::from_utf8_lossy(&line), result);
    }

    #[test]
    fn never_panics(body in vec(any::<u8>(), 0..200)) {
        let _ = parse(&body, &JsonLimits::default());
    }
}

#[test]
fn acks_may_come_first_or_last() {
    for (body, acks) in [
        (r#"{"records":[{"value":1}]}"#, Acks::Quorum),
        (r#"{"records":[{"value":1}],"acks":"leader"}"#, Acks::Leader),
        (r#"{"acks":"none","records":[{"value":1}]}"#, Acks::None),
        (
            r#"{"\u0061cks":"quor\u0075m","records":[{"value":1}]}"#,
            Acks::Quorum,
        ),
    ] {
        let (body, _) = parse(body.as_bytes(), &JsonLimits::default()).unwrap();
        assert_eq!(body, ProduceBody { acks, records: 1 });
    }
}

#[test]
fn a_refusal_of_the_taker_ends_it() {
    let body = br#"{"records":[{"value":1},{"value":2},{"value":oops"#;
    let mut scratch = JsonScratch::new();
    let result = parse_produce(body, &JsonLimits::default(), &mut scratch, |index, _| {
        if index == 1 { Err("enough") } else { Ok(()) }
    });
    assert_eq!(result, Err(ParseError::Sink("enough")));
}

#[test]
fn values_are_kept_byte_for_byte() {
    let value = r#"{ "a" : 1e400, "a":12345678901234567890123, "s":"\ud800\/\u0041" ,"n":-0.0}"#;
    let body = format!(r#"{{"records":[{{"value": {value} ,"key":null}}]}}"#);
    let (_, records) = parse(body.as_bytes(), &JsonLimits::default()).unwrap();
    assert_eq!(records[0].value.as_deref(), Some(value.as_bytes()));
}
