//! The record: what goes in comes out, byte for byte.

use serde_json::json;

use crate::harness::{shared, unique};
use crate::json;
use crate::lines::Lines;

/// Values that a parser in between would change.
const VERBATIM: &[&str] = &[
    "1e400",
    "-0.0",
    "123456789012345678901234567890",
    "0.1000000000000000055511151231257827",
    "1E+2",
    r#"{"a":1,"a":2}"#,
    r#"{ "b" : [ 1 , 2 ] ,"a":{} }"#,
    r#""\u0041\u00e9\ud83d\ude00\/""#,
    "\"é😀\"",
    r#"{"":""}"#,
    "[]",
    "true",
    "\"\"",
    "{\"line\":\n\t[1,\r\n2]}",
];

#[tokio::test]
async fn values_are_kept_as_they_came() {
    let api = shared().await;
    let path = api.topic(&unique("verbatim"), 1).await;
    let records: Vec<_> = VERBATIM
        .iter()
        .map(|value| format!("{{\"value\":{value}}}"))
        .collect();
    api.produce(&path, format!("{{\"records\":[{}]}}", records.join(",")))
        .await;
    let page = api
        .get(&format!("{path}/partitions/0/records"))
        .await
        .expect(200);
    let values: Vec<_> = page.rows().into_iter().map(|row| row.value).collect();
    assert_eq!(values, VERBATIM);
}

#[tokio::test]
async fn space_around_members_is_not_part_of_a_value() {
    let api = shared().await;
    let path = api.topic(&unique("space"), 1).await;
    let body = " { \"records\" : [ { \"value\" : { \"n\" : 1 } , \"key\" : \"a\" } ,\n{\"value\":\t2\r}] } ";
    api.produce(&path, body).await;
    let rows = api
        .get(&format!("{path}/partitions/0/records"))
        .await
        .expect(200)
        .rows();
    assert_eq!(rows[0].value, "{ \"n\" : 1 }");
    assert_eq!(rows[0].key.as_deref(), Some("a"));
    assert_eq!(rows[1].value, "2");
}

#[tokio::test]
async fn one_line_formats_keep_one_line_a_record() {
    let api = shared().await;
    let path = api.topic(&unique("one-line"), 1).await;
    api.produce(
        &path,
        "{\"records\":[{\"value\":{\"a\":\n[1,\r\n\"x\\ny\"]}}]}",
    )
    .await;
    let mut tail = Lines::open(&api, &format!("{path}/tail.ndjson?from=earliest")).await;
    let line = tail.next().await.unwrap();
    assert_eq!(
        json::member(&line, "value"),
        Some("{\"a\": [1,  \"x\\ny\"]}"),
        "breaks become spaces"
    );
}

#[tokio::test]
async fn every_kind_of_record_round_trips() {
    let api = shared().await;
    let path = api.topic(&unique("kinds"), 1).await;
    let records = json!([
        {"key": "user-1", "value": {"n": 1}},
        {"key_base64": "AP8Q", "value_base64": "/wABAg=="},
        {"key": "text", "value_text": "not { json"},
        {"key": "gone", "value": null},
        {"value": "no key"},
        {"key": "", "value": ""},
        {"value": 1, "headers": {"one": "a", "many": ["b", "c"]}},
        {"value": 1, "headers_base64": {"bin": "/w==", "bins": ["AA==", "/w=="]}},
        {"value": 1, "timestamp": 1_767_225_600_000_u64, "offset": 99},
        {"key": "k\u{e9}\n\"", "value": "escapes"},
    ]);
    let answer = api
        .produce(&path, json!({"records": records}).to_string())
        .await;
    assert_eq!(answer["results"].as_array().unwrap().len(), 10);
    let page = api
        .get(&format!("{path}/partitions/0/records"))
        .await
        .expect(200)
        .json();
    let read = page["records"].as_array().unwrap();
    for (n, record) in read.iter().enumerate() {
        assert_eq!(record["offset"], n);
        assert_eq!(record["partition"], 0);
        assert_eq!(record["timestamp"], answer["results"][n]["timestamp"]);
        let keys = ["key", "key_base64"]
            .iter()
            .filter(|name| record.get(name).is_some())
            .count();
        let values = ["value", "value_text", "value_base64"];
        let values = values
            .iter()
            .filter(|name| record.get(name).is_some())
            .count();
        assert!(keys == 1 && values == 1, "one of each pair: {record}");
    }
    for n in [0, 3, 5, 9] {
        assert_eq!(read[n]["key"], records[n]["key"]);
        assert_eq!(read[n].get("value"), records[n].get("value"), "{}", read[n]);
    }
    assert_eq!(read[1]["key_base64"], "AP8Q");
    assert_eq!(read[1]["value_base64"], "/wABAg==");
    assert_eq!(read[2]["value_text"], "not { json");
    assert_eq!(
        read[4].get("key"),
        Some(&serde_json::Value::Null),
        "a record without a key says so"
    );
    assert_eq!(read[6]["headers"], json!({"one": "a", "many": ["b", "c"]}));
    assert_eq!(
        read[7]["headers_base64"],
        json!({"bin": "/w==", "bins": ["AA==", "/w=="]})
    );
    assert_eq!(read[8]["timestamp"], 1_767_225_600_000_u64);
}

#[tokio::test]
async fn what_is_read_can_be_produced() {
    let api = shared().await;
    let path = api.topic(&unique("again"), 1).await;
    let copy = api.topic(&unique("copy"), 1).await;
    let records = r#"{"records":[{"key":"a","value":{"x":1e400}},{"key_base64":"/w==","value_text":"t","headers":{"h":["1","2"]},"timestamp":5},{"value":null}]}"#;
    api.produce(&path, records).await;
    let first = api
        .get(&format!("{path}/partitions/0/records"))
        .await
        .expect(200);
    let read = json::member(&first.text, "records").unwrap();
    api.produce(&copy, format!("{{\"records\":{read}}}")).await;
    let second = api
        .get(&format!("{copy}/partitions/0/records"))
        .await
        .expect(200);
    assert_eq!(json::member(&second.text, "records").unwrap(), read);
}

#[tokio::test]
async fn binary_fields_can_be_asked_for() {
    let api = shared().await;
    let path = api.topic(&unique("binary"), 1).await;
    api.produce(
        &path,
        r#"{"records":[{"key":"k","value":{"n":1},"headers":{"h":"v"}},{"value":null}]}"#,
    )
    .await;
    let page = api
        .get(&format!("{path}/partitions/0/records?encoding=base64"))
        .await
        .expect(200)
        .json();
    let record = &page["records"][0];
    assert_eq!(record["key_base64"], "aw==");
    assert_eq!(record["value_base64"], "eyJuIjoxfQ==");
    assert_eq!(record["headers_base64"], json!({"h": "dg=="}));
    for name in ["key", "value", "value_text", "headers"] {
        assert_eq!(record.get(name), None, "{record}");
    }
    let tombstone = &page["records"][1];
    for name in ["key_base64", "value_base64"] {
        assert_eq!(
            tombstone.get(name),
            Some(&serde_json::Value::Null),
            "{tombstone}"
        );
    }
    let copy = api.topic(&unique("binary"), 1).await;
    api.produce(&copy, json!({"records": page["records"]}).to_string())
        .await;
    let again = api
        .get(&format!("{copy}/partitions/0/records?encoding=base64"))
        .await
        .expect(200);
    assert_eq!(
        again.json()["records"],
        page["records"],
        "what is read can be produced"
    );
}
