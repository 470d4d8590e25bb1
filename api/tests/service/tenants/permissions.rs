//! Every operation of both documents, by everybody: done, refused or hidden as the contract says,
//! and what is refused changes nothing.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::operations::{Keys, Least, Operation, management, streaming};
use super::people::{Engine, Tenant, everything, make_key, on_both_engines};
use crate::client::{Api, Reply, reply};
use crate::harness::{eventually, unique};

on_both_engines!(everybody_may_do_what_the_contract_says_and_no_more);

#[tokio::test]
async fn every_operation_of_both_documents_has_a_row() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let root = engine.shared().await.root();
        let api = Api::stranger(root.clone());
        for (name, rows) in [("streaming", streaming()), ("management", management())] {
            let url = format!("{root}/openapi/{name}.json");
            let document = reply(api.anonymous("GET", &url)).await.expect(200).json();
            let known: BTreeSet<_> = rows
                .iter()
                .map(|row| format!("{} {}", row.method, row.template))
                .collect();
            let documented = operations(&document);
            let without: Vec<_> = documented.difference(&known).collect();
            assert!(without.is_empty(), "{name}: no expectation for {without:?}");
            let missing: Vec<_> = known.difference(&documented).collect();
            assert!(missing.is_empty(), "{name}: undocumented are {missing:?}");
        }
    }
}

#[tokio::test]
async fn the_printed_documents_are_the_served_ones() {
    let root = Engine::Sqlite.shared().await.root();
    let api = Api::stranger(root.clone());
    let printed = std::process::Command::new(crate::harness::BINARY)
        .arg("openapi")
        .output()
        .expect("it runs");
    let printed: Value = serde_json::from_slice(&printed.stdout).expect("one JSON object");
    for name in ["streaming", "management"] {
        let url = format!("{root}/openapi/{name}.json");
        let served = reply(api.anonymous("GET", &url)).await.expect(200).json();
        assert_eq!(operations(&printed[name]), operations(&served), "{name}");
    }
}

/// Method and path of each operation, without the names of parameters.
fn operations(document: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let parts: Vec<_> = path
            .split('/')
            .map(|part| if part.starts_with('{') { "{}" } else { part })
            .collect();
        for method in methods.as_object().expect("methods").keys() {
            if ["get", "put", "post", "patch", "delete"].contains(&method.as_str()) {
                found.insert(format!("{} {}", method.to_uppercase(), parts.join("/")));
            }
        }
    }
    found
}

/// What somebody is to the tenant.
enum Who {
    /// No credential, or none that is good.
    Nobody,
    /// Good elsewhere: all of this is as if it did not exist.
    Stranger,
    Role(&'static str),
    Key(Vec<&'static str>),
}

struct Caller {
    name: String,
    api: Api,
    who: Who,
    /// The key that key operations are about.
    key: String,
}

/// The names that paths of the table stand for.
struct Names {
    organization: String,
    project: String,
    topic: String,
    member: String,
}

impl Names {
    fn fill(&self, path: &str, key: &str) -> String {
        path.replace("{org}", &self.organization)
            .replace("{project}", &self.project)
            .replace("{topic}", &self.topic)
            .replace("{member}", &self.member)
            .replace("{issuer}", "walked-issuer")
            .replace("{key}", key)
    }
}

async fn everybody_may_do_what_the_contract_says_and_no_more(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let owner = &tenant.owner.api;
    let names = Names {
        organization: tenant.organization.clone(),
        project: tenant.project.clone(),
        topic: "walked".into(),
        member: tenant.person("developer").await.email,
    };
    owner.topic("walked", 2).await;
    let issuer =
        json!({"issuer": "https://issuer.example.com", "audience": "headwater", "rules": []});
    let path = tenant.path("/issuers/walked-issuer");
    owner.manage("PUT", &path, issuer).await.expect(201);
    let mut wrong = Vec::new();
    for caller in callers(engine, &tenant).await {
        let before = snapshot(&tenant).await;
        let mut allowed = Vec::new();
        for (operation, in_project) in table() {
            if operation.least == Least::Open {
                continue;
            }
            if caller.may(&operation) {
                allowed.push((operation, in_project));
                continue;
            }
            // Where it must be refused it is called in earnest.
            let path = operation.path.replace("?dry_run=true", "");
            let answer = call(
                &caller.api,
                &operation,
                &path,
                in_project,
                &names,
                &caller.key,
            )
            .await;
            let expected = caller.refusal(&operation);
            if (answer.status, answer.code().as_str()) != expected {
                wrong.push(said(&caller, &operation, &answer, &format!("{expected:?}")));
            }
            if matches!(caller.who, Who::Stranger) && operation.path.contains('{') {
                let absent = names.absent();
                let other = call(
                    &caller.api,
                    &operation,
                    &path,
                    in_project,
                    &absent,
                    &caller.key,
                )
                .await;
                if names.erased(&answer) != absent.erased(&other) {
                    wrong.push(said(
                        &caller,
                        &operation,
                        &answer,
                        &format!("exactly {}", other.text),
                    ));
                }
            }
        }
        assert_eq!(
            before,
            snapshot(&tenant).await,
            "{} changed something\n{}",
            caller.name,
            wrong.join("\n")
        );
        for (operation, in_project) in allowed {
            let path = operation.path;
            let answer = call(
                &caller.api,
                &operation,
                path,
                in_project,
                &names,
                &caller.key,
            )
            .await;
            let good = match operation.least {
                // Not built, but not refused either.
                Least::Operator => (200..300).contains(&answer.status) || answer.status == 501,
                _ if operation.template == "/me/password" => {
                    [401, 403, 422].contains(&answer.status)
                }
                _ => (200..300).contains(&answer.status),
            };
            if !good {
                wrong.push(said(&caller, &operation, &answer, "success"));
            }
            let dry = path.contains("dry_run") && operation.least != Least::Operator;
            if good && dry && answer.header("headwater-dry-run") != Some("true") {
                wrong.push(said(
                    &caller,
                    &operation,
                    &answer,
                    "the header headwater-dry-run",
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    let left = owner.see(&tenant.path("")).await;
    assert_ne!(
        left["name"], "Renamed by the walk",
        "a dry run changes nothing"
    );
}

fn said(caller: &Caller, operation: &Operation, answer: &Reply, expected: &str) -> String {
    let text: String = answer.text.chars().take(300).collect();
    format!(
        "{}: {} {}: {} {text}; expected {expected}",
        caller.name, operation.method, operation.path, answer.status
    )
}

fn table() -> impl Iterator<Item = (Operation, bool)> {
    let streaming = streaming().into_iter().map(|operation| (operation, true));
    streaming.chain(management().into_iter().map(|operation| (operation, false)))
}

async fn callers(engine: Engine, tenant: &Tenant) -> Vec<Caller> {
    let owner = &tenant.owner.api;
    let stranger = || Api::stranger(owner.root.clone()).in_project(&tenant.project);
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
    add("no credential", stranger(), Who::Nobody, &owners_key);
    add(
        "garbage",
        stranger().with_key("hw_0123456789abcdef_nothing"),
        Who::Nobody,
        &owners_key,
    );
    add(
        "an expired key",
        expired_key(tenant, &stranger()).await,
        Who::Nobody,
        &owners_key,
    );
    let others = |api: &Api| api.in_project(&tenant.project);
    add(
        "another owner",
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

    fn may(&self, operation: &Operation) -> bool {
        // What is about nobody's organization but one's own.
        let at_large = matches!(operation.least, Least::Anybody);
        match &self.who {
            Who::Nobody => false,
            Who::Stranger if self.name == "another key" => at_large && operation.keys == Keys::Any,
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
    fn refusal(&self, operation: &Operation) -> (u16, &'static str) {
        let hidden = match &self.who {
            Who::Nobody => return (401, "unauthenticated"),
            Who::Stranger => operation.path.contains('{') || operation.path.starts_with("/topics"),
            Who::Key(_) if self.is_elsewhere() => {
                operation.path.contains("{project}") || operation.path.starts_with("/topics")
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

impl Names {
    /// Names of the same kind that nothing has.
    fn absent(&self) -> Self {
        Self {
            organization: "no-such-organization".into(),
            project: "no-such-project".into(),
            topic: self.topic.clone(),
            member: self.member.clone(),
        }
    }

    /// An answer without the names in it.
    fn erased(&self, answer: &Reply) -> (u16, String) {
        let mut body: Value = serde_json::from_str(&answer.text).unwrap_or_default();
        if let Some(body) = body.as_object_mut() {
            body.remove("request_id");
        }
        let text = body.to_string();
        let text = text
            .replace(&self.organization, "O")
            .replace(&self.project, "P");
        (answer.status, text)
    }
}

/// Makes a call of the table; of an answer without end only the head is read.
async fn call(
    api: &Api,
    operation: &Operation,
    path: &str,
    in_project: bool,
    names: &Names,
    key: &str,
) -> Reply {
    let path = names.fill(path, key);
    let base = match in_project {
        true => format!("{}/v1/projects/{}", api.root, names.project),
        false => format!("{}/v1", api.root),
    };
    let mut request = api.anonymous(operation.method, &format!("{base}{path}"));
    if !api.key.is_empty() {
        request = request.bearer_auth(&api.key);
    }
    if !operation.body.is_null() {
        let kind = if path.ends_with("/bulk") {
            "application/x-ndjson"
        } else {
            "application/json"
        };
        request = request
            .header("content-type", kind)
            .body(format!("{}\n", operation.body));
    }
    if operation.path.contains("/tail") {
        let response = request.send().await.expect("an answer");
        if response.status() == 200 {
            let (status, headers) = (200, response.headers().clone());
            return Reply {
                status,
                headers,
                text: String::new(),
            };
        }
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a body");
        return Reply {
            status,
            headers,
            text,
        };
    }
    reply(request).await
}

/// All that the tenant has, as its owner sees it, without what changes by itself.
async fn snapshot(tenant: &Tenant) -> Value {
    let owner = &tenant.owner.api;
    let mut all = json!({});
    for path in ["", "/members", "/issuers", "/projects", "/quotas"] {
        all[path] = owner.see(&tenant.path(path)).await;
    }
    for path in [
        "",
        "/keys",
        "/quotas",
        "/topics",
        "/topics/walked",
        "/topics/walked/partitions",
    ] {
        all[format!("project{path}")] = owner.see(&tenant.in_project(path)).await;
    }
    without(
        &mut all,
        &["last_used_at", "use", "hot_bytes", "cold_bytes"],
    );
    all
}

fn without(value: &mut Value, names: &[&str]) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !names.contains(&name.as_str()));
            members.values_mut().for_each(|value| without(value, names));
        }
        Value::Array(elements) => elements.iter_mut().for_each(|value| without(value, names)),
        _ => {}
    }
}
