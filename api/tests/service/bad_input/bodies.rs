//! The JSON around the records of a produce request.

use super::{INVALID, JSON, LARGE, body, check};
use tokio::io::AsyncWriteExt;

use crate::harness::shared;
use crate::raw_http::{connect, head, read_reply};

fn nested(depth: usize) -> String {
    format!(
        "{{\"records\":[{{\"value\":{}{}}}]}}",
        "[".repeat(depth),
        "]".repeat(depth)
    )
}

#[tokio::test]
#[rustfmt::skip] // a row a line
async fn json_that_is_none() {
    let mut table = vec![
        body("empty body", "", JSON, None),
        body("a word", "hello", JSON, None),
        body("half an object", r#"{"records":[{"value":1}"#, JSON, None),
        body("something after the end", r#"{"records":[{"value":1}]} x"#, JSON, None),
        body("two documents", r#"{"records":[{"value":1}]}{"records":[{"value":1}]}"#, JSON, None),
        body("a comma too many", r#"{"records":[{"value":1},]}"#, JSON, None),
        body("a comma too many in an object", r#"{"records":[{"value":1,}]}"#, JSON, None),
        body("no comma", r#"{"records":[{"value":1}{"value":2}]}"#, JSON, None),
        body("single quotes", "{'records':[]}", JSON, None),
        body("a comment", r#"{"records":[{"value":1}/*x*/]}"#, JSON, None),
        body("a bad value", r#"{"records":[{"value":nul}]}"#, JSON, None),
        body("a bad number", r#"{"records":[{"value":01}]}"#, JSON, None),
        body("a lone minus", r#"{"records":[{"value":-}]}"#, JSON, None),
        body("a point without digits", r#"{"records":[{"value":1.}]}"#, JSON, None),
        body("NaN", r#"{"records":[{"value":NaN}]}"#, JSON, None),
        body("a bad escape", r#"{"records":[{"value":"\x"}]}"#, JSON, None),
        body("a cut escape", r#"{"records":[{"value":"\u12"}]}"#, JSON, None),
        body("a control character", "{\"records\":[{\"value\":\"a\u{1}b\"}]}", JSON, None),
        body("a line break in a string", "{\"records\":[{\"value\":\"a\nb\"}]}", JSON, None),
        body("an open string", r#"{"records":[{"value":"abc}]}"#, JSON, None),
        body("brackets crossed", r#"{"records":[{"value":[1}]]}"#, JSON, None),
        body("a byte order mark", "\u{feff}{\"records\":[{\"value\":1}]}", JSON, None),
        body("a zero byte", "{\"records\":[{\"value\":1}]}\0", JSON, None),
        body("depth 65", nested(65), INVALID, "/records/0/value"),
        body("depth 100 000", nested(100_000), INVALID, "/records/0/value"),
    ];
    for bytes in [
        &b"\xff"[..],
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf5\x80\x80\x80",
        b"\xc3",
    ] {
        for (before, after) in [
            ("{\"records\":[{\"value\":\"", "\"}]}"),
            ("{\"records\":[{\"value\":1,\"key\":\"", "\"}]}"),
        ] {
            let bytes = [before.as_bytes(), bytes, after.as_bytes()].concat();
            table.push(body("bad UTF-8", bytes, JSON, None));
        }
    }
    check(&shared().await, table).await;
}

#[tokio::test]
#[rustfmt::skip] // a row a line
async fn the_envelope_is_strict() {
    let table = vec![
        body("an array", "[]", INVALID, None),
        body("a number", "1", INVALID, None),
        body("null", "null", INVALID, None),
        body("no records", "{}", INVALID, None),
        body("records null", r#"{"records":null}"#, INVALID, "/records"),
        body("records an object", r#"{"records":{}}"#, INVALID, "/records"),
        body("no record in records", r#"{"records":[]}"#, INVALID, "/records"),
        body("a record that is a number", r#"{"records":[{"value":1},7]}"#, INVALID, "/records/1"),
        body("an unknown field", r#"{"records":[{"value":1}],"extra":1}"#, INVALID, "/extra"),
        body("records twice", r#"{"records":[{"value":1}],"records":[{"value":2}]}"#, INVALID, "/records"),
        body("bad acks", r#"{"records":[{"value":1}],"acks":"all"}"#, INVALID, "/acks"),
        body("acks a number", r#"{"records":[{"value":1}],"acks":1}"#, INVALID, "/acks"),
    ];
    check(&shared().await, table).await;
}

#[tokio::test]
async fn partitions_must_exist() {
    let table = vec![body(
        "partition 2 of 2",
        r#"{"records":[{"partition":2,"value":1}]}"#,
        INVALID,
        "/records/0/partition",
    )];
    check(&shared().await, table).await;
}

#[tokio::test]
#[rustfmt::skip] // a row a line
async fn sizes_have_ends() {
    let mib = 1 << 20;
    let records = vec!["{\"value\":1}"; 10_001].join(",");
    let padded = format!("{{\"records\":[{{\"value\":1}}]{}}}", " ".repeat(8 * mib));
    let table = vec![
        body("10 001 records", format!("{{\"records\":[{records}]}}"), (413, "too_many_records"), None),
        body("a record over its limit", format!( "{{\"records\":[{{\"value\":0}},{{\"value\":\"{}\"}}]}}", "x".repeat(mib) ), LARGE, "/records/1"),
        body("8 MiB and a bit", padded, LARGE, None),
    ];
    check(&shared().await, table).await;
}

#[tokio::test]
async fn a_chunked_body_has_the_same_end() {
    let api = shared().await;
    let topic = super::victim(&api).await;
    let (mut reading, mut writing) = connect(&api).await.into_split();
    let extra = "content-type: application/json\r\ntransfer-encoding: chunked\r\n";
    let head = head(&api, "POST", &format!("{topic}/records"), extra);
    let writing = tokio::spawn(async move {
        writing.write_all(head.as_bytes()).await.unwrap();
        let start = r#"{"records":[{"value":1}]"#;
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
        writing.write_all(chunk(start).as_bytes()).await.unwrap();
        // Without an end: the server must not wait for one.
        let spaces = chunk(&" ".repeat(64 << 10));
        while writing.write_all(spaces.as_bytes()).await.is_ok() {}
    });
    let answer = read_reply(&mut reading)
        .await
        .expect("an answer before the body ends");
    let problem = answer.problem(413);
    assert_eq!(problem["code"], "payload_too_large");
    drop(reading);
    crate::harness::soon("the connection is closed", writing)
        .await
        .unwrap();
    assert_eq!(api.high_watermarks(&topic).await, [10, 0]);
}
