//! What is known of a method before its message is read.

use crate::limits::{
    BODY_BYTES_MAX, POLL_BODY_BYTES_MAX, SETTLE_BODY_BYTES_MAX, SMALL_BODY_BYTES_MAX,
};

/// Which service has a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `headwater.v1.TopicService`
    Topics,
    /// `headwater.v1.RecordService`
    Records,
    /// `headwater.v1.GroupService`
    Groups,
    /// `grpc.health.v1.Health`
    Health,
    /// `grpc.reflection.v1.ServerReflection`
    Reflection,
}

/// A method.
#[derive(Debug)]
pub struct Method {
    /// Its path, by which the metrics know it too.
    pub path: &'static str,
    /// Its service.
    pub service: Service,
    /// Whether the client sends any number of messages, at its own pace.
    pub streams: bool,
    /// Bytes of a message, after inflating.
    pub message_bytes_max: usize,
}

const fn method(service: Service, path: &'static str) -> Method {
    Method {
        path,
        service,
        streams: false,
        message_bytes_max: SMALL_BODY_BYTES_MAX,
    }
}

/// All of them.
pub const METHODS: [Method; 31] = [
    Method {
        message_bytes_max: BODY_BYTES_MAX,
        ..method(Service::Records, "/headwater.v1.RecordService/Produce")
    },
    Method {
        message_bytes_max: BODY_BYTES_MAX,
        streams: true,
        ..method(
            Service::Records,
            "/headwater.v1.RecordService/ProduceStream",
        )
    },
    method(
        Service::Records,
        "/headwater.v1.RecordService/FetchPartition",
    ),
    method(Service::Records, "/headwater.v1.RecordService/FetchTopic"),
    method(Service::Records, "/headwater.v1.RecordService/GetLastOfKey"),
    method(Service::Records, "/headwater.v1.RecordService/Tail"),
    method(Service::Topics, "/headwater.v1.TopicService/ListTopics"),
    method(Service::Topics, "/headwater.v1.TopicService/EnsureTopic"),
    method(Service::Topics, "/headwater.v1.TopicService/GetTopic"),
    method(Service::Topics, "/headwater.v1.TopicService/UpdateTopic"),
    method(Service::Topics, "/headwater.v1.TopicService/DeleteTopic"),
    method(Service::Topics, "/headwater.v1.TopicService/ListPartitions"),
    method(Service::Topics, "/headwater.v1.TopicService/ListOffsets"),
    method(Service::Topics, "/headwater.v1.TopicService/TrimPartition"),
    method(Service::Groups, "/headwater.v1.GroupService/ListGroups"),
    method(Service::Groups, "/headwater.v1.GroupService/EnsureGroup"),
    method(Service::Groups, "/headwater.v1.GroupService/GetGroup"),
    method(Service::Groups, "/headwater.v1.GroupService/DeleteGroup"),
    method(Service::Groups, "/headwater.v1.GroupService/Join"),
    Method {
        message_bytes_max: POLL_BODY_BYTES_MAX,
        ..method(Service::Groups, "/headwater.v1.GroupService/Poll")
    },
    Method {
        message_bytes_max: POLL_BODY_BYTES_MAX,
        ..method(Service::Groups, "/headwater.v1.GroupService/Commit")
    },
    method(Service::Groups, "/headwater.v1.GroupService/Leave"),
    method(
        Service::Groups,
        "/headwater.v1.GroupService/ListGroupOffsets",
    ),
    method(
        Service::Groups,
        "/headwater.v1.GroupService/ResetGroupOffsets",
    ),
    method(Service::Groups, "/headwater.v1.GroupService/Lease"),
    Method {
        message_bytes_max: SETTLE_BODY_BYTES_MAX,
        ..method(Service::Groups, "/headwater.v1.GroupService/Settle")
    },
    method(Service::Groups, "/headwater.v1.GroupService/Redrive"),
    method(Service::Health, "/grpc.health.v1.Health/Check"),
    method(Service::Health, "/grpc.health.v1.Health/Watch"),
    Method {
        streams: true,
        ..method(Service::Reflection, REFLECTION)
    },
    // What older tools ask: its messages are the same.
    Method {
        streams: true,
        ..method(
            Service::Reflection,
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        )
    },
];

/// The one method of reflection.
pub const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

impl Method {
    /// The method of that path.
    pub fn of(path: &str) -> Option<&'static Self> {
        METHODS.iter().find(|method| method.path == path)
    }

    /// Its service's full name.
    pub fn service_name(&self) -> &'static str {
        let name = self.path.trim_start_matches('/');
        name.split_once('/').map_or(name, |(service, _)| service)
    }

    /// Whether it is for anybody: those who ask how the service is, and what it has.
    pub fn is_open(&self) -> bool {
        matches!(self.service, Service::Health | Service::Reflection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_method_of_the_descriptors() {
        let services = super::super::reflection::FILES.services();
        let mut paths = Vec::new();
        for (service, methods) in services {
            for method in methods {
                paths.push((
                    format!("/{service}/{}", method.name()),
                    method.client_streaming(),
                ));
            }
        }
        assert_eq!(paths.len() + 1, METHODS.len(), "and one has an older name");
        for (path, streams) in paths {
            let method = Method::of(&path).unwrap_or_else(|| panic!("{path} is in the table"));
            assert_eq!(method.streams, streams, "{path}");
        }
    }
}
