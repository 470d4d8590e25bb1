//! Each record of a produce request.

use super::{INVALID, LARGE, Wrong, body, check};
use crate::harness::shared;

#[tokio::test]
#[rustfmt::skip] // a row a line
async fn records_are_strict() {
    fn record(what: &'static str, record: &str, pointer: &'static str) -> Wrong {
        body(what, format!("{{\"records\":[{{\"value\":0}},{record}]}}"), INVALID, pointer)
    }
    let long_key = format!(r#"{{"value":1,"key":"{}"}}"#, "k".repeat((32 << 10) + 1));
    let headers: Vec<_> = (0..65).map(|n| format!("\"h{n}\":\"v\"")).collect();
    let many_headers = format!(r#"{{"value":1,"headers":{{{}}}}}"#, headers.join(","));
    let mut table = vec![
        record("unknown field", r#"{"value":1,"valeu":2}"#, "/records/1/valeu"),
        record("value twice", r#"{"value":1,"value":2}"#, "/records/1/value"),
        record("key twice", r#"{"value":1,"key":"a","key":"a"}"#, "/records/1/key"),
        record("key twice, once escaped", r#"{"value":1,"key":"a","\u006bey":"a"}"#, "/records/1/key"),
        record("key a number", r#"{"value":1,"key":7}"#, "/records/1/key"),
        record("key an object", r#"{"value":1,"key":{}}"#, "/records/1/key"),
        record("bad base64", r#"{"value_base64":"a*b="}"#, "/records/1/value_base64"),
        record("cut base64", r#"{"value_base64":"abc"}"#, "/records/1/value_base64"),
        record("bad base64 key", r#"{"value":1,"key_base64":"="}"#, "/records/1/key_base64"),
        record("text not a string", r#"{"value_text":5}"#, "/records/1/value_text"),
        record("timestamp text", r#"{"value":1,"timestamp":"now"}"#, "/records/1/timestamp"),
        record("timestamp a fraction", r#"{"value":1,"timestamp":1.5}"#, "/records/1/timestamp"),
        record("timestamp below zero", r#"{"value":1,"timestamp":-1}"#, "/records/1/timestamp"),
        record("timestamp too large", r#"{"value":1,"timestamp":99999999999999999999}"#, "/records/1/timestamp"),
        record("partition text", r#"{"value":1,"partition":"0"}"#, "/records/1/partition"),
        record("partition below zero", r#"{"value":1,"partition":-1}"#, "/records/1/partition"),
        record("partition a fraction", r#"{"value":1,"partition":0.5}"#, "/records/1/partition"),
        record("partition too large", r#"{"value":1,"partition":4294967296}"#, "/records/1/partition"),
        record("headers an array", r#"{"value":1,"headers":["a"]}"#, "/records/1/headers"),
        record("header twice", r#"{"value":1,"headers":{"a":"1","a":"2"}}"#, "/records/1/headers/a"),
        record("header a number", r#"{"value":1,"headers":{"a":1}}"#, "/records/1/headers/a"),
        record("header list of numbers", r#"{"value":1,"headers":{"a":["x",1]}}"#, "/records/1/headers/a/1"),
        record("bad base64 header", r#"{"value":1,"headers_base64":{"a":"*"}}"#, "/records/1/headers_base64/a"),
        record("65 headers", &many_headers, "/records/1/headers"),
    ];
    for both in [
        r#""value":1,"value_text":"a""#,
        r#""value":null,"value_base64":"""#,
    ] {
        table.push(body(
            "two values",
            format!("{{\"records\":[{{{both}}}]}}"),
            INVALID,
            None,
        ));
    }
    table.push(body(
        "two keys",
        r#"{"records":[{"value":1,"key":"a","key_base64":"YQ=="}]}"#,
        INVALID,
        None,
    ));
    table.push(body(
        "no value",
        r#"{"records":[{"key":"a"}]}"#,
        INVALID,
        "/records/0",
    ));
    let long_key = format!("{{\"records\":[{{\"value\":0}},{long_key}]}}");
    table.push(body("a long key", long_key, LARGE, "/records/1/key"));
    check(&shared().await, table).await;
}
