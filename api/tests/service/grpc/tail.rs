//! `Tail`: records as they come, from a cursor on, until the service stops or the key goes.

use tonic::{Code, Streaming};

use super::client::{Grpc, refused};
use super::pb;
use super::pb::tail_request::Start;
use super::records::{produce, record};
use crate::harness::{Server, eventually, shared, soon, unique};
use crate::tenants::people::{Engine, Tenant};
use crate::vanish::gauge;

fn ask(topic: &str, start: Option<Start>) -> pb::TailRequest {
    pb::TailRequest {
        topic: topic.to_owned(),
        start,
        ..pb::TailRequest::default()
    }
}

async fn next(tail: &mut Streaming<pb::TailResponse>) -> pb::TailResponse {
    let message = soon("the tail goes on", tail.message()).await;
    message.expect("no error").expect("no end")
}

#[tokio::test]
async fn a_tail_goes_on_from_its_cursor() {
    let api = shared().await;
    let mut records = Grpc::connect(&api).await.records();
    let topic = unique("grpc-tail");
    api.topic(&topic, 1).await;
    records
        .produce(produce(&topic, vec![record("0"), record("1")]))
        .await
        .expect("written");
    let tail = records.tail(ask(&topic, Some(Start::Newest(1)))).await;
    let mut tail = tail.expect("a tail").into_inner();
    let first = next(&mut tail).await;
    assert_eq!(first.records[0].value(), b"1");
    records
        .produce(produce(&topic, vec![record("2")]))
        .await
        .expect("written");
    let second = next(&mut tail).await;
    assert_eq!(
        (second.records[0].value(), second.records[0].offset()),
        (&b"2"[..], 2)
    );
    drop(tail);
    let resumed = records
        .tail(ask(&topic, Some(Start::Cursor(first.cursor))))
        .await;
    let resumed = next(&mut resumed.expect("a tail").into_inner()).await;
    assert_eq!(resumed.records, second.records);
    let forged = records
        .tail(ask(&topic, Some(Start::Cursor("x".into()))))
        .await;
    refused(
        &forged.unwrap_err(),
        Code::InvalidArgument,
        "invalid_cursor",
    );
}

#[tokio::test]
async fn a_tail_ends_with_its_key_and_leaves_nothing() {
    let tenant = Tenant::new(Engine::Sqlite).await;
    tenant.key.topic("ends", 1).await;
    let path = tenant.in_project(&format!("/keys/{}", unique("short")));
    let scopes = serde_json::json!([{"operations": ["fetch"], "topic": "*"}]);
    let key = crate::tenants::people::make_key(&tenant.owner.api, &path, scopes).await;
    let mut records = Grpc::connect(&key).await.records();
    let mut tail = records
        .tail(ask("ends", None))
        .await
        .expect("a tail")
        .into_inner();
    tenant
        .owner
        .api
        .manage("DELETE", &path, serde_json::Value::Null)
        .await
        .expect(204);
    let status = soon("the tail ends", tail.message()).await.unwrap_err();
    refused(&status, Code::Unauthenticated, "unauthenticated");
}

#[tokio::test]
async fn a_tail_says_goodbye_and_a_client_that_goes_leaves_nothing() {
    let mut server = Server::start().await;
    let api = server.api();
    api.topic("stopped", 1).await;
    let mut records = Grpc::connect(&api).await.records();
    let gone = records.tail(ask("stopped", None)).await.expect("a tail");
    let mut stays = records
        .tail(ask("stopped", None))
        .await
        .expect("a tail")
        .into_inner();
    assert_eq!(gauge(&api, "headwater_tails_open").await, 2);
    drop(gone);
    eventually("the tail is gone", async || {
        gauge(&api, "headwater_tails_open").await == 1
    })
    .await;
    server.terminate();
    assert!(next(&mut stays).await.goaway);
    let end = soon("the tail ends", stays.message()).await;
    assert_eq!(end.expect("no error"), None);
    soon("the server stops", server.exited()).await;
}
