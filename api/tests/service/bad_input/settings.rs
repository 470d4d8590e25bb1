//! Bodies of the calls that manage topics.

use super::{INVALID, JSON, LARGE, Wrong, check};
use crate::harness::shared;

#[tokio::test]
#[rustfmt::skip] // a row a line
async fn topic_settings_are_checked() {
    fn put(
        what: &'static str,
        body: &str,
        status: (u16, &'static str),
        pointer: &'static str,
    ) -> Wrong {
        let path = format!("/topics/{}", crate::harness::unique("never"));
        let pointer = (!pointer.is_empty()).then_some(pointer);
        Wrong {
            what,
            method: "PUT",
            path,
            body: body.into(),
            status: status.0,
            code: status.1,
            pointer,
        }
    }
    let table = vec![
        put("no JSON", "{", JSON, ""),
        put("an array", "[]", INVALID, ""),
        put("no partitions", r#"{"partitions":0}"#, INVALID, "/partitions"),
        put("partitions below zero", r#"{"partitions":-1}"#, INVALID, "/partitions"),
        put("half a partition", r#"{"partitions":1.5}"#, INVALID, "/partitions"),
        put("partitions text", r#"{"partitions":"3"}"#, INVALID, "/partitions"),
        put("no replicas", r#"{"partitions":1,"replication_factor":0}"#, INVALID, "/replication_factor"),
        put("an unknown field", r#"{"partitions":1,"partition":2}"#, INVALID, "/partition"),
        put("partitions twice", r#"{"partitions":1,"partitions":1}"#, INVALID, "/partitions"),
        put("config a list", r#"{"partitions":1,"config":[]}"#, INVALID, "/config"),
        put("an unknown setting", r#"{"partitions":1,"config":{"retention":1}}"#, INVALID, "/config/retention"),
        put("a small segment", r#"{"partitions":1,"config":{"segment_bytes":65535}}"#, INVALID, "/config/segment_bytes"),
        put("a large segment", r#"{"partitions":1,"config":{"segment_bytes":1073741825}}"#, INVALID, "/config/segment_bytes"),
        put("retention of nothing", r#"{"partitions":1,"config":{"retention_ms":0}}"#, INVALID, "/config/retention_ms"),
        put("a large record", r#"{"partitions":1,"config":{"max_record_bytes":8388609}}"#, INVALID, "/config/max_record_bytes"),
        put("a bad word", r#"{"partitions":1,"config":{"compression":"rar"}}"#, INVALID, "/config/compression"),
        put("a bad policy", r#"{"partitions":1,"config":{"cleanup_policy":"burn"}}"#, INVALID, "/config/cleanup_policy"),
        put("a large description", &format!( "{{\"partitions\":1,\"description\":\"{}\"}}", "x".repeat(70_000) ), LARGE, ""),
    ];
    check(&shared().await, table).await;
    let api = shared().await;
    let path = format!("/topics/{}", crate::harness::unique("never"));
    let over = api
        .send("PUT", &path, r#"{"partitions":1001}"#)
        .await
        .any_problem();
    assert!(
        matches!(over["status"].as_u64(), Some(400 | 403)),
        "over the quota: {over}"
    );
    let replicas = api
        .send("PUT", &path, r#"{"partitions":1,"replication_factor":3}"#)
        .await
        .any_problem();
    assert!(
        matches!(replicas["status"].as_u64(), Some(422)),
        "one broker: {replicas}"
    );
}

#[tokio::test]
#[rustfmt::skip] // a row a line
async fn trims_are_checked() {
    fn trim(
        what: &'static str,
        body: &str,
        status: (u16, &'static str),
        pointer: Option<&'static str>,
    ) -> Wrong {
        let path = "{t}/trim".to_owned();
        Wrong {
            what,
            method: "POST",
            path,
            body: body.into(),
            status: status.0,
            code: status.1,
            pointer,
        }
    }
    let table = vec![
        trim("no JSON", "{", JSON, None),
        trim("nothing in it", "{}", INVALID, None),
        trim("no offset", r#"{"partition":0}"#, INVALID, None),
        trim("an offset below zero", r#"{"partition":0,"before_offset":-1}"#, INVALID, Some("/before_offset")),
        trim("an offset text", r#"{"partition":0,"before_offset":"9"}"#, INVALID, Some("/before_offset")),
        trim("an unknown field", r#"{"partition":0,"before_offset":1,"dry":true}"#, INVALID, Some("/dry")),
        trim("an unknown partition", r#"{"partition":7,"before_offset":0}"#, INVALID, Some("/partition")),
        trim("beyond the end", r#"{"partition":0,"before_offset":11}"#, (416, "offset_out_of_range"), None),
    ];
    check(&shared().await, table).await;
}
