//! Paths, queries and headers.

use super::{INVALID, Wrong, check, query};
use crate::client::reply;
use crate::harness::{shared, unique};
use crate::raw_http::exchange;

const UNKNOWN_TOPIC: (u16, &str) = (404, "topic_not_found");

#[tokio::test]
async fn unknown_topics_and_partitions() {
    let mut table = Vec::new();
    for (method, path, body) in [
        ("GET", "/topics/nowhere", ""),
        ("PATCH", "/topics/nowhere", r#"{"partitions":2}"#),
        ("DELETE", "/topics/nowhere", ""),
        ("GET", "/topics/nowhere/partitions", ""),
        (
            "POST",
            "/topics/nowhere/records",
            r#"{"records":[{"value":1}]}"#,
        ),
        ("POST", "/topics/nowhere/raw", "x"),
        ("POST", "/topics/nowhere/records/bulk", "{\"value\":1}\n"),
        ("GET", "/topics/nowhere/partitions/0/records", ""),
        ("GET", "/topics/nowhere/records", ""),
        ("GET", "/topics/nowhere/tail", ""),
        ("GET", "/topics/nowhere/tail.ndjson", ""),
        ("GET", "/topics/nowhere/offsets?at=0", ""),
        (
            "POST",
            "/topics/nowhere/trim",
            r#"{"partition":0,"before_offset":0}"#,
        ),
    ] {
        let (status, code) = UNKNOWN_TOPIC;
        let (path, body) = (path.to_owned(), body.into());
        table.push(Wrong {
            what: "an unknown topic",
            method,
            path,
            body,
            status,
            code,
            pointer: None,
        });
    }
    let no_partition = (404, "partition_not_found");
    table.push(query(
        "an unknown partition",
        "{t}/partitions/2/records",
        no_partition,
        "",
    ));
    table.push(query(
        "a far partition",
        "{t}/partitions/4294967295/records",
        no_partition,
        "",
    ));
    check(&shared().await, table).await;
}

#[tokio::test]
#[rustfmt::skip] // a row a line
async fn queries_are_strict() {
    let one = "{t}/partitions/0/records";
    let all = "{t}/records";
    let table = vec![
        query("an unknown parameter", &format!("{one}?ofset=1"), INVALID, "ofset"),
        query("an unknown parameter", &format!("{all}?offset=1"), INVALID, "offset"),
        query("an unknown parameter", "/topics?limit=5", INVALID, "limit"),
        query("an unknown parameter", "{t}?verbose=1", INVALID, "verbose"),
        query("an unknown parameter", "{t}/tail?wait_ms=5", INVALID, "wait_ms"),
        query("a parameter twice", &format!("{one}?offset=1&offset=2"), INVALID, "offset"),
        query("an offset below zero", &format!("{one}?offset=-1"), INVALID, "offset"),
        query("an offset text", &format!("{one}?offset=abc"), INVALID, "offset"),
        query("an empty offset", &format!("{one}?offset="), INVALID, "offset"),
        query("an offset beyond JSON", &format!("{one}?offset=9007199254740992"), INVALID, "offset"),
        query("an offset beyond 64 bits", &format!("{one}?offset=99999999999999999999"), INVALID, "offset"),
        query("no records", &format!("{one}?max_records=0"), INVALID, "max_records"),
        query("too many records", &format!("{one}?max_records=10001"), INVALID, "max_records"),
        query("no bytes", &format!("{one}?max_bytes=0"), INVALID, "max_bytes"),
        query("too many bytes", &format!("{one}?max_bytes=16777217"), INVALID, "max_bytes"),
        query("too long a wait", &format!("{one}?wait_ms=60001"), INVALID, "wait_ms"),
        query("a wait below zero", &format!("{one}?wait_ms=-1"), INVALID, "wait_ms"),
        query("an unknown place", &format!("{one}?from=middle"), INVALID, "from"),
        query("a tail of nothing", &format!("{one}?from=tail-"), INVALID, "from"),
        query("a tail below zero", &format!("{one}?from=tail--1"), INVALID, "from"),
        query("a bad time", &format!("{one}?at=yesterday"), INVALID, "at"),
        query("a bad date", &format!("{one}?at=2026-13-01T00:00:00Z"), INVALID, "at"),
        query("a bad policy", &format!("{one}?on_out_of_range=guess"), INVALID, "on_out_of_range"),
        query("a bad encoding", &format!("{one}?encoding=hex"), INVALID, "encoding"),
        query("two places", &format!("{one}?offset=1&from=earliest"), INVALID, ""),
        query("two places", &format!("{one}?offset=1&at=5"), INVALID, ""),
        query("a bad time", "{t}/offsets?at=x", INVALID, "at"),
        query("a large page", "/topics?page_size=100000", INVALID, "page_size"),
        query("a partition text", "{t}/partitions/first/records", (404, "partition_not_found"), ""),
        query("a partition below zero", "{t}/partitions/-1/records", (404, "partition_not_found"), ""),
        query("a partition beyond 32 bits", "{t}/partitions/4294967296/records", (404, "partition_not_found"), ""),
        query("beyond the end", &format!("{one}?offset=11"), (416, "offset_out_of_range"), ""),
    ];
    check(&shared().await, table).await;
}

#[tokio::test]
async fn names_cannot_leave_their_place() {
    let api = shared().await;
    let long = "n".repeat(250);
    for name in [
        "..",
        ".",
        "%2e%2e",
        "%2E",
        "a%2fb",
        "..%2f..%2fdemo",
        "a%5cb",
        "__internal",
        "a%20b",
        "a%00b",
        "%ff",
        "a%0ab",
        "caf%C3%A9",
        "a+b",
        "a:b",
        "a*",
        "%252e%252e",
        &long,
    ] {
        for (method, rest, body) in [
            ("PUT", "", r#"{"partitions":1}"#),
            ("GET", "", ""),
            ("DELETE", "", ""),
            ("POST", "/records", r#"{"records":[{"value":1}]}"#),
            ("GET", "/partitions/0/records", ""),
        ] {
            let extra = format!(
                "content-type: application/json\r\ncontent-length: {}\r\n",
                body.len()
            );
            let answer = exchange(
                &api,
                method,
                &format!("/topics/{name}{rest}"),
                &extra,
                body.as_bytes(),
            )
            .await;
            let expected = if method == "PUT" {
                400..=400
            } else {
                400..=404
            };
            assert!(
                expected.contains(&answer.status),
                "{method} {name}{rest}: {} {}",
                answer.status,
                answer.body
            );
            assert!(
                matches!(answer.status, 400 | 404),
                "{method} {name}{rest}: {}",
                answer.status
            );
            answer.problem(answer.status);
        }
    }
    let longest = format!("{}{}", "n".repeat(240), &unique("---------")[..9]);
    assert_eq!(longest.len(), 249);
    api.topic(&longest, 1).await;
    api.topic(&unique("A-z.0_9"), 1).await;
    api.topic(&unique("..."), 1).await;
    let created = exchange(&api, "PUT", "/topics/", "content-length: 0\r\n", b"").await;
    assert!(
        matches!(created.status, 400 | 404 | 405),
        "{}",
        created.status
    );
}

#[tokio::test]
async fn media_types_and_codings_are_checked() {
    let api = shared().await;
    let topic = super::victim(&api).await;
    let good = r#"{"records":[{"value":1}]}"#;
    for (header, value) in [
        ("content-type", "application/xml"),
        ("content-type", "image/png"),
        ("content-encoding", "br"),
        ("content-encoding", "rot13"),
        ("content-encoding", "gzip, gzip"),
    ] {
        let mut request = api.request("POST", &format!("{topic}/records")).body(good);
        if header != "content-type" {
            request = request.header("content-type", "application/json");
        }
        reply(request.header(header, value))
            .await
            .problem(415, "unsupported_media_type");
    }
    for coding in ["gzip", "zstd"] {
        let request = api
            .request("POST", &format!("{topic}/records"))
            .header("content-encoding", coding);
        let problem = reply(request.body(good)).await.expect(400).any_problem();
        assert_eq!(
            problem["outcome"], "not_applied",
            "a body that is not {coding}"
        );
        let request = api
            .request("POST", &format!("{topic}/raw"))
            .header("content-encoding", coding);
        reply(request.body("plain")).await.expect(400).any_problem();
    }
    assert_eq!(api.high_watermarks(&topic).await, [10, 0]);
    for content_type in [
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/vnd.x+json",
    ] {
        let request = api
            .request("POST", &format!("{topic}/records"))
            .header("content-type", content_type);
        let answer = reply(request.body(good)).await;
        assert!(
            matches!(answer.status, 200 | 415),
            "{content_type}: {}",
            answer.status
        );
    }
}

#[tokio::test]
async fn accepted_spellings_stay_accepted() {
    let api = shared().await;
    let topic = super::victim(&api).await;
    api.produce(
        &topic,
        format!(
            "{{\"records\":[{{\"value\":{}1{}}}]}}",
            "[".repeat(61),
            "]".repeat(61)
        ),
    )
    .await;
    api.produce(&topic, r#"{"\u0072ecords":[{"val\u0075e":1}]}"#)
        .await;
    api.produce(
        &topic,
        r#"{"records":[{"value":1,"offset":5}],"acks":"quorum"}"#,
    )
    .await;
    let request = api.request("POST", &format!("{topic}/records"));
    reply(
        request
            .header("content-encoding", "identity")
            .body(r#"{"records":[{"value":1}]}"#),
    )
    .await
    .expect(200);
}
