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

/// What a key must have for an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRule {
    /// A grant on the topic of the path; on any topic where the path names none.
    Topic(Grant),
    /// A grant on the group of the path; on any group where the path names none.
    Group(Grant),
    /// A grant on all topics.
    AllTopics(Grant),
    /// Nothing: every key may.
    Any,
    /// No key may.
    Never,
}

/// What a person must be for an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Nobody in particular: it is how one becomes somebody.
    Anyone,
    /// Whoever has a credential.
    SignedIn,
    /// A member of the organization with this role or a higher one.
    Member(Role),
    /// Such a member, or any member about themselves.
    MemberOrSelf(Role),
    /// An operator of the service.
    Operator,
}

const ANYONE: Who = Who::Anyone;
const SIGNED_IN: Who = Who::SignedIn;
const VIEWER: Who = Who::Member(Role::Viewer);
const DEVELOPER: Who = Who::Member(Role::Developer);
const ADMIN: Who = Who::Member(Role::Admin);
const OWNER: Who = Who::Member(Role::Owner);
const ADMIN_OR_SELF: Who = Who::MemberOrSelf(Role::Admin);
const OPERATOR: Who = Who::Operator;

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Permission {
    /// The operation's id in the OpenAPI document.
    pub operation: &'static str,
    /// Who may, of people, of external tokens and of those who make keys.
    pub who: Who,
    /// What a key must have beside that.
    pub key: KeyRule,
}

impl Permission {
    /// Whether the call is about quotas: it is let in by callers who are over them, who could not
    /// have them changed otherwise.
    pub fn is_about_quotas(&self) -> bool {
        let calls = [
            GetOrganizationQuotas::ROW,
            UpdateOrganizationQuotas::ROW,
            GetProjectQuotas::ROW,
            UpdateProjectQuotas::ROW,
        ];
        calls.iter().any(|call| call.operation == self.operation)
    }
}

/// An operation that has its row.
pub trait Operation: Send + Sync + 'static {
    /// The row.
    const ROW: Permission;
}

macro_rules! permissions {
    ($($name:ident $operation:literal $who:ident $key:expr;)*) => {
        $(
            #[doc = concat!("`", $operation, "`")]
            pub struct $name;

            impl Operation for $name {
                const ROW: Permission = Permission {
                    operation: $operation,
                    who: $who,
                    key: $key,
                };
            }
        )*

        /// All rows.
        pub const TABLE: &[Permission] = &[$($name::ROW),*];
    };
}

use Grant::{Consume, Describe, Fetch, Manage, Produce};
use KeyRule::{AllTopics, Any, Group, Never, Topic};

#[rustfmt::skip] // a table
permissions! {
    // operation                                  who        what a key must have
    ListTopics       "listTopics"                 VIEWER     Topic(Describe);
    GetTopic         "getTopic"                   VIEWER     Topic(Describe);
    ListPartitions   "listPartitions"             VIEWER     Topic(Describe);
    ListOffsets      "listOffsets"                VIEWER     Topic(Describe);
    EnsureTopic      "ensureTopic"                DEVELOPER  Topic(Manage);
    UpdateTopic      "updateTopic"                DEVELOPER  Topic(Manage);
    DeleteTopic      "deleteTopic"                DEVELOPER  Topic(Manage);
    TrimPartition    "trimPartition"              DEVELOPER  Topic(Manage);
    ProduceRecords   "produceRecords"             DEVELOPER  Topic(Produce);
    ProduceRaw       "produceRaw"                 DEVELOPER  Topic(Produce);
    ProduceBulk      "produceBulk"                DEVELOPER  Topic(Produce);
    FetchPartition   "fetchPartition"             VIEWER     Topic(Fetch);
    FetchTopic       "fetchTopic"                 VIEWER     Topic(Fetch);
    TailTopic        "tailTopic"                  VIEWER     Topic(Fetch);
    TailTopicNdjson  "tailTopicNdjson"            VIEWER     Topic(Fetch);
    UseGroups        "useGroups"                  VIEWER     Group(Consume);

    CreateSession    "createSession"              ANYONE     Any;
    RefreshSession   "refreshSession"             ANYONE     Any;
    EndSession       "endSession"                 ANYONE     Any;
    StartOidc        "startOidc"                  ANYONE     Any;
    FinishOidc       "finishOidc"                 ANYONE     Any;
    GetJwks          "getJwks"                    ANYONE     Any;
    AcceptInvitation "acceptInvitation"           ANYONE     Any;
    GetMe            "getMe"                      SIGNED_IN  Any;
    ChangePassword   "changePassword"             SIGNED_IN  Never;
    ListOrganizations  "listOrganizations"        SIGNED_IN  Any;
    CreateOrganization "createOrganization"       SIGNED_IN  Never;
    GetOrganization    "getOrganization"          VIEWER     Never;
    UpdateOrganization "updateOrganization"       ADMIN      Never;
    DeleteOrganization "deleteOrganization"       OWNER      Never;
    ListMembers      "listMembers"                VIEWER     Never;
    GetMember        "getMember"                  VIEWER     Never;
    PutMember        "putMember"                  ADMIN      Never;
    RemoveMember     "removeMember"               ADMIN_OR_SELF  Never;
    ListIssuers      "listIssuers"                ADMIN      Never;
    GetIssuer        "getIssuer"                  ADMIN      Never;
    PutIssuer        "putIssuer"                  ADMIN      Never;
    DeleteIssuer     "deleteIssuer"               ADMIN      Never;
    ListProjects     "listProjects"               VIEWER     Never;
    CreateProject    "createProject"              ADMIN      Never;
    GetProject       "getProject"                 VIEWER     Any;
    UpdateProject    "updateProject"              ADMIN      Never;
    DeleteProject    "deleteProject"              ADMIN      Never;
    ListKeys         "listKeys"                   DEVELOPER  AllTopics(Manage);
    GetKey           "getKey"                     DEVELOPER  AllTopics(Manage);
    PutKey           "putKey"                     DEVELOPER  AllTopics(Manage);
    DeleteKey        "deleteKey"                  DEVELOPER  AllTopics(Manage);
    RotateKey        "rotateKey"                  DEVELOPER  AllTopics(Manage);
    GetOrganizationQuotas    "getOrganizationQuotas"     VIEWER  Never;
    UpdateOrganizationQuotas "updateOrganizationQuotas"  ADMIN   Never;
    GetProjectQuotas         "getProjectQuotas"          VIEWER     Never;
    UpdateProjectQuotas      "updateProjectQuotas"       ADMIN      Never;
    ListAuditEvents  "listAuditEvents"            ADMIN      Never;
    GetCluster       "getCluster"                 OPERATOR   Never;
    ListBrokers      "listBrokers"                OPERATOR   Never;
    DrainBroker      "drainBroker"                OPERATOR   Never;
    RebalanceCluster "rebalanceCluster"           OPERATOR   Never;
    GetOrganizationUsage "getOrganizationUsage"   VIEWER     Never;
    GetProjectUsage  "getProjectUsage"            VIEWER     Never;
}
