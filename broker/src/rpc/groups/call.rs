//! What a coordinator is asked.

use headwater_groups::{Action, Call, GroupId, Mark, PartitionId};
use tonic::Status;

use super::{
    Unread, all, config, config_message, offsets, offsets_message, partition, shared, stint_message,
};
use crate::rpc::{
    calls,
    proto::{self, coordinate_request::Call as Asked, group_call::Action as Wanted},
};

pub(in crate::rpc) fn request(log: PartitionId, call: Call) -> proto::CoordinateRequest {
    proto::CoordinateRequest {
        topic: calls::topic_bytes(log.topic),
        partition: log.partition,
        call: Some(call_message(call)),
    }
}

/// The partition of the group log and the call.
pub(in crate::rpc) fn call(
    request: proto::CoordinateRequest,
) -> Result<(PartitionId, Call), Status> {
    let read = || {
        let log = partition(&request.topic, request.partition)?;
        Some((log, read_call(request.call?)?))
    };
    read().ok_or_else(|| calls::malformed("a call about groups"))
}

fn call_message(call: Call) -> Asked {
    match call {
        Call::List {
            project,
            after,
            max,
        } => Asked::List(proto::ListGroups {
            project,
            after,
            max: max as u64,
        }),
        Call::Group(id, action) => Asked::Group(proto::GroupCall {
            project: id.project,
            name: id.name,
            action: Some(action_message(action)),
        }),
    }
}

fn read_call(call: Asked) -> Unread<Call> {
    Some(match call {
        Asked::List(list) => Call::List {
            project: list.project,
            after: list.after,
            max: calls::bound(list.max),
        },
        Asked::Group(group) => {
            let id = GroupId {
                project: group.project,
                name: group.name,
            };
            Call::Group(id, read_action(group.action?)?)
        }
    })
}

fn action_message(action: Action) -> Wanted {
    match action {
        Action::Ensure {
            config,
            offsets,
            only_new,
        } => Wanted::Ensure(proto::EnsureGroup {
            config: Some(config_message(&config)),
            offsets: offsets_message(offsets),
            only_new,
        }),
        Action::Delete => Wanted::Delete(proto::Nothing {}),
        Action::Describe => Wanted::Describe(proto::Nothing {}),
        Action::Join {
            member,
            instance,
            lease_ms,
        } => Wanted::Join(proto::JoinGroup {
            member,
            instance,
            lease_ms,
        }),
        Action::Leave { member, epoch } => Wanted::Leave(proto::LeaveGroup { member, epoch }),
        Action::Poll {
            member,
            epoch,
            commit,
        } => Wanted::Poll(member_call(member, epoch, commit)),
        Action::Renew { member, epoch } => Wanted::Renew(member_call(member, epoch, Vec::new())),
        Action::Commit {
            member,
            epoch,
            commit,
        } => Wanted::Commit(member_call(member, epoch, commit)),
        Action::Positions => Wanted::Positions(proto::Nothing {}),
        Action::Reset {
            offsets,
            force,
            dry_run,
        } => Wanted::Reset(proto::ResetGroup {
            offsets: offsets_message(offsets),
            force,
            dry_run,
        }),
        Action::Lease {
            records_max,
            lease_ms,
        } => Wanted::Lease(proto::LeaseRecords {
            records_max: records_max as u64,
            lease_ms,
        }),
        Action::Offer(offers) => Wanted::Offer(shared::offers_message(offers)),
        Action::Settle(settlement) => Wanted::Settle(shared::settlement_message(settlement)),
        Action::DeadLetters { max } => {
            Wanted::DeadLetters(proto::MaxDeadLetters { max: max as u64 })
        }
        Action::DeadLettered(written) => Wanted::DeadLettered(shared::tokens_message(written)),
        Action::Redrives => Wanted::Redrives(proto::Nothing {}),
        Action::Redriven(letters) => Wanted::Redriven(shared::redriven_message(letters)),
    }
}

fn read_action(action: Wanted) -> Unread<Action> {
    Some(match action {
        Wanted::Ensure(ensure) => Action::Ensure {
            config: config(&ensure.config?)?,
            offsets: offsets(ensure.offsets)?,
            only_new: ensure.only_new,
        },
        Wanted::Delete(proto::Nothing {}) => Action::Delete,
        Wanted::Describe(proto::Nothing {}) => Action::Describe,
        Wanted::Join(join) => Action::Join {
            member: join.member,
            instance: join.instance,
            lease_ms: join.lease_ms,
        },
        Wanted::Leave(leave) => Action::Leave {
            member: leave.member,
            epoch: leave.epoch,
        },
        Wanted::Poll(poll) => Action::Poll {
            member: poll.member,
            epoch: poll.epoch,
            commit: marks(poll.commit)?,
        },
        Wanted::Renew(renew) => Action::Renew {
            member: renew.member,
            epoch: renew.epoch,
        },
        Wanted::Commit(commit) => Action::Commit {
            member: commit.member,
            epoch: commit.epoch,
            commit: marks(commit.commit)?,
        },
        Wanted::Positions(proto::Nothing {}) => Action::Positions,
        Wanted::Reset(reset) => Action::Reset {
            offsets: offsets(reset.offsets)?,
            force: reset.force,
            dry_run: reset.dry_run,
        },
        Wanted::Lease(lease) => Action::Lease {
            records_max: calls::bound(lease.records_max),
            lease_ms: lease.lease_ms,
        },
        Wanted::Offer(offers) => Action::Offer(all(offers.offers, shared::offer)?),
        Wanted::Settle(settle) => Action::Settle(shared::settlement(settle)?),
        Wanted::DeadLetters(letters) => Action::DeadLetters {
            max: calls::bound(letters.max),
        },
        Wanted::DeadLettered(written) => Action::DeadLettered(all(written.leases, shared::token)?),
        Wanted::Redrives(proto::Nothing {}) => Action::Redrives,
        Wanted::Redriven(letters) => Action::Redriven(shared::redriven(letters)?),
    })
}

fn member_call(member: String, epoch: u64, commit: Vec<Mark>) -> proto::MemberCall {
    let commit = commit.into_iter();
    proto::MemberCall {
        member,
        epoch,
        commit: commit
            .map(|mark| stint_message(mark.partition, mark.stint, Some(mark.next_offset)))
            .collect(),
    }
}

fn marks(messages: Vec<proto::GroupStint>) -> Unread<Vec<Mark>> {
    all(messages, |m| {
        Some(Mark {
            partition: partition(&m.topic, m.partition)?,
            stint: m.stint,
            next_offset: m.offset?,
        })
    })
}
