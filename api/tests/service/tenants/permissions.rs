//! Every operation of both documents, by everybody: done, refused or hidden as the contract says,
//! and what is refused changes nothing.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::callers::{Caller, Who, callers};
use super::operations::{Least, Operation, management, streaming};
use super::people::{Engine, Tenant, on_both_engines};
use crate::client::{Api, Reply, reply};
use crate::groups::worker::{Worker, ensure};

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
            .replace("{group}", "walked")
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
    let in_project = owner.in_project(&tenant.project);
    ensure(&in_project, "walked", json!({"topics": ["walked"]})).await;
    let long = json!({"lease_ms": 300_000});
    Worker::join_as(&in_project, "walked", "walked", long).await;
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
                // It is the only one, and lives.
                _ if operation.template == "/cluster/brokers/{}" => answer.status == 409,
                // No topic has the id: those that are there have a leader.
                _ if operation.template.ends_with("/elect") => answer.status == 404,
                // It has a member, and nobody of the other name has joined.
                _ if (operation.method, operation.template) == ("DELETE", "/groups/{}") => {
                    answer.status == 409
                }
                _ if operation.template.ends_with("/poll") => answer.status == 410,
                // The group is no shared one.
                _ if [
                    "/groups/{}/lease",
                    "/groups/{}/settle",
                    "/groups/{}/redrive",
                ]
                .contains(&operation.template) =>
                {
                    answer.status == 409
                }
                // The topic is not compacted.
                _ if operation.template == "/topics/{}/keys/{}" => answer.status == 422,
                _ if operation.template == "/me/password" => {
                    [401, 403, 422].contains(&answer.status)
                }
                _ => (200..300).contains(&answer.status),
            };
            if !good {
                wrong.push(said(&caller, &operation, &answer, "success"));
            }
            let dry = path.contains("dry_run");
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
        "/groups/walked/offsets",
    ] {
        all[format!("project{path}")] = owner.see(&tenant.in_project(path)).await;
    }
    without(
        &mut all,
        &[
            "last_used_at",
            "use",
            "hot_bytes",
            "cold_bytes",
            "offload_backlog_bytes",
            "lag_ms",
        ],
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
