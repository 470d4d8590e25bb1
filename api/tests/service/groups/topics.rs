//! Topics that change under a group.

use serde_json::{Value, json};

use super::worker::{Worker, described, ensure, fill, values};
use crate::client::reply;
use crate::harness::{Server, eventually, shared, unique};
use crate::tenants::people::Tenant;

#[tokio::test]
async fn a_topic_that_is_deleted_goes_and_another_of_its_name_is_another() {
    let api = shared().await;
    let (dead, alive) = (unique("dead"), unique("alive"));
    api.topic(&dead, 2).await;
    api.topic(&alive, 1).await;
    fill(&api, &dead, 0, 0..3).await;
    let group = unique("outlives");
    let spec = json!({"topics": [dead, alive]});
    ensure(&api, &group, spec.clone()).await;
    let mut worker = Worker::join(&api, &group, "w").await;
    worker.poll(json!({})).await;
    api.send("DELETE", &format!("/topics/{dead}"), "")
        .await
        .expect(204);
    // The cursor names partitions that are no more.
    let told = worker.go_on(json!({})).await;
    assert_eq!(told["records"], json!([]));
    fill(&api, &alive, 0, 9..10).await;
    assert_eq!(values(&worker.go_on(json!({})).await), [9]);
    let is = described(&api, &group).await;
    assert_eq!(is["topics"], json!([alive]));
    assert_eq!(is["positions"].as_array().map(Vec::len), Some(1), "{is}");
    api.topic(&dead, 1).await;
    fill(&api, &dead, 0, 0..3).await;
    assert_eq!(worker.go_on(json!({})).await["records"], json!([]));
    let again = api
        .send("PUT", &format!("/groups/{group}"), spec.to_string())
        .await;
    again.problem(409, "group_exists");
}

#[tokio::test]
async fn partitions_that_come_are_read_from_their_beginning() {
    let api = shared().await;
    let topic = unique("grows");
    api.topic(&topic, 1).await;
    fill(&api, &topic, 0, 0..2).await;
    let group = unique("grows");
    ensure(&api, &group, json!({"topics": [topic], "start": "latest"})).await;
    let mut worker = Worker::join(&api, &group, "w").await;
    worker.poll(json!({})).await;
    let more = json!({"partitions": 3}).to_string();
    api.send("PATCH", &format!("/topics/{topic}"), more)
        .await
        .expect(200);
    fill(&api, &topic, 2, 5..7).await;
    let mut seen = Vec::new();
    eventually("they are read", async || {
        let told = worker.go_on(json!({"wait_ms": 1_000})).await;
        seen.extend(values(&told));
        worker.owned.len() == 3 && seen == [5, 6]
    })
    .await;
}

#[tokio::test]
async fn groups_go_with_their_project() {
    let server = Server::start().await;
    let tenant = Tenant::on(&server).await;
    for topic in ["jobs", "letters"] {
        tenant.key.topic(topic, 1).await;
    }
    let shared = json!({"topics": ["jobs"], "type": "shared", "dead_letter_topic": "letters"});
    ensure(&tenant.key, "shared", shared).await;
    ensure(&tenant.key, "plain", json!({"topics": ["jobs"]})).await;
    Worker::join(&tenant.key, "plain", "w").await;
    let other = server.api();
    other.topic("stays", 1).await;
    ensure(&other, "stays", json!({"topics": ["stays"]})).await;
    let groups = async || {
        let told = other.anonymous("GET", &format!("{}/metrics", server.root()));
        let told = reply(told).await.expect(200).text;
        let told = told
            .lines()
            .find_map(|line| line.strip_prefix("headwater_groups "));
        told.and_then(|count| count.parse::<f64>().ok())
    };
    assert_eq!(groups().await, Some(3.0));
    let path = tenant.in_project("");
    let api = &tenant.owner.api;
    api.manage("DELETE", &path, Value::Null).await.expect(204);
    eventually("its groups are gone", async || groups().await == Some(1.0)).await;
    described(&other, "stays").await;
}
