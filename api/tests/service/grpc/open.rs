//! What needs no credential: health and reflection.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream;
use prost::Message;
use prost_types::{DescriptorProto, FileDescriptorProto};
use tonic::Code;

use super::client::{Grpc, refused};
use super::pb::health::{HealthCheckRequest, health_check_response::ServingStatus};
use super::pb::reflection::{
    ServerReflectionRequest, server_reflection_request::MessageRequest,
    server_reflection_response::MessageResponse,
};
use crate::client::Api;
use crate::harness::{Server, shared, soon};

fn check(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

#[tokio::test]
async fn health_says_what_readyz_says() {
    let mut server = Server::start().await;
    let mut health = Grpc::connect(&Api::stranger(server.root())).await.health();
    for service in [
        "",
        "headwater.v1.TopicService",
        "headwater.v1.RecordService",
    ] {
        let status = health.check(check(service)).await.expect("a status");
        assert_eq!(status.into_inner().status(), ServingStatus::Serving);
    }
    let unknown = health.check(check("headwater.v1.Nothing")).await;
    refused(&unknown.unwrap_err(), Code::NotFound, "not_found");
    let mut unknown = health
        .watch(check("no.Such"))
        .await
        .expect("a watch")
        .into_inner();
    let status = soon("a status", unknown.message()).await.expect("no error");
    assert_eq!(
        status.expect("a status").status(),
        ServingStatus::ServiceUnknown
    );
    drop(unknown);
    let mut watch = health.watch(check("")).await.expect("a watch").into_inner();
    for expected in [ServingStatus::Serving, ServingStatus::NotServing] {
        let status = soon("a status", watch.message()).await.expect("no error");
        assert_eq!(status.expect("a status").status(), expected);
        if expected == ServingStatus::Serving {
            server.terminate();
        }
    }
    soon("the server stops", server.exited()).await;
}

async fn ask(questions: Vec<MessageRequest>) -> Vec<MessageResponse> {
    let api = Api::stranger(shared().await.root);
    let mut reflection = Grpc::connect(&api).await.reflection();
    let questions = questions
        .into_iter()
        .map(|question| ServerReflectionRequest {
            host: String::new(),
            message_request: Some(question),
        });
    let questions: Vec<_> = questions.collect();
    let answers = reflection
        .server_reflection_info(stream::iter(questions))
        .await;
    let mut answers = answers.expect("answers").into_inner();
    let mut told = Vec::new();
    while let Some(answer) = soon("an answer", answers.message())
        .await
        .expect("no error")
    {
        told.push(answer.message_response.expect("something"));
    }
    told
}

/// The file that has a symbol.
pub async fn file_of(symbol: &str) -> FileDescriptorProto {
    let told = ask(vec![MessageRequest::FileContainingSymbol(symbol.into())]).await;
    let [MessageResponse::FileDescriptorResponse(found)] = &told[..] else {
        panic!("{symbol}: {told:?}");
    };
    FileDescriptorProto::decode(found.file_descriptor_proto[0].as_slice()).expect("a descriptor")
}

#[tokio::test]
async fn tools_find_everything_by_reflection() {
    let told = ask(vec![MessageRequest::ListServices(String::new())]).await;
    let [MessageResponse::ListServicesResponse(list)] = &told[..] else {
        panic!("{told:?}");
    };
    let services: BTreeSet<_> = list
        .service
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    let expected = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "headwater.v1.GroupService",
        "headwater.v1.RecordService",
        "headwater.v1.TopicService",
    ];
    assert_eq!(services, BTreeSet::from(expected));
    let mut methods = BTreeMap::new();
    for service in services {
        let file = file_of(service).await;
        let name = service.rsplit('.').next().expect("a name");
        let found = file
            .service
            .iter()
            .find(|found| found.name() == name)
            .expect("the service");
        methods.insert(name.to_owned(), found.method.len());
    }
    assert_eq!((methods["TopicService"], methods["RecordService"]), (8, 6));
    let records = file_of("headwater.v1.Record.timestamp_ms").await;
    assert_eq!(records.name(), "headwater/v1/records.proto");
    let named = |message: &DescriptorProto| message.name() == "Record";
    assert!(records.message_type.iter().any(named));
    for symbol in [
        "headwater.v1.TopicService.GetTopic",
        "headwater.v1.ACKS_QUORUM",
        "headwater.v1.Acks",
    ] {
        file_of(symbol).await;
    }
    let told = ask(vec![
        MessageRequest::FileByFilename("headwater/v1/topics.proto".into()),
        MessageRequest::FileByFilename("nothing.proto".into()),
        MessageRequest::FileContainingSymbol("headwater.v1.Nothing".into()),
        MessageRequest::AllExtensionNumbersOfType("headwater.v1.Record".into()),
        MessageRequest::AllExtensionNumbersOfType("nothing".into()),
    ])
    .await;
    let kinds: Vec<_> = told
        .iter()
        .map(|answer| match answer {
            MessageResponse::FileDescriptorResponse(_) => "file",
            MessageResponse::AllExtensionNumbersResponse(_) => "extensions",
            MessageResponse::ListServicesResponse(_) => "services",
            MessageResponse::ErrorResponse(error) => {
                assert_eq!(error.error_code, i32::from(Code::NotFound));
                "not found"
            }
        })
        .collect();
    assert_eq!(
        kinds,
        ["file", "not found", "not found", "extensions", "not found"]
    );
}
