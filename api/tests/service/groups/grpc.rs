//! The same groups over gRPC.

use serde_json::json;
use tonic::Code;

use super::worker::{Worker, fill, group_of};
use crate::grpc::client::{Grpc, refused};
use crate::grpc::pb;
use crate::harness::{shared, unique};

fn poll(group: &str, epoch: u64) -> pb::PollRequest {
    pb::PollRequest {
        group: group.to_owned(),
        member: "w".into(),
        epoch,
        ..pb::PollRequest::default()
    }
}

#[tokio::test]
async fn a_member_may_speak_either() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 2).await;
    fill(&api, &topic, 0, 0..4).await;
    let mut grpc = Grpc::connect(&api).await.groups();
    let join = pb::JoinRequest {
        group: group.clone(),
        member: "w".into(),
        ..pb::JoinRequest::default()
    };
    let joined = grpc.join(join).await.expect("joined").into_inner();
    assert_eq!(joined.assignment.len(), 2);
    let ask = pb::PollRequest {
        limits: Some(pb::ReadLimits {
            max_records: Some(3),
            ..pb::ReadLimits::default()
        }),
        ..poll(&group, joined.epoch)
    };
    let told = grpc.poll(ask).await.expect("polled").into_inner();
    let records: Vec<_> = told
        .records
        .iter()
        .map(|r| (r.topic.as_deref(), r.partition, r.offset))
        .collect();
    let at = |offset| (Some(topic.as_str()), Some(0), Some(offset));
    assert_eq!(records, [at(0), at(1), at(2)]);
    assert_eq!((told.lag_records, told.assigned.len()), (4, 2));
    // A cursor is one over both.
    let mut worker = Worker {
        api: api.clone(),
        group: group.clone(),
        name: "w".into(),
        epoch: told.epoch,
        cursor: Some(told.cursor.clone()),
        owned: vec![0, 1],
    };
    let rest = worker.go_on(json!({})).await;
    assert_eq!(super::worker::values(&rest), [3]);
    let commit = pb::CommitRequest {
        group: group.clone(),
        member: "w".into(),
        epoch: worker.epoch,
        cursor: worker.cursor.clone().expect("a cursor"),
    };
    let committed = grpc
        .commit(commit.clone())
        .await
        .expect("committed")
        .into_inner();
    assert!(committed.ignored.is_empty());
    let offsets = pb::ListGroupOffsetsRequest {
        group: group.clone(),
    };
    let told = grpc
        .list_group_offsets(offsets)
        .await
        .expect("told")
        .into_inner();
    let positions: Vec<_> = told
        .positions
        .iter()
        .map(|at| (at.committed, at.lag, at.lag_ms))
        .collect();
    assert_eq!(
        positions,
        [(Some(4), Some(0), Some(0)), (None, Some(0), Some(0))]
    );
    let wrong = grpc
        .commit(pb::CommitRequest {
            cursor: "made up".into(),
            ..commit
        })
        .await;
    refused(&wrong.unwrap_err(), Code::InvalidArgument, "invalid_cursor");
    let nobody = grpc
        .poll(pb::PollRequest {
            member: "x".into(),
            ..poll(&group, 1)
        })
        .await;
    refused(&nobody.unwrap_err(), Code::Aborted, "member_expired");
    let back = pb::ResetGroupOffsetsRequest {
        group: group.clone(),
        to: Some(pb::reset_group_offsets_request::To::Shift(-3)),
        ..pb::ResetGroupOffsetsRequest::default()
    };
    refused(
        &grpc.reset_group_offsets(back.clone()).await.unwrap_err(),
        Code::FailedPrecondition,
        "group_active",
    );
    let leave = pb::LeaveRequest {
        group: group.clone(),
        member: "w".into(),
        epoch: Some(worker.epoch),
    };
    grpc.leave(leave).await.expect("left");
    let moved = grpc
        .reset_group_offsets(back)
        .await
        .expect("moved")
        .into_inner();
    let moved: Vec<_> = moved
        .partitions
        .iter()
        .map(|at| (at.before, at.after))
        .collect();
    assert_eq!(moved, [(4, 1), (0, 0)]);
}

#[tokio::test]
async fn groups_are_made_and_listed() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 1).await;
    let mut grpc = Grpc::connect(&api).await.groups();
    let same = pb::EnsureGroupRequest {
        group: group.clone(),
        topics: vec![topic.clone()],
        ..pb::EnsureGroupRequest::default()
    };
    let ensured = grpc
        .ensure_group(same.clone())
        .await
        .expect("there")
        .into_inner();
    assert!(!ensured.created);
    let other = pb::EnsureGroupRequest {
        lease_ms: Some(11_000),
        ..same.clone()
    };
    refused(
        &grpc.ensure_group(other).await.unwrap_err(),
        Code::AlreadyExists,
        "group_exists",
    );
    let shared = pb::EnsureGroupRequest {
        r#type: pb::GroupType::Shared.into(),
        ..same
    };
    refused(
        &grpc.ensure_group(shared).await.unwrap_err(),
        Code::AlreadyExists,
        "group_exists",
    );
    let is = grpc
        .get_group(pb::GetGroupRequest {
            group: group.clone(),
        })
        .await
        .expect("there")
        .into_inner();
    assert_eq!(
        (is.state(), is.r#type(), is.topics),
        (
            pb::GroupState::Empty,
            pb::GroupType::Partitioned,
            vec![topic]
        )
    );
    let listed = pb::ListGroupsRequest {
        page_size: Some(1000),
        ..pb::ListGroupsRequest::default()
    };
    let listed = grpc.list_groups(listed).await.expect("listed").into_inner();
    assert!(listed.groups.iter().any(|listed| listed.group == group));
    let gone = pb::DeleteGroupRequest { group };
    grpc.delete_group(gone.clone()).await.expect("deleted");
    refused(
        &grpc.delete_group(gone).await.unwrap_err(),
        Code::NotFound,
        "group_not_found",
    );
}

#[tokio::test]
async fn records_are_leased_and_settled() {
    let api = shared().await;
    let topic = unique("work");
    api.topic(&topic, 1).await;
    fill(&api, &topic, 0, 0..1).await;
    let group = unique("shared");
    let mut grpc = Grpc::connect(&api).await.groups();
    let ensured = grpc.ensure_group(pb::EnsureGroupRequest {
        group: group.clone(),
        r#type: pb::GroupType::Shared.into(),
        topics: vec![topic.clone()],
        max_attempts: Some(2),
        ..pb::EnsureGroupRequest::default()
    });
    let ensured = ensured.await.expect("made").into_inner();
    let is = ensured.group.expect("the group");
    assert_eq!(
        (is.r#type(), is.max_attempts),
        (pb::GroupType::Shared, Some(2))
    );
    let ask = pb::LeaseRequest {
        group: group.clone(),
        ..pb::LeaseRequest::default()
    };
    let leased = grpc.lease(ask.clone()).await.expect("leased").into_inner();
    let [record] = leased.records.as_slice() else {
        panic!("{leased:?}");
    };
    assert_eq!(
        (record.topic.as_deref(), record.offset),
        (Some(topic.as_str()), Some(0))
    );
    assert_eq!((leased.leases.len(), leased.leases[0].attempt), (1, 1));
    let lease = leased.leases[0].lease.clone();
    let settle = |ack: Vec<String>, nack: Vec<pb::Nack>| pb::SettleRequest {
        group: group.clone(),
        ack,
        nack,
        ..pb::SettleRequest::default()
    };
    let nack = pb::Nack {
        lease: lease.clone(),
        ..pb::Nack::default()
    };
    let settled = grpc.settle(settle(Vec::new(), vec![nack])).await;
    let settled = settled.expect("settled").into_inner();
    assert_eq!(settled.results, [i32::from(pb::SettleStatus::Ok)]);
    // A lease is one over both.
    let again = super::shared::try_lease(&api, &group, json!({})).await;
    let again = again.expect(200).json();
    assert_eq!(again["records"][0]["attempt"], 2);
    let second = again["records"][0]["lease"]
        .as_str()
        .expect("a lease")
        .to_owned();
    let settled = grpc
        .settle(settle(vec![second, lease, "made up".into()], Vec::new()))
        .await;
    let settled = settled.expect("settled").into_inner();
    let expected = [
        pb::SettleStatus::Ok,
        pb::SettleStatus::Ok,
        pb::SettleStatus::Unknown,
    ];
    assert_eq!(
        settled.results,
        expected.map(i32::from),
        "what is settled is settled"
    );
    let empty = grpc.lease(ask).await.expect("leased").into_inner();
    assert_eq!((empty.records.len(), empty.expires_at_ms), (0, None));
}
