//! Cursors that nobody gave out, or gave out for something else.

use serde_json::json;

use super::worker::{Worker, committed, fill, group_of};
use crate::harness::shared;
use crate::tenants::people::{Engine, Tenant};

#[tokio::test]
async fn a_cursor_is_of_its_group_and_nobody_makes_one_up() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 2).await;
    fill(&api, &topic, 0, 0..3).await;
    let mut worker = Worker::join(&api, &group, "w").await;
    worker.poll(json!({})).await;
    let good = worker.cursor.clone().expect("a cursor");
    let (_, other) = group_of(&api, 1).await;
    let other = Worker::join(&api, &other, "w").await;
    let fetched = api
        .get(&format!("/topics/{topic}/records"))
        .await
        .expect(200);
    let mut bad = vec![
        fetched.json_member("cursor"),
        String::new(),
        "!".into(),
        "A".repeat(5_000),
    ];
    // Each place of it changed, and each shorter one.
    for at in 0..good.len() {
        let flipped = if good.as_bytes()[at] == b'A' {
            "B"
        } else {
            "A"
        };
        bad.push(format!("{}{flipped}{}", &good[..at], &good[at + 1..]));
        bad.push(good[..at].to_owned());
    }
    for cursor in bad {
        for field in ["commit", "after"] {
            let refused = worker.try_poll(json!({field: cursor})).await;
            let problem = refused.problem(400, "invalid_cursor");
            assert_eq!(
                problem["errors"][0]["pointer"],
                format!("/{field}"),
                "{cursor}"
            );
        }
    }
    let elsewhere = other.try_poll(json!({"commit": good})).await;
    elsewhere.problem(400, "invalid_cursor");
    // Nor is it one of a topic.
    let path = format!("/topics/{topic}/records?cursor={good}");
    api.get(&path).await.problem(400, "invalid_cursor");
    assert_eq!(committed(&api, &group).await, [None, None]);
    worker.go_on(json!({})).await;
    assert_eq!(committed(&api, &group).await, [Some(3), None]);
}

#[tokio::test]
async fn a_cursor_of_another_project_is_none() {
    let mine = Tenant::new(Engine::Sqlite).await;
    let theirs = Tenant::new(Engine::Sqlite).await;
    let mut cursors = Vec::new();
    for tenant in [&mine, &theirs] {
        let api = &tenant.key;
        api.topic("same", 1).await;
        super::worker::ensure(api, "same", json!({"topics": ["same"]})).await;
        fill(api, "same", 0, 0..3).await;
        let mut worker = Worker::join(api, "same", "w").await;
        worker.poll(json!({})).await;
        cursors.push((worker.cursor.clone().expect("a cursor"), worker));
    }
    let ((mine, _), (_, worker)) = (&cursors[0], &cursors[1]);
    let refused = worker.try_poll(json!({"commit": mine})).await;
    refused.problem(400, "invalid_cursor");
}
