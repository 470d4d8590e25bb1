//! Two organizations side by side, with the same names for everything: nothing mixes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::people::{Engine, Tenant, on_both_engines};
use super::quotas::RECORD;
use crate::client::{Api, reply};
use crate::harness::soon;
use crate::lines::Lines;

on_both_engines!(
    the_same_names_never_mix_under_load,
    cursors_are_of_one_project,
    idempotency_keys_are_of_one_project,
    names_of_others_are_not_confirmed,
);

/// Writes, reads, deletes and creates again until told to stop; every value says whose it is.
async fn work(api: Api, whose: String, stop: Arc<AtomicBool>) -> u64 {
    let path = "/topics/shared-name";
    let mine = format!("\"{whose}:");
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) || written == 0 {
        api.send("PUT", path, r#"{"partitions":2}"#)
            .await
            .expect(201);
        for n in 0..15 {
            let records: Vec<_> = (0..20)
                .map(|m| json!({"key": "k", "value": format!("{whose}:{n}:{m}")}))
                .collect();
            let body = json!({"records": records}).to_string();
            let sent = api.produce_once(path, &format!("same-key-{n}"), body).await;
            assert_eq!(sent.expect(200).json()["duplicate"], false, "{whose}");
            written += 20;
        }
        let rows = api.read_by_cursor(path).await;
        assert_eq!(
            rows.len(),
            300,
            "{whose}: neither more nor less than it wrote"
        );
        for row in rows {
            assert!(row.value.starts_with(&mine), "{whose} read {}", row.value);
        }
        api.send("DELETE", path, "").await.expect(204);
    }
    written
}

async fn the_same_names_never_mix_under_load(engine: Engine) {
    let first = Tenant::new(engine).await;
    let second = Tenant::new(engine).await;
    let sibling = first.owner.api.in_project(&first.another_project().await);
    let stop = Arc::new(AtomicBool::new(false));
    let mut workers = Vec::new();
    for (whose, api) in [
        ("first", first.key.clone()),
        ("second", second.key.clone()),
        ("sibling", sibling),
    ] {
        workers.push(tokio::spawn(work(api, whose.to_owned(), stop.clone())));
    }
    // A tail over the deletions of the others sees its own records only.
    let watched = second.key.topic("shared-tail", 1).await;
    first.key.topic("shared-tail", 1).await;
    let tail = format!("{watched}/tail.ndjson?from=earliest");
    let mut tail = Lines::open(&second.key, &tail).await;
    for n in 0..200 {
        first
            .key
            .produce(&watched, r#"{"records":[{"value":"first"}]}"#)
            .await;
        if n % 10 == 0 {
            second
                .key
                .produce(&watched, r#"{"records":[{"value":"second"}]}"#)
                .await;
        }
    }
    let mut seen = 0;
    while seen < 20 {
        let line = tail.next().await.expect("the tail goes on");
        assert!(!line.contains("first"), "{line}");
        seen += usize::from(line.contains("second"));
    }
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        let written = soon("a worker ends", worker)
            .await
            .expect("no worker failed");
        println!("{written} records");
    }
    assert_eq!(first.key.high_watermarks(&watched).await, [200]);
    assert_eq!(second.key.high_watermarks(&watched).await, [20]);
}

async fn cursors_are_of_one_project(engine: Engine) {
    let first = Tenant::new(engine).await;
    let second = Tenant::new(engine).await;
    let sibling = first.owner.api.in_project(&first.another_project().await);
    for api in [&first.key, &second.key, &sibling] {
        let path = api.topic("paged", 2).await;
        api.produce(&path, r#"{"records":[{"value":1},{"value":2}]}"#)
            .await;
    }
    let cursor = first
        .key
        .get("/topics/paged/records")
        .await
        .expect(200)
        .json_member("cursor");
    for api in [&second.key, &sibling] {
        for call in ["records", "tail", "tail.ndjson"] {
            let answer = api
                .get(&format!("/topics/paged/{call}?cursor={cursor}"))
                .await;
            answer.problem(400, "invalid_cursor");
        }
        let resumed = api
            .request("GET", "/topics/paged/tail")
            .header("last-event-id", &cursor);
        reply(resumed).await.problem(400, "invalid_cursor");
    }
    // Whoever may read the project may use it, with any credential.
    let viewer = first.person("viewer").await;
    viewer
        .api
        .get(&format!("/topics/paged/records?cursor={cursor}"))
        .await
        .expect(200);
}

async fn idempotency_keys_are_of_one_project(engine: Engine) {
    let first = Tenant::new(engine).await;
    let second = Tenant::new(engine).await;
    for tenant in [&first, &second] {
        let path = tenant.key.topic("once", 1).await;
        let body = json!({"records": [{"value": tenant.project}]}).to_string();
        let answer = tenant
            .key
            .produce_once(&path, "one-key", body)
            .await
            .expect(200)
            .json();
        assert_eq!(
            (&answer["duplicate"], &answer["results"][0]["offset"]),
            (&json!(false), &json!(0))
        );
    }
}

async fn names_of_others_are_not_confirmed(engine: Engine) {
    let first = Tenant::new(engine).await;
    let second = Tenant::new(engine).await;
    first.key.topic("known-here", 1).await;
    let absent = second.key.in_project("no-such-project");
    for path in [
        "/topics",
        "/topics/known-here",
        "/topics/known-here/records",
        "/topics/known-here/tail",
        "/topics/absent",
        "/nonsense",
    ] {
        let theirs = second.key.in_project(&first.project).get(path).await;
        let nobodys = absent.get(path).await;
        theirs.problem(404, "not_found");
        nobodys.problem(404, "not_found");
        assert_eq!(
            theirs.timeless().to_string().replace(&first.project, "P"),
            nobodys
                .timeless()
                .to_string()
                .replace("no-such-project", "P"),
            "{path}"
        );
    }
    let own = second.key.get("/topics/known-here").await;
    own.problem(404, "topic_not_found");
    let write = second.key.in_project(&first.project);
    let write = write.send("POST", "/topics/known-here/records", RECORD);
    write.await.problem(404, "not_found");
    assert_eq!(first.key.high_watermarks("/topics/known-here").await, [0]);
    // Metrics are of the service: they name no topic, project or organization.
    let server = engine.shared().await;
    let url = format!("{}/metrics", server.internal_root());
    let metrics = reply(second.key.anonymous("GET", &url))
        .await
        .expect(200)
        .text;
    for name in [
        "known-here",
        first.project.as_str(),
        first.organization.as_str(),
    ] {
        assert!(
            !metrics.contains(&format!("\"{name}\"")),
            "{name} is in the metrics"
        );
    }
}
