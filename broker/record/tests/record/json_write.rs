use std::convert::Infallible;

use headwater_record::{
    Batch, BatchBuilder, Compression, JsonLimits, JsonScratch, Producer, WriteOptions,
    parse_record, write_record,
};
use proptest::prelude::*;

use crate::sample::{Owned, decode, encode, json_value, record};

const NOW_MS: i64 = 1_767_225_600_000;

/// One record as JSON, taken from a batch in which its offset is 42.
fn write(record: &Owned, options: &WriteOptions) -> String {
    let bytes = encode(std::slice::from_ref(record), Compression::None);
    let mut batch = Batch::from_bytes(bytes).unwrap();
    batch.set_base_offset(42);
    let mut scratch = Vec::new();
    let record = batch
        .view()
        .records(&mut scratch, 0)
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let mut out = Vec::new();
    write_record(&mut out, &record, options);
    String::from_utf8(out).unwrap()
}

/// From JSON through a batch to a record.
fn read(line: &str) -> Owned {
    let mut builder = BatchBuilder::new();
    parse_record(
        line.as_bytes(),
        &JsonLimits::default(),
        &mut JsonScratch::new(),
        |record| {
            builder.push(&record.to_new(NOW_MS));
            Ok::<_, Infallible>(())
        },
    )
    .unwrap_or_else(|error| panic!("{line}: {error}"));
    let batch = builder.finish(Producer::NONE, Compression::None);
    decode(batch.as_bytes()).unwrap().remove(0)
}

/// What reading back what was written gives: a name's headers together, timestamps a client's.
fn read_back(record: &Owned) -> Owned {
    let mut expected = record.clone();
    expected.server_timestamp = false;
    expected.headers.clear();
    for (name, _) in &record.headers {
        if expected.headers.iter().all(|(known, _)| known != name) {
            expected
                .headers
                .extend(record.headers.iter().filter(|(n, _)| n == name).cloned());
        }
    }
    expected
}

proptest! {
    #[test]
    fn nothing_is_lost(record in record(), base64 in any::<bool>(), single_line in any::<bool>()) {
        let mut record = record;
        record.json = false;
        record.timestamp_ms = record.timestamp_ms.rem_euclid(253_402_300_800_000);
        let text = write(&record, &WriteOptions { base64, single_line, partition: 3 });
        prop_assert!(!text.contains('\n'));
        prop_assert_eq!(read(&text), read_back(&record), "{}", text);
        let fields: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(fields.as_object().unwrap().len(), 6);
        prop_assert_eq!(&fields["partition"], 3);
        prop_assert_eq!(&fields["offset"], 42);
    }

    #[test]
    fn json_values_come_back_byte_for_byte(value in json_value()) {
        prop_assume!(value != "null");
        let record = read(&format!("{{\"value\":\n {value} \n}}"));
        prop_assert!(record.json && record.server_timestamp);
        prop_assert_eq!(record.timestamp_ms, NOW_MS);
        let text = write(&record, &WriteOptions::default());
        let field = format!(",\"value\":{value},\"headers\":");
        prop_assert!(text.contains(&field));
        prop_assert_eq!(read(&text), read_back(&record));

        let line = write(&record, &WriteOptions { single_line: true, ..Default::default() });
        prop_assert_eq!(line, text.replace(['\n', '\r'], " "));
    }
}

fn sample(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[(&str, Option<&[u8]>)]) -> Owned {
    Owned {
        key: key.map(<[u8]>::to_vec),
        value: value.map(<[u8]>::to_vec),
        json: false,
        timestamp_ms: 7,
        server_timestamp: true,
        headers: headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), v.map(<[u8]>::to_vec)))
            .collect(),
    }
}

#[test]
fn fields_stand_in_their_order() {
    let plain = WriteOptions {
        partition: 3,
        ..Default::default()
    };
    let base64 = WriteOptions {
        base64: true,
        ..plain
    };
    let end = r#""timestamp":7,"partition":3,"offset":42}"#;
    let text = sample(Some(b"k\"\x01"), Some("é\n".as_bytes()), &[]);
    let cases = [
        (
            &text,
            plain,
            r#"{"key":"k\"\u0001","value_text":"é\n","headers":{},"#,
        ),
        (
            &text,
            base64,
            r#"{"key_base64":"ayIB","value_base64":"w6kK","headers_base64":{},"#,
        ),
        (
            &sample(None, None, &[]),
            plain,
            r#"{"key":null,"value":null,"headers":{},"#,
        ),
        (
            &sample(None, None, &[]),
            base64,
            r#"{"key_base64":null,"value_base64":null,"headers_base64":{},"#,
        ),
        (
            &sample(Some(b"\xff"), Some(b"\xfe"), &[]),
            plain,
            r#"{"key_base64":"/w==","value_base64":"/g==","headers":{},"#,
        ),
        (
            &sample(
                Some(b""),
                Some(b""),
                &[("a", Some(b"1")), ("b", None), ("a", Some(b"2"))],
            ),
            plain,
            r#"{"key":"","value_text":"","headers":{"a":["1","2"],"b":null},"#,
        ),
        (
            &sample(None, Some(b"x"), &[("a", Some(b"1")), ("b", Some(b"\xff"))]),
            plain,
            r#"{"key":null,"value_text":"x","headers_base64":{"a":"MQ==","b":"/w=="},"#,
        ),
    ];
    for (record, options, expected) in cases {
        assert_eq!(write(record, &options), format!("{expected}{end}"));
    }
}

#[test]
fn many_headers_of_few_names_are_grouped() {
    let headers: Vec<_> = (0..200_u8)
        .map(|i| {
            (
                if i % 3 == 0 { "z" } else { "a" }.to_owned(),
                Some(i.to_string().into_bytes()),
            )
        })
        .collect();
    let record = Owned {
        headers,
        ..sample(None, Some(b"x"), &[])
    };
    let text = write(&record, &WriteOptions::default());
    assert!(text.contains(r#""headers":{"z":["0","3","#), "{text}");
    assert_eq!(text.matches("\"a\":[").count(), 1);
}
