//! `grpc-timeout`: what waits, waits no longer, and says honestly what is known.

use prost::Message;
use tonic::Code;

use super::client::{Grpc, error_info, framed, refused};
use super::pb;
use super::permissions::rows;
use super::records::record;
use super::stream::{Open, batch};
use crate::harness::{shared, soon, unique};
use crate::tenants::people::{Engine, Tenant};

#[tokio::test]
async fn a_read_waits_no_longer_than_its_client() {
    let api = shared().await;
    let grpc = Grpc::connect(&api).await.with("grpc-timeout", "300m");
    let topic = unique("grpc-wait");
    api.topic(&topic, 1).await;
    let wait = pb::FetchPartitionRequest {
        topic: topic.clone(),
        limits: Some(pb::ReadLimits {
            wait_ms: 60_000,
            ..pb::ReadLimits::default()
        }),
        ..pb::FetchPartitionRequest::default()
    };
    // An empty page in time; the machine may be so busy that even that comes too late.
    let path = "/headwater.v1.RecordService/FetchPartition";
    let answer = soon("the wait ends", grpc.raw(path, framed(&wait))).await;
    match answer.status.code() {
        Code::Ok => {
            let page = pb::FetchPartitionResponse::decode(answer.messages[0].clone());
            assert_eq!(page.expect("a page").records, []);
        }
        _ => refused(&answer.status, Code::DeadlineExceeded, "deadline_exceeded"),
    }
    let tail = pb::TailRequest {
        topic,
        ..pb::TailRequest::default()
    };
    let tail = grpc.records().tail(tail).await;
    let mut tail = tail.expect("a tail").into_inner();
    let end = soon("the tail ends", tail.message()).await.unwrap_err();
    refused(&end, Code::DeadlineExceeded, "deadline_exceeded");
}

#[tokio::test]
async fn nothing_begins_after_the_deadline() {
    let api = shared().await;
    let grpc = Grpc::connect(&api).await.with("grpc-timeout", "1n");
    api.send("PUT", "/topics/walked", "{}").await;
    let before = api.high_watermarks("/topics/walked").await;
    for (method, _, call) in rows(1) {
        let late = grpc.raw(&format!("/headwater.v1.{method}"), call).await;
        refused(&late.status, Code::DeadlineExceeded, "deadline_exceeded");
    }
    assert_eq!(api.high_watermarks("/topics/walked").await, before);
}

#[tokio::test]
async fn nobody_knows_what_became_of_a_batch_that_took_too_long() {
    let tenant = Tenant::new(Engine::Sqlite).await;
    tenant.key.topic("late", 1).await;
    let quotas = serde_json::json!({"ingress_bytes_per_second": 1});
    let path = tenant.in_project("/quotas");
    let limited = tenant.owner.api.manage("PATCH", &path, quotas).await;
    limited.expect(200);
    let grpc = Grpc::connect(&tenant.key).await;
    let mut stream = Open::at(&grpc.with("grpc-timeout", "3S"), "late").await;
    // It is taken, and paid for by those behind it.
    stream.send(batch(0, vec![record(vec![0; 10_000])])).await;
    let status = loop {
        match stream.next().await {
            Ok(answer) => assert_eq!(answer.expect("no end").sequence, 0),
            Err(status) => break status,
        }
        stream.send(batch(1, vec![record("late")])).await;
    };
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert_eq!(error_info(&status)["outcome"], "unknown");
}
