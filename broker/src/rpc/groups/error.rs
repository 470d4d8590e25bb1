//! Why a coordinator did not do what it was asked.

use std::collections::BTreeSet;

use headwater_groups::GroupError;
use parking_lot::Mutex;

use super::{partition, topic};
use crate::{
    error::CoordinateError,
    rpc::{
        calls,
        proto::{self, CoordinateErrorKind as Kind},
    },
};

/// Texts of refusals that come from other brokers, at most.
const TEXTS_MAX: usize = 256;

pub(super) fn message(error: CoordinateError) -> proto::CoordinateError {
    let of = |kind: Kind, why: String| proto::CoordinateError {
        kind: kind.into(),
        why,
        ..proto::CoordinateError::default()
    };
    match error {
        CoordinateError::Refused(refused) => refusal_message(refused),
        CoordinateError::UnknownPartition => of(Kind::UnknownPartition, String::new()),
        CoordinateError::NotLeader => of(Kind::NotLeader, String::new()),
        CoordinateError::TooFewInSync => of(Kind::TooFewInSync, String::new()),
        CoordinateError::StorageFull => of(Kind::StorageFull, String::new()),
        CoordinateError::Overloaded => of(Kind::Overloaded, String::new()),
        CoordinateError::Unavailable(why) => of(Kind::Unavailable, why),
        CoordinateError::Unreachable(why) => of(Kind::Unreachable, why),
        CoordinateError::Unknown => of(Kind::Unknown, String::new()),
    }
}

fn refusal_message(refused: GroupError) -> proto::CoordinateError {
    let of = |kind: Kind| proto::CoordinateError {
        kind: kind.into(),
        ..proto::CoordinateError::default()
    };
    match refused {
        GroupError::NoGroup => of(Kind::NoGroup),
        GroupError::Exists => of(Kind::Exists),
        GroupError::OtherKind => of(Kind::OtherKind),
        GroupError::MembersActive => of(Kind::MembersActive),
        GroupError::MemberFenced => of(Kind::MemberFenced),
        GroupError::MemberGone => of(Kind::MemberGone),
        GroupError::NoTopic(topic) => proto::CoordinateError {
            topic: calls::topic_bytes(topic),
            ..of(Kind::NoTopic)
        },
        GroupError::NoPartition(id) => proto::CoordinateError {
            topic: calls::topic_bytes(id.topic),
            partition: id.partition,
            ..of(Kind::NoPartition)
        },
        GroupError::Invalid { field, why } => proto::CoordinateError {
            what: field.to_owned(),
            why: why.to_owned(),
            ..of(Kind::Invalid)
        },
        GroupError::TooMany { what, max } => proto::CoordinateError {
            what: what.to_owned(),
            max: max as u64,
            ..of(Kind::TooMany)
        },
    }
}

pub(super) fn read(message: proto::CoordinateError) -> CoordinateError {
    let refused = match message.kind() {
        Kind::Unknown => return CoordinateError::Unknown,
        Kind::UnknownPartition => return CoordinateError::UnknownPartition,
        Kind::NotLeader => return CoordinateError::NotLeader,
        Kind::TooFewInSync => return CoordinateError::TooFewInSync,
        Kind::StorageFull => return CoordinateError::StorageFull,
        Kind::Overloaded => return CoordinateError::Overloaded,
        Kind::Unavailable => return CoordinateError::Unavailable(message.why),
        Kind::Unreachable => return CoordinateError::Unreachable(message.why),
        Kind::NoGroup => Some(GroupError::NoGroup),
        Kind::Exists => Some(GroupError::Exists),
        Kind::OtherKind => Some(GroupError::OtherKind),
        Kind::MembersActive => Some(GroupError::MembersActive),
        Kind::MemberFenced => Some(GroupError::MemberFenced),
        Kind::MemberGone => Some(GroupError::MemberGone),
        Kind::NoTopic => topic(&message.topic).map(GroupError::NoTopic),
        Kind::NoPartition => {
            partition(&message.topic, message.partition).map(GroupError::NoPartition)
        }
        Kind::Invalid => Some(GroupError::Invalid {
            field: kept(message.what),
            why: kept(message.why),
        }),
        Kind::TooMany => Some(GroupError::TooMany {
            what: kept(message.what),
            max: calls::bound(message.max),
        }),
    };
    refused.map_or(CoordinateError::Unknown, CoordinateError::Refused)
}

/// A text of a refusal, which is one of a few: each is kept once, for good.
fn kept(text: String) -> &'static str {
    static TEXTS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut texts = TEXTS.lock();
    if let Some(known) = texts.get(text.as_str()) {
        return known;
    }
    if texts.len() >= TEXTS_MAX {
        return "something";
    }
    let new: &'static str = Box::leak(text.into_boxed_str());
    texts.insert(new);
    new
}
