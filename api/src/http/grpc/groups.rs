//! `headwater.v1.GroupService`

use tonic::Request;

use super::{
    call::{Answer, Call},
    page::{Page as RecordPage, keeping},
    pb::headwater::v1 as pb,
    read::limits_of,
    redrive::{ask_of, redriven},
    services::headwater::group_service_server::GroupService,
    topics::known,
};
use crate::{
    auth::permissions::{
        DeleteGroup, EnsureGroup, GetGroup, JoinGroup, LeaseRecords, LeaveGroup, ListGroupOffsets,
        ListGroups, PollGroup, RedriveGroup, ResetGroupOffsets, SettleRecords,
    },
    gateway::{
        Form, Group, GroupPage, GroupPosition, GroupSpec, GroupStart, GroupState, GroupSummary,
        GroupType, LeasePage, OnOutOfRange, PollAsk, ReadLimits, ResetAsk, ResetOffset, ResetTo,
        SettleAsk, SettleStatus, TimePoint, TopicPartition,
    },
    http::{
        groups::{members::poll, redrive::redrive, shared},
        params::{Page, in_range},
    },
    limits::{OFFSET_MAX, PAGE_SIZE},
    problem::Problem,
};

/// The methods; what they need comes with each call.
pub struct GroupMethods;

#[tonic::async_trait]
impl GroupService for GroupMethods {
    async fn list_groups(
        &self,
        request: Request<pb::ListGroupsRequest>,
    ) -> Answer<pb::ListGroupsResponse> {
        let (call, wanted) = Call::of(request);
        let work = async {
            let caller = call.in_project::<ListGroups>(None)?;
            let size = wanted.page_size.map(u64::from);
            let in_range = |size| in_range("page_size", size, 1, PAGE_SIZE.1 as u64);
            let token = Some(wanted.page_token.as_str()).filter(|token| !token.is_empty());
            let page = Page::of(size.map(in_range).transpose()?, token)?;
            let gateway = &call.app.gateway;
            let listed = gateway.list_groups_of(&caller.access, &page.after, page.size + 1);
            let mut groups = listed.await?;
            let next_page_token = page.cut(&mut groups, |group| &group.group);
            Ok(pb::ListGroupsResponse {
                groups: groups.into_iter().map(summarized).collect(),
                next_page_token: next_page_token.unwrap_or_default(),
            })
        };
        call.read(work).await
    }

    async fn ensure_group(
        &self,
        request: Request<pb::EnsureGroupRequest>,
    ) -> Answer<pb::EnsureGroupResponse> {
        let (call, wanted) = Call::of(request);
        let work = async {
            let caller = call.in_project::<EnsureGroup>(Some(&wanted.group))?;
            let spec = GroupSpec {
                kind: match known("/type", wanted.r#type)? {
                    pb::GroupType::Unspecified => None,
                    pb::GroupType::Partitioned => Some(GroupType::Partitioned),
                    pb::GroupType::Shared => Some(GroupType::Shared),
                },
                start: match known("/start", wanted.start)? {
                    pb::GroupStart::Unspecified => None,
                    pb::GroupStart::Earliest => Some(GroupStart::Earliest),
                    pb::GroupStart::Latest => Some(GroupStart::Latest),
                },
                topics: wanted.topics,
                lease_ms: wanted.lease_ms,
                max_attempts: wanted.max_attempts,
                dead_letter_topic: wanted.dead_letter_topic,
            };
            let gateway = &call.app.gateway;
            let ensured = gateway.put_group(&caller.access, &wanted.group, spec);
            let (group, created) = ensured.await?;
            Ok(pb::EnsureGroupResponse {
                group: Some(described(group)),
                created,
            })
        };
        call.change(work).await
    }

    async fn get_group(&self, request: Request<pb::GetGroupRequest>) -> Answer<pb::Group> {
        let (call, wanted) = Call::of(request);
        let work = async {
            let caller = call.in_project::<GetGroup>(Some(&wanted.group))?;
            let group = call.app.gateway.get_group(&caller.access, &wanted.group);
            group.await.map(described)
        };
        call.read(work).await
    }

    async fn delete_group(
        &self,
        request: Request<pb::DeleteGroupRequest>,
    ) -> Answer<pb::DeleteGroupResponse> {
        let (call, wanted) = Call::of(request);
        let work = async {
            let caller = call.in_project::<DeleteGroup>(Some(&wanted.group))?;
            let gateway = &call.app.gateway;
            gateway.delete_group(&caller.access, &wanted.group).await?;
            Ok(pb::DeleteGroupResponse {})
        };
        call.change(work).await
    }

    async fn join(&self, request: Request<pb::JoinRequest>) -> Answer<pb::JoinResponse> {
        let (call, wanted) = Call::of(request);
        let work = async {
            let caller = call.in_project::<JoinGroup>(Some(&wanted.group))?;
            let joined = call.app.gateway.join_group(
                &caller.access,
                &wanted.group,
                &wanted.member,
                wanted.instance,
                wanted.lease_ms,
            );
            let joined = joined.await?;
            Ok(pb::JoinResponse {
                epoch: joined.epoch,
                assignment: partitions(joined.assignment),
                expires_at_ms: joined.expires_at_ms,
            })
        };
        call.change(work).await
    }

    async fn poll(
        &self,
        request: Request<pb::PollRequest>,
    ) -> Answer<RecordPage<pb::PollResponse>> {
        let (call, wanted) = Call::of(request);
        let work = async {
            let caller = call.in_project::<PollGroup>(Some(&wanted.group))?;
            let given = |cursor: String| Some(cursor).filter(|cursor| !cursor.is_empty());
            let ask = PollAsk {
                epoch: in_range("epoch", wanted.epoch, 0, OFFSET_MAX)?,
                commit: given(wanted.commit),
                after: given(wanted.after),
                limits: ReadLimits {
                    on_out_of_range: OnOutOfRange::Undeleted,
                    form: Form::Protobuf { with_topic: true },
                    ..limits_of(&call, wanted.limits)?
                },
            };
            let page = poll(&call.app, &caller, &wanted.member, &ask).await?;
            Ok(polled(page))
        };
        // What it commits may stand.
        keeping(call.change(work).await)
    }

    async fn commit(&self, request: Request<pb::CommitRequest>) -> Answer<pb::CommitResponse> {
        let (call, wanted) = Call::of(request);
        let work = async {
            let caller = call.in_project::<PollGroup>(Some(&wanted.group))?;
            let epoch = in_range("epoch", wanted.epoch, 0, OFFSET_MAX)?;
            let committed = call.app.gateway.commit_group(
                &caller.access,
                &wanted.group,
                &wanted.member,
                epoch,
                &wanted.cursor,
            );
            let committed = committed.await?;
            Ok(pb::CommitResponse {
                ignored: partitions(committed.ignored),
                expires_at_ms: committed.expires_at_ms,
            })
        };
        call.change(work).await
    }

    async fn leave(&self, request: Request<pb::LeaveRequest>) -> Answer<pb::LeaveResponse> {
        let (call, wanted) = Call::of(request);
        let work = async {
            let caller = call.in_project::<LeaveGroup>(Some(&wanted.group))?;
            let epoch = wanted
                .epoch
                .map(|epoch| in_range("epoch", epoch, 0, OFFSET_MAX));
            let left = call.app.gateway.leave_group(
                &caller.access,
                &wanted.group,
                &wanted.member,
                epoch.transpose()?,
            );
            left.await.map(|()| pb::LeaveResponse {})
        };
        call.change(work).await
    }

    async fn list_group_offsets(
        &self,
        request: Request<pb::ListGroupOffsetsRequest>,
    ) -> Answer<pb::ListGroupOffsetsResponse> {
        let (call, wanted) = Call::of(request);
        let work = async {
            let caller = call.in_project::<ListGroupOffsets>(Some(&wanted.group))?;
            let gateway = &call.app.gateway;
            let told = gateway
                .group_positions(&caller.access, &wanted.group)
                .await?;
            let positions = told.into_iter().map(position).collect();
            Ok(pb::ListGroupOffsetsResponse { positions })
        };
        call.read(work).await
    }

    async fn reset_group_offsets(
        &self,
        request: Request<pb::ResetGroupOffsetsRequest>,
    ) -> Answer<pb::ResetGroupOffsetsResponse> {
        let (call, wanted) = Call::of(request);
        let work = async {
            let caller = call.in_project::<ResetGroupOffsets>(Some(&wanted.group))?;
            let ask = ResetAsk {
                to: reset_to(wanted.to)?,
                topics: Some(wanted.topics).filter(|topics| !topics.is_empty()),
                dry_run: wanted.dry_run,
                force: wanted.force,
            };
            let gateway = &call.app.gateway;
            let reset = gateway.reset_group(&caller.access, &wanted.group, &ask);
            let partitions = reset.await?.into_iter().map(|moved| pb::ResetPartition {
                topic: moved.topic,
                partition: moved.partition,
                before: moved.before,
                after: moved.after,
            });
            let partitions = partitions.collect();
            Ok(pb::ResetGroupOffsetsResponse { partitions })
        };
        call.change(work).await
    }

    async fn lease(
        &self,
        request: Request<pb::LeaseRequest>,
    ) -> Answer<RecordPage<pb::LeaseResponse>> {
        let (call, wanted) = Call::of(request);
        let work = async {
            let caller = call.in_project::<LeaseRecords>(Some(&wanted.group))?;
            let mut ask = shared::LeaseRequest {
                max_records: wanted.max_records.map(u64::from),
                max_bytes: wanted.max_bytes.map(u64::from),
                wait_ms: Some(wanted.wait_ms.into()),
                lease_ms: wanted.lease_ms.map(u64::from),
                encoding: None,
            }
            .checked()?;
            ask.limits.form = Form::Protobuf { with_topic: true };
            ask.limits.wait = call.patience(ask.limits.wait);
            let page = shared::lease(&call.app, &caller, &ask).await?;
            Ok(leased(page))
        };
        keeping(call.change(work).await)
    }

    async fn settle(&self, request: Request<pb::SettleRequest>) -> Answer<pb::SettleResponse> {
        let (call, wanted) = Call::of(request);
        let work = async {
            let caller = call.in_project::<SettleRecords>(Some(&wanted.group))?;
            let ask = settlement(wanted.ack, wanted.nack, wanted.extend, wanted.reject)?;
            let gateway = &call.app.gateway;
            let settled = gateway.settle_records(&caller.access, &wanted.group, &ask);
            let results = settled.await?.into_iter().map(|status| match status {
                SettleStatus::Ok => pb::SettleStatus::Ok.into(),
                SettleStatus::Expired => pb::SettleStatus::Expired.into(),
                SettleStatus::Unknown => pb::SettleStatus::Unknown.into(),
            });
            Ok(pb::SettleResponse {
                results: results.collect(),
            })
        };
        call.change(work).await
    }

    async fn redrive(&self, request: Request<pb::RedriveRequest>) -> Answer<pb::RedriveResponse> {
        let (call, wanted) = Call::of(request);
        let work = async {
            let caller = call.in_project::<RedriveGroup>(Some(&wanted.group))?;
            let page = redrive(&call.app, &caller, &ask_of(wanted)?).await?;
            Ok(redriven(page))
        };
        call.change(work).await
    }
}

fn leased(page: LeasePage) -> (RecordPage<pb::LeaseResponse>, Option<crate::gateway::Held>) {
    let leases = page.leases.into_iter();
    let rest = pb::LeaseResponse {
        records: Vec::new(),
        leases: leases
            .map(|(lease, attempt)| pb::RecordLease { lease, attempt })
            .collect(),
        expires_at_ms: page.expires_at_ms,
    };
    let records = page.page.records;
    (RecordPage { records, rest }, page.page.held)
}

fn settlement(
    ack: Vec<String>,
    nack: Vec<pb::Nack>,
    extend: Vec<pb::Extend>,
    reject: Vec<pb::Reject>,
) -> Result<SettleAsk, Problem> {
    let nack = nack.into_iter().map(|nack| shared::NackRequest {
        lease: nack.lease,
        delay_ms: nack.delay_ms,
        reason: nack.reason,
    });
    let extend = extend.into_iter().map(|extend| shared::ExtendRequest {
        lease: extend.lease,
        lease_ms: extend.lease_ms,
    });
    let reject = reject.into_iter().map(|reject| {
        shared::RejectRequest::WithReason(shared::Rejection {
            lease: reject.lease,
            reason: reject.reason,
        })
    });
    shared::SettleRequest {
        ack,
        nack: nack.collect(),
        extend: extend.collect(),
        reject: reject.collect(),
    }
    .checked()
}

fn polled(page: GroupPage) -> (RecordPage<pb::PollResponse>, Option<crate::gateway::Held>) {
    let gaps = page.gaps.into_iter().map(|gap| pb::GroupGap {
        topic: gap.topic,
        partition: gap.partition,
        from: gap.from,
        to: gap.to,
        reason: gap.reason.to_owned(),
    });
    let rest = pb::PollResponse {
        records: Vec::new(),
        cursor: page.cursor,
        epoch: page.epoch,
        assigned: partitions(page.assigned),
        revoked: partitions(page.revoked),
        ignored: partitions(page.ignored),
        lag_records: page.lag.records,
        lag_ms: page.lag.ms,
        gaps: gaps.collect(),
        expires_at_ms: page.expires_at_ms,
    };
    let records = page.page.records;
    (RecordPage { records, rest }, page.page.held)
}

fn partitions(partitions: Vec<TopicPartition>) -> Vec<pb::TopicPartition> {
    let partitions = partitions.into_iter().map(|of| pb::TopicPartition {
        topic: of.topic,
        partition: of.partition,
    });
    partitions.collect()
}

fn described(group: Group) -> pb::Group {
    pb::Group {
        positions: group.positions.into_iter().map(position).collect(),
        ..summarized(group.summary)
    }
}

fn summarized(group: GroupSummary) -> pb::Group {
    let kind = match group.kind {
        GroupType::Partitioned => pb::GroupType::Partitioned,
        GroupType::Shared => pb::GroupType::Shared,
    };
    let state = match group.state {
        GroupState::Empty => pb::GroupState::Empty,
        GroupState::Stable => pb::GroupState::Stable,
        GroupState::Rebalancing => pb::GroupState::Rebalancing,
    };
    let start = match group.config.start {
        GroupStart::Earliest => pb::GroupStart::Earliest,
        GroupStart::Latest => pb::GroupStart::Latest,
    };
    let members = group.members.into_iter().map(|member| pb::GroupMember {
        member: member.member,
        instance: member.instance,
        assignment: partitions(member.assignment),
        expires_at_ms: member.expires_at_ms,
    });
    pb::Group {
        group: group.group,
        r#type: kind.into(),
        state: state.into(),
        topics: group.topics,
        members: members.collect(),
        positions: Vec::new(),
        start: start.into(),
        lease_ms: group.config.lease_ms,
        max_attempts: group.config.max_attempts,
        dead_letter_topic: group.config.dead_letter_topic,
    }
}

fn position(position: GroupPosition) -> pb::GroupPosition {
    pb::GroupPosition {
        topic: position.topic,
        partition: position.partition,
        committed: position.committed,
        high_watermark: position.high_watermark,
        lag: position.lag,
        lag_ms: position.lag_ms,
    }
}

fn reset_to(to: Option<pb::reset_group_offsets_request::To>) -> Result<ResetTo, Problem> {
    use pb::reset_group_offsets_request::To;
    let missing = || Problem::invalid("to", "missing_field", "say where to");
    Ok(match to.ok_or_else(missing)? {
        To::End(end) => match known("end", end)? {
            pb::End::Unspecified => return Err(missing()),
            pb::End::Earliest => ResetTo::Earliest,
            pb::End::Latest => ResetTo::Latest,
        },
        To::AtMs(at_ms) => ResetTo::At(TimePoint(at_ms)),
        To::Shift(by) => ResetTo::Shift(by),
        To::Offsets(wanted) => {
            let offset = |wanted: pb::ResetOffset| ResetOffset {
                topic: wanted.topic,
                partition: wanted.partition,
                offset: wanted.offset,
            };
            ResetTo::Offsets(wanted.offsets.into_iter().map(offset).collect())
        }
    })
}
