//! Tenants with people and keys, as every test of this folder needs them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Api, Reply, reply};
use crate::harness::{Server, eventually, shared_dev, shared_serve, unique};

/// What the contract gives a revocation is two seconds; the rest is for a busy machine.
const REVOCATION_LIMIT: Duration = Duration::from_secs(5);

/// Which metadata engine a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// `headwater dev`
    Sqlite,
    /// `headwater serve`
    Postgres,
}

impl Engine {
    /// The server of this engine that cheap tests share.
    pub async fn shared(self) -> &'static Server {
        match self {
            Self::Sqlite => shared_dev().await,
            Self::Postgres => shared_serve().await,
        }
    }

    /// A server of this engine for one test alone.
    pub async fn own(self) -> Server {
        self.unstarted().started().await
    }

    /// The same before it is started.
    pub fn unstarted(self) -> Server {
        match self {
            Self::Sqlite => Server::dev(),
            Self::Postgres => Server::serve(&crate::postgres::Postgres::shared().database()),
        }
    }
}

/// Makes a test of each named function for each engine.
macro_rules! on_both_engines {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $name() {
                super::$name(crate::tenants::people::Engine::Sqlite).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test] async fn $name() {
                super::$name(crate::tenants::people::Engine::Postgres).await;
            })*
        }
    };
}
pub(crate) use on_both_engines;

/// An organization with one project, its first owner, and a key that may do everything in it.
pub struct Tenant {
    pub organization: String,
    pub project: String,
    /// The first owner, an operator too.
    pub owner: Person,
    /// The project's first key.
    pub key: Api,
}

/// Somebody who is signed in.
#[derive(Clone)]
pub struct Person {
    pub email: String,
    pub password: String,
    pub api: Api,
    /// The cookie's value.
    pub refresh: String,
}

impl Tenant {
    /// A new one on the engine's shared server.
    pub async fn new(engine: Engine) -> Self {
        Self::on(engine.shared().await).await
    }

    /// A new one on this server.
    pub async fn on(server: &Server) -> Self {
        let organization = unique("org");
        let project = unique("project");
        let email = format!("{}@example.com", unique("first-owner"));
        let made = server.bootstrap(&organization, &project, &email).await;
        let text = |name: &str| made[name].as_str().expect(name).to_owned();
        let stranger = Api::stranger(server.root()).in_project(&project);
        let key = stranger.with_key(&text("api_key"));
        eventually("the running server knows the tenant", async || {
            key.get("/topics").await.status == 200
        })
        .await;
        let owner = sign_in(&stranger, &email, &text("password")).await;
        Self {
            key,
            organization,
            project,
            owner,
        }
    }

    /// The one that this `dev` made at its first start.
    pub async fn of_dev(server: &Server) -> Self {
        let credentials = server.credentials();
        let text = |name: &str| credentials[name].as_str().expect(name).to_owned();
        let stranger = Api::stranger(server.root()).in_project("demo");
        Self {
            organization: "demo".to_owned(),
            project: "demo".to_owned(),
            owner: sign_in(&stranger, &text("email"), &text("password")).await,
            key: stranger.with_key(&text("api_key")),
        }
    }

    /// Nobody yet, from an address of its own, at the tenant's project.
    pub fn stranger(&self) -> Api {
        Api::stranger(self.key.root.clone()).in_project(&self.project)
    }

    /// Its path in the management API.
    pub fn path(&self, rest: &str) -> String {
        format!("/organizations/{}{rest}", self.organization)
    }

    /// Its project's path in the management API.
    pub fn in_project(&self, rest: &str) -> String {
        format!("/projects/{}{rest}", self.project)
    }

    /// A new account that is a member with this role, from an address of its own.
    pub async fn person(&self, role: &str) -> Person {
        let email = format!("{}@example.com", unique(role));
        let stranger = self.stranger();
        let token = self.invite(&email, role).await;
        let password = format!("password of {email}");
        let accepted = accept(&stranger, &token, Some(&password)).await.expect(200);
        assert_eq!(
            accepted.json(),
            json!({"organization": self.organization, "email": email, "role": role})
        );
        sign_in(&stranger, &email, &password).await
    }

    /// Invites an address; the token.
    pub async fn invite(&self, email: &str, role: &str) -> String {
        let invited = self.put_member(email, role).await.expect(201).json();
        invited["token"].as_str().expect("a token").to_owned()
    }

    /// Invites or changes a member, as the owner.
    pub async fn put_member(&self, email: &str, role: &str) -> Reply {
        let path = self.path(&format!("/members/{email}"));
        self.owner
            .api
            .manage("PUT", &path, json!({ "role": role }))
            .await
    }

    /// Removes a member, as the owner.
    pub async fn remove(&self, email: &str) {
        let path = self.path(&format!("/members/{email}"));
        let removed = self.owner.api.manage("DELETE", &path, Value::Null).await;
        removed.expect(204);
    }

    /// Creates another project, as the owner.
    pub async fn another_project(&self) -> String {
        let id = unique("another");
        let body = json!({"id": id, "name": "Another"});
        let path = self.path("/projects");
        self.owner.api.manage("POST", &path, body).await.expect(201);
        id
    }

    /// A new key with these scopes, made by the owner.
    pub async fn key_with(&self, scopes: Value) -> Api {
        let path = self.in_project(&format!("/keys/{}", unique("key")));
        make_key(&self.owner.api, &path, scopes).await
    }

    /// A new key that may do one thing everywhere.
    pub async fn key_for(&self, operation: &str) -> Api {
        let mut scopes = json!([{"operations": [operation], "topic": "*"}]);
        if operation == "consume" {
            let groups = json!({"operations": [operation], "group": "*"});
            scopes.as_array_mut().expect("a list").push(groups);
        }
        self.key_with(scopes).await
    }
}

/// Creates a key at a path of the management API; the client that uses it.
pub async fn make_key(by: &Api, path: &str, scopes: Value) -> Api {
    let made = by.manage("PUT", path, json!({ "scopes": scopes })).await;
    let made = made.expect(201).json();
    by.with_key(made["secret"].as_str().expect("a secret"))
}

/// Every operation on every topic and group.
pub fn everything() -> Value {
    json!([
        {"operations": ["describe", "produce", "fetch", "consume", "manage"], "topic": "*"},
        {"operations": ["consume"], "group": "*"},
    ])
}

/// Signs in, from where `api` is.
pub async fn sign_in(api: &Api, email: &str, password: &str) -> Person {
    let answer = try_sign_in(api, email, password).await.expect(200);
    Person {
        email: email.to_owned(),
        password: password.to_owned(),
        api: api.with_key(&access_token(&answer)),
        refresh: refresh_cookie(&answer).expect("a refresh cookie"),
    }
}

/// Signing in where it may fail.
pub async fn try_sign_in(api: &Api, email: &str, password: &str) -> Reply {
    let body = json!({"email": email, "password": password});
    api.with_key("").manage("POST", "/sessions", body).await
}

/// Refreshes with a cookie.
pub async fn refresh(api: &Api, cookie: &str) -> Reply {
    let request = api
        .with_key("")
        .managing("POST", "/sessions/refresh", Value::Null)
        .header("cookie", format!("headwater_refresh={cookie}"));
    reply(request).await
}

/// The refresh token that an answer sets.
pub fn refresh_cookie(answer: &Reply) -> Option<String> {
    let cookie = answer.set_cookie("headwater_refresh")?;
    let (pair, _) = cookie.split_once(';').unwrap_or((cookie, ""));
    let (_, value) = pair.split_once('=')?;
    (!value.is_empty()).then(|| value.to_owned())
}

/// The access token of an answer to a sign-in.
#[track_caller]
pub fn access_token(answer: &Reply) -> String {
    answer.json_member("access_token")
}

/// Accepts an invitation, with a password or as the signed-in caller.
pub async fn accept(api: &Api, token: &str, password: Option<&str>) -> Reply {
    let body = password.map_or(json!({}), |password| json!({ "password": password }));
    let path = format!("/invitations/{token}/accept");
    api.manage("POST", &path, body).await
}

/// Waits for the effect of a revocation, prints how long it took, and asserts the contract's bound.
pub async fn takes_effect(what: &str, condition: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    eventually(what, condition).await;
    in_time(what, started);
}

/// Asserts the contract's bound on something that has just ended.
pub fn in_time(what: &str, started: Instant) {
    let took = started.elapsed();
    println!("{what}: {took:?}");
    assert!(took < REVOCATION_LIMIT, "{what} took {took:?}");
}
