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
    /// Whether a few are let in of callers who are over their quotas.
    pub over_quota: OverQuota,
}

/// What becomes of calls when quotas are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverQuota {
    /// They wait for the quota.
    Wait,
    /// A few a second are let in: quotas could not be changed otherwise.
    Few,
}

/// An operation that has its row.
pub trait Operation: Send + Sync + 'static {
    /// The row.
    const ROW: Permission;
}

macro_rules! permissions {
    ($($name:ident $operation:literal $who:ident $over_quota:ident $key:expr;)*) => {
        $(
            #[doc = concat!("`", $operation, "`")]
            pub struct $name;

            impl Operation for $name {
                const ROW: Permission = Permission {
                    operation: $operation,
                    who: $who,
                    key: $key,
                    over_quota: OverQuota::$over_quota,
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
    // operation                                         who           over a quota, and what a key must have
    ListTopics               "listTopics"               VIEWER        Wait  Topic(Describe);
    GetTopic                 "getTopic"                 VIEWER        Wait  Topic(Describe);
    ListPartitions           "listPartitions"           VIEWER        Wait  Topic(Describe);
    ListOffsets              "listOffsets"              VIEWER        Wait  Topic(Describe);
    EnsureTopic              "ensureTopic"              DEVELOPER     Wait  Topic(Manage);
    UpdateTopic              "updateTopic"              DEVELOPER     Wait  Topic(Manage);
    DeleteTopic              "deleteTopic"              DEVELOPER     Wait  Topic(Manage);
    TrimPartition            "trimPartition"            DEVELOPER     Wait  Topic(Manage);
    ProduceRecords           "produceRecords"           DEVELOPER     Wait  Topic(Produce);
    ProduceRaw               "produceRaw"               DEVELOPER     Wait  Topic(Produce);
    ProduceBulk              "produceBulk"              DEVELOPER     Wait  Topic(Produce);
    FetchPartition           "fetchPartition"           VIEWER        Wait  Topic(Fetch);
    FetchTopic               "fetchTopic"               VIEWER        Wait  Topic(Fetch);
    GetLastOfKey             "getLastOfKey"             VIEWER        Wait  Topic(Fetch);
    TailTopic                "tailTopic"                VIEWER        Wait  Topic(Fetch);
    TailTopicNdjson          "tailTopicNdjson"          VIEWER        Wait  Topic(Fetch);
    ListGroups               "listGroups"               VIEWER        Wait  Group(Consume);
    GetGroup                 "getGroup"                 VIEWER        Wait  Group(Consume);
    ListGroupOffsets         "listGroupOffsets"         VIEWER        Wait  Group(Consume);
    EnsureGroup              "ensureGroup"              DEVELOPER     Wait  Group(Consume);
    DeleteGroup              "deleteGroup"              DEVELOPER     Wait  Group(Consume);
    ResetGroupOffsets        "resetGroupOffsets"        DEVELOPER     Wait  Group(Consume);
    JoinGroup                "joinGroup"                DEVELOPER     Wait  Group(Consume);
    PollGroup                "pollGroup"                DEVELOPER     Wait  Group(Consume);
    LeaveGroup               "leaveGroup"               DEVELOPER     Wait  Group(Consume);
    LeaseRecords             "leaseRecords"             DEVELOPER     Wait  Group(Consume);
    SettleRecords            "settleRecords"            DEVELOPER     Wait  Group(Consume);
    RedriveGroup             "redriveGroup"             DEVELOPER     Wait  Group(Consume);

    CreateSession            "createSession"            ANYONE        Wait  Any;
    RefreshSession           "refreshSession"           ANYONE        Wait  Any;
    EndSession               "endSession"               ANYONE        Wait  Any;
    StartOidc                "startOidc"                ANYONE        Wait  Any;
    FinishOidc               "finishOidc"               ANYONE        Wait  Any;
    GetJwks                  "getJwks"                  ANYONE        Wait  Any;
    AcceptInvitation         "acceptInvitation"         ANYONE        Wait  Any;
    GetMe                    "getMe"                    SIGNED_IN     Wait  Any;
    ChangePassword           "changePassword"           SIGNED_IN     Wait  Never;
    ListOrganizations        "listOrganizations"        SIGNED_IN     Wait  Any;
    CreateOrganization       "createOrganization"       SIGNED_IN     Wait  Never;
    GetOrganization          "getOrganization"          VIEWER        Wait  Never;
    UpdateOrganization       "updateOrganization"       ADMIN         Wait  Never;
    DeleteOrganization       "deleteOrganization"       OWNER         Wait  Never;
    ListMembers              "listMembers"              VIEWER        Wait  Never;
    GetMember                "getMember"                VIEWER        Wait  Never;
    PutMember                "putMember"                ADMIN         Wait  Never;
    RemoveMember             "removeMember"             ADMIN_OR_SELF Wait  Never;
    ListIssuers              "listIssuers"              ADMIN         Wait  Never;
    GetIssuer                "getIssuer"                ADMIN         Wait  Never;
    PutIssuer                "putIssuer"                ADMIN         Wait  Never;
    DeleteIssuer             "deleteIssuer"             ADMIN         Wait  Never;
    ListProjects             "listProjects"             VIEWER        Wait  Never;
    CreateProject            "createProject"            ADMIN         Wait  Never;
    GetProject               "getProject"               VIEWER        Wait  Any;
    UpdateProject            "updateProject"            ADMIN         Wait  Never;
    DeleteProject            "deleteProject"            ADMIN         Wait  Never;
    ListKeys                 "listKeys"                 DEVELOPER     Wait  AllTopics(Manage);
    GetKey                   "getKey"                   DEVELOPER     Wait  AllTopics(Manage);
    PutKey                   "putKey"                   DEVELOPER     Wait  AllTopics(Manage);
    DeleteKey                "deleteKey"                DEVELOPER     Wait  AllTopics(Manage);
    RotateKey                "rotateKey"                DEVELOPER     Wait  AllTopics(Manage);
    GetOrganizationQuotas    "getOrganizationQuotas"    VIEWER        Few   Never;
    UpdateOrganizationQuotas "updateOrganizationQuotas" ADMIN         Few   Never;
    GetProjectQuotas         "getProjectQuotas"         VIEWER        Few   Never;
    UpdateProjectQuotas      "updateProjectQuotas"      ADMIN         Few   Never;
    ListAuditEvents          "listAuditEvents"          ADMIN         Wait  Never;
    GetCluster               "getCluster"               OPERATOR      Wait  Never;
    ListBrokers              "listBrokers"              OPERATOR      Wait  Never;
    DrainBroker              "drainBroker"              OPERATOR      Wait  Never;
    RemoveBroker             "removeBroker"             OPERATOR      Wait  Never;
    RebalanceCluster         "rebalanceCluster"         OPERATOR      Wait  Never;
    ElectLeader              "electLeader"              OPERATOR      Wait  Never;
    GetOrganizationUsage     "getOrganizationUsage"     VIEWER        Wait  Never;
    GetProjectUsage          "getProjectUsage"          VIEWER        Wait  Never;
}
