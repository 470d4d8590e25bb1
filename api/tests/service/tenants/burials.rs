//! What holds much is deleted as fast as what holds little.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::people::{Engine, Tenant, everything, make_key, on_both_engines, takes_effect};
use super::schema::Database;
use crate::harness::{Server, eventually, soon};

on_both_engines!(
    a_project_of_ten_thousand_topics_is_deleted_at_once,
    an_organization_of_ten_thousand_topics_is_deleted_at_once,
);

/// Far above what it takes, and far below where the answer would be that nobody knows.
const DELETION_LIMIT: Duration = Duration::from_secs(5);

/// A tenant with that many topics, of which the server knows.
async fn large(server: &Server) -> Tenant {
    let tenant = Tenant::on(server).await;
    let database = Database::open(&server.database()).await;
    let sql = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) \
         INSERT INTO topics (id, project_id, name, partitions, replication_factor, config, \
         description, version, created_at) \
         SELECT '{}' || CAST(10000000 + i AS TEXT), '{}', 't' || CAST(i AS TEXT), 1, 1, '{{}}', \
         '', 1, 1 FROM n",
        "0".repeat(24),
        tenant.project
    );
    database.run(&sql).await;
    database.tell("topic", "SELECT id FROM topics").await;
    eventually("the topics are known", async || {
        tenant.key.get("/topics/t10000").await.status == 200
    })
    .await;
    tenant
}

async fn deleted_in_time(tenant: &Tenant, path: &str) {
    let started = Instant::now();
    let deleted = tenant.owner.api.manage("DELETE", path, Value::Null);
    let deleted = soon("the deletion is answered", deleted).await;
    let took = started.elapsed();
    println!("DELETE {path}: {} after {took:?}", deleted.status);
    deleted.expect(204);
    assert!(took < DELETION_LIMIT, "{took:?}");
    takes_effect("its key", async || {
        tenant.key.get("/topics").await.status == 401
    })
    .await;
}

async fn a_project_of_ten_thousand_topics_is_deleted_at_once(engine: Engine) {
    let server = engine.own().await;
    let tenant = large(&server).await;
    let api = &tenant.owner.api;
    deleted_in_time(&tenant, &tenant.in_project("")).await;
    // The organization is as it was, and the same id is an empty project.
    let again = serde_json::json!({"id": tenant.project});
    let made = api.manage("POST", &tenant.path("/projects"), again).await;
    made.expect(201);
    let key = make_key(api, &tenant.in_project("/keys/new"), everything()).await;
    let topics = key.get("/topics").await.expect(200).json();
    assert_eq!(topics["topics"], serde_json::json!([]));
    key.send("PUT", "/topics/t1", "{}").await.expect(201);
}

async fn an_organization_of_ten_thousand_topics_is_deleted_at_once(engine: Engine) {
    let server = engine.own().await;
    let tenant = large(&server).await;
    tenant.another_project().await;
    deleted_in_time(&tenant, &tenant.path("")).await;
    let me = tenant.owner.api.see("/me").await;
    assert_eq!(me["projects"], serde_json::json!([]), "{me}");
}
