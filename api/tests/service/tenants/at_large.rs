//! What is bounded by no organization's quotas: calls about oneself, and ids that are taken for ever.

use serde_json::{Value, json};

use super::people::{Engine, Tenant, on_both_engines};
use super::quotas::{is_count_refusal, is_rate_refusal};
use crate::client::Reply;
use crate::harness::unique;

on_both_engines!(
    calls_about_oneself_are_limited_by_caller,
    ids_are_not_used_up_without_end,
    me_shows_so_much_and_says_that_there_is_more,
);

async fn calls_about_oneself_are_limited_by_caller(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let (loud, calm) = (tenant.person("viewer").await, tenant.person("viewer").await);
    for path in ["/me", "/organizations"] {
        let calls = (0..400).map(|_| loud.api.manage("GET", path, Value::Null));
        let answers: Vec<Reply> = futures_util::future::join_all(calls).await;
        let refused = answers.iter().find(|answer| answer.status != 200);
        let refused = refused.unwrap_or_else(|| panic!("{path} is never refused"));
        is_rate_refusal(refused, "requests_per_second", &loud.email);
        for api in [&calm.api, &tenant.key] {
            api.manage("GET", path, Value::Null).await.expect(200);
        }
    }
    // Other calls of the same person are their organization's.
    loud.api.see(&tenant.path("")).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    loud.api.see("/me").await;
}

async fn ids_are_not_used_up_without_end(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let person = tenant.person("viewer").await;
    let make = async |api: &crate::client::Api| {
        let id = unique("brief");
        let made = api
            .manage("POST", "/organizations", json!({ "id": id }))
            .await;
        if made.status == 201 {
            let path = format!("/organizations/{id}");
            api.manage("DELETE", &path, Value::Null).await.expect(204);
        }
        made
    };
    for _ in 0..20 {
        make(&person.api).await.expect(201);
    }
    let refused = make(&person.api).await;
    is_count_refusal(&refused, "24 hours", "at most 20 organizations");
    let dry = json!({"id": unique("brief")});
    let dry = person
        .api
        .manage("POST", "/organizations?dry_run=true", dry)
        .await;
    dry.problem(403, "quota_exceeded");
    // Operators, and other people, go on.
    for _ in 0..21 {
        make(&tenant.owner.api).await.expect(201);
    }
    make(&tenant.person("viewer").await.api).await.expect(201);
}

async fn me_shows_so_much_and_says_that_there_is_more(engine: Engine) {
    let server = engine.own().await;
    let tenant = Tenant::on(&server).await;
    let me = tenant.owner.api.see("/me").await;
    assert_eq!(me["more"], Value::Null, "{me}");
    let database = super::schema::Database::open(&server.database()).await;
    let organization = &tenant.organization;
    database
        .run(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1100) \
             INSERT INTO projects (id, organization_id, name, cursor_secret, created_at) \
             SELECT 'many-' || CAST(10000 + i AS TEXT), '{organization}', 'Many', '{}', 1 FROM n",
            "a".repeat(64)
        ))
        .await;
    let many = "SELECT id FROM projects WHERE id LIKE 'many-%'";
    database.tell("project", many).await;
    super::people::takes_effect("the projects are known", async || {
        let me = tenant.owner.api.see("/me").await;
        me["projects"].as_array().map(Vec::len) == Some(1_000)
    })
    .await;
    let me = tenant.owner.api.see("/me").await;
    assert_eq!(me["more"], true);
    assert_eq!(me["organizations"].as_array().map(Vec::len), Some(1));
}
