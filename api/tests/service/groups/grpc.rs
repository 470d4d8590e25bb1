//! The same groups over gRPC.

use serde_json::json;
use tonic::Code;

use super::worker::{Worker, fill, group_of};
use crate::grpc::client::{Grpc, refused};
use crate::grpc::pb;
use crate::harness::shared;

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
        Code::Unimplemented,
        "not_implemented",
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
