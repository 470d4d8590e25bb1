//! A member of a group.

use serde_json::{Value, json};

use crate::client::{Api, Reply};
use crate::harness::{eventually, unique};

/// A topic with so many partitions, and a group that reads it.
pub async fn group_of(api: &Api, partitions: u32) -> (String, String) {
    let topic = unique("read");
    api.topic(&topic, partitions).await;
    let group = unique("group");
    ensure(api, &group, json!({"topics": [topic]})).await;
    (topic, group)
}

/// Creates a group; its name in paths.
pub async fn ensure(api: &Api, group: &str, spec: Value) -> Value {
    let path = format!("/groups/{group}");
    let made = api.send("PUT", &path, spec.to_string()).await;
    made.expect(201).json()
}

/// Appends records of these values to one partition.
pub async fn fill(api: &Api, topic: &str, partition: u32, values: std::ops::Range<u64>) {
    let record = |n| json!({"key": format!("k{partition}"), "value": n, "partition": partition});
    let records: Vec<_> = values.map(record).collect();
    let body = json!({ "records": records }).to_string();
    api.produce(&format!("/topics/{topic}"), body).await;
}

/// The group as it is described.
pub async fn described(api: &Api, group: &str) -> Value {
    api.get(&format!("/groups/{group}"))
        .await
        .expect(200)
        .json()
}

/// What is committed of each partition, by topic and partition.
pub async fn committed(api: &Api, group: &str) -> Vec<Option<u64>> {
    let told = api.get(&format!("/groups/{group}/offsets")).await;
    let told = told.expect(200).json();
    let positions = told["positions"].as_array().expect("positions").iter();
    positions.map(|at| at["committed"].as_u64()).collect()
}

/// The values of the records of a poll.
pub fn values(polled: &Value) -> Vec<u64> {
    let records = polled["records"].as_array().expect("records").iter();
    let value = |record: &Value| record["value"].as_u64().expect("a number");
    records.map(value).collect()
}

/// Partitions in a list, of a group with one topic.
pub fn partitions(list: &Value) -> Vec<u64> {
    let listed = list.as_array().expect("a list").iter();
    let number = |place: &Value| place["partition"].as_u64().expect("a partition");
    listed.map(number).collect()
}

/// A member of a group, and what it was last told.
#[derive(Clone)]
pub struct Worker {
    pub api: Api,
    pub group: String,
    pub name: String,
    pub epoch: u64,
    /// Of the last poll.
    pub cursor: Option<String>,
    /// Of all polls together.
    pub owned: Vec<u64>,
}

impl Worker {
    /// Joins.
    pub async fn join(api: &Api, group: &str, name: &str) -> Self {
        Self::join_as(api, group, name, json!({})).await
    }

    /// Joins in some way.
    pub async fn join_as(api: &Api, group: &str, name: &str, how: Value) -> Self {
        let path = format!("/groups/{group}/members/{name}");
        let joined = api
            .send("PUT", &path, how.to_string())
            .await
            .expect(200)
            .json();
        assert!(joined["expires_at"].is_string(), "{joined}");
        Self {
            api: api.clone(),
            group: group.to_owned(),
            name: name.to_owned(),
            epoch: joined["epoch"].as_u64().expect("an epoch"),
            cursor: None,
            owned: Vec::new(),
        }
    }

    fn path(&self) -> String {
        format!("/groups/{}/members/{}", self.group, self.name)
    }

    /// Sends a poll as it is, with the epoch.
    pub async fn try_poll(&self, mut ask: Value) -> Reply {
        ask["epoch"] = json!(self.epoch);
        let path = format!("{}/poll", self.path());
        self.api.send("POST", &path, ask.to_string()).await
    }

    /// Polls, and takes up what it is told.
    pub async fn poll(&mut self, ask: Value) -> Value {
        let told = self.try_poll(ask).await.expect(200).json();
        self.take_up(&told);
        told
    }

    /// Polls, and commits what the poll before delivered.
    pub async fn go_on(&mut self, mut ask: Value) -> Value {
        if let Some(cursor) = &self.cursor {
            ask["commit"] = json!(cursor);
        }
        self.poll(ask).await
    }

    /// Takes up what a poll was told.
    pub fn take_up(&mut self, told: &Value) {
        self.epoch = told["epoch"].as_u64().expect("an epoch");
        self.cursor = Some(told["cursor"].as_str().expect("a cursor").to_owned());
        let revoked = partitions(&told["revoked"]);
        self.owned.retain(|partition| !revoked.contains(partition));
        self.owned.extend(partitions(&told["assigned"]));
        self.owned.sort_unstable();
        self.owned.dedup();
    }

    /// Polls until it owns so many partitions. Others must poll meanwhile.
    pub async fn owns(&mut self, count: usize) {
        eventually("the partitions are shared out", async || {
            self.poll(json!({})).await;
            self.owned.len() == count
        })
        .await;
    }

    /// Leaves.
    pub async fn leave(&self) -> Reply {
        self.api.send("DELETE", &self.path(), "").await
    }
}
