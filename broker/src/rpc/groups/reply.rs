//! What a coordinator answers.

use headwater_groups::{
    Description, Ensured, GroupId, MemberDescription, Moved, Owned, Polled, Position, Reply, State,
    Summary,
};

use super::{
    Unread, all, config, config_message, error, ids, ids_message, kind, kind_message, partition,
    position_message, shared, stint_message,
};
use crate::{
    error::CoordinateError,
    rpc::{
        calls,
        proto::{self, coordinate_response::Answer as Told},
    },
};

pub(in crate::rpc) fn response(
    answer: Result<Reply, CoordinateError>,
) -> proto::CoordinateResponse {
    let told = match answer {
        Ok(reply) => reply_message(reply),
        Err(failed) => Told::Error(error::message(failed)),
    };
    proto::CoordinateResponse { answer: Some(told) }
}

/// What is not known here was done all the same.
pub(in crate::rpc) fn answer(
    response: proto::CoordinateResponse,
) -> Result<Reply, CoordinateError> {
    match response.answer {
        Some(Told::Error(failed)) => Err(error::read(failed)),
        Some(told) => read_reply(told).ok_or(CoordinateError::Unknown),
        None => Err(CoordinateError::Unknown),
    }
}

fn reply_message(reply: Reply) -> Told {
    match reply {
        Reply::Page { groups, more } => Told::Page(proto::GroupPage {
            groups: groups.into_iter().map(summary_message).collect(),
            more,
        }),
        Reply::Ensured(ensured, description) => Told::Ensured(proto::GroupEnsured {
            ensured: match ensured {
                Ensured::Created => 1,
                Ensured::Changed => 2,
                Ensured::Unchanged => 3,
            },
            description: Some(description_message(description)),
        }),
        Reply::Deleted => Told::Deleted(proto::Nothing {}),
        Reply::Described(description) => Told::Described(description_message(description)),
        Reply::Joined {
            epoch,
            assignment,
            expires_at_ms,
        } => Told::Joined(proto::GroupJoined {
            epoch,
            assignment: ids_message(assignment),
            expires_at_ms,
        }),
        Reply::Left => Told::Left(proto::Nothing {}),
        Reply::Polled(polled) => Told::Polled(polled_message(polled)),
        Reply::Renewed {
            epoch,
            must_give_up,
            expires_at_ms,
        } => Told::Renewed(proto::GroupRenewed {
            epoch,
            must_give_up,
            expires_at_ms,
        }),
        Reply::Committed {
            ignored,
            expires_at_ms,
        } => Told::Committed(proto::GroupCommitted {
            ignored: ids_message(ignored),
            expires_at_ms,
        }),
        Reply::Positions(positions) => Told::Positions(proto::GroupPositions {
            positions: positions_message(positions),
        }),
        Reply::Reset(moved) => {
            let moved = moved.into_iter();
            Told::Reset(proto::GroupPositions {
                positions: moved
                    .map(|m| position_message(m.partition, Some(m.after), m.before))
                    .collect(),
            })
        }
        Reply::Leased(leases) => Told::Leased(shared::leases_message(leases)),
        Reply::Offered => Told::Offered(proto::Nothing {}),
        Reply::Settled(outcomes) => Told::Settled(shared::outcomes_message(&outcomes)),
        Reply::DeadLetters(letters) => Told::DeadLetters(shared::letters_message(letters)),
        Reply::DeadLettered => Told::DeadLettered(proto::Nothing {}),
        Reply::Redrives(letters) => Told::Redrives(shared::redriven_message(letters)),
        Reply::Redriven => Told::Redriven(proto::Nothing {}),
    }
}

fn read_reply(told: Told) -> Unread<Reply> {
    Some(match told {
        Told::Error(_) => return None,
        Told::Page(page) => Reply::Page {
            groups: all(page.groups, summary)?,
            more: page.more,
        },
        Told::Ensured(ensured) => {
            let what = match ensured.ensured {
                1 => Ensured::Created,
                2 => Ensured::Changed,
                3 => Ensured::Unchanged,
                _ => return None,
            };
            Reply::Ensured(what, description(ensured.description?)?)
        }
        Told::Deleted(proto::Nothing {}) => Reply::Deleted,
        Told::Described(described) => Reply::Described(description(described)?),
        Told::Joined(joined) => Reply::Joined {
            epoch: joined.epoch,
            assignment: ids(joined.assignment)?,
            expires_at_ms: joined.expires_at_ms,
        },
        Told::Left(proto::Nothing {}) => Reply::Left,
        Told::Polled(polled) => Reply::Polled(read_polled(polled)?),
        Told::Renewed(renewed) => Reply::Renewed {
            epoch: renewed.epoch,
            must_give_up: renewed.must_give_up,
            expires_at_ms: renewed.expires_at_ms,
        },
        Told::Committed(committed) => Reply::Committed {
            ignored: ids(committed.ignored)?,
            expires_at_ms: committed.expires_at_ms,
        },
        Told::Positions(positions) => Reply::Positions(read_positions(positions.positions)?),
        Told::Reset(moved) => Reply::Reset(all(moved.positions, |m| {
            Some(Moved {
                partition: partition(&m.topic, m.partition)?,
                before: m.before,
                after: m.offset?,
            })
        })?),
        Told::Leased(leased) => Reply::Leased(shared::leases(leased)?),
        Told::Offered(proto::Nothing {}) => Reply::Offered,
        Told::Settled(settled) => Reply::Settled(all(settled.outcomes, shared::outcome)?),
        Told::DeadLetters(letters) => Reply::DeadLetters(all(letters.letters, shared::letter)?),
        Told::DeadLettered(proto::Nothing {}) => Reply::DeadLettered,
        Told::Redrives(letters) => Reply::Redrives(shared::redriven(letters)?),
        Told::Redriven(proto::Nothing {}) => Reply::Redriven,
    })
}

fn state_message(state: State) -> i32 {
    let state = match state {
        State::Empty => proto::GroupState::Empty,
        State::Stable => proto::GroupState::Stable,
        State::Rebalancing => proto::GroupState::Rebalancing,
    };
    state.into()
}

fn state(number: i32) -> Unread<State> {
    match proto::GroupState::try_from(number).ok()? {
        proto::GroupState::Unspecified => None,
        proto::GroupState::Empty => Some(State::Empty),
        proto::GroupState::Stable => Some(State::Stable),
        proto::GroupState::Rebalancing => Some(State::Rebalancing),
    }
}

fn summary_message(summary: Summary) -> proto::GroupSummary {
    let (kind, rules) = kind_message(summary.kind);
    proto::GroupSummary {
        name: summary.name,
        kind,
        rules,
        state: state_message(summary.state),
        members: summary.members as u64,
    }
}

fn summary(message: proto::GroupSummary) -> Unread<Summary> {
    Some(Summary {
        name: message.name,
        kind: kind(message.kind, message.rules.as_ref())?,
        state: state(message.state)?,
        members: calls::bound(message.members),
    })
}

fn description_message(description: Description) -> proto::GroupDescription {
    let members = description.members.into_iter();
    proto::GroupDescription {
        project: description.id.project,
        name: description.id.name,
        config: Some(config_message(&description.config)),
        state: state_message(description.state),
        epoch: description.epoch,
        members: members
            .map(|member| proto::GroupMember {
                name: member.name,
                instance: member.instance,
                joined: member.joined,
                assignment: ids_message(member.assignment),
                expires_at_ms: member.expires_at_ms,
            })
            .collect(),
        positions: positions_message(description.positions),
        work: description.work.map(shared::work_message),
    }
}

fn description(message: proto::GroupDescription) -> Unread<Description> {
    Some(Description {
        id: GroupId {
            project: message.project,
            name: message.name,
        },
        config: config(&message.config?)?,
        state: state(message.state)?,
        epoch: message.epoch,
        members: all(message.members, |member| {
            Some(MemberDescription {
                name: member.name,
                instance: member.instance,
                joined: member.joined,
                assignment: ids(member.assignment)?,
                expires_at_ms: member.expires_at_ms,
            })
        })?,
        positions: read_positions(message.positions)?,
        work: message.work.map(shared::work),
    })
}

fn positions_message(positions: Vec<Position>) -> Vec<proto::GroupPosition> {
    let positions = positions.into_iter();
    positions
        .map(|position| proto::GroupPosition {
            settled_above: position.settled_above,
            ..position_message(position.partition, position.committed, None)
        })
        .collect()
}

fn read_positions(messages: Vec<proto::GroupPosition>) -> Unread<Vec<Position>> {
    all(messages, |m| {
        Some(Position {
            partition: partition(&m.topic, m.partition)?,
            committed: m.offset,
            settled_above: m.settled_above,
        })
    })
}

fn polled_message(polled: Polled) -> proto::GroupPolled {
    let owned = polled.owned.into_iter();
    proto::GroupPolled {
        epoch: polled.epoch,
        owned: owned
            .map(|owned| stint_message(owned.partition, owned.stint, owned.committed))
            .collect(),
        assigned: ids_message(polled.assigned),
        revoked: ids_message(polled.revoked),
        ignored: ids_message(polled.ignored),
        rebalancing: polled.rebalancing,
        expires_at_ms: polled.expires_at_ms,
    }
}

fn read_polled(message: proto::GroupPolled) -> Unread<Polled> {
    Some(Polled {
        epoch: message.epoch,
        owned: all(message.owned, |m| {
            Some(Owned {
                partition: partition(&m.topic, m.partition)?,
                stint: m.stint,
                committed: m.offset,
            })
        })?,
        assigned: ids(message.assigned)?,
        revoked: ids(message.revoked)?,
        ignored: ids(message.ignored)?,
        rebalancing: message.rebalancing,
        expires_at_ms: message.expires_at_ms,
    })
}
