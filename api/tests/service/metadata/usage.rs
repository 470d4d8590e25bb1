//! What is counted as usage, beside plain records: repeats, partial answers, other ways in, requests,
//! and what is stored.

use serde_json::{Value, json};

use super::{Database, both, client};
use crate::client::{Api, reply};
use crate::harness::{Server, eventually};

/// A record of 4 + 10 bytes.
const RECORD: &str = r#"{"key":"key1","value":"12345678"}"#;
const RECORD_BYTES: u64 = 14;

/// A tenant's key and its owner.
struct Tenant {
    key: Api,
    owner: Api,
}

impl Tenant {
    async fn on(server: &Server) -> Self {
        let made = server.bootstrap("acme", "used", "ada@example.com").await;
        let key = client(server, &made).await;
        let body = json!({"email": "ada@example.com", "password": made["password"]});
        let url = format!("{}/v1/sessions", server.root());
        let session = reply(key.anonymous("POST", &url).json(&body)).await;
        let owner = key.with_key(&session.expect(200).json_member("access_token"));
        Self { key, owner }
    }

    async fn usage(&self, query: &str) -> Vec<Value> {
        let answer = self.owner.get(&format!("/usage{query}")).await;
        let answer = answer.expect(200).json();
        answer["series"].as_array().expect("a series").clone()
    }

    async fn sum(&self, query: &str, column: &str) -> u64 {
        let points = self.usage(query).await;
        let numbers = points.iter().map(|point| &point[column]);
        numbers.map(|n| n.as_u64().expect("a number")).sum()
    }

    /// Waits until a topic has so many records, then asserts that this many stays.
    async fn records_in(&self, topic: &str, expected: u64) {
        let query = format!("?topic={topic}");
        eventually("records are counted", async || {
            self.sum(&query, "records_in").await >= expected
        })
        .await;
        tokio::time::sleep(std::time::Duration::from_secs(4)).await;
        assert_eq!(self.sum(&query, "records_in").await, expected, "{topic}");
        assert_eq!(
            self.sum(&query, "ingress_bytes").await,
            expected * RECORD_BYTES,
            "{topic}"
        );
    }
}

fn records(count: usize) -> String {
    format!("{{\"records\":[{}]}}", vec![RECORD; count].join(","))
}

#[tokio::test]
async fn records_count_once_however_they_come() {
    for server in both().await {
        let tenant = Tenant::on(&server).await;
        let key = &tenant.key;
        let path = key.topic("repeated", 1).await;
        for _ in 0..3 {
            let sent = key.produce_once(&path, "once", records(5)).await;
            sent.expect(200);
        }
        // Another body under the same key is refused whole.
        let reused = key.produce_once(&path, "once", records(6)).await;
        reused.problem(422, "idempotency_key_reused");
        let path = key.topic("bulk", 3).await;
        let lines = format!("{RECORD}\nnot a record\n{RECORD}\n");
        let load = key.request("POST", &format!("{path}/records/bulk"));
        let load = load.header("content-type", "application/x-ndjson");
        reply(load.body(lines)).await.expect(200);
        let path = key.topic("raw", 1).await;
        let raw = key.request("POST", &format!("{path}/raw?key=key1"));
        // 4 bytes of key and 10 of value; no content type, so no header.
        reply(raw.body("1234567890")).await.expect(200);
        tenant.records_in("repeated", 5).await;
        tenant.records_in("bulk", 2).await;
        assert_eq!(tenant.sum("?topic=raw", "records_in").await, 1);
        assert_eq!(tenant.sum("?topic=raw", "ingress_bytes").await, 14);
        assert_eq!(tenant.sum("", "records_in").await, 8);
        // Three that were taken and one that was not.
        assert_eq!(tenant.sum("?topic=repeated", "requests").await, 4);
        // No key reads usage, whatever its scopes.
        key.get("/usage").await.problem(403, "forbidden");
    }
}

#[tokio::test]
async fn what_is_stored_lasts_as_long_as_its_topic() {
    for server in both().await {
        let tenant = Tenant::on(&server).await;
        let key = &tenant.key;
        let stored = async || {
            let points = tenant.usage("?topic=kept&step=day").await;
            let last = points.last().map(|point| &point["stored_bytes_hot"]);
            last.and_then(Value::as_u64).unwrap_or(0)
        };
        let path = key.topic("kept", 2).await;
        key.produce(&path, records(50)).await;
        let size = async || {
            let topic = key.get(&path).await.expect(200).json();
            topic["hot_bytes"].as_u64()
        };
        eventually("what is stored is noted", async || stored().await > 0).await;
        if let Some(size) = size().await {
            assert_eq!(stored().await, size);
        }
        key.send("DELETE", &path, "").await.expect(204);
        eventually("nothing is stored", async || stored().await == 0).await;
        key.topic("kept", 1).await;
        key.produce(&path, records(3)).await;
        tenant.records_in("kept", 53).await;
        assert!(stored().await > 0);
        // Also of a project that goes: its organization reads on.
        let url = format!("{}/v1/projects/used", server.root());
        let owner = &tenant.owner;
        let gone = owner.anonymous("DELETE", &url).bearer_auth(&owner.key);
        reply(gone).await.expect(204);
        let url = format!("{}/v1/organizations/acme/usage?step=day", server.root());
        eventually("nothing is stored", async || {
            let asked = owner.anonymous("GET", &url).bearer_auth(&owner.key);
            let usage = reply(asked).await.expect(200).json();
            let last = usage["series"].as_array().and_then(|all| all.last());
            let last = last.expect("what was used stays");
            assert_eq!(last["records_in"], 53);
            last["stored_bytes_hot"] == 0
        })
        .await;
    }
}

#[tokio::test]
async fn requests_count_for_the_topic_they_name() {
    for server in both().await {
        let tenant = Tenant::on(&server).await;
        let key = &tenant.key;
        let path = key.topic("asked", 1).await;
        for _ in 0..7 {
            key.get(&path).await.expect(200);
        }
        key.get("/topics/absent").await.any_problem();
        eventually("requests are counted", async || {
            tenant.sum("?topic=asked", "requests").await == 7
        })
        .await;
        assert_eq!(tenant.usage("?topic=absent").await, [] as [Value; 0]);
        assert!(tenant.sum("", "requests").await > 7);
        for bad in ["?topic=", "?step=second", "?to=x", "?organization=acme"] {
            let answer = tenant.owner.get(&format!("/usage{bad}")).await;
            answer.any_problem();
            assert_eq!(answer.status, 400, "{bad}");
        }
    }
}

#[tokio::test]
async fn old_usage_is_forgotten_but_not_what_holds() {
    for mut server in both().await {
        let tenant = Tenant::on(&server).await;
        let database = Database::of(&server).await;
        for (topic, minute, stored) in [
            ("held", 0, 5),
            ("held", 60_000, 7),
            ("gone", 0, 5),
            ("gone", 60_000, 0),
        ] {
            let row = format!(
                "INSERT INTO usage_minutes VALUES \
                 ('acme', 'used', '{topic}', {minute}, 9, 1, 1, 1, 1, 1, {stored}, 0)"
            );
            database.run(&row).await;
        }
        // What was noted in 1970 holds until another note.
        let points = tenant.usage("?topic=held").await;
        assert!((60..=62).contains(&points.len()), "{}", points.len());
        assert!(points.iter().all(|point| point["stored_bytes_hot"] == 7));
        assert_eq!(tenant.usage("?topic=gone").await, [] as [Value; 0]);
        let day = tenant
            .usage("?topic=held&step=day&from=0&to=86400000")
            .await;
        let expected = json!([{
            "time": "1970-01-01T00:00:00Z", "requests": 2,
            "ingress_bytes": 2, "egress_bytes": 2, "records_in": 2, "records_out": 2,
            "stored_bytes_hot": 7, "stored_bytes_cold": 0,
        }]);
        assert_eq!(json!(day), expected);
        let all = tenant.owner.get("/usage?from=0").await;
        let all = all.problem(400, "invalid_request");
        assert_eq!(all["errors"][0]["pointer"], "from", "{all}");
        // A node looks for what is too old at its start.
        server.stop().await;
        server.restart().await;
        let old = "SELECT CAST(stored_bytes_hot AS TEXT) FROM usage_minutes WHERE minute < 120000";
        eventually("old rows go", async || database.text(old).await == ["7"]).await;
    }
}
