//! Which fault is reported, and where.

use headwater_record::JsonErrorKind::{self, *};
use headwater_record::{JsonError, JsonLimits, ParseError};

use crate::json_produce::parse;

fn limits() -> JsonLimits {
    JsonLimits {
        record_bytes_max: 20,
        key_bytes_max: 5,
        headers_max: 2,
        records_max: 2,
        depth_max: 2,
    }
}

fn refuse(body: &str) -> JsonError {
    match parse(body.as_bytes(), &limits()) {
        Err(ParseError::Json(error)) => error,
        other => panic!("{body} gives {other:?}"),
    }
}

#[track_caller]
fn check(body: &str, kind: JsonErrorKind, pointer: &str) {
    let error = refuse(body);
    assert_eq!(
        (error.kind, error.pointer.as_str()),
        (kind, pointer),
        "{body}: {error}"
    );
    assert!(error.message.ends_with('.'), "{}", error.message);
}

/// The one record of a request.
#[track_caller]
fn check_record(record: &str, kind: JsonErrorKind, pointer: &str) {
    check(
        &format!(r#"{{"records":[{record}]}}"#),
        kind,
        &format!("/records/0{pointer}"),
    );
}

#[test]
fn faults_of_the_request() {
    check("", Syntax, "");
    check("[]", WrongType, "");
    check("{}", MissingField, "");
    check(r#"{"records":[{"value":1}]} x"#, Syntax, "");
    check(r#"{"records":[]}"#, OutOfRange, "/records");
    check(r#"{"records":{}}"#, WrongType, "/records");
    check(r#"{"records":null}"#, WrongType, "/records");
    check(
        r#"{"records":[{"value":1}],"records":[]}"#,
        DuplicateField,
        "/records",
    );
    check(r#"{"acks":"none","acks":"none"}"#, DuplicateField, "/acks");
    check(r#"{"acks":"all"}"#, OutOfRange, "/acks");
    check(r#"{"acks":1}"#, WrongType, "/acks");
    check(r#"{"a/b~":1}"#, UnknownField, "/a~1b~0");
    check(
        r#"{"records":[{"value":1},{"value":1},{"value":1}]}"#,
        TooManyRecords,
        "/records",
    );
    check(
        r#"{"records":[{"value":1},{"value":1},]}"#,
        TooManyRecords,
        "/records",
    );
    check(r#"{"records":[{"value":1},3]}"#, WrongType, "/records/1");
    check(
        r#"{"records":[{"value":1} {"value":1}]}"#,
        Syntax,
        "/records",
    );
}

#[test]
fn faults_of_a_record() {
    check_record("{}", MissingField, "");
    check_record(r#"{"key":"a"}"#, MissingField, "");
    check_record(r#"{"value":1,"value":2}"#, DuplicateField, "/value");
    check_record(r#"{"value":1,"v\u0061lue":2}"#, DuplicateField, "/value");
    check_record(r#"{"value":1,"value_text":"a"}"#, Conflict, "/value_text");
    check_record(r#"{"value_base64":"","value":1}"#, Conflict, "/value");
    check_record(
        r#"{"key":null,"key_base64":null,"value":1}"#,
        Conflict,
        "/key_base64",
    );
    check_record(r#"{"val":1}"#, UnknownField, "/val");
    check_record(r#"{"key":1,"value":1}"#, WrongType, "/key");
    check_record(r#"{"key":"\ud800","value":1}"#, Syntax, "/key");
    check_record(r#"{"key":"\ude00\ud83d","value":1}"#, Syntax, "/key");
    check_record(r#"{"key":"abcdef","value":1}"#, KeyTooLarge, "/key");
    check_record(
        r#"{"key_base64":"YWJjZGVm","value":1}"#,
        KeyTooLarge,
        "/key_base64",
    );
    check_record(
        r#"{"key_base64":"YQ","value":1}"#,
        InvalidBase64,
        "/key_base64",
    );
    check_record(
        r#"{"key_base64":"YR==","value":1}"#,
        InvalidBase64,
        "/key_base64",
    );
    check_record(
        r#"{"key_base64":"_-==","value":1}"#,
        InvalidBase64,
        "/key_base64",
    );
    check_record(r#"{"value_base64":"a b="}"#, InvalidBase64, "/value_base64");
    check_record(r#"{"value_text":null}"#, WrongType, "/value_text");
    check_record(r#"{"value_text":"\uDC00"}"#, Syntax, "/value_text");
    check_record(r#"{"value":[[[1]]]}"#, TooDeep, "/value");
    check_record(r#"{"value":[1,}"#, Syntax, "/value");
    check_record(r#"{"value":"123456789012345678901"}"#, RecordTooLarge, "");
    check_record(r#"{"value":1,"timestamp":-1}"#, OutOfRange, "/timestamp");
    check_record(
        r#"{"value":1,"timestamp":253402300800000}"#,
        OutOfRange,
        "/timestamp",
    );
    check_record(r#"{"value":1,"timestamp":1.5}"#, WrongType, "/timestamp");
    check_record(r#"{"value":1,"timestamp":"1"}"#, WrongType, "/timestamp");
    check_record(
        r#"{"value":1,"partition":2147483648}"#,
        OutOfRange,
        "/partition",
    );
    check_record(
        r#"{"value":1,"partition":99999999999999999999999}"#,
        OutOfRange,
        "/partition",
    );
    check_record(r#"{"value":1,"offset":-5}"#, OutOfRange, "/offset");
    check_record(r#"{"value":1,"offset":"5"}"#, WrongType, "/offset");
    check_record(r#"{"value":1 "key":"a"}"#, Syntax, "");
}

#[test]
fn faults_of_headers() {
    check_record(r#"{"value":1,"headers":[]}"#, WrongType, "/headers");
    check_record(r#"{"value":1,"headers":{"a":1}}"#, WrongType, "/headers/a");
    check_record(
        r#"{"value":1,"headers":{"a":["b",1]}}"#,
        WrongType,
        "/headers/a/1",
    );
    check_record(
        r#"{"value":1,"headers":{"a":"\ud800"}}"#,
        Syntax,
        "/headers/a",
    );
    check_record(
        r#"{"value":1,"headers":{"a":"","\u0061":""}}"#,
        DuplicateField,
        "/headers/a",
    );
    check_record(
        r#"{"value":1,"headers":{"a":["","",""]}}"#,
        TooManyHeaders,
        "/headers/a/2",
    );
    check_record(
        r#"{"value":1,"headers":{"a":[],"b":[],"c":[]}}"#,
        TooManyHeaders,
        "/headers",
    );
    check_record(
        r#"{"value":1,"headers_base64":{"a":"="}}"#,
        InvalidBase64,
        "/headers_base64/a",
    );
    check_record(
        r#"{"value":1,"headers":{"abcdefghij":["",""]}}"#,
        RecordTooLarge,
        "",
    );
    check_record(
        r#"{"value":1,"headers":{"a":"","b":""},"headers_base64":{"c":""}}"#,
        TooManyHeaders,
        "/headers_base64/c",
    );
}

#[test]
fn the_byte_is_told() {
    let error = refuse("{\"records\":[{\"value\":1,\"key\":5}]}");
    assert_eq!(error.at, 29);
    let error = match parse(b"{\"records\":[\xff]}", &limits()) {
        Err(ParseError::Json(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (error.kind, error.at, error.pointer.as_str()),
        (InvalidUtf8, 12, "")
    );
}

#[test]
fn a_long_unknown_name_is_not_repeated() {
    let error = refuse(&format!(r#"{{"records":[{{"{}":1}}]}}"#, "x".repeat(1_000)));
    assert_eq!(
        (error.kind, error.pointer.as_str()),
        (UnknownField, "/records/0")
    );
}

#[test]
fn exactly_the_limit_is_allowed() {
    let body = br#"{"records":[
        {"key":"abcde","value":[[34567890]],"headers":{"a":["",""]}},
        {"key":"\u0061bcde","value_text":"678901234567890"}
    ]}"#;
    assert!(parse(body, &limits()).is_ok());
}
