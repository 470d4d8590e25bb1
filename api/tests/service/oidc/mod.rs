//! Signing in through a real identity provider, as a person with a browser does.

mod browser;
mod provider;

use std::process::Command;

use serde_json::{Value, json};

use crate::client::{Reply, reply};
use crate::harness::{BINARY, Server, eventually, free_port, shared};
use crate::tenants::people::{
    Tenant, accept, access_token, refresh, refresh_cookie, sign_in, try_sign_in,
};
use browser::Browser;
use provider::{Provider, SECRET};

const STATE_COOKIE: &str = "headwater_oidc";
const REFRESH_COOKIE: &str = "headwater_refresh";
const PASSWORD: &str = "correct horse battery";

/// A `headwater dev` with a provider, which has it as two clients, and another that is away.
struct Service {
    server: Server,
    provider: Provider,
    tenant: Tenant,
}

impl Service {
    async fn start() -> Self {
        let server = Server::dev();
        let callback = |name: &str| format!("{}/v1/sessions/oidc/{name}/callback", server.root());
        let provider = Provider::start(&[callback("corp"), callback("public")]);
        let issuer = &provider.issuer;
        let away = free_port();
        let toml = format!(
            "[corp]\nissuer = \"{issuer}\"\nclient_id = \"headwater\"\nclient_secret = \"{SECRET}\"\n\
             [public]\nissuer = \"{issuer}\"\nclient_id = \"public\"\n\
             [away]\nissuer = \"http://127.0.0.1:{away}\"\nclient_id = \"headwater\"\n"
        );
        let path = server.work_dir().join("oidc.toml");
        std::fs::write(&path, toml).expect("a file");
        let server = server
            .with("HEADWATER_OIDC_FILE", &path.display().to_string())
            .with("HEADWATER_LOG_LEVEL", "trace")
            .started()
            .await;
        let tenant = Tenant::of_dev(&server).await;
        Self {
            server,
            provider,
            tenant,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v1/sessions/oidc/{path}", self.server.root())
    }

    async fn invite(&self, email: &str) -> String {
        self.tenant.invite(email, "developer").await
    }

    /// Signs in through `name` as `login`; the callback's answer.
    async fn sign_in(&self, browser: &mut Browser, name: &str, login: &str) -> Reply {
        let start = self.url(&format!("{name}/start"));
        let callback = browser.go_through(&start, login).await;
        browser.open(&callback).await
    }

    /// What `/me` says to the bearer of a sign-in's token.
    async fn me(&self, signed_in: &Reply) -> Value {
        self.tenant
            .stranger()
            .with_key(&access_token(signed_in))
            .see("/me")
            .await
    }

    async fn events(&self, query: &str) -> Vec<Value> {
        let path = format!("/audit-events?action=finishOidc&{query}");
        let page = self.tenant.owner.api.see(&self.tenant.path(&path)).await;
        page["events"].as_array().expect("events").clone()
    }
}

#[tokio::test]
async fn an_invited_person_signs_in_and_comes_again() {
    let service = Service::start().await;
    let token = service.invite("ada@example.com").await;
    let mut browser = Browser::new();

    let begun = browser.open(&service.url("corp/start")).await.expect(302);
    let place = begun.header("location").expect("a place");
    assert!(place.starts_with(&service.provider.issuer), "{place}");
    assert_eq!(begun.header("cache-control"), Some("no-store"));
    let cookie = begun.set_cookie(STATE_COOKIE).expect("a cookie");
    let (_, attributes) = cookie.split_once(';').expect("attributes");
    assert_eq!(
        attributes.trim(),
        "Max-Age=600; Path=/v1/sessions/oidc; HttpOnly; SameSite=Lax"
    );

    let callback = browser.go_through(&service.url("corp/start"), "ada").await;
    let state = browser.cookie(&callback, STATE_COOKIE).expect("a cookie");
    let signed_in = browser.open(&callback).await.expect(200);
    let body = signed_in.json();
    assert_eq!(
        (&body["token_type"], &body["expires_in"]),
        (&json!("Bearer"), &json!(900))
    );
    assert_eq!(body.as_object().expect("an object").len(), 3);
    assert_eq!(signed_in.header("cache-control"), Some("no-store"));
    let cookie = signed_in.set_cookie(REFRESH_COOKIE).expect("a cookie");
    assert!(cookie.ends_with("; Path=/v1/sessions; HttpOnly; SameSite=Strict"));
    let over = signed_in.set_cookie(STATE_COOKIE).expect("the cookie ends");
    assert!(over.starts_with("headwater_oidc=; Max-Age=0;"), "{over}");
    assert_eq!(browser.cookie(&service.server.root(), STATE_COOKIE), None);

    let me = service.me(&signed_in).await;
    assert_eq!(
        (
            &me["kind"],
            &me["email"],
            &me["operator"],
            &me["organizations"]
        ),
        (
            &json!("user"),
            &json!("ada@example.com"),
            &json!(false),
            &json!([])
        )
    );
    // The invitation is still theirs to accept.
    let person = service
        .tenant
        .stranger()
        .with_key(&access_token(&signed_in));
    accept(&person, &token, None).await.expect(200);
    assert_eq!(
        service.me(&signed_in).await["organizations"][0]["id"],
        service.tenant.organization
    );

    let cookie = browser.cookie(&service.server.root(), REFRESH_COOKIE);
    let refreshed = refresh(&service.tenant.stranger(), &cookie.expect("it")).await;
    refreshed.expect(200);

    // Known by now, also to the other client of the same provider, and from another browser.
    for (browser, name) in [(&mut browser, "corp"), (&mut Browser::new(), "public")] {
        let again = service.sign_in(browser, name, "ada").await.expect(200);
        assert_eq!(service.me(&again).await["email"], "ada@example.com");
    }
    let events = service.events("outcome=allowed").await;
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(
        (&events[0]["actor"], &events[0]["target"]),
        (&json!("ada@example.com"), &json!("users/ada@example.com"))
    );

    // An account without a password cannot be signed in to by one.
    let stranger = service.tenant.stranger();
    for password in ["", " ", PASSWORD] {
        try_sign_in(&stranger, "ada@example.com", password)
            .await
            .problem(401, "unauthenticated");
    }
    let log = service.server.log();
    assert!(log.contains("\"TRACE\"") && !log.contains(SECRET));
    let code = parameter(&callback, "code");
    for secret in [&code, &state, &access_token(&signed_in), "code_verifier"] {
        assert!(!log.contains(secret), "a secret is in the log");
    }
}

fn parameter(url: &str, name: &str) -> String {
    let url = reqwest::Url::parse(url).expect("a URL");
    let mut pairs = url.query_pairs();
    let found = pairs.find(|(found, _)| found == name);
    found.expect("a parameter").1.into_owned()
}

#[tokio::test]
async fn a_callback_is_of_one_browser_and_works_once() {
    let service = Service::start().await;
    service.invite("ada@example.com").await;
    let root = service.server.root();
    let start = service.url("corp/start");
    let refused = |reply: Reply| {
        reply.problem(401, "unauthenticated");
        assert_eq!(reply.set_cookie(REFRESH_COOKIE), None);
    };

    let mut ada = Browser::new();
    let callback = ada.go_through(&start, "ada").await;
    let kept = ada.cookie(&root, STATE_COOKIE).expect("a cookie");
    refused(Browser::new().open(&callback).await);
    let mut eve = Browser::new();
    let eves = eve.go_through(&start, "eve").await;
    refused(eve.clone().open(&callback).await);
    // Eve's own state with Ada's code: it is bound to the secret of Ada's browser.
    let other_code = eves.replace(&parameter(&eves, "code"), &parameter(&callback, "code"));
    assert_ne!(other_code, callback);
    refused(eve.clone().open(&other_code).await);

    let mut ada = Browser::new();
    let callback = ada.go_through(&start, "ada").await;
    for (name, value) in [("state", "another"), ("iss", "https://other.example")] {
        let mut url = reqwest::Url::parse(&callback).unwrap();
        let pairs: Vec<_> = url.query_pairs().into_owned().collect();
        let replaced = pairs.iter().map(|(found, said)| match found == name {
            true => (found.as_str(), value),
            false => (found.as_str(), said.as_str()),
        });
        url.query_pairs_mut().clear().extend_pairs(replaced);
        refused(ada.clone().open(url.as_str()).await);
    }
    let bare = |query: &str| service.url(&format!("corp/callback?{query}"));
    for query in ["", "code=c", "state=s", "state=s&code=c&code=d"] {
        ada.clone()
            .open(&bare(query))
            .await
            .problem(400, "invalid_request");
    }
    // A sign-in of one provider does not end at another, nor does anything else that is signed here.
    let elsewhere = callback.replace("/corp/", "/public/");
    refused(ada.clone().open(&elsewhere).await);
    let signed_in = ada.clone().open(&callback).await.expect(200);
    let token = access_token(&signed_in);
    let mut forged = kept.clone();
    forged.replace_range(forged.len() - 8.., "AAAAAAAA");
    for value in [
        kept.as_str(),
        &token,
        &forged,
        "",
        "a.b.c",
        &"x".repeat(6_000),
    ] {
        let mut browser = Browser::new();
        browser.set_cookie(&root, STATE_COOKIE, value);
        refused(browser.open(&callback).await);
    }
    let bearer = service.tenant.stranger().with_key(&kept);
    bearer
        .manage("GET", "/me", Value::Null)
        .await
        .problem(401, "unauthenticated");

    // Once it is over, neither the browser nor one with all that it had comes in again.
    let mut ada = Browser::new();
    let callback = ada.go_through(&start, "ada").await;
    let mut thief = ada.clone();
    ada.open(&callback).await.expect(200);
    refused(ada.open(&callback).await);
    refused(thief.open(&callback).await);

    // A code that the provider made for another client is none of this one's.
    let mut eve = Browser::new();
    let for_other = eve.go_through(&service.url("public/start"), "ada").await;
    let mut victim = Browser::new();
    let own = victim.go_through(&start, "eve").await;
    let injected = own.replace(&parameter(&own, "code"), &parameter(&for_other, "code"));
    refused(victim.open(&injected).await);
}

#[tokio::test]
async fn only_who_is_invited_or_known_comes_in() {
    let service = Service::start().await;
    service.invite("ada@example.com").await;
    let refused = async |login: &str| {
        let reply = service.sign_in(&mut Browser::new(), "corp", login).await;
        assert_eq!(reply.set_cookie(REFRESH_COOKIE), None);
        let problem = reply.problem(403, "forbidden");
        problem["detail"].as_str().expect("text").to_owned()
    };
    assert_eq!(refused("eve").await, "nobody has invited this address");
    refused("unproved-ada").await;
    refused("nameless-").await;

    // Operators keep their password, and nothing but it lets them in.
    let why = refused("demo@localhost").await;
    assert!(why.contains("password"), "{why}");
    let operator = &service.tenant.owner;
    sign_in(&operator.api, "demo@localhost", &operator.password).await;
    eventually("the refusal is written down", async || {
        let events = service.events("outcome=denied").await;
        let actor = format!("external:{}#demo@localhost", service.provider.issuer);
        let expected =
            |event: &Value| event["actor"] == actor && event["target"] == "users/demo@localhost";
        events.len() == 1 && events.iter().all(expected)
    })
    .await;

    // An invitation that was withdrawn invites nobody.
    service.invite("bob@example.com").await;
    service.tenant.remove("bob@example.com").await;
    assert_eq!(refused("bob").await, "nobody has invited this address");
}

#[tokio::test]
async fn the_first_proof_ends_a_password_and_its_sessions() {
    let service = Service::start().await;
    let email = "ada@example.com";
    let token = service.invite(email).await;
    let stranger = service.tenant.stranger();
    let accepted = accept(&stranger, &token, Some(PASSWORD)).await;
    accepted.expect(200);
    let before = try_sign_in(&stranger, email, PASSWORD).await.expect(200);
    assert_eq!(service.me(&before).await["email"], email);
    // Somebody who only says that the address is theirs changes nothing.
    let mut eve = Browser::new();
    let reply_to_eve = service.sign_in(&mut eve, "corp", "unproved-ada").await;
    reply_to_eve.problem(403, "forbidden");
    assert_eq!(service.me(&before).await["email"], email);

    let proved = service
        .sign_in(&mut Browser::new(), "corp", "ada")
        .await
        .expect(200);
    let me = service.me(&proved).await;
    assert_eq!(
        (&me["email"], &me["organizations"][0]["role"]),
        (&json!(email), &json!("developer"))
    );
    let ended = stranger.with_key(&access_token(&before));
    ended
        .manage("GET", "/me", Value::Null)
        .await
        .problem(401, "unauthenticated");
    let cookie = refresh_cookie(&before).expect("a cookie");
    let refreshed = refresh(&stranger, &cookie).await;
    refreshed.problem(401, "unauthenticated");
    try_sign_in(&stranger, email, PASSWORD)
        .await
        .problem(401, "unauthenticated");

    // Later proofs end nothing.
    let other = service
        .sign_in(&mut Browser::new(), "public", "other-ada")
        .await
        .expect(200);
    assert_eq!(service.me(&other).await["email"], email);
    assert_eq!(service.me(&proved).await["email"], email);
}

#[tokio::test]
async fn a_browser_is_sent_to_paths_of_the_service_alone() {
    let service = Service::start().await;
    service.invite("ada@example.com").await;
    let mut browser = Browser::new();
    let start = service.url("corp/start?redirect=/console%3Fa=b%26c");
    let callback = browser.go_through(&start, "ada").await;
    let sent = browser.open(&callback).await.expect(303);
    assert_eq!(sent.header("location"), Some("/console?a=b&c"));
    assert_eq!(sent.header("cache-control"), Some("no-store"));
    assert_eq!(sent.text, "");
    let cookie = browser.cookie(&service.server.root(), REFRESH_COOKIE);
    assert_eq!(browser.cookie(&service.server.root(), STATE_COOKIE), None);
    let session = refresh(&service.tenant.stranger(), &cookie.expect("it")).await;
    let session = session.expect(200);
    assert_eq!(service.me(&session).await["email"], "ada@example.com");

    for bad in [
        "",
        "console",
        "//evil.example",
        "/%5Cevil.example",
        "/%09/evil.example",
        "https://evil.example",
        "/a%0d%0aSet-Cookie:b",
        "/.//evil.example",
        &format!("/{}", "a".repeat(600)),
    ] {
        let start = service.url(&format!("corp/start?redirect={bad}"));
        let answer = Browser::new().open(&start).await;
        assert_eq!(
            answer.problem(400, "invalid_request")["errors"][0]["pointer"],
            "redirect"
        );
        assert_eq!(answer.set_cookie(STATE_COOKIE), None);
    }
    for query in ["next=/", "redirect=/a&redirect=/b"] {
        let start = service.url(&format!("corp/start?{query}"));
        let answer = Browser::new().open(&start).await;
        answer.problem(400, "invalid_request");
    }
}

#[tokio::test]
async fn what_goes_wrong_is_told_apart() {
    let service = Service::start().await;
    let mut browser = Browser::new();
    for path in ["other/start", "other/callback?state=s&code=c", "%ff/start"] {
        let answer = browser.open(&service.url(path)).await;
        answer.problem(404, "not_found");
    }
    for path in ["start", "callback?state=s&code=c"] {
        let url = format!("{}/v1/sessions/oidc/corp/{path}", shared().await.root);
        browser.open(&url).await.problem(404, "not_found");
    }
    let away = browser.open(&service.url("away/start")).await;
    let problem = away.problem(503, "unavailable");
    assert_eq!(problem["retryable"], true);
    assert!(away.header("retry-after").is_some());

    let callback = browser.cancel(&service.url("corp/start")).await;
    let mut other = browser.clone();
    let cancelled = browser.open(&callback).await;
    let problem = cancelled.problem(401, "unauthenticated");
    let detail = problem["detail"].as_str().expect("text");
    assert!(detail.ends_with(": access_denied"), "{detail}");
    assert_eq!(browser.cookie(&callback, STATE_COOKIE), None);
    let strange = other
        .open(&callback.replace("access_denied", "so-called"))
        .await;
    strange.problem(401, "unauthenticated");
    assert!(!strange.text.contains("so-called"), "{}", strange.text);

    let begun = browser
        .open_with(&service.url("corp/start"), "x-forwarded-proto", "https")
        .await;
    let cookie = begun.set_cookie(STATE_COOKIE).expect("a cookie");
    assert!(cookie.ends_with("; Secure"), "{begun:?}");

    // The provider comes to its end: who is on the way back is told to try again.
    let mut late = Browser::new();
    let callback = late.go_through(&service.url("corp/start"), "ada").await;
    drop(service.provider);
    let answer = late.open(&callback).await;
    assert_eq!(answer.problem(503, "unavailable")["retryable"], true);
}

#[tokio::test]
async fn a_bad_configuration_stops_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("oidc.toml");
    let text = "[corp]\nissuer = \"https://id.example\"\nclient_id = \"headwater\"\n\
                client_secret = \"s3cret\nscopes = 1\n";
    std::fs::write(&file, text).unwrap();
    let data = directory.path().join("data");
    let config = directory.path().join("headwater.toml");
    let database = format!(
        "database = \"sqlite://{}/m.db\"\n",
        directory.path().display()
    );
    let stopped = |setting: &str, arguments: &[&str]| {
        let text = format!("{database}data_dir = \"{}\"\n{setting}\n", data.display());
        std::fs::write(&config, text).unwrap();
        let listen = format!("127.0.0.1:{}", free_port());
        let output = Command::new(BINARY)
            .args([
                "serve",
                "--listen",
                &listen,
                "--internal-listen",
                "127.0.0.1:0",
            ])
            .arg("--config")
            .arg(&config)
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!error.contains("s3cret"), "{error}");
        assert!(!data.exists());
        error
    };
    let by_file = format!("oidc_file = \"{}\"", file.display());
    let error = stopped(&by_file, &[]);
    assert!(error.contains("oidc.toml: line 4:"), "{error}");
    let said = error.lines().filter(|line| line.starts_with("headwater:"));
    assert_eq!(said.count(), 1, "{error}");
    stopped("", &["--oidc-file", &file.display().to_string()]);
    let error = stopped("oidc_file = \"/nowhere/oidc.toml\"", &[]);
    assert!(error.contains("/nowhere/oidc.toml"), "{error}");
    let error = stopped("public_url = \"streams.example.com\"", &[]);
    assert!(error.contains("public_url"), "{error}");
    stopped("", &["--public-url", "https://streams.example.com/below"]);
}

#[tokio::test]
async fn the_calls_are_in_the_document() {
    let api = shared().await;
    let url = format!("{}/openapi/management.json", api.root);
    let document = reply(api.anonymous("GET", &url)).await.expect(200).json();
    let operation = |path: &str| document["paths"][path]["get"]["operationId"].clone();
    assert_eq!(operation("/sessions/oidc/{issuer}/start"), "startOidc");
    assert_eq!(operation("/sessions/oidc/{issuer}/callback"), "finishOidc");
    assert_eq!(operation("/.well-known/jwks.json"), "getJwks");
    let jwks = &document["paths"]["/.well-known/jwks.json"]["get"];
    assert_eq!(jwks["servers"][0]["url"], "{scheme}://{host}");
}
