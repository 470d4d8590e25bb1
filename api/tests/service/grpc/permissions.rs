//! Every method, by everybody: done, refused or hidden as its twin in REST.

use prost::Message;
use tonic::Code;
use tonic_types::StatusExt;

use super::client::{Grpc, error_info, framed};
use super::pb;
use super::pb::produce_stream_request::Request as Part;
use super::pb::reset_group_offsets_request::To;
use super::records::{produce, record};
use crate::groups::worker::{Worker, ensure};
use crate::harness::eventually;
use crate::tenants::callers::callers;
use crate::tenants::operations::{Operation, streaming};
use crate::tenants::people::{Engine, Tenant, on_both_engines};

on_both_engines!(everybody_may_do_what_they_may_over_rest);

/// A method, the operation of REST that it is, and a call of it that changes nothing.
struct Row {
    method: &'static str,
    twin: &'static str,
    call: Vec<u8>,
}

fn row(method: &'static str, twin: &'static str, message: &impl Message) -> Row {
    let call = framed(message);
    Row { method, twin, call }
}

const TOPIC: &str = "walked";
const GROUP: &str = "walked";

#[rustfmt::skip] // a table
pub fn rows(epoch: u64) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let topic = TOPIC.to_owned();
    let (group, member) = (GROUP.to_owned(), "walker".to_owned());
    let spec = Some(pb::TopicSpec { partitions: Some(2), ..pb::TopicSpec::default() });
    let part = |part| framed(&pb::ProduceStreamRequest { request: Some(part) });
    let open = part(Part::Open(pb::ProduceStreamOpen { topic: topic.clone(), acks: 0 }));
    let batch = part(Part::Batch(pb::ProduceStreamBatch { records: vec![record("1")], ..pb::ProduceStreamBatch::default() }));
    let stream = Row { method: "RecordService/ProduceStream", twin: "POST /topics/{}/records/bulk", call: [open, batch].concat() };
    let rows = vec![
        row("TopicService/ListTopics", "GET /topics", &pb::ListTopicsRequest::default()),
        row("TopicService/EnsureTopic", "PUT /topics/{}", &pb::EnsureTopicRequest { topic: topic.clone(), spec: spec.clone(), dry_run: true }),
        row("TopicService/GetTopic", "GET /topics/{}", &pb::GetTopicRequest { topic: topic.clone() }),
        row("TopicService/UpdateTopic", "PATCH /topics/{}", &pb::UpdateTopicRequest { topic: topic.clone(), spec, dry_run: true, ..pb::UpdateTopicRequest::default() }),
        row("TopicService/DeleteTopic", "DELETE /topics/{}", &pb::DeleteTopicRequest { topic: topic.clone(), dry_run: true, ..pb::DeleteTopicRequest::default() }),
        row("TopicService/ListPartitions", "GET /topics/{}/partitions", &pb::ListPartitionsRequest { topic: topic.clone() }),
        row("TopicService/ListOffsets", "GET /topics/{}/offsets", &pb::ListOffsetsRequest { topic: topic.clone(), at_ms: Some(0) }),
        row("TopicService/TrimPartition", "POST /topics/{}/trim", &pb::TrimPartitionRequest { topic: topic.clone(), ..pb::TrimPartitionRequest::default() }),
        row("RecordService/Produce", "POST /topics/{}/records", &produce(TOPIC, vec![record("1")])),
        stream,
        row("RecordService/FetchPartition", "GET /topics/{}/partitions/{}/records", &pb::FetchPartitionRequest { topic: topic.clone(), ..pb::FetchPartitionRequest::default() }),
        row("RecordService/FetchTopic", "GET /topics/{}/records", &pb::FetchTopicRequest { topic: topic.clone(), ..pb::FetchTopicRequest::default() }),
        row("RecordService/Tail", "GET /topics/{}/tail", &pb::TailRequest { topic: topic.clone(), ..pb::TailRequest::default() }),
        row("GroupService/ListGroups", "GET /groups", &pb::ListGroupsRequest::default()),
        row("GroupService/EnsureGroup", "PUT /groups/{}", &pb::EnsureGroupRequest { group: group.clone(), topics: vec![topic], ..pb::EnsureGroupRequest::default() }),
        row("GroupService/GetGroup", "GET /groups/{}", &pb::GetGroupRequest { group: group.clone() }),
        row("GroupService/Join", "PUT /groups/{}/members/{}", &pb::JoinRequest { group: group.clone(), member: member.clone(), ..pb::JoinRequest::default() }),
        row("GroupService/Poll", "POST /groups/{}/members/{}/poll", &pb::PollRequest { group: group.clone(), member: "walked".into(), epoch, ..pb::PollRequest::default() }),
        row("GroupService/Leave", "DELETE /groups/{}/members/{}", &pb::LeaveRequest { group: group.clone(), member, ..pb::LeaveRequest::default() }),
        row("GroupService/ListGroupOffsets", "GET /groups/{}/offsets", &pb::ListGroupOffsetsRequest { group: group.clone() }),
        row("GroupService/ResetGroupOffsets", "POST /groups/{}/offsets", &pb::ResetGroupOffsetsRequest { group, to: Some(To::Shift(0)), dry_run: true, force: true, ..pb::ResetGroupOffsetsRequest::default() }),
    ];
    rows.into_iter().map(|row| (row.method, row.twin, row.call)).collect()
}

fn twin(template: &str) -> Operation {
    let mut operations = streaming().into_iter();
    operations
        .find(|operation| format!("{} {}", operation.method, operation.template) == template)
        .unwrap_or_else(|| panic!("REST has no {template}"))
}

async fn everybody_may_do_what_they_may_over_rest(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let owner = &tenant.owner.api.in_project(&tenant.project);
    owner.topic(TOPIC, 2).await;
    ensure(owner, GROUP, serde_json::json!({"topics": [TOPIC]})).await;
    let long = serde_json::json!({"lease_ms": 300_000});
    let walked = Worker::join_as(owner, GROUP, "walked", long).await;
    let mut wrong = Vec::new();
    for caller in callers(engine, &tenant).await {
        let grpc = Grpc::connect(&caller.api).await;
        let grpc = grpc.with("headwater-project", &tenant.project);
        for (method, template, call) in rows(walked.epoch) {
            let operation = twin(template);
            let answer = grpc.raw(&format!("/headwater.v1.{method}"), call).await;
            let expected = match caller.may(&operation) {
                true => (Code::Ok, String::new()),
                false => {
                    let (status, code) = caller.refusal(&operation);
                    let status = match status {
                        401 => Code::Unauthenticated,
                        403 => Code::PermissionDenied,
                        _ => Code::NotFound,
                    };
                    (status, code.to_owned())
                }
            };
            let told = match answer.status.code() {
                Code::Ok => (Code::Ok, String::new()),
                code => (code, error_info(&answer.status)["reason"].clone()),
            };
            if told != expected {
                wrong.push(format!(
                    "{}: {method}: {told:?}, not {expected:?}",
                    caller.name
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    let path = tenant.path("/audit-events?action=deleteTopic&outcome=denied");
    let target = format!("projects/{}/topics/{TOPIC}", tenant.project);
    eventually("what is refused is written down", async || {
        let denied = tenant.owner.api.see(&path).await;
        let events = denied["events"].as_array().expect("events");
        events
            .iter()
            .any(|event| event["target"] == target.as_str())
    })
    .await;
}

#[tokio::test]
async fn a_key_is_of_its_project_and_people_name_theirs() {
    let first = Tenant::new(Engine::Sqlite).await;
    let second = Tenant::new(Engine::Sqlite).await;
    first.key.topic("mine", 1).await;
    second.key.topic("theirs", 1).await;
    let names = async |grpc: &Grpc| {
        let listed = grpc
            .topics()
            .list_topics(pb::ListTopicsRequest::default())
            .await;
        let listed = listed.map(|listed| listed.into_inner().topics.into_iter());
        listed.map(|topics| topics.map(|topic| topic.name).collect::<Vec<_>>())
    };
    let key = Grpc::connect(&first.key).await;
    assert_eq!(names(&key).await.expect("its own"), ["mine"]);
    let own = key.with("headwater-project", &first.project);
    assert_eq!(names(&own).await.expect("its own"), ["mine"]);
    let other = key.with("headwater-project", &second.project);
    let status = names(&other).await.unwrap_err();
    super::client::refused(&status, Code::NotFound, "not_found");
    let owner = Grpc::connect(&first.owner.api).await;
    let status = names(&owner).await.unwrap_err();
    super::client::refused(&status, Code::InvalidArgument, "invalid_request");
    let named = owner.with("headwater-project", &first.project);
    assert_eq!(names(&named).await.expect("theirs"), ["mine"]);
    let status = names(&owner.with("headwater-project", &second.project))
        .await
        .unwrap_err();
    super::client::refused(&status, Code::NotFound, "not_found");
}

#[tokio::test]
async fn quotas_hold_over_both() {
    let tenant = Tenant::new(Engine::Sqlite).await;
    tenant.key.topic("metered", 1).await;
    let quotas = serde_json::json!({"requests_per_second": 1, "tails": 1});
    let path = tenant.in_project("/quotas");
    tenant
        .owner
        .api
        .manage("PATCH", &path, quotas)
        .await
        .expect(200);
    let grpc = Grpc::connect(&tenant.key).await;
    let mut status = None;
    eventually("the quota is used up", async || {
        let asked = pb::GetTopicRequest {
            topic: "metered".into(),
        };
        status = grpc.topics().get_topic(asked).await.err();
        status.is_some()
    })
    .await;
    let status = status.expect("refused");
    super::client::refused(&status, Code::ResourceExhausted, "quota_exceeded");
    let details = status.get_error_details();
    assert!(
        details
            .retry_info()
            .is_some_and(|info| info.retry_delay.is_some())
    );
    assert_eq!(error_info(&status)["rate_limit"], "1");
}
