//! The scanner takes and refuses the same requests as `serde_json` and a slow reading of the
//! rules, and finds the same in them.
#![no_main]

use std::convert::Infallible;

use headwater_record::{JsonLimits, JsonScratch, check_json, parse_produce};
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/record/oracle.rs"]
mod oracle;

/// Low, so that short inputs run into them.
const LIMITS: JsonLimits = JsonLimits {
    record_bytes_max: 200,
    key_bytes_max: 30,
    headers_max: 4,
    records_max: 5,
    depth_max: 8,
};

fuzz_target!(|body: &[u8]| {
    let mut records = Vec::new();
    let parsed = parse_produce(body, &LIMITS, &mut JsonScratch::new(), |_, record| {
        records.push(oracle::Expected {
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
        });
        Ok::<_, Infallible>(())
    });
    let found = parsed.is_ok().then_some(records);
    assert_eq!(found, oracle::produce(body, &LIMITS), "{parsed:?}");

    let fits = str::from_utf8(body).is_ok_and(|text| oracle::depth(text) <= 64);
    if fits {
        assert_eq!(check_json(body, 64).is_ok(), oracle::is_json(body));
    } else {
        assert!(check_json(body, 64).is_err());
    }
});
