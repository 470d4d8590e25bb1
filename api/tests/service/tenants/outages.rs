//! The metadata database is away or hangs: records flow, changes are refused in time, and all
//! comes back by itself.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::people::{Tenant, everything, make_key, try_sign_in};
use crate::client::{Api, Reply, reply};
use crate::harness::{Server, eventually};
use crate::postgres::Postgres;

const RECORD: &str = r#"{"records":[{"value":1}]}"#;
/// The longest that any answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(12);
/// The longest that produce and fetch may take: they do not need the database at all.
const RECORDS_LIMIT: Duration = Duration::from_secs(2);

/// The answer, and that it came in time.
async fn timely(what: &str, call: impl Future<Output = Reply>, limit: Duration) -> Reply {
    let started = Instant::now();
    let answer = crate::harness::soon(what, call).await;
    println!("{what}: {} after {:?}", answer.status, started.elapsed());
    assert!(
        started.elapsed() < limit,
        "{what} took {:?}",
        started.elapsed()
    );
    answer
}

/// Everything that must go on without the database.
async fn records_flow(tenant: &Tenant, known: &[&Api], path: &str) {
    for round in 0..10 {
        for api in known {
            let records = format!("{path}/records");
            let produced =
                timely("produce", api.send("POST", &records, RECORD), RECORDS_LIMIT).await;
            produced.expect(200);
            let url = format!("{path}/records?from=tail-1&max_records=1");
            timely("fetch", api.get(&url), RECORDS_LIMIT)
                .await
                .expect(200);
        }
        if round == 0 {
            timely("describe", tenant.key.get("/topics"), RECORDS_LIMIT)
                .await
                .expect(200);
        }
    }
}

/// Everything that needs the database: refused as ours, in time.
async fn changes_are_refused(tenant: &Tenant) {
    let api = &tenant.owner.api;
    let key = tenant.in_project("/keys/not-made");
    let scopes = json!({"scopes": everything()});
    let member = tenant.path("/members/nobody@example.com");
    let (quotas, audit) = (tenant.path("/quotas"), tenant.path("/audit-events"));
    // One after another would take long where each waits for its own limit.
    let (a, b, c, d, e, f) = tokio::join!(
        timely(
            "ensureTopic",
            tenant.key.send("PUT", "/topics/not-made", "{}"),
            ANSWER_LIMIT
        ),
        timely("a key", api.manage("PUT", &key, scopes), ANSWER_LIMIT),
        timely(
            "an invitation",
            api.manage("PUT", &member, json!({"role": "viewer"})),
            ANSWER_LIMIT
        ),
        timely(
            "a quota",
            api.manage("PATCH", &quotas, json!({"tails": 1})),
            ANSWER_LIMIT
        ),
        timely(
            "a sign-in",
            try_sign_in(api, &tenant.owner.email, &tenant.owner.password),
            ANSWER_LIMIT
        ),
        timely(
            "audit",
            api.manage("GET", &audit, Value::Null),
            ANSWER_LIMIT
        ),
    );
    for answer in [a, b, c, d, e, f] {
        assert!([503, 504].contains(&answer.status), "{}", answer.text);
        let problem = answer.any_problem();
        assert_eq!(problem["retryable"], true, "{problem}");
        assert!(
            ["not_applied", "unknown"].contains(&problem["outcome"].as_str().unwrap()),
            "{problem}"
        );
    }
    // A credential that cannot be checked is not refused for good.
    let unknown = api.with_key(
        "hw_0123456789abcdef_0000000000000000000000000000000000000000000000000000000000000000",
    );
    let answer = timely("an unknown key", unknown.get("/topics"), ANSWER_LIMIT).await;
    assert!([401, 503].contains(&answer.status), "{}", answer.text);
    let url = format!("{}/healthz", api.root);
    timely("healthz", reply(api.anonymous("GET", &url)), RECORDS_LIMIT)
        .await
        .expect(200);
}

/// Waits until changes are taken again, and are found.
async fn all_is_well(tenant: &Tenant, known: &[&Api], path: &str, topic: &str) {
    let started = Instant::now();
    eventually("changes are taken again", async || {
        let made = tenant
            .key
            .send("PUT", &format!("/topics/{topic}"), "{}")
            .await;
        [200, 201].contains(&made.status)
    })
    .await;
    println!("changes are taken again after {:?}", started.elapsed());
    let name = tenant.in_project(&format!("/keys/{topic}"));
    let key = make_key(&tenant.owner.api, &name, everything()).await;
    key.get("/topics").await.expect(200);
    records_flow(tenant, known, path).await;
    let answer = tenant
        .owner
        .api
        .manage("GET", &tenant.in_project("/keys/not-made"), Value::Null)
        .await;
    answer.problem(404, "not_found");
    try_sign_in(
        &tenant.owner.api,
        &tenant.owner.email,
        &tenant.owner.password,
    )
    .await
    .expect(200);
}

async fn known(tenant: &Tenant) -> (Api, String) {
    let path = tenant.key.topic("flowing", 1).await;
    let viewer_key = tenant.key_for("fetch").await;
    viewer_key.get(&format!("{path}/records")).await.expect(200);
    tenant.key.produce(&path, RECORD).await;
    tenant.owner.api.produce(&path, RECORD).await;
    (viewer_key, path)
}

#[tokio::test]
async fn a_database_that_is_killed_stops_no_records() {
    let mut postgres = Postgres::start();
    let server = Server::start_on(&postgres.database()).await;
    let tenant = Tenant::on(&server).await;
    let (_, path) = known(&tenant).await;
    for topic in ["after-the-first-kill", "after-the-second-kill"] {
        postgres.kill9();
        records_flow(&tenant, &[&tenant.key, &tenant.owner.api], &path).await;
        changes_are_refused(&tenant).await;
        records_flow(&tenant, &[&tenant.key, &tenant.owner.api], &path).await;
        postgres.launch();
        all_is_well(&tenant, &[&tenant.key, &tenant.owner.api], &path, topic).await;
    }
}

#[tokio::test]
async fn a_database_that_hangs_stops_no_records() {
    let postgres = Postgres::start();
    let server = Server::start_on(&postgres.database()).await;
    let tenant = Tenant::on(&server).await;
    let (_, path) = known(&tenant).await;
    postgres.freeze();
    records_flow(&tenant, &[&tenant.key, &tenant.owner.api], &path).await;
    changes_are_refused(&tenant).await;
    records_flow(&tenant, &[&tenant.key, &tenant.owner.api], &path).await;
    postgres.thaw();
    all_is_well(
        &tenant,
        &[&tenant.key, &tenant.owner.api],
        &path,
        "after-the-thaw",
    )
    .await;
}

/// A key deleted while one node cannot hear of it must be dead soon after it can.
#[tokio::test]
async fn what_was_revoked_before_the_outage_stays_revoked() {
    let mut postgres = Postgres::start();
    let server = Server::start_on(&postgres.database()).await;
    let tenant = Tenant::on(&server).await;
    let name = tenant.in_project("/keys/revoked");
    let key = make_key(&tenant.owner.api, &name, everything()).await;
    key.get("/topics").await.expect(200);
    tenant
        .owner
        .api
        .manage("DELETE", &name, Value::Null)
        .await
        .expect(204);
    postgres.kill9();
    super::people::takes_effect("a key deleted just before", async || {
        [401, 503].contains(&key.get("/topics").await.status)
    })
    .await;
    postgres.launch();
    eventually("the server is itself again", async || {
        tenant.key.send("PUT", "/topics/again", "{}").await.status < 300
    })
    .await;
    key.get("/topics").await.problem(401, "unauthenticated");
}
