//! The expectation of the permission walk: every operation, the least role that may do it, and
//! what a key needs for it. Written by hand from the contract, never taken from the code.

use serde_json::{Value, json};

/// What a key must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// This operation on every topic.
    Scope(&'static str),
    /// `manage` on every topic.
    Manage,
    /// Any key of the project may.
    Any,
    /// No key ever may.
    Never,
}

/// Who may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Least {
    Viewer,
    Developer,
    Admin,
    Owner,
    /// Whoever is signed in, whatever they are elsewhere.
    Anybody,
    /// Operators of the cluster.
    Operator,
    /// It is how one becomes somebody: no credential is asked for.
    Open,
}

/// One operation.
#[derive(Debug, Clone)]
pub struct Operation {
    pub method: &'static str,
    /// As in the document; `{}` is any parameter.
    pub template: &'static str,
    /// The call, with names in braces that the walk fills in. Starts with `/v1` in management.
    pub path: &'static str,
    pub body: Value,
    pub least: Least,
    pub keys: Keys,
}

fn row(call: &'static str, path: &'static str, body: Value, least: Least, keys: Keys) -> Operation {
    let (method, template) = call.split_once(' ').expect("method and template");
    Operation {
        method,
        template,
        path,
        body,
        least,
        keys,
    }
}

/// Streaming, below the project.
#[rustfmt::skip] // a table
pub fn streaming() -> Vec<Operation> {
    use Keys::Scope;
    use Least::{Developer, Viewer};
    let record = json!({"records": [{"value": 1}]});
    vec![
        row("GET /topics", "/topics", Value::Null, Viewer, Scope("describe")),
        row("PUT /topics/{}", "/topics/{topic}?dry_run=true", json!({"partitions": 2}), Developer, Scope("manage")),
        row("GET /topics/{}", "/topics/{topic}", Value::Null, Viewer, Scope("describe")),
        row("PATCH /topics/{}", "/topics/{topic}?dry_run=true", json!({"partitions": 3}), Developer, Scope("manage")),
        row("DELETE /topics/{}", "/topics/{topic}?dry_run=true", Value::Null, Developer, Scope("manage")),
        row("GET /topics/{}/partitions", "/topics/{topic}/partitions", Value::Null, Viewer, Scope("describe")),
        row("GET /topics/{}/offsets", "/topics/{topic}/offsets?at=0", Value::Null, Viewer, Scope("describe")),
        row("POST /topics/{}/trim", "/topics/{topic}/trim", json!({"partition": 0, "before_offset": 0}), Developer, Scope("manage")),
        row("POST /topics/{}/records", "/topics/{topic}/records", record.clone(), Developer, Scope("produce")),
        row("POST /topics/{}/raw", "/topics/{topic}/raw", json!(1), Developer, Scope("produce")),
        row("POST /topics/{}/records/bulk", "/topics/{topic}/records/bulk", json!({"value": 1}), Developer, Scope("produce")),
        row("GET /topics/{}/records", "/topics/{topic}/records", Value::Null, Viewer, Scope("fetch")),
        row("GET /topics/{}/partitions/{}/records", "/topics/{topic}/partitions/0/records", Value::Null, Viewer, Scope("fetch")),
        row("GET /topics/{}/keys/{}", "/topics/{topic}/keys/k", Value::Null, Viewer, Scope("fetch")),
        row("GET /topics/{}/tail", "/topics/{topic}/tail", Value::Null, Viewer, Scope("fetch")),
        row("GET /topics/{}/tail.ndjson", "/topics/{topic}/tail.ndjson", Value::Null, Viewer, Scope("fetch")),
        row("GET /groups", "/groups", Value::Null, Viewer, Scope("consume")),
        row("PUT /groups/{}", "/groups/{group}", json!({"topics": ["walked"]}), Developer, Scope("consume")),
        row("GET /groups/{}", "/groups/{group}", Value::Null, Viewer, Scope("consume")),
        // It has a member.
        row("DELETE /groups/{}", "/groups/{group}", Value::Null, Developer, Scope("consume")),
        row("PUT /groups/{}/members/{}", "/groups/{group}/members/walker", json!({}), Developer, Scope("consume")),
        // Nobody of that name has joined.
        row("POST /groups/{}/members/{}/poll", "/groups/{group}/members/nobody/poll", json!({"epoch": 1}), Developer, Scope("consume")),
        row("DELETE /groups/{}/members/{}", "/groups/{group}/members/nobody", Value::Null, Developer, Scope("consume")),
        // It is no shared group.
        row("POST /groups/{}/lease", "/groups/{group}/lease", json!({}), Developer, Scope("consume")),
        row("POST /groups/{}/settle", "/groups/{group}/settle", json!({"ack": []}), Developer, Scope("consume")),
        row("POST /groups/{}/redrive", "/groups/{group}/redrive", json!({}), Developer, Scope("consume")),
        row("GET /groups/{}/offsets", "/groups/{group}/offsets", Value::Null, Viewer, Scope("consume")),
        row("POST /groups/{}/offsets", "/groups/{group}/offsets", json!({"to": "latest", "dry_run": true, "force": true}), Developer, Scope("consume")),
    ]
}

/// Management, below `/v1`.
#[rustfmt::skip] // a table
pub fn management() -> Vec<Operation> {
    use Keys::{Any, Manage, Never};
    use Least::{Admin, Anybody, Developer, Open, Operator, Owner, Viewer};
    let none = Value::Null;
    let scopes = json!({"scopes": [{"operations": ["describe"], "topic": "*"}]});
    let issuer = json!({
        "issuer": "https://issuer.example.com", "audience": "headwater",
        "rules": [{"claim": "team", "value": "data", "role": "viewer"}],
    });
    let rename = json!({"name": "Renamed by the walk"});
    vec![
        row("POST /sessions", "/sessions", none.clone(), Open, Any),
        row("POST /sessions/refresh", "/sessions/refresh", none.clone(), Open, Any),
        row("DELETE /sessions/current", "/sessions/current", none.clone(), Open, Any),
        row("GET /sessions/oidc/{}/start", "/sessions/oidc/x/start", none.clone(), Open, Any),
        row("GET /sessions/oidc/{}/callback", "/sessions/oidc/x/callback", none.clone(), Open, Any),
        row("GET /.well-known/jwks.json", "/.well-known/jwks.json", none.clone(), Open, Any),
        row("POST /invitations/{}/accept", "/invitations/x/accept", none.clone(), Open, Any),
        row("GET /me", "/me", none.clone(), Anybody, Any),
        // The right password would change it: a wrong one is refused for its own reason.
        row("PUT /me/password", "/me/password", json!({"current_password": "not it", "new_password": "long enough to be one"}), Anybody, Never),
        row("GET /organizations", "/organizations", none.clone(), Anybody, Any),
        row("POST /organizations", "/organizations?dry_run=true", json!({"id": "made-by-the-walk"}), Anybody, Never),
        row("GET /organizations/{}", "/organizations/{org}", none.clone(), Viewer, Never),
        row("PATCH /organizations/{}", "/organizations/{org}?dry_run=true", rename.clone(), Admin, Never),
        row("DELETE /organizations/{}", "/organizations/{org}?dry_run=true", none.clone(), Owner, Never),
        row("GET /organizations/{}/members", "/organizations/{org}/members", none.clone(), Viewer, Never),
        row("GET /organizations/{}/members/{}", "/organizations/{org}/members/{member}", none.clone(), Viewer, Never),
        row("PUT /organizations/{}/members/{}", "/organizations/{org}/members/{member}?dry_run=true", json!({"role": "developer"}), Admin, Never),
        row("DELETE /organizations/{}/members/{}", "/organizations/{org}/members/{member}?dry_run=true", none.clone(), Admin, Never),
        row("GET /organizations/{}/issuers", "/organizations/{org}/issuers", none.clone(), Admin, Never),
        row("GET /organizations/{}/issuers/{}", "/organizations/{org}/issuers/{issuer}", none.clone(), Admin, Never),
        row("PUT /organizations/{}/issuers/{}", "/organizations/{org}/issuers/{issuer}?dry_run=true", issuer, Admin, Never),
        row("DELETE /organizations/{}/issuers/{}", "/organizations/{org}/issuers/{issuer}?dry_run=true", none.clone(), Admin, Never),
        row("GET /organizations/{}/projects", "/organizations/{org}/projects", none.clone(), Viewer, Never),
        row("POST /organizations/{}/projects", "/organizations/{org}/projects?dry_run=true", json!({"id": "made-by-the-walk"}), Admin, Never),
        row("GET /projects/{}", "/projects/{project}", none.clone(), Viewer, Any),
        row("PATCH /projects/{}", "/projects/{project}?dry_run=true", rename, Admin, Never),
        row("DELETE /projects/{}", "/projects/{project}?dry_run=true", none.clone(), Admin, Never),
        row("GET /projects/{}/keys", "/projects/{project}/keys", none.clone(), Developer, Manage),
        row("GET /projects/{}/keys/{}", "/projects/{project}/keys/{key}", none.clone(), Developer, Manage),
        row("PUT /projects/{}/keys/{}", "/projects/{project}/keys/{key}?dry_run=true", scopes, Developer, Manage),
        row("DELETE /projects/{}/keys/{}", "/projects/{project}/keys/{key}?dry_run=true", none.clone(), Developer, Manage),
        row("POST /projects/{}/keys/{}/rotate", "/projects/{project}/keys/{key}/rotate?dry_run=true", none.clone(), Developer, Manage),
        row("GET /organizations/{}/quotas", "/organizations/{org}/quotas", none.clone(), Viewer, Never),
        row("PATCH /organizations/{}/quotas", "/organizations/{org}/quotas?dry_run=true", json!({"tails": 77}), Admin, Never),
        row("GET /projects/{}/quotas", "/projects/{project}/quotas", none.clone(), Viewer, Never),
        row("PATCH /projects/{}/quotas", "/projects/{project}/quotas?dry_run=true", json!({"tails": 77}), Admin, Never),
        row("GET /organizations/{}/usage", "/organizations/{org}/usage", none.clone(), Viewer, Never),
        row("GET /projects/{}/usage", "/projects/{project}/usage", none.clone(), Viewer, Never),
        row("GET /organizations/{}/audit-events", "/organizations/{org}/audit-events", none.clone(), Admin, Never),
        row("GET /cluster", "/cluster", none.clone(), Operator, Never),
        row("GET /cluster/brokers", "/cluster/brokers", none.clone(), Operator, Never),
        row("POST /cluster/brokers/{}/drain", "/cluster/brokers/1/drain?dry_run=true", none.clone(), Operator, Never),
        row("DELETE /cluster/brokers/{}", "/cluster/brokers/1", none.clone(), Operator, Never),
        row("POST /cluster/rebalance", "/cluster/rebalance?dry_run=true", none.clone(), Operator, Never),
        row("POST /cluster/partitions/{}/{}/elect", "/cluster/partitions/00000000000000000000000000000000/0/elect", none, Operator, Never),
    ]
}

impl Operation {
    /// Whether it is about something in the project of the base URL.
    pub fn is_in_project(&self) -> bool {
        self.path.starts_with("/topics") || self.path.starts_with("/groups")
    }
}

impl Least {
    /// Whether a member of this role may.
    pub fn lets(self, role: &str) -> bool {
        let rank = |least: Self| match least {
            Self::Open | Self::Anybody => 0,
            Self::Viewer => 1,
            Self::Developer => 2,
            Self::Admin => 3,
            Self::Owner => 4,
            Self::Operator => 9,
        };
        let own = match role {
            "viewer" => 1,
            "developer" => 2,
            "admin" => 3,
            "owner" => 4,
            "operator" => 9,
            _ => panic!("no role {role}"),
        };
        own >= rank(self)
    }
}

impl Keys {
    /// Whether a key with these operations on all topics may.
    pub fn lets(self, operations: &[&str]) -> bool {
        match self {
            Self::Scope(needed) => operations.contains(&needed),
            Self::Manage => operations.contains(&"manage"),
            Self::Any => true,
            Self::Never => false,
        }
    }
}
