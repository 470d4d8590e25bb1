//! Who calls whom. An address may lead to another broker than it did, or to another cluster: a call
//! that is not for this process is refused before anything is done.

use prost::Message;
use tonic::{
    Code, Status,
    metadata::{BinaryMetadataValue, MetadataMap, MetadataValue},
};

use super::proto::Hello;
use crate::placement::{BrokerId, Incarnation};

/// The version of the protocol that this build speaks. It grows only when a node could not do without
/// something new; fields that may be absent are added without it.
pub const PROTOCOL_VERSION: u32 = 1;
/// The oldest version that this build still answers.
const PROTOCOL_VERSION_MIN: u32 = 1;

/// The header of calls that says who calls whom.
const HELLO: &str = "headwater-hello-bin";
/// In a failed call's answer: nothing was done. Its value is the reason in a word.
const REFUSED: &str = "headwater-refused";

/// Who this process is; known once it is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its broker's number; 0 if it is a gateway alone.
    pub broker: BrokerId,
    /// Its life; 0 of a gateway.
    pub incarnation: Incarnation,
    /// The cluster's name.
    pub cluster_id: String,
}

impl Identity {
    /// What it says to a broker that it calls.
    pub(super) fn hello_to(&self, broker: BrokerId) -> Hello {
        Hello {
            version: PROTOCOL_VERSION,
            cluster_id: self.cluster_id.clone(),
            from_broker: self.broker,
            from_incarnation: self.incarnation,
            to_broker: broker,
        }
    }
}

/// The header's value.
pub(super) fn header(hello: &Hello) -> BinaryMetadataValue {
    MetadataValue::from_bytes(&hello.encode_to_vec())
}

/// Puts the header on a call.
pub(super) fn put(metadata: &mut MetadataMap, header: &BinaryMetadataValue) {
    metadata.insert_bin(HELLO, header.clone());
}

/// Reads the header of a call.
pub(super) fn of(metadata: &MetadataMap) -> Result<Hello, Status> {
    let value = metadata
        .get_bin(HELLO)
        .and_then(|value| value.to_bytes().ok());
    value
        .and_then(|bytes| Hello::decode(bytes).ok())
        .ok_or_else(|| refusal("hello", "the call does not say who calls".into()))
}

/// Whether the caller is to be answered by this process.
pub(super) fn check(hello: &Hello, own: Option<&Identity>) -> Result<(), Status> {
    let Some(own) = own else {
        return Err(refusal(
            "not_ready",
            "this broker has not registered itself yet".into(),
        ));
    };
    if !(PROTOCOL_VERSION_MIN..=PROTOCOL_VERSION).contains(&hello.version) {
        return Err(refusal(
            "version",
            format!(
                "the caller speaks version {} of the internal protocol, this broker \
                 {PROTOCOL_VERSION_MIN} to {PROTOCOL_VERSION}: upgrade the older of them",
                hello.version
            ),
        ));
    }
    if hello.cluster_id != own.cluster_id {
        return Err(refusal(
            "cluster",
            format!(
                "the caller is of cluster {:?}, this broker of {:?}: they have different metadata \
                 databases",
                hello.cluster_id, own.cluster_id
            ),
        ));
    }
    if hello.to_broker != own.broker {
        return Err(refusal(
            "broker",
            format!(
                "broker {} is meant, this is broker {}: the address was another's, or two brokers \
                 advertise the same",
                hello.to_broker, own.broker
            ),
        ));
    }
    Ok(())
}

/// A refusal of a call of which nothing was done.
pub(super) fn refusal(reason: &'static str, message: String) -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert(REFUSED, MetadataValue::from_static(reason));
    Status::with_metadata(Code::FailedPrecondition, message, metadata)
}

/// Whether nothing was done of a call that failed so.
pub(super) fn is_refusal(status: &Status) -> bool {
    status.metadata().contains_key(REFUSED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_meant_for_this_broker_is_let_in() {
        let own = Identity {
            broker: 3,
            incarnation: 9,
            cluster_id: "c".into(),
        };
        let caller = Identity {
            broker: 0,
            incarnation: 0,
            cluster_id: "c".into(),
        };
        let good = caller.hello_to(3);
        assert!(check(&good, Some(&own)).is_ok());
        let refused = |hello: &Hello, own| {
            let status = check(hello, own).expect_err("it is refused");
            assert!(is_refusal(&status));
            status.message().to_owned()
        };
        assert!(refused(&good, None).contains("not registered"));
        assert!(refused(&caller.hello_to(4), Some(&own)).contains("broker 4 is meant"));
        for version in [0, PROTOCOL_VERSION + 1] {
            let other = Hello {
                version,
                ..good.clone()
            };
            assert!(refused(&other, Some(&own)).contains("upgrade"));
        }
        let other = Hello {
            cluster_id: "d".into(),
            ..good.clone()
        };
        assert!(refused(&other, Some(&own)).contains("cluster"));
        let mut metadata = MetadataMap::new();
        assert!(is_refusal(&of(&metadata).expect_err("nobody calls")));
        put(&mut metadata, &header(&good));
        assert_eq!(of(&metadata).expect("a hello"), good);
    }
}
