//! The people and keys that the permission walk sends, and what each of them must be answered.

use serde_json::json;

use super::operations::{Keys, Least, Operation};
use super::people::{Engine, Tenant, everything, make_key};
use crate::client::Api;
use crate::harness::{eventually, unique};

/// What somebody is to the tenant.
pub enum Who {
    /// No credential, or none that is good.
    Nobody,
    /// Good elsewhere: all of this is as if it did not exist.
    Stranger,
    Role(&'static str),
    Key(Vec<&'static str>),
}

pub struct Caller {
    pub name: String,
    pub api: Api,
    pub who: Who,
    /// The key that key operations are about.
    pub key: String,
}

/// Everybody that the walk sends.
pub async fn callers(engine: Engine, tenant: &Tenant) -> Vec<Caller> {
    let owner = &tenant.owner.api;
    let ready_key = async |by: &Api| {
        let name = unique("walked-key");
        make_key(
            by,
            &tenant.in_project(&format!("/keys/{name}")),
            everything(),
        )
        .await;
        name
    };
    let owners_key = ready_key(owner).await;
    let other = Tenant::new(engine).await;
    let sibling = tenant.another_project().await;
    let sibling_key = make_key(
        owner,
        &format!("/projects/{sibling}/keys/sibling"),
        everything(),
    )
    .await;
    let mut callers = Vec::new();
    let mut add = |name: &str, api: Api, who: Who, key: &str| {
        let key = key.to_owned();
        callers.push(Caller {
            name: name.to_owned(),
            api,
            who,
            key,
        });
    };
    add("no credential", tenant.stranger(), Who::Nobody, &owners_key);
    add(
        "garbage",
        tenant.stranger().with_key("hw_0123456789abcdef_nothing"),
        Who::Nobody,
        &owners_key,
    );
    add(
        "an expired key",
        expired_key(tenant, &tenant.stranger()).await,
        Who::Nobody,
        &owners_key,
    );
    let others = |api: &Api| api.in_project(&tenant.project);
    let owner_elsewhere = other.person("owner").await;
    add(
        "another owner",
        others(&owner_elsewhere.api),
        Who::Stranger,
        &owners_key,
    );
    add(
        "another operator",
        others(&other.owner.api),
        Who::Stranger,
        &owners_key,
    );
    add(
        "another key",
        others(&other.key),
        Who::Stranger,
        &owners_key,
    );
    let developer_elsewhere = other.person("developer").await;
    add(
        "another developer",
        others(&developer_elsewhere.api),
        Who::Stranger,
        &owners_key,
    );
    add(
        "a sibling's key",
        others(&sibling_key),
        Who::Key(vec!["elsewhere"]),
        &owners_key,
    );
    add(
        "operator",
        owner.clone(),
        Who::Role("operator"),
        &owners_key,
    );
    for role in ["viewer", "developer", "admin", "owner"] {
        let person = tenant.person(role).await;
        let key = if role == "viewer" {
            owners_key.clone()
        } else {
            ready_key(&person.api).await
        };
        add(role, person.api, Who::Role(role), &key);
    }
    let all = ["describe", "produce", "fetch", "consume", "manage"];
    for operation in all {
        let key = tenant.key_for(operation).await;
        add(
            &format!("a {operation} key"),
            key,
            Who::Key(vec![operation]),
            &owners_key,
        );
    }
    // A key makes keys within its own scopes only: it must cover those of the key it touches.
    add(
        "a key for all",
        tenant.key_with(everything()).await,
        Who::Key(all.to_vec()),
        &owners_key,
    );
    callers
}

async fn expired_key(tenant: &Tenant, stranger: &Api) -> Api {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    let path = tenant.in_project(&format!("/keys/{}", unique("short")));
    let body = json!({"scopes": everything(), "expires_at": at.to_string()});
    let made = tenant
        .owner
        .api
        .manage("PUT", &path, body)
        .await
        .expect(201)
        .json();
    let key = stranger.with_key(made["secret"].as_str().expect("a secret"));
    eventually("the key expires", async || {
        key.get("/topics").await.status == 401
    })
    .await;
    key
}

impl Caller {
    fn is_elsewhere(&self) -> bool {
        matches!(&self.who, Who::Key(operations) if operations == &["elsewhere"])
    }

    /// Whether the operation must be done for it.
    pub fn may(&self, operation: &Operation) -> bool {
        // What is about nobody's organization but one's own.
        let at_large = matches!(operation.least, Least::Anybody);
        match &self.who {
            Who::Nobody => false,
            Who::Stranger if self.name == "another key" => at_large && operation.keys == Keys::Any,
            // Who operates the service does so wherever they are a member.
            Who::Stranger if self.name == "another operator" => {
                at_large || matches!(operation.least, Least::Operator)
            }
            Who::Stranger => at_large,
            Who::Role(role) => operation.least.lets(role),
            Who::Key(_) if self.is_elsewhere() => at_large && operation.keys == Keys::Any,
            // A `manage` key may not touch a key that can more than itself.
            Who::Key(operations) if operation.keys == Keys::Manage && operation.method != "GET" => {
                operations.len() == 5
            }
            Who::Key(operations) => operation.keys.lets(operations),
        }
    }

    /// Status and code of what is refused.
    pub fn refusal(&self, operation: &Operation) -> (u16, &'static str) {
        let hidden = match &self.who {
            Who::Nobody => return (401, "unauthenticated"),
            Who::Stranger => operation.path.contains('{') || operation.is_in_project(),
            Who::Key(_) if self.is_elsewhere() => {
                operation.path.contains("{project}") || operation.is_in_project()
            }
            _ => false,
        };
        if hidden {
            (404, "not_found")
        } else {
            (403, "forbidden")
        }
    }
}
