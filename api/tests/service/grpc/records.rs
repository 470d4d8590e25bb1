//! `RecordService`: what one protocol wrote, the other reads byte for byte.

use tonic::Code;

use super::client::{Grpc, error_info, refused};
use super::pb;
use super::pb::fetch_partition_request::Start as PartitionStart;
use super::pb::fetch_topic_request::Start as TopicStart;
use crate::client::Api;
use crate::harness::{shared, unique};
use crate::json;

/// A record of a value.
pub fn record(value: impl Into<Vec<u8>>) -> pb::Record {
    pb::Record {
        value: Some(value.into()),
        ..pb::Record::default()
    }
}

/// A request of records.
pub fn produce(topic: &str, records: Vec<pb::Record>) -> pb::ProduceRequest {
    pb::ProduceRequest {
        topic: topic.to_owned(),
        records,
        ..pb::ProduceRequest::default()
    }
}

fn partition(topic: &str, start: Option<PartitionStart>) -> pb::FetchPartitionRequest {
    pb::FetchPartitionRequest {
        topic: topic.to_owned(),
        start,
        ..pb::FetchPartitionRequest::default()
    }
}

/// Records that JSON can say in every way it has.
const SENT: &str = r#"{"records":[
    {"partition":0,"key":"k","value": {"a" : 1e400, "a":12345678901234567890123 , "\u00e9":"\ud83d\ude00"} },
    {"partition":0,"value":null,"key":"tombstone"},
    {"partition":0,"value_text":"plain \u0000 text"},
    {"partition":0,"value_base64":"AP/+","key_base64":"/w=="},
    {"partition":0,"value":"","headers":{"one":"1","many":["a",null,""]},"timestamp":0},
    {"partition":0,"value_text":"","headers_base64":{"bin":"/w=="},"timestamp":253402300799999}]}"#;

async fn rest_text(api: &Api, topic: &str) -> String {
    let path = format!("/topics/{topic}/partitions/0/records?max_records=10000");
    let page = api.get(&path).await.expect(200);
    json::member(&page.text, "records")
        .expect("records")
        .to_owned()
}

#[tokio::test]
async fn what_rest_wrote_is_read_and_written_again_byte_for_byte() {
    let api = shared().await;
    let grpc = Grpc::connect(&api).await;
    let (first, second) = (unique("grpc-from"), unique("grpc-to"));
    for topic in [&first, &second] {
        api.topic(topic, 1).await;
    }
    api.produce(&format!("/topics/{first}"), SENT).await;
    let mut records = grpc.records();
    let page = records.fetch_partition(partition(&first, None)).await;
    let page = page.expect("a page").into_inner();
    assert_eq!(
        (page.next_offset, page.log_start, page.high_watermark),
        (6, 0, 6)
    );
    let read = &page.records;
    assert_eq!(
        read[0].value(),
        r#"{"a" : 1e400, "a":12345678901234567890123 , "\u00e9":"\ud83d\ude00"}"#.as_bytes()
    );
    assert_eq!((read[0].key(), read[0].json), (&b"k"[..], true));
    assert_eq!(
        (&read[1].value, read[1].json),
        (&None, false),
        "a tombstone"
    );
    assert_eq!(
        (read[2].value(), read[2].json),
        (&b"plain \0 text"[..], false)
    );
    assert_eq!(
        (read[3].value(), read[3].key()),
        (&b"\0\xff\xfe"[..], &b"\xff"[..])
    );
    let headers: Vec<_> = read[4]
        .headers
        .iter()
        .map(|h| (h.name.as_str(), h.value.as_deref()))
        .collect();
    assert_eq!(
        headers,
        [
            ("one", Some(&b"1"[..])),
            ("many", Some(b"a")),
            ("many", None),
            ("many", Some(b""))
        ]
    );
    assert_eq!(
        (read[4].timestamp_ms, read[5].timestamp_ms),
        (Some(0), Some(253_402_300_799_999))
    );
    let places: Vec<_> = read.iter().map(|r| (r.partition, r.offset)).collect();
    assert_eq!(
        places,
        (0..6).map(|n| (Some(0), Some(n))).collect::<Vec<_>>()
    );

    let written = records
        .produce(produce(&second, page.records.clone()))
        .await;
    let written = written.expect("written").into_inner();
    let offsets: Vec<_> = written
        .results
        .iter()
        .map(|r| (r.partition, r.offset))
        .collect();
    assert_eq!(offsets, (0..6).map(|n| (0, n)).collect::<Vec<_>>());
    assert_eq!(
        rest_text(&api, &first).await,
        rest_text(&api, &second).await
    );
    let again = records.fetch_partition(partition(&second, None)).await;
    assert_eq!(again.expect("a page").into_inner().records, page.records);
}

#[tokio::test]
async fn a_repeat_over_the_other_protocol_appends_nothing() {
    let api = shared().await;
    let mut records = Grpc::connect(&api).await.records();
    let topic = unique("grpc-once");
    let path = api.topic(&topic, 3).await;
    let body = r#"{"records":[{"key":"a","value":1},{"key":"b","value":2},{"value_text":"c"}]}"#;
    let rest = api
        .produce_once(&path, "one key", body)
        .await
        .expect(200)
        .json();
    let json = |key: &str, value: &str| pb::Record {
        key: Some(key.into()),
        json: true,
        ..record(value)
    };
    let mut same = produce(&topic, vec![json("a", "1"), json("b", "2"), record("c")]);
    same.idempotency_key = "one key".into();
    let grpc = records
        .produce(same.clone())
        .await
        .expect("there")
        .into_inner();
    assert!(grpc.duplicate);
    for (nth, result) in grpc.results.iter().enumerate() {
        let told = &rest["results"][nth];
        assert_eq!(told["partition"], result.partition);
        assert_eq!(
            (&told["offset"], &told["timestamp"]),
            (&result.offset.into(), &result.timestamp_ms.into())
        );
    }
    same.records.pop();
    let reused = records.produce(same).await.unwrap_err();
    refused(&reused, Code::FailedPrecondition, "idempotency_key_reused");
    let mut bad = produce(&topic, vec![record("x")]);
    bad.idempotency_key = "\n".into();
    refused(
        &records.produce(bad).await.unwrap_err(),
        Code::InvalidArgument,
        "invalid_request",
    );
}

#[tokio::test]
async fn keys_choose_the_partition_that_they_choose_over_rest() {
    let api = shared().await;
    let mut records = Grpc::connect(&api).await.records();
    let topic = unique("grpc-keys");
    let path = api.topic(&topic, 7).await;
    for n in 0..20 {
        let key = format!("key-{n}");
        let rest = api
            .produce(
                &path,
                format!(r#"{{"records":[{{"key":"{key}","value":1}}]}}"#),
            )
            .await;
        let keyed = pb::Record {
            key: Some(key.into()),
            ..record("x")
        };
        let grpc = records
            .produce(produce(&topic, vec![keyed]))
            .await
            .expect("written");
        assert_eq!(
            rest["results"][0]["partition"],
            grpc.into_inner().results[0].partition
        );
    }
}

#[tokio::test]
async fn records_keep_to_the_limits_of_rest() {
    let api = shared().await;
    let mut records = Grpc::connect(&api).await.records();
    let topic = unique("grpc-limits");
    let path = api.topic(&topic, 2).await;
    let header = pb::Header {
        name: "h".into(),
        value: None,
    };
    let invalid = (Code::InvalidArgument, "invalid_request");
    let large = (Code::InvalidArgument, "payload_too_large");
    let json = |value: &[u8]| pb::Record {
        json: true,
        ..record(value)
    };
    for (what, wrong, (code, reason)) in [
        ("no records", Vec::new(), invalid),
        (
            "many",
            vec![record(""); 10_001],
            (Code::InvalidArgument, "too_many_records"),
        ),
        (
            "no JSON",
            vec![json(b"{")],
            (Code::InvalidArgument, "invalid_json"),
        ),
        (
            "empty JSON",
            vec![json(b"")],
            (Code::InvalidArgument, "invalid_json"),
        ),
        (
            "JSON that is not UTF-8",
            vec![json(b"\"\xff\"")],
            (Code::InvalidArgument, "invalid_json"),
        ),
        ("a large value", vec![record(vec![0; (1 << 20) + 1])], large),
        (
            "a large key",
            vec![pb::Record {
                key: Some(vec![0; (32 << 10) + 1]),
                ..record("")
            }],
            large,
        ),
        (
            "headers",
            vec![pb::Record {
                headers: vec![header; 65],
                ..record("")
            }],
            invalid,
        ),
        (
            "a partition",
            vec![pb::Record {
                partition: Some(2),
                ..record("")
            }],
            invalid,
        ),
        (
            "a far partition",
            vec![pb::Record {
                partition: Some(u32::MAX),
                ..record("")
            }],
            invalid,
        ),
        (
            "an early time",
            vec![pb::Record {
                timestamp_ms: Some(-1),
                ..record("")
            }],
            invalid,
        ),
        (
            "a late time",
            vec![pb::Record {
                timestamp_ms: Some(253_402_300_800_000),
                ..record("")
            }],
            invalid,
        ),
    ] {
        let status = records
            .produce(produce(&topic, wrong))
            .await
            .expect_err(what);
        refused(&status, code, reason);
    }
    let second = vec![record("good"), json(b"[1,]")];
    let status = records.produce(produce(&topic, second)).await.unwrap_err();
    assert!(
        status.message().starts_with("/records/1/value"),
        "{status:?}"
    );
    let mut acks = produce(&topic, vec![record("")]);
    acks.acks = 7;
    refused(
        &records.produce(acks).await.unwrap_err(),
        invalid.0,
        invalid.1,
    );
    assert_eq!(
        api.high_watermarks(&path).await,
        [0, 0],
        "nothing was applied"
    );
}

#[tokio::test]
async fn reading_begins_where_it_is_asked_to() {
    let api = shared().await;
    let mut records = Grpc::connect(&api).await.records();
    let topic = unique("grpc-starts");
    api.topic(&topic, 1).await;
    let ten = (0..10).map(|n| pb::Record {
        timestamp_ms: Some(n * 1_000),
        ..record(n.to_string())
    });
    records
        .produce(produce(&topic, ten.collect()))
        .await
        .expect("written");
    for (start, expected) in [
        (None, 0),
        (Some(PartitionStart::Offset(3)), 3),
        (Some(PartitionStart::AtMs(3_500)), 4),
        (Some(PartitionStart::From(pb::End::Earliest.into())), 0),
        (Some(PartitionStart::From(pb::End::Latest.into())), 10),
        (Some(PartitionStart::Newest(2)), 8),
    ] {
        let page = records
            .fetch_partition(partition(&topic, start))
            .await
            .expect("a page")
            .into_inner();
        assert_eq!(page.records.len(), 10 - expected, "{start:?}");
        assert!(page.records.iter().all(|r| r.offset() >= expected as u64));
    }
    let beyond = records
        .fetch_partition(partition(&topic, Some(PartitionStart::Offset(11))))
        .await;
    let beyond = beyond.unwrap_err();
    refused(&beyond, Code::OutOfRange, "offset_out_of_range");
    let info = error_info(&beyond);
    assert_eq!(
        (info["log_start"].as_str(), info["high_watermark"].as_str()),
        ("0", "10")
    );
    let mut moved = partition(&topic, Some(PartitionStart::Offset(11)));
    moved.limits = Some(pb::ReadLimits {
        on_out_of_range: pb::OnOutOfRange::Earliest.into(),
        max_records: Some(1),
        ..pb::ReadLimits::default()
    });
    let page = records
        .fetch_partition(moved)
        .await
        .expect("a page")
        .into_inner();
    assert_eq!((page.records.len(), page.next_offset), (1, 1));
    let mut absent = partition(&topic, None);
    absent.partition = 1;
    let absent = records.fetch_partition(absent).await.unwrap_err();
    refused(&absent, Code::NotFound, "partition_not_found");
    for (max_records, max_bytes, wait_ms) in [
        (Some(0), None, 0),
        (Some(10_001), None, 0),
        (None, Some((16 << 20) + 1), 0),
        (None, None, 60_001),
    ] {
        let mut wrong = partition(&topic, None);
        wrong.limits = Some(pb::ReadLimits {
            max_records,
            max_bytes,
            wait_ms,
            on_out_of_range: 0,
        });
        let status = records.fetch_partition(wrong).await.unwrap_err();
        refused(&status, Code::InvalidArgument, "invalid_request");
    }
}

#[tokio::test]
async fn cursors_are_those_of_rest() {
    let api = shared().await;
    let mut records = Grpc::connect(&api).await.records();
    let topic = unique("grpc-cursor");
    let path = api.topic(&topic, 3).await;
    let spread = (0..30).map(|n| pb::Record {
        partition: Some(n % 3),
        ..record(n.to_string())
    });
    records
        .produce(produce(&topic, spread.collect()))
        .await
        .expect("written");
    let ask = |start| pb::FetchTopicRequest {
        topic: topic.clone(),
        start,
        limits: Some(pb::ReadLimits {
            max_records: Some(7),
            ..pb::ReadLimits::default()
        }),
    };
    let first = records
        .fetch_topic(ask(None))
        .await
        .expect("a page")
        .into_inner();
    assert_eq!((first.records.len(), first.partitions.len()), (7, 3));
    let rest = api
        .get(&format!(
            "{path}/records?cursor={}&max_records=11",
            first.cursor
        ))
        .await
        .expect(200);
    let mut cursor = rest.json_member("cursor");
    let mut seen: Vec<(u32, u64)> = first
        .records
        .iter()
        .map(|r| (r.partition(), r.offset()))
        .collect();
    seen.extend(rest.rows().iter().map(|row| (row.partition, row.offset)));
    while seen.len() < 30 {
        let page = records
            .fetch_topic(ask(Some(TopicStart::Cursor(cursor))))
            .await
            .expect("a page")
            .into_inner();
        assert!(!page.records.is_empty());
        seen.extend(page.records.iter().map(|r| (r.partition(), r.offset())));
        cursor = page.cursor;
    }
    seen.sort_unstable();
    let all: Vec<_> = (0..3).flat_map(|p| (0..10).map(move |n| (p, n))).collect();
    assert_eq!(seen, all);
    let forged = records
        .fetch_topic(ask(Some(TopicStart::Cursor("AQ".into()))))
        .await;
    refused(
        &forged.unwrap_err(),
        Code::InvalidArgument,
        "invalid_cursor",
    );
}

#[tokio::test]
async fn the_last_record_of_a_key_is_the_same_over_both() {
    let api = shared().await;
    let (topic, plain) = (unique("keyed"), unique("plain"));
    let spec = r#"{"partitions":3,"config":{"cleanup_policy":"compact"}}"#;
    api.send("PUT", &format!("/topics/{topic}"), spec)
        .await
        .expect(201);
    api.topic(&plain, 1).await;
    let body = r#"{"records":[{"key":"a","value":1},{"key":"a","value":{"n" : 2},"headers":{"h":"x"}},
        {"key":"gone","value":1},{"key":"gone","value":null},{"key_base64":"/w==","value_text":"b"}]}"#;
    api.produce(&format!("/topics/{topic}"), body).await;
    let mut grpc = Grpc::connect(&api).await.records();
    let ask = |topic: &str, key: &[u8]| pb::GetLastOfKeyRequest {
        topic: topic.to_owned(),
        key: key.to_vec(),
    };
    let found = grpc.get_last_of_key(ask(&topic, b"a")).await;
    let found = found.expect("found").into_inner().record.expect("a record");
    assert_eq!(
        (found.key(), found.value(), found.json),
        (&b"a"[..], &b"{\"n\" : 2}"[..], true)
    );
    assert_eq!(found.headers[0].name, "h");
    let rest = api.get(&format!("/topics/{topic}/keys/a")).await;
    let rest = rest.expect(200).json();
    assert_eq!(
        (rest["partition"].as_u64(), rest["offset"].as_u64()),
        (found.partition.map(u64::from), found.offset)
    );
    let bytes = grpc.get_last_of_key(ask(&topic, &[0xff])).await;
    let bytes = bytes.expect("found").into_inner().record.expect("a record");
    assert_eq!(bytes.value(), b"b");
    for (topic, key, code, reason) in [
        (&topic, &b"gone"[..], Code::NotFound, "key_not_found"),
        (&topic, b"never", Code::NotFound, "key_not_found"),
        (&plain, b"a", Code::FailedPrecondition, "not_compacted"),
        (
            &topic,
            &[b'x'; 40_000],
            Code::InvalidArgument,
            "invalid_request",
        ),
    ] {
        let refusal = grpc.get_last_of_key(ask(topic, key)).await.unwrap_err();
        refused(&refusal, code, reason);
    }
}
