//! A row of the metadata database that this version cannot read takes away what it is about, and nothing
//! else from anybody.

use serde_json::Value;

use super::people::{Engine, Tenant, everything, make_key, on_both_engines, takes_effect};
use super::schema::Database;
use crate::client::{Api, reply};
use crate::harness::Server;

on_both_engines!(
    an_unreadable_topic_is_absent_alone,
    an_unreadable_key_opens_nothing,
    an_unreadable_member_is_shut_out_alone,
    an_unreadable_project_is_absent_alone,
    a_start_gets_over_unreadable_rows,
);

/// What no log may quote.
const CONTENT: &str = "of-a-later-version";

struct Place {
    server: Server,
    tenant: Tenant,
    /// Another tenant, who must notice nothing.
    other: Tenant,
    database: Database,
}

impl Place {
    async fn new(engine: Engine) -> Self {
        let server = engine.own().await;
        let (tenant, other) = (Tenant::on(&server).await, Tenant::on(&server).await);
        for tenant in [&tenant, &other] {
            tenant.key.topic("orders", 1).await;
        }
        let database = Database::open(&server.database()).await;
        Self {
            server,
            tenant,
            other,
            database,
        }
    }

    /// Writes to the database, and has the server read again what a query names.
    async fn write(&self, sql: &str, kind: &str, ids: &str) {
        self.database.run(sql).await;
        self.database.tell(kind, ids).await;
    }

    async fn answers(&self, api: &Api, path: &str, status: u16) {
        takes_effect(&format!("{path} answers {status}"), async || {
            api.get(path).await.status == status
        })
        .await;
    }

    /// Asserts that the feed goes on, for this tenant too, and that operators can know.
    async fn all_else_is_well(&self, kind: &str, id: &str) {
        for tenant in [&self.other, &self.tenant] {
            let path = tenant.path(&format!(
                "/members/{}@example.com",
                crate::harness::unique("m")
            ));
            let invited = serde_json::json!({"role": "viewer"});
            let invited = tenant.owner.api.manage("PUT", &path, invited).await;
            invited.expect(201);
        }
        self.other
            .key
            .produce("/topics/orders", super::quotas::RECORD)
            .await;
        let url = format!("{}/metrics", self.server.internal_root());
        let metrics = reply(self.other.key.anonymous("GET", &url))
            .await
            .expect(200)
            .text;
        let line = metrics
            .lines()
            .find(|line| line.starts_with("headwater_metadata_unreadable "));
        let count = line.and_then(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        assert!(count.is_some_and(|count| count > 0.0), "{line:?}");
        let log = self.server.log();
        let mut told = log
            .lines()
            .filter(|line| line.contains("cannot read a row"));
        let tells = |line: &str| line.contains(kind) && line.contains(id);
        assert!(told.any(tells), "{kind} {id}: {log}");
        assert!(!log.contains(CONTENT), "it quotes the row");
    }
}

async fn an_unreadable_topic_is_absent_alone(engine: Engine) {
    let place = Place::new(engine).await;
    let (tenant, project) = (&place.tenant, &place.tenant.project);
    tenant.key.topic("others", 1).await;
    tenant
        .key
        .produce("/topics/orders", super::quotas::RECORD)
        .await;
    let ids = format!("SELECT id FROM topics WHERE name = 'orders' AND project_id = '{project}'");
    let id = place.database.text(&ids).await.remove(0);
    let set = |config: &str| {
        format!("UPDATE topics SET config = '{config}', partitions = 1 WHERE id = '{id}'")
    };
    let odd = set(&format!(r#"{{"{CONTENT}": 1}}"#));
    place.write(&odd, "topic", &ids).await;
    place.answers(&tenant.key, "/topics/orders", 404).await;
    place.answers(&tenant.key, "/topics/others", 200).await;
    place.all_else_is_well("topic", &id).await;
    let many =
        format!("UPDATE topics SET config = '{{}}', partitions = 4000000000 WHERE id = '{id}'");
    place.write(&many, "topic", &ids).await;
    place.answers(&tenant.key, "/topics/orders", 404).await;
    place.all_else_is_well("topic", &id).await;
    let taken = tenant.key.send("PUT", "/topics/orders", "{}").await;
    taken.problem(503, "unavailable");
    // What it holds is kept for whoever can read it.
    place.write(&set("{}"), "topic", &ids).await;
    place.answers(&tenant.key, "/topics/orders", 200).await;
    assert_eq!(tenant.key.high_watermarks("/topics/orders").await, [1]);
}

async fn an_unreadable_key_opens_nothing(engine: Engine) {
    let place = Place::new(engine).await;
    let tenant = &place.tenant;
    let path = tenant.in_project("/keys/odd");
    let key = make_key(&tenant.owner.api, &path, everything()).await;
    key.get("/topics").await.expect(200);
    let ids = "SELECT id FROM api_keys WHERE name = 'odd'";
    let id = place.database.text(ids).await.remove(0);
    let odd = format!(r#"UPDATE api_keys SET scopes = '["{CONTENT}"]' WHERE id = '{id}'"#);
    place.write(&odd, "key", ids).await;
    place.answers(&key, "/topics", 401).await;
    tenant.key.get("/topics").await.expect(200);
    place.all_else_is_well("key", &id).await;
}

async fn an_unreadable_member_is_shut_out_alone(engine: Engine) {
    let place = Place::new(engine).await;
    let tenant = &place.tenant;
    let person = tenant.person("viewer").await;
    let odd = format!(
        "UPDATE memberships SET role = '{CONTENT}' WHERE email = '{}'",
        person.email
    );
    let ids = format!(
        "SELECT id FROM organizations WHERE id = '{}'",
        tenant.organization
    );
    place.write(&odd, "organization", &ids).await;
    takes_effect("the member is shut out", async || {
        let path = tenant.path("");
        person.api.manage("GET", &path, Value::Null).await.status == 404
    })
    .await;
    tenant.key.get("/topics").await.expect(200);
    place.all_else_is_well("member", &person.email).await;
}

async fn an_unreadable_project_is_absent_alone(engine: Engine) {
    let place = Place::new(engine).await;
    let (tenant, project) = (&place.tenant, &place.tenant.project);
    let ids = format!("SELECT id FROM projects WHERE id = '{project}'");
    let secret = "SELECT cursor_secret FROM projects WHERE id = ";
    let secret = place
        .database
        .text(&format!("{secret}'{project}'"))
        .await
        .remove(0);
    let set = |secret: &str| {
        format!("UPDATE projects SET cursor_secret = '{secret}' WHERE id = '{project}'")
    };
    place.write(&set(CONTENT), "project", &ids).await;
    place.answers(&tenant.key, "/topics", 401).await;
    place.answers(&tenant.owner.api, "/topics", 404).await;
    place.all_else_is_well("project", project).await;
    // Once it can be read, so can all that is in it.
    place.write(&set(&secret), "project", &ids).await;
    place.answers(&tenant.key, "/topics/orders", 200).await;
    tenant
        .key
        .produce("/topics/orders", super::quotas::RECORD)
        .await;
}

async fn a_start_gets_over_unreadable_rows(engine: Engine) {
    let mut place = Place::new(engine).await;
    let project = place.tenant.project.clone();
    for sql in [
        format!("UPDATE topics SET config = '{CONTENT}' WHERE project_id = '{project}'"),
        format!("UPDATE api_keys SET quotas = '{CONTENT}' WHERE project_id = '{project}'"),
        format!(
            "INSERT INTO signing_keys (id, public_key, created_at, expires_at) \
                 VALUES ('odd', '{CONTENT}', 1, 9000000000000)"
        ),
        format!(
            "INSERT INTO issuers (organization_id, name, issuer, audience, rules, version, \
                 created_at) VALUES ('{}', 'odd', 'https://odd.example.com', 'a', '{CONTENT}', 1, 1)",
            place.tenant.organization
        ),
    ] {
        place.database.run(&sql).await;
    }
    place.server.kill9();
    place.server.restart().await;
    let tenant = &place.tenant;
    tenant
        .key
        .get("/topics")
        .await
        .problem(401, "unauthenticated");
    place.other.key.get("/topics").await.expect(200);
    tenant
        .owner
        .api
        .get("/topics/orders")
        .await
        .problem(404, "topic_not_found");
    place.all_else_is_well("signing key", "odd").await;
}
