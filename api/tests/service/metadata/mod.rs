//! Metadata on both engines: tenants, roles and scopes, what is revoked, and a database that is away.

mod bootstrap;
mod outage;
mod permissions;
mod revocation;
mod schema;
mod usage;

use serde_json::Value;
use sqlx::AnyPool;

use crate::client::Api;
use crate::harness::{Server, eventually};
use crate::postgres::Postgres;

/// One server of each engine.
async fn both() -> [Server; 2] {
    let database = Postgres::shared().database();
    [Server::start().await, Server::start_on(&database).await]
}

/// A client of a new tenant, once the server knows it.
async fn tenant(server: &Server, organization: &str, project: &str) -> Api {
    let made = server
        .bootstrap(organization, project, "ada@example.com")
        .await;
    client(server, &made).await
}

/// A client with the key that `bootstrap` printed, once the server knows it.
async fn client(server: &Server, made: &Value) -> Api {
    let text = |name: &str| made[name].as_str().expect(name).to_owned();
    let base = format!("{}{}", server.root(), text("base_path"));
    let api = Api::new(server.root(), base, text("api_key"));
    eventually("the tenant is known", async || {
        api.get("/topics").await.status == 200
    })
    .await;
    api
}

/// The database itself, for what no call does yet.
struct Database(AnyPool);

impl Database {
    async fn of(server: &Server) -> Self {
        Self::open(&server.database()).await
    }

    async fn open(url: &str) -> Self {
        sqlx::any::install_default_drivers();
        Self(AnyPool::connect(url).await.expect("the database opens"))
    }

    async fn run(&self, sql: &str) {
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .execute(&self.0)
            .await
            .expect(sql);
    }

    async fn text(&self, sql: &str) -> Vec<String> {
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_all(&self.0)
            .await
            .expect(sql)
    }

    /// Makes a change as a node would: with its row in the feed.
    async fn change(&self, sql: &str, kind: &str, id: &str) {
        let mut change = self.0.begin().await.expect("a transaction");
        for sql in [
            "UPDATE change_counter SET number = number + 1".to_owned(),
            sql.to_owned(),
            format!(
                "INSERT INTO changes (number, kind, id, at) \
                 SELECT number, '{kind}', '{id}', 0 FROM change_counter"
            ),
        ] {
            sqlx::query(sqlx::AssertSqlSafe(sql))
                .execute(&mut *change)
                .await
                .expect("a statement");
        }
        change.commit().await.expect("a commit");
    }
}

/// The public half of a key.
fn key_id(api: &Api) -> &str {
    api.key.split('_').nth(1).expect("a key")
}
