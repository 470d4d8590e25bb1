//! The one table of permissions: every operation, the least role for it, and what a key's scopes must
//! name. REST handlers ask by type, so an operation without a row does not compile.

use serde::{Deserialize, Serialize};

/// What a user is in an organization. Each role has all that the one before it has.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads metadata and records.
    Viewer,
    /// Topics, groups, records, and the keys that they made.
    Developer,
    /// Everything but owners and the organization's end.
    Admin,
    /// Everything.
    Owner,
}

impl Role {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Viewer, "viewer"),
        (Self::Developer, "developer"),
        (Self::Admin, "admin"),
        (Self::Owner, "owner"),
    ];

    /// As it is stored and shown.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// The role of that name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(role, _)| *role)
    }
}

/// What a key's scope lets do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// See topics and their settings.
    Describe,
    /// Append records.
    Produce,
    /// Read records.
    Fetch,
    /// Read records as a member of a group.
    Consume,
    /// Create, change, trim and delete.
    Manage,
}

/// What a key's scopes must name for an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRule {
    /// A grant on the topic of the path; on any topic where the path names none.
    Topic(Grant),
    /// A grant on the group of the path; on any group where the path names none.
    Group(Grant),
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Permission {
    /// The operation's id in the OpenAPI document.
    pub operation: &'static str,
    /// The least role that has it.
    pub role: Role,
    /// What a key's scopes must name beside that.
    pub key: KeyRule,
}

/// An operation that has its row.
pub trait Operation: Send + Sync + 'static {
    /// The row.
    const ROW: Permission;
}

macro_rules! permissions {
    ($($name:ident $operation:literal $role:ident $key:ident $grant:ident;)*) => {
        $(
            #[doc = concat!("`", $operation, "`")]
            pub struct $name;

            impl Operation for $name {
                const ROW: Permission = Permission {
                    operation: $operation,
                    role: Role::$role,
                    key: KeyRule::$key(Grant::$grant),
                };
            }
        )*

        /// All rows.
        #[cfg_attr(not(test), allow(dead_code))] // the tests compare it with the document
        pub const TABLE: &[Permission] = &[$($name::ROW),*];
    };
}

permissions! {
    // operation                                  least role  what a key's scopes must name
    ListTopics       "listTopics"                 Viewer      Topic Describe;
    GetTopic         "getTopic"                   Viewer      Topic Describe;
    ListPartitions   "listPartitions"             Viewer      Topic Describe;
    ListOffsets      "listOffsets"                Viewer      Topic Describe;
    EnsureTopic      "ensureTopic"                Developer   Topic Manage;
    UpdateTopic      "updateTopic"                Developer   Topic Manage;
    DeleteTopic      "deleteTopic"                Developer   Topic Manage;
    TrimPartition    "trimPartition"              Developer   Topic Manage;
    ProduceRecords   "produceRecords"             Developer   Topic Produce;
    ProduceRaw       "produceRaw"                 Developer   Topic Produce;
    ProduceBulk      "produceBulk"                Developer   Topic Produce;
    FetchPartition   "fetchPartition"             Viewer      Topic Fetch;
    FetchTopic       "fetchTopic"                 Viewer      Topic Fetch;
    TailTopic        "tailTopic"                  Viewer      Topic Fetch;
    TailTopicNdjson  "tailTopicNdjson"            Viewer      Topic Fetch;
    UseGroups        "useGroups"                  Viewer      Group Consume;
}
