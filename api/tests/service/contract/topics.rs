//! Topics: ensured, read, changed, listed, deleted.

use serde_json::{Value, json};

use crate::client::reply;
use crate::harness::{shared, unique};

#[tokio::test]
async fn put_ensures_a_topic() {
    let api = shared().await;
    let name = unique("ensure");
    let path = format!("/topics/{name}");
    let body = json!({"partitions": 3, "config": {"retention_ms": 3_600_000}}).to_string();

    let created = api.send("PUT", &path, body.clone()).await.expect(201);
    let topic = created.json();
    assert_eq!(topic["name"], name);
    assert_eq!(topic["partitions"], 3);
    assert_eq!(topic["replication_factor"], 1);
    assert!(topic["topic_id"].is_string());
    assert_eq!(topic["config"]["retention_ms"], 3_600_000);
    assert_eq!(topic["config"]["cleanup_policy"], "delete");
    assert_eq!(topic["config"]["segment_bytes"], 256 << 20);
    assert_eq!(topic["config"]["compression"], "none");
    assert_eq!(topic["config"]["max_record_bytes"], 1 << 20);
    assert_eq!(topic["config"]["min_insync_replicas"], 1);
    assert_eq!(topic["config_sources"]["retention_ms"], "topic");
    assert_eq!(topic["config_sources"]["segment_bytes"], "default");
    let settings = topic["config"].as_object().unwrap();
    let sources = topic["config_sources"].as_object().unwrap();
    assert!(
        settings.keys().eq(sources.keys()),
        "every setting has a source: {topic}"
    );
    let created_at = topic["created_at"].as_str().unwrap();
    assert!(
        created_at.ends_with('Z') && created_at.contains('T'),
        "RFC 3339 in UTC: {created_at}"
    );
    assert!(topic["hot_bytes"].is_u64() && topic["cold_bytes"].is_u64());

    let again = api.send("PUT", &path, body).await.expect(200);
    assert_eq!(again.json()["topic_id"], topic["topic_id"]);
    let different = json!({"partitions": 4, "config": {"retention_ms": 3_600_000}}).to_string();
    api.send("PUT", &path, different)
        .await
        .expect(409)
        .any_problem();

    let read = api.get(&path).await.expect(200);
    assert_eq!(read.json(), topic);
    assert!(read.header("etag").is_some());
    assert_eq!(read.header("etag"), created.header("etag"));
}

#[tokio::test]
async fn patch_honours_if_match_and_partitions_only_grow() {
    let api = shared().await;
    let path = api.topic(&unique("patch"), 2).await;
    let etag = api
        .get(&path)
        .await
        .expect(200)
        .header("etag")
        .unwrap()
        .to_owned();
    let patch = |etag: &str, body: serde_json::Value| {
        reply(
            api.request("PATCH", &path)
                .header("if-match", etag)
                .header("content-type", "application/json")
                .body(body.to_string()),
        )
    };

    let grown = patch(&etag, json!({"partitions": 5})).await.expect(200);
    assert_eq!(grown.json()["partitions"], 5);
    let grown_etag = grown.header("etag").unwrap().to_owned();
    assert_ne!(grown_etag, etag);
    patch(&etag, json!({"config": {"retention_ms": 1_000_000}}))
        .await
        .expect(412)
        .any_problem();
    patch(&grown_etag, json!({"partitions": 4}))
        .await
        .expect(422)
        .any_problem();

    let described = patch(&grown_etag, json!({"description": "flights of 2001"}))
        .await
        .expect(200);
    assert_eq!(described.json()["description"], "flights of 2001");
    let config = json!({"config": {"retention_bytes": 1_000_000}}).to_string();
    let changed = api.send("PATCH", &path, config).await.expect(200).json();
    assert_eq!(changed["config"]["retention_bytes"], 1_000_000);
    assert_eq!(changed["config_sources"]["retention_bytes"], "topic");
    assert_eq!(changed["partitions"], 5);
    assert_eq!(changed["description"], "flights of 2001");

    let partitions = api
        .get(&format!("{path}/partitions"))
        .await
        .expect(200)
        .json();
    assert_eq!(partitions["partitions"].as_array().unwrap().len(), 5);
    let record = r#"{"records":[{"partition":4,"value":1}]}"#;
    assert_eq!(
        api.produce(&path, record).await["results"][0]["partition"],
        4
    );
}

#[tokio::test]
async fn partitions_are_described() {
    let api = shared().await;
    let path = api.topic(&unique("described"), 2).await;
    api.produce(
        &path,
        r#"{"records":[{"partition":1,"value":1},{"partition":1,"value":2}]}"#,
    )
    .await;
    let answer = api
        .get(&format!("{path}/partitions"))
        .await
        .expect(200)
        .json();
    for (id, high_watermark) in [(0, 0), (1, 2)] {
        let partition = &answer["partitions"][id];
        assert_eq!(partition["partition"], id);
        assert_eq!(partition["log_start"], 0);
        assert_eq!(partition["high_watermark"], high_watermark);
        assert!(
            partition["leader"].is_u64() && partition["epoch"].is_u64(),
            "{partition}"
        );
        assert_eq!(partition["replicas"].as_array().unwrap().len(), 1);
        assert_eq!(partition["in_sync"], partition["replicas"]);
        assert!(partition["hot_bytes"].is_u64() && partition["cold_bytes"].is_u64());
        assert_eq!(partition["hot_start"], 0);
        assert_eq!(partition["cold_start"], Value::Null);
        assert_eq!(partition["offload_backlog_bytes"], 0);
    }
}

#[tokio::test]
async fn delete_removes_the_topic_and_its_records() {
    let api = shared().await;
    let name = unique("delete");
    let path = api.topic(&name, 1).await;
    api.produce(&path, r#"{"records":[{"value":"old"}]}"#).await;
    let deleted = api.send("DELETE", &path, "").await.expect(204);
    assert_eq!(deleted.text, "");
    api.get(&path).await.problem(404, "topic_not_found");
    api.get(&format!("{path}/partitions/0/records"))
        .await
        .problem(404, "topic_not_found");
    api.send("DELETE", &path, "")
        .await
        .problem(404, "topic_not_found");

    api.topic(&name, 1).await;
    let page = api
        .get(&format!("{path}/partitions/0/records"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        page["records"],
        json!([]),
        "a new topic of the same name is empty"
    );
    assert_eq!(page["next_offset"], 0);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let api = shared().await;
    let prefix = unique("page");
    for n in 0..5 {
        api.topic(&format!("{prefix}-{n}"), 1).await;
    }
    let mut names: Vec<String> = Vec::new();
    let mut token = String::new();
    loop {
        let answer = api
            .get(&format!("/topics?page_size=2{token}"))
            .await
            .expect(200)
            .json();
        let topics = answer["topics"].as_array().expect("topics");
        assert!(topics.len() <= 2);
        names.extend(
            topics
                .iter()
                .map(|topic| topic["name"].as_str().unwrap().to_owned()),
        );
        match answer["next_page_token"].as_str() {
            Some(next) if !next.is_empty() => token = format!("&page_token={next}"),
            _ => break,
        }
    }
    let ours: Vec<_> = names
        .iter()
        .filter(|name| name.starts_with(&format!("{prefix}-")))
        .collect();
    assert_eq!(ours.len(), 5, "each once: {names:?}");
    let mut unique_names = names.clone();
    unique_names.sort();
    unique_names.dedup();
    assert_eq!(unique_names.len(), names.len(), "no topic twice");
    api.get("/topics?page_token=nonsense")
        .await
        .expect(400)
        .any_problem();
    api.get("/topics?page_size=0")
        .await
        .expect(400)
        .any_problem();
}
