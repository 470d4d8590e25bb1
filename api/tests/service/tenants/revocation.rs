//! What is taken away ends within two seconds, also in the middle of a call without end.

use std::time::Instant;

use serde_json::{Value, json};

use super::people::{Engine, Tenant, everything, in_time, make_key, on_both_engines, takes_effect};
use crate::client::Api;
use crate::harness::{soon, unique};
use crate::lines::{Lines, open_body};

on_both_engines!(
    a_deleted_key_stops_everything,
    a_key_that_lost_its_scopes_stops_there,
    a_removed_member_stops_everything,
    a_deleted_project_stops_everything,
    a_deleted_topic_stops_its_readers,
    revocations_under_load_are_as_quick,
);

/// A bulk load whose body is still open.
struct Load {
    lines: tokio::sync::mpsc::Sender<String>,
    answer: Lines,
}

/// Everything that a credential can have going: two tails, a bulk load, a waiting poll.
struct Going {
    api: Api,
    path: String,
    tails: Vec<Lines>,
    load: Option<Load>,
    poll: tokio::task::JoinHandle<u16>,
}

impl Going {
    async fn on(api: &Api, path: &str) -> Self {
        let mut tails = Vec::new();
        for call in ["tail", "tail.ndjson"] {
            let url = format!("{path}/{call}?from=latest");
            tails.push(Lines::open(api, &url).await);
        }
        let (lines, body) = open_body();
        lines.send("{\"value\":\"going\"}\n".into()).await.unwrap();
        let request = api
            .request("POST", &format!("{path}/records/bulk"))
            .body(body);
        let response = soon("bulk answers", request.send())
            .await
            .expect("an answer");
        assert_eq!(response.status(), 200);
        let mut answer = Lines::new(response);
        assert!(answer.next().await.expect("a run").contains("\"n\":1"));
        for tail in &mut tails {
            while !tail.next().await.expect("it goes on").contains("going") {}
        }
        let poll = tokio::spawn({
            let (api, url) = (
                api.clone(),
                format!("{path}/records?from=latest&wait_ms=60000"),
            );
            async move { api.get(&url).await.status }
        });
        Self {
            api: api.clone(),
            path: path.to_owned(),
            tails,
            load: Some(Load { lines, answer }),
            poll,
        }
    }

    /// Waits until the tails are at their end; records that still come must be none after it.
    async fn tails_end(&mut self, what: &str, started: Instant) {
        for tail in &mut self.tails {
            let ended = async {
                let mut last = String::new();
                while let Ok(Some(line)) = tail.try_next().await {
                    if !line.is_empty() {
                        last = line;
                    }
                }
                last
            };
            let last = soon("the tail ends", ended).await;
            println!("last words of the tail: {last:.200}");
        }
        in_time(&format!("{what}: tails"), started);
    }

    async fn load_ends(&mut self, what: &str, started: Instant) {
        let Load { lines, mut answer } = self.load.take().expect("a load");
        let feeding = tokio::spawn(async move {
            while lines
                .send("{\"value\":\"too late\"}\n".into())
                .await
                .is_ok()
            {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        });
        let ended = async {
            while let Ok(Some(line)) = answer.try_next().await {
                // A clean end of a load whose body is open would be a lie.
                assert!(!line.contains("\"done\":true"), "{line}");
            }
        };
        soon("the load ends", ended).await;
        feeding.abort();
        in_time(&format!("{what}: a bulk load"), started);
    }

    /// Asserts that all of it ends in time, and that new calls answer this.
    async fn all_end(mut self, what: &str, started: Instant, status: u16) {
        self.load_ends(what, started).await;
        self.tails_end(what, started).await;
        takes_effect(&format!("{what}: produce"), async || {
            let body = r#"{"records":[{"value":"late"}]}"#;
            let path = format!("{}/records", self.path);
            self.api.send("POST", &path, body).await.status == status
        })
        .await;
        takes_effect(&format!("{what}: fetch"), async || {
            self.api.get(&format!("{}/records", self.path)).await.status == status
        })
        .await;
        let polled = soon("the poll ends", &mut self.poll)
            .await
            .expect("no panic");
        in_time(&format!("{what}: a waiting poll"), started);
        assert!([200, status].contains(&polled), "{polled}");
    }
}

async fn a_deleted_key_stops_everything(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let path = tenant.key.topic("revoked", 1).await;
    let name = tenant.in_project("/keys/going");
    let key = make_key(&tenant.owner.api, &name, everything()).await;
    let going = Going::on(&key, &path).await;
    let bystander = Going::on(&tenant.key, &path).await;
    let started = Instant::now();
    tenant
        .owner
        .api
        .manage("DELETE", &name, Value::Null)
        .await
        .expect(204);
    going.all_end("a deleted key", started, 401).await;
    // Whoever keeps the key goes on with the very same calls.
    let load = bystander.load.expect("a load");
    load.lines
        .send("{\"value\":\"still here\"}\n".into())
        .await
        .expect("it is still read");
    for mut tail in bystander.tails {
        while !tail
            .next()
            .await
            .expect("it goes on")
            .contains("still here")
        {}
    }
    bystander.poll.abort();
}

async fn a_key_that_lost_its_scopes_stops_there(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let path = tenant.key.topic("narrowed", 1).await;
    let name = tenant.in_project("/keys/narrowed");
    let key = make_key(&tenant.owner.api, &name, everything()).await;
    let going = Going::on(&key, &path).await;
    let started = Instant::now();
    let scopes = json!({"scopes": [{"operations": ["describe"], "topic": "*"}]});
    tenant
        .owner
        .api
        .manage("PUT", &name, scopes)
        .await
        .expect(200);
    going
        .all_end("a key without its scopes", started, 403)
        .await;
    key.get(&path).await.expect(200);
}

async fn a_removed_member_stops_everything(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let path = tenant.key.topic("left", 1).await;
    let person = tenant.person("developer").await;
    let name = tenant.in_project(&format!("/keys/{}", unique("of-the-removed")));
    let key = make_key(&person.api, &name, everything()).await;
    let by_token = Going::on(&person.api, &path).await;
    let by_key = Going::on(&key, &path).await;
    let started = Instant::now();
    tenant.remove(&person.email).await;
    tokio::join!(
        by_token.all_end("a removed member", started, 404),
        by_key.all_end("a removed member's key", started, 401),
    );
}

async fn a_deleted_project_stops_everything(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let project = tenant.another_project().await;
    let owner = tenant.owner.api.in_project(&project);
    let path = owner.topic("ending", 1).await;
    let keys = format!("/projects/{project}/keys/k");
    let key = make_key(&owner, &keys, everything()).await;
    let by_token = Going::on(&owner, &path).await;
    let by_key = Going::on(&key, &path).await;
    let started = Instant::now();
    owner
        .manage("DELETE", &format!("/projects/{project}"), Value::Null)
        .await
        .expect(204);
    tokio::join!(
        by_token.all_end("a deleted project", started, 404),
        by_key.all_end("a deleted project's key", started, 401),
    );
}

async fn a_deleted_topic_stops_its_readers(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let path = tenant.key.topic("dropped", 1).await;
    let going = Going::on(&tenant.key, &path).await;
    let started = Instant::now();
    tenant.key.send("DELETE", &path, "").await.expect(204);
    going.all_end("a deleted topic", started, 404).await;
}

/// Fifty keys used by fifty clients, revoked while all of them write.
async fn revocations_under_load_are_as_quick(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let path = tenant.key.topic("busy", 4).await;
    let mut workers = Vec::new();
    let mut names = Vec::new();
    for n in 0..50 {
        let name = tenant.in_project(&format!("/keys/busy-{n}"));
        let key = make_key(&tenant.owner.api, &name, everything()).await;
        names.push(name);
        let records = format!("{path}/records");
        workers.push(tokio::spawn(async move {
            let mut sent = 0_u64;
            loop {
                let answer = key
                    .send("POST", &records, r#"{"records":[{"value":1}]}"#)
                    .await;
                match answer.status {
                    200 => sent += 1,
                    401 => return sent,
                    _ => panic!("{}: {}", answer.status, answer.text),
                }
            }
        }));
    }
    let mut last = Instant::now();
    for name in names {
        last = Instant::now();
        tenant
            .owner
            .api
            .manage("DELETE", &name, Value::Null)
            .await
            .expect(204);
    }
    let mut total = 0;
    for worker in workers {
        total += soon("a worker is stopped", worker)
            .await
            .expect("no worker failed");
    }
    in_time("the last of fifty keys", last);
    assert_eq!(
        tenant.key.high_watermarks(&path).await.iter().sum::<u64>(),
        total
    );
}
