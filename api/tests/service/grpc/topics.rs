//! `TopicService`: each method as it should be used, beside what REST says of the same.

use tonic::Code;
use tonic_types::StatusExt;

use super::client::{Grpc, refused};
use super::pb;
use crate::harness::{shared, unique};

fn spec(partitions: u32) -> Option<pb::TopicSpec> {
    Some(pb::TopicSpec {
        partitions: Some(partitions),
        ..pb::TopicSpec::default()
    })
}

fn ensure(topic: &str, partitions: u32) -> pb::EnsureTopicRequest {
    pb::EnsureTopicRequest {
        topic: topic.to_owned(),
        spec: spec(partitions),
        dry_run: false,
    }
}

#[tokio::test]
async fn a_topic_lives_as_over_rest() {
    let api = shared().await;
    let mut topics = Grpc::connect(&api).await.topics();
    let name = unique("grpc-topic");

    let dry = pb::EnsureTopicRequest {
        dry_run: true,
        ..ensure(&name, 2)
    };
    let tried = topics.ensure_topic(dry).await.expect("it would work");
    assert!(tried.into_inner().created);
    api.get(&format!("/topics/{name}"))
        .await
        .problem(404, "topic_not_found");

    let made = topics.ensure_topic(ensure(&name, 2)).await.expect("made");
    let made = made.into_inner();
    assert!(made.created);
    let again = topics.ensure_topic(ensure(&name, 2)).await.expect("there");
    assert!(!again.into_inner().created);
    let differs = topics.ensure_topic(ensure(&name, 3)).await;
    refused(&differs.unwrap_err(), Code::AlreadyExists, "topic_exists");

    let topic = topics
        .get_topic(pb::GetTopicRequest {
            topic: name.clone(),
        })
        .await
        .expect("it is there")
        .into_inner();
    let answer = api.get(&format!("/topics/{name}")).await.expect(200);
    let rest = answer.json();
    let config = topic.config.expect("settings");
    assert_eq!(topic.name, name);
    assert_eq!(rest["topic_id"], topic.topic_id);
    assert_eq!(rest["partitions"], topic.partitions);
    assert_eq!(rest["config"]["retention_ms"], config.retention_ms());
    assert_eq!(
        (config.retention_bytes(), &rest["config"]["retention_bytes"]),
        (0, &serde_json::Value::Null)
    );
    assert_eq!(config.compression(), pb::Compression::None);
    assert_eq!(config.cleanup_policy(), pb::CleanupPolicy::Delete);
    assert_eq!(
        rest["config_sources"]["retention_ms"],
        topic.config_sources["retention_ms"]
    );
    assert_eq!(answer.header("etag"), Some(topic.etag.as_str()));

    let change = |etag: &str| pb::UpdateTopicRequest {
        topic: name.clone(),
        spec: Some(pb::TopicSpec {
            partitions: Some(4),
            description: Some("changed".into()),
            config: Some(pb::TopicConfig {
                retention_ms: Some(0),
                compression: Some(pb::Compression::Zstd.into()),
                ..pb::TopicConfig::default()
            }),
            ..pb::TopicSpec::default()
        }),
        etag: etag.to_owned(),
        dry_run: false,
    };
    let changed = topics
        .update_topic(change(&topic.etag))
        .await
        .expect("changed");
    assert_eq!(changed.into_inner().partitions, 4);
    let rest = api.get(&format!("/topics/{name}")).await.expect(200).json();
    assert_eq!(rest["config"]["retention_ms"], serde_json::Value::Null);
    assert_eq!(
        (&rest["config"]["compression"], &rest["description"]),
        (&"zstd".into(), &"changed".into())
    );
    let stale = topics.update_topic(change(&topic.etag)).await;
    refused(&stale.unwrap_err(), Code::Aborted, "precondition_failed");
    let fewer = pb::UpdateTopicRequest {
        spec: spec(1),
        etag: String::new(),
        ..change("")
    };
    let fewer = topics.update_topic(fewer).await.unwrap_err();
    refused(&fewer, Code::FailedPrecondition, "invalid_setting");
    let details = fewer.get_error_details();
    let violations = &details.bad_request().expect("the fields").field_violations;
    assert_eq!(violations[0].field, "/partitions");

    let gone = |etag: &str| pb::DeleteTopicRequest {
        topic: name.clone(),
        etag: etag.to_owned(),
        dry_run: false,
    };
    let stale = topics.delete_topic(gone(&topic.etag)).await;
    refused(&stale.unwrap_err(), Code::Aborted, "precondition_failed");
    topics.delete_topic(gone("")).await.expect("deleted");
    let absent = topics.delete_topic(gone("")).await;
    refused(&absent.unwrap_err(), Code::NotFound, "topic_not_found");
}

#[tokio::test]
async fn settings_are_checked_as_over_rest() {
    let api = shared().await;
    let mut topics = Grpc::connect(&api).await.topics();
    let config = |config: pb::TopicConfig| pb::EnsureTopicRequest {
        topic: unique("refused"),
        spec: Some(pb::TopicSpec {
            config: Some(config),
            ..pb::TopicSpec::default()
        }),
        dry_run: false,
    };
    let small = pb::TopicConfig {
        segment_bytes: Some(1),
        ..pb::TopicConfig::default()
    };
    let unknown = pb::TopicConfig {
        compression: Some(99),
        ..pb::TopicConfig::default()
    };
    for (request, code, reason) in [
        (
            ensure("__internal", 1),
            Code::InvalidArgument,
            "invalid_request",
        ),
        (ensure("", 1), Code::InvalidArgument, "invalid_request"),
        (ensure("a/b\0", 1), Code::InvalidArgument, "invalid_request"),
        (
            ensure(&unique("refused"), 0),
            Code::InvalidArgument,
            "invalid_request",
        ),
        (config(small), Code::InvalidArgument, "invalid_request"),
        (config(unknown), Code::InvalidArgument, "invalid_request"),
    ] {
        refused(
            &topics.ensure_topic(request).await.unwrap_err(),
            code,
            reason,
        );
    }
}

#[tokio::test]
async fn lists_come_in_pages() {
    let api = shared().await;
    let mut topics = Grpc::connect(&api).await.topics();
    let mut made: Vec<String> = (0..5).map(|_| unique("grpc-page")).collect();
    for name in &made {
        api.topic(name, 1).await;
    }
    let mut listed = Vec::new();
    let mut page_token = String::new();
    loop {
        let page = topics
            .list_topics(pb::ListTopicsRequest {
                page_size: Some(2),
                page_token,
            })
            .await
            .expect("a page")
            .into_inner();
        assert!(page.topics.len() <= 2);
        listed.extend(page.topics.into_iter().map(|topic| topic.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    listed.retain(|name| made.contains(name));
    made.sort();
    assert_eq!(listed, made);
    for (page_size, page_token) in [(Some(0), ""), (Some(1_001), ""), (None, "\u{fffd}")] {
        let page_token = page_token.to_owned();
        let wrong = pb::ListTopicsRequest {
            page_size,
            page_token,
        };
        let status = topics.list_topics(wrong).await.unwrap_err();
        refused(&status, Code::InvalidArgument, "invalid_request");
    }
}

#[tokio::test]
async fn partitions_offsets_and_trim() {
    let api = shared().await;
    let mut topics = Grpc::connect(&api).await.topics();
    let name = unique("grpc-places");
    let path = api.topic(&name, 2).await;
    api.produce(&path, r#"{"records":[{"partition":1,"value":1,"timestamp":1000},{"partition":1,"value":2,"timestamp":2000}]}"#)
        .await;
    let offsets = async |topics: &mut super::pb::topic_service_client::TopicServiceClient<Grpc>,
                         at_ms| {
        let asked = pb::ListOffsetsRequest {
            topic: name.clone(),
            at_ms,
        };
        let answer = topics
            .list_offsets(asked)
            .await
            .expect("offsets")
            .into_inner();
        let offsets = answer.offsets.into_iter();
        offsets
            .map(|at| (at.partition, at.offset))
            .collect::<Vec<_>>()
    };
    assert_eq!(offsets(&mut topics, None).await, [(0, 0), (1, 2)]);
    assert_eq!(offsets(&mut topics, Some(1_500)).await, [(0, 0), (1, 1)]);
    let trim = |partition, before_offset| pb::TrimPartitionRequest {
        topic: name.clone(),
        partition,
        before_offset,
    };
    let trimmed = topics.trim_partition(trim(1, 1)).await.expect("trimmed");
    assert_eq!(trimmed.into_inner().log_start, 1);
    let beyond = topics.trim_partition(trim(1, 9)).await.unwrap_err();
    refused(&beyond, Code::OutOfRange, "offset_out_of_range");
    assert_eq!(super::client::error_info(&beyond)["high_watermark"], "2");
    let absent = topics.trim_partition(trim(2, 0)).await.unwrap_err();
    refused(&absent, Code::InvalidArgument, "invalid_request");
    let listed = topics
        .list_partitions(pb::ListPartitionsRequest {
            topic: name.clone(),
        })
        .await
        .expect("partitions")
        .into_inner();
    let ends: Vec<_> = listed
        .partitions
        .iter()
        .map(|part| (part.partition, part.log_start, part.high_watermark))
        .collect();
    assert_eq!(ends, [(0, 0, 0), (1, 1, 2)]);
    assert!(listed.partitions.iter().all(|part| part.leader.is_some()));
}
