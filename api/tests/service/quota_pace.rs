//! Quotas of bytes on what goes on for long, which waits instead of being refused; and ceilings that
//! operators set where they are no members.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Api, Reply, reply};
use crate::harness::{Server, eventually, soon};
use crate::lines::Lines;

/// Bytes a second, and of each record; there is one second's worth to begin with.
const RATE: u64 = 200_000;
const RECORD_BYTES: usize = 50_000;
const RECORDS: usize = 16;

/// An organization of a server, and somebody who is signed in to it.
struct Tenant {
    organization: String,
    project: String,
    root: String,
    token: String,
    key: Api,
}

impl Tenant {
    /// A new one, whose owner is an operator.
    async fn new(server: &Server, name: &str) -> Self {
        let (organization, project) = (format!("org-{name}"), format!("project-{name}"));
        let email = format!("{name}@example.com");
        let made = server.bootstrap(&organization, &project, &email).await;
        let text = |name: &str| made[name].as_str().expect(name).to_owned();
        let base = format!("{}{}", server.root(), text("base_path"));
        let key = Api::new(server.root(), base, text("api_key"));
        eventually("the tenant is known", async || {
            key.get("/topics").await.status == 200
        })
        .await;
        Self {
            token: sign_in(&key, &email, &text("password")).await,
            root: server.root(),
            organization,
            project,
            key,
        }
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Reply {
        call(&self.key, &self.token, method, path, body).await
    }

    async fn limit(&self, quotas: Value) {
        let path = format!("/projects/{}/quotas", self.project);
        self.call("PATCH", &path, quotas).await.expect(200);
    }

    async fn fill(&self, topic: &str) -> String {
        let path = self.key.topic(topic, 1).await;
        let record = json!({"value": "x".repeat(RECORD_BYTES)});
        let records = vec![record; RECORDS];
        let body = json!({ "records": records }).to_string();
        self.key.produce(&path, body).await;
        path
    }
}

async fn call(api: &Api, token: &str, method: &str, path: &str, body: Value) -> Reply {
    let request = api
        .anonymous(method, &format!("{}/v1{path}", api.root))
        .header("content-type", "application/json");
    let request = match token {
        "" => request,
        token => request.bearer_auth(token),
    };
    reply(match body {
        Value::Null => request,
        body => request.body(body.to_string()),
    })
    .await
}

async fn sign_in(api: &Api, email: &str, password: &str) -> String {
    let body = json!({"email": email, "password": password});
    let session = call(api, "", "POST", "/sessions", body).await.expect(200);
    let token = session.json()["access_token"].as_str().map(str::to_owned);
    token.expect("a token")
}

async fn next(lines: &mut Lines) -> Option<Value> {
    let line = lines.next().await?;
    Some(serde_json::from_str(&line).expect("JSON"))
}

/// Asserts that so much came at the rate, beyond one second's worth and what one step may borrow.
fn came_at_the_rate(bytes: usize, took: Duration, step: usize) {
    let least = (bytes as f64 - step as f64) / RATE as f64 - 1.0;
    let most = bytes as f64 / RATE as f64 + 8.0;
    println!("{bytes} bytes took {took:?}, expected {least:.1} to {most:.1} s");
    assert!((least..most).contains(&took.as_secs_f64()), "{took:?}");
}

#[tokio::test]
async fn a_tail_in_debt_waits_and_goes_on() {
    let server = Server::start().await;
    let tenant = Tenant::new(&server, "tailing").await;
    let path = tenant.fill("tailed").await;
    tenant.limit(json!({"egress_bytes_per_second": RATE})).await;
    let started = Instant::now();
    let tail = format!("{path}/tail.ndjson?from=earliest");
    let response = tenant.key.request("GET", &tail).send().await;
    let mut lines = Lines::new(response.expect("a tail"));
    let mut seen = 0;
    while seen < RECORDS {
        let line = next(&mut lines).await.expect("no end");
        assert!(line.get("error").is_none(), "{line}");
        seen += usize::from(line.get("value").is_some());
    }
    // The last step is sent on credit.
    came_at_the_rate(RECORDS * RECORD_BYTES, started.elapsed(), 131_072);
    // A fetch is told instead.
    let refused = tenant.key.get(&format!("{path}/records")).await;
    if refused.status != 200 {
        let problem = refused.problem(429, "quota_exceeded");
        assert!(problem["detail"].as_str().is_some_and(|detail| {
            detail.contains("egress_bytes_per_second of project project-tailing")
        }));
    }
    // Waiting for the quota, it still hears that it is over.
    tenant.limit(json!({"egress_bytes_per_second": 0})).await;
    let deleted = format!("/projects/{}/topics/tailed", tenant.project);
    tenant
        .call("DELETE", &deleted, Value::Null)
        .await
        .expect(204);
    let ended = soon("the tail's end", async {
        while let Some(line) = next(&mut lines).await {
            if let Some(error) = line.get("error") {
                return error["code"].clone();
            }
        }
        Value::Null
    });
    assert_eq!(ended.await, "topic_not_found");
}

#[tokio::test]
async fn a_bulk_load_in_debt_is_slowed() {
    let server = Server::start().await;
    let tenant = Tenant::new(&server, "loading").await;
    let path = tenant.key.topic("loaded", 1).await;
    tenant
        .limit(json!({"ingress_bytes_per_second": RATE}))
        .await;
    let line = format!("{{\"value_text\":\"{}\"}}\n", "x".repeat(RECORD_BYTES));
    let bulk = async || {
        let request = tenant
            .key
            .request("POST", &format!("{path}/records/bulk"))
            .header("content-type", "application/x-ndjson")
            .body(line.repeat(2 * RECORDS));
        reply(request).await
    };
    let started = Instant::now();
    let answer = bulk().await.expect(200);
    let last = answer.text.lines().last().expect("a line").to_owned();
    let done: Value = serde_json::from_str(&last).expect("JSON");
    assert_eq!(
        done,
        json!({"done": true, "accepted": 2 * RECORDS, "rejected": 0})
    );
    // A run is half a mebibyte, and the last is appended on credit.
    came_at_the_rate(2 * RECORDS * RECORD_BYTES, started.elapsed(), 650_000);
    // Where nothing may be written at all there is nothing to wait for.
    tenant.limit(json!({"ingress_bytes_per_second": 0})).await;
    let refused = bulk().await;
    refused.problem(429, "quota_exceeded");
    assert_eq!(refused.header("ratelimit-limit"), Some("0"));
}

#[tokio::test]
async fn operators_set_ceilings_at_the_database() {
    let server = Server::start().await;
    let tenant = Tenant::new(&server, "limited").await;
    let admin = |arguments: &[&str]| {
        let output = std::process::Command::new(crate::harness::BINARY)
            .args([
                "admin",
                "ceilings",
                "--database",
                &server.database(),
                "--org",
            ])
            .args(arguments)
            .output();
        output.expect("it starts")
    };
    let shown = admin(&[&tenant.organization]);
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!(shown["topics"], Value::Null);
    let set = admin(&[
        &tenant.organization,
        "--set",
        "topics=1",
        "--set",
        "tails=null",
    ]);
    let set: Value = serde_json::from_slice(&set.stdout).expect("JSON");
    assert_eq!(set["topics"], 1);
    tenant.key.topic("one", 1).await;
    let second = async || {
        tenant
            .key
            .send("PUT", "/topics/two?dry_run=true", "{}")
            .await
    };
    eventually("the ceiling is known", async || {
        second().await.status == 403
    })
    .await;
    let refused = second().await;
    refused.problem(403, "quota_exceeded");
    assert!(
        refused.text.contains(&tenant.organization),
        "{}",
        refused.text
    );
    let quotas = format!("/organizations/{}/quotas", tenant.organization);
    let read = tenant
        .call("GET", &quotas, Value::Null)
        .await
        .expect(200)
        .json();
    assert_eq!(read["topics"], 1);
    for bad in [
        &["no-such-organization"][..],
        &[&tenant.organization, "--set", "topics"],
        &[&tenant.organization, "--set", "topics=-1"],
        &[&tenant.organization, "--set", "colours=3"],
    ] {
        let output = admin(bad);
        assert_eq!(output.status.code(), Some(2), "{bad:?}");
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{bad:?}"
        );
    }
}
