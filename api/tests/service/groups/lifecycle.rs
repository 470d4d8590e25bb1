//! Creating, listing and deleting groups.

use serde_json::{Value, json};

use super::worker::{Worker, described, ensure, fill, group_of};
use crate::client::Api;
use crate::harness::{Server, shared, unique};

async fn put(api: &Api, group: &str, spec: Value) -> crate::client::Reply {
    api.send("PUT", &format!("/groups/{group}"), spec.to_string())
        .await
}

#[tokio::test]
async fn put_makes_sure_that_a_group_is_so() {
    let api = shared().await;
    let (one, two) = (unique("one"), unique("two"));
    api.topic(&one, 2).await;
    api.topic(&two, 1).await;
    let group = unique("ensured");
    let spec = json!({"topics": [one, two], "lease_ms": 20_000});
    let made = put(&api, &group, spec.clone()).await.expect(201).json();
    assert_eq!(made["group"], group.as_str());
    assert_eq!(made["type"], "partitioned");
    assert_eq!(made["state"], "empty");
    assert_eq!(made["topics"], json!([one, two]));
    assert_eq!(made["members"], json!([]));
    assert_eq!(made["config"]["start"], "earliest");
    assert_eq!(made["config"]["lease_ms"], 20_000);
    let positions = made["positions"].as_array().expect("positions");
    assert_eq!(positions.len(), 3);
    assert_eq!(positions[2]["topic"], two.as_str());
    // The order of topics does not matter, nor what is left out.
    for equal in [
        spec,
        json!({"topics": [two, one]}),
        json!({"topics": [one, two], "type": "partitioned", "start": "earliest"}),
    ] {
        put(&api, &group, equal).await.expect(200);
    }
    for (pointer, other) in [
        ("/topics", json!({"topics": [one]})),
        ("/start", json!({"topics": [one, two], "start": "latest"})),
        (
            "/lease_ms",
            json!({"topics": [one, two], "lease_ms": 30_000}),
        ),
    ] {
        let problem = put(&api, &group, other).await.problem(409, "group_exists");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
}

#[tokio::test]
async fn many_who_make_a_group_at_once_make_one() {
    let api = shared().await;
    let topic = unique("raced");
    api.topic(&topic, 1).await;
    let group = unique("raced");
    let tries: Vec<_> = (0..20)
        .map(|_| {
            let (api, group, topic) = (api.clone(), group.clone(), topic.clone());
            tokio::spawn(async move { put(&api, &group, json!({"topics": [topic]})).await.status })
        })
        .collect();
    let mut statuses = Vec::new();
    for one in tries {
        statuses.push(one.await.expect("no panic"));
    }
    statuses.sort_unstable();
    assert_eq!(statuses.pop(), Some(201));
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
}

#[tokio::test]
async fn of_many_different_ones_at_once_the_first_stays_as_it_was_made() {
    let api = shared().await;
    let topic = unique("raced");
    api.topic(&topic, 1).await;
    for _ in 0..5 {
        let group = unique("raced");
        let tries = (0..12u64).map(|n| {
            let spec = json!({"topics": [topic], "lease_ms": 10_000 + n});
            let (api, group) = (api.clone(), group.clone());
            tokio::spawn(async move { (put(&api, &group, spec).await, n) })
        });
        let mut made = Vec::new();
        for one in tries.collect::<Vec<_>>() {
            let (answer, n) = one.await.expect("no panic");
            match answer.status {
                201 => made.push(10_000 + n),
                _ => {
                    let problem = answer.problem(409, "group_exists");
                    assert_eq!(problem["errors"][0]["pointer"], "/lease_ms");
                }
            }
        }
        let is = described(&api, &group).await["config"]["lease_ms"].as_u64();
        assert_eq!(made, [is.expect("a lease")]);
    }
}

#[tokio::test]
async fn what_cannot_be_a_group_is_refused() {
    let api = shared().await;
    let topic = unique("here");
    api.topic(&topic, 1).await;
    let group = unique("bad");
    for (spec, status, code, pointer) in [
        (
            json!({"topics": ["not-there"]}),
            422,
            "topic_not_found",
            "/topics/0",
        ),
        (json!({"topics": []}), 400, "invalid_request", "/topics"),
        (json!({}), 400, "invalid_request", "/topics"),
        (
            json!({"topics": [topic, topic]}),
            400,
            "invalid_request",
            "/topics/1",
        ),
        (
            json!({"topics": [topic], "lease_ms": 9_999}),
            400,
            "invalid_request",
            "/lease_ms",
        ),
        (
            json!({"topics": [topic], "lease_ms": 300_001}),
            400,
            "invalid_request",
            "/lease_ms",
        ),
        (
            json!({"topics": [topic], "type": "queue"}),
            400,
            "invalid_request",
            "/type",
        ),
        (
            json!({"topics": [topic], "start": "now"}),
            400,
            "invalid_request",
            "/start",
        ),
        (
            json!({"topics": [topic], "max_attempts": 3}),
            422,
            "invalid_setting",
            "/max_attempts",
        ),
        (
            json!({"topics": [topic], "more": 1}),
            400,
            "invalid_request",
            "/more",
        ),
        (
            json!({"topics": ["a/b"]}),
            400,
            "invalid_request",
            "/topics/0",
        ),
    ] {
        let problem = put(&api, &group, spec.clone()).await.problem(status, code);
        assert_eq!(
            problem["errors"][0]["pointer"], pointer,
            "{spec}: {problem}"
        );
    }
    for name in ["__mine", "a%2Fb", &"x".repeat(250)] {
        let refused = put(&api, name, json!({"topics": [topic]})).await;
        refused.problem(400, "invalid_request");
        api.get(&format!("/groups/{name}"))
            .await
            .problem(404, "group_not_found");
    }
    api.get(&format!("/groups/{group}"))
        .await
        .problem(404, "group_not_found");
    let path = format!("/groups/{group}/members/m");
    api.send("PUT", &path, "{}")
        .await
        .problem(404, "group_not_found");
}

#[tokio::test]
async fn lists_have_pages() {
    let server = Server::start().await;
    let api = server.api();
    assert_eq!(
        api.get("/groups").await.expect(200).json()["groups"],
        json!([])
    );
    api.topic("listed", 1).await;
    let names: Vec<_> = (0..25).map(|n| format!("g-{n:02}")).collect();
    for name in &names {
        ensure(&api, name, json!({"topics": ["listed"]})).await;
    }
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = api
            .get(&format!("/groups?page_size=10{token}"))
            .await
            .expect(200)
            .json();
        let groups = page["groups"].as_array().expect("groups");
        seen.extend(
            groups
                .iter()
                .map(|group| group["group"].as_str().expect("a name").to_owned()),
        );
        assert!(
            groups
                .iter()
                .all(|group| group["topics"] == json!(["listed"]))
        );
        match page["next_page_token"].as_str() {
            Some(next) => token = format!("&page_token={next}"),
            None => break,
        }
    }
    assert_eq!(seen, names);
}

#[tokio::test]
async fn a_group_with_members_is_not_deleted() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 1).await;
    fill(&api, &topic, 0, 0..3).await;
    let mut worker = Worker::join(&api, &group, "w").await;
    worker.poll(json!({})).await;
    worker.go_on(json!({})).await;
    let path = format!("/groups/{group}");
    api.send("DELETE", &path, "")
        .await
        .problem(409, "group_active");
    worker.leave().await.expect(204);
    api.send("DELETE", &path, "").await.expect(204);
    api.send("DELETE", &path, "")
        .await
        .problem(404, "group_not_found");
    // Another of the name knows nothing of it.
    let old = worker.cursor.clone().expect("a cursor");
    ensure(&api, &group, json!({"topics": [topic]})).await;
    assert_eq!(
        described(&api, &group).await["positions"][0]["committed"],
        Value::Null
    );
    let mut worker = Worker::join(&api, &group, "w").await;
    let told = worker.poll(json!({"commit": old})).await;
    assert_eq!(told["records"].as_array().map(Vec::len), Some(3), "{told}");
    assert_eq!(
        described(&api, &group).await["positions"][0]["committed"],
        Value::Null
    );
}

#[tokio::test]
async fn a_group_that_starts_at_the_end_reads_what_comes_then() {
    let api = shared().await;
    let topic = unique("later");
    api.topic(&topic, 2).await;
    fill(&api, &topic, 0, 0..5).await;
    let group = unique("later");
    let made = ensure(&api, &group, json!({"topics": [topic], "start": "latest"})).await;
    assert_eq!(made["positions"][0]["committed"], 5);
    assert_eq!(made["positions"][0]["lag"], 0);
    fill(&api, &topic, 0, 5..7).await;
    fill(&api, &topic, 1, 7..8).await;
    let mut worker = Worker::join(&api, &group, "w").await;
    let told = worker.poll(json!({})).await;
    let mut values = super::worker::values(&told);
    values.sort_unstable();
    assert_eq!(values, [5, 6, 7]);
}
