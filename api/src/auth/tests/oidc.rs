use std::collections::HashMap;

use reqwest::Url;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{NOW_MS, Server, TestKey, base64url};
use crate::auth::{
    jwks::Jwks,
    oidc::{Identity, OidcError, Provider, SignIn, Started, read_providers},
    outbound::{Outbound, Reach},
};

const REDIRECT: &str = "https://headwater.example/v1/auth/callback";

/// A provider, a client of it and a sign-in that has begun.
struct Flow {
    server: Server,
    key: TestKey,
    provider: Provider,
    sign_in: SignIn,
    started: Started,
}

impl Flow {
    async fn start(secret: &str) -> Self {
        let key = TestKey::rsa("key", "RS256");
        let server = Server::issuer(&[&key]).await;
        let provider = provider(&server, secret);
        let sign_in = SignIn::new(Jwks::new(Outbound::new(Reach::Private).unwrap()));
        let started = sign_in.start(&provider, REDIRECT, NOW_MS).await.unwrap();
        Self {
            server,
            key,
            provider,
            sign_in,
            started,
        }
    }

    fn pending(&self, name: &str) -> String {
        let pending = serde_json::to_value(&self.started.pending).unwrap();
        pending[name].as_str().unwrap().to_owned()
    }

    fn claims(&self) -> Value {
        let mut claims = self.server.claims();
        claims["aud"] = json!("client & co");
        claims["nonce"] = json!(self.pending("nonce"));
        claims["email"] = json!("somebody@example.com");
        claims["email_verified"] = json!(true);
        claims["name"] = json!("Some Body");
        claims
    }

    async fn finish(&self, claims: &Value) -> Result<Identity, OidcError> {
        self.server.json(
            "/token",
            &json!({
                "access_token": "access", "token_type": "Bearer",
                "id_token": self.key.token(claims),
            }),
        );
        self.exchange().await
    }

    async fn exchange(&self) -> Result<Identity, OidcError> {
        let pending = &self.started.pending;
        self.sign_in
            .finish(&self.provider, pending, "the code", NOW_MS)
            .await
    }

    async fn with(&self, name: &str, value: Value) -> Result<Identity, OidcError> {
        let mut claims = self.claims();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value;
        }
        self.finish(&claims).await
    }

    fn discovery(&self, name: &str, value: Value) {
        let path = "/.well-known/openid-configuration";
        let text = self.server.script.lock().answers[path].1.clone();
        let mut document: Value = serde_json::from_str(&text).unwrap();
        document[name] = value;
        self.server.json(path, &document);
    }
}

fn provider(server: &Server, secret: &str) -> Provider {
    let text = format!(
        "[local]\nissuer = \"{}\"\nclient_id = \"client & co\"\n{secret}\n",
        server.url
    );
    let mut providers = read_providers(&text, Reach::Private).unwrap();
    providers.remove("local").unwrap()
}

fn form(body: &str) -> HashMap<String, String> {
    form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect()
}

fn invalid(result: Result<Identity, OidcError>) -> &'static str {
    match result {
        Err(OidcError::Invalid(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn unavailable(result: Result<Identity, OidcError>) -> String {
    match result {
        Err(OidcError::Unavailable(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_sign_in_is_bound_to_its_browser_and_its_code() {
    let flow = Flow::start("client_secret = \"s3cret:&\"").await;
    let url = Url::parse(&flow.started.authorize_url).unwrap();
    assert_eq!(url.path(), "/authorize");
    let query: HashMap<_, _> = url.query_pairs().into_owned().collect();
    let challenge = base64url(Sha256::digest(flow.pending("verifier")));
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "client & co"),
        ("redirect_uri", REDIRECT),
        ("scope", "openid email profile"),
        ("state", &flow.pending("state")),
        ("nonce", &flow.pending("nonce")),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(query[name], value, "{name}");
    }
    assert_eq!(query.len(), 8);
    let pending = &flow.started.pending;
    assert_eq!(pending.state.len(), 43);
    assert!(pending.state_matches(&flow.pending("state")));
    assert!(!pending.state_matches(&flow.pending("nonce")));
    assert!(!pending.state_matches(""));

    let identity = flow.finish(&flow.claims()).await.unwrap();
    let expected = Identity {
        issuer: flow.server.url.clone(),
        subject: "somebody".to_owned(),
        email: Some("somebody@example.com".to_owned()),
        email_verified: true,
        name: Some("Some Body".to_owned()),
    };
    assert_eq!(identity, expected);
    let asked = &flow.server.asked("/token")[0];
    assert_eq!(asked.method, http::Method::POST);
    let body = form(&asked.body);
    assert_eq!(body["grant_type"], "authorization_code");
    assert_eq!(body["code"], "the code");
    assert_eq!(body["redirect_uri"], REDIRECT);
    assert_eq!(body["code_verifier"], flow.pending("verifier"));
    assert!(!body.contains_key("client_secret"));
    let basic = base64_simd::STANDARD.encode_to_string("client+%26+co:s3cret%3A%26");
    assert_eq!(asked.headers["authorization"], format!("Basic {basic}"));
    assert!(flow.server.asked("/userinfo").is_empty());
    let again = flow
        .sign_in
        .start(&flow.provider, REDIRECT, NOW_MS)
        .await
        .unwrap();
    assert_ne!(again.pending.state, flow.started.pending.state);
    assert_eq!(
        flow.server.asked("/.well-known/openid-configuration").len(),
        1
    );
}

#[tokio::test]
async fn clients_authenticate_as_the_provider_says() {
    let flow = Flow::start("").await;
    flow.finish(&flow.claims()).await.unwrap();
    let asked = &flow.server.asked("/token")[0];
    assert!(!asked.headers.contains_key("authorization"));
    assert_eq!(form(&asked.body)["client_id"], "client & co");

    let mut flow = Flow::start("client_secret = \"s3cret\"").await;
    let methods = |methods: Value, flow: &mut Flow| {
        flow.discovery("token_endpoint_auth_methods_supported", methods);
        flow.sign_in = SignIn::new(Jwks::new(Outbound::new(Reach::Private).unwrap()));
    };
    methods(json!(["private_key_jwt", "client_secret_post"]), &mut flow);
    flow.finish(&flow.claims()).await.unwrap();
    let asked = &flow.server.asked("/token")[0];
    assert!(!asked.headers.contains_key("authorization"));
    assert_eq!(form(&asked.body)["client_secret"], "s3cret");
    methods(json!(["private_key_jwt"]), &mut flow);
    unavailable(flow.finish(&flow.claims()).await);
    assert_eq!(flow.server.asked("/token").len(), 1);
}

#[tokio::test]
async fn the_id_token_must_be_of_this_sign_in() {
    let flow = Flow::start("").await;
    let party = "client & co";
    flow.with("azp", json!(party)).await.unwrap();
    invalid(flow.with("azp", json!("another")).await);
    invalid(flow.with("aud", json!([party, "another"])).await);
    invalid(flow.with("aud", json!("another")).await);
    invalid(flow.with("nonce", Value::Null).await);
    invalid(flow.with("nonce", json!("")).await);
    invalid(flow.with("nonce", json!(flow.pending("state"))).await);
    invalid(flow.with("iss", json!("https://other.example")).await);
    invalid(flow.with("exp", json!(NOW_MS / 1_000 - 60)).await);
    invalid(flow.with("iat", Value::Null).await);
    invalid(flow.with("sub", Value::Null).await);
    invalid(flow.with("sub", json!("s".repeat(256))).await);
    invalid(flow.with("sub", json!("some\0body")).await);
    flow.with("sub", json!("s".repeat(255))).await.unwrap();
    let mut claims = flow.claims();
    claims["aud"] = json!([party, "another"]);
    claims["azp"] = json!(party);
    flow.finish(&claims).await.unwrap();

    let other = TestKey::rsa("key", "RS256");
    let forged = other.token(&flow.claims());
    let body = |id_token: Value| json!({ "access_token": "access", "token_type": "Bearer", "id_token": id_token });
    flow.server.json("/token", &body(json!(forged)));
    invalid(flow.exchange().await);
    flow.server.json("/token", &body(Value::Null));
    invalid(flow.exchange().await);

    let mut another = flow.provider.clone();
    another.name = "another".to_owned();
    let pending = &flow.started.pending;
    invalid(flow.sign_in.finish(&another, pending, "code", NOW_MS).await);
    let long = "x".repeat(5_000);
    for code in ["", &long] {
        invalid(
            flow.sign_in
                .finish(&flow.provider, pending, code, NOW_MS)
                .await,
        );
    }
}

#[tokio::test]
async fn refusals_tell_nothing_of_the_answer() {
    let flow = Flow::start("client_secret = \"s3cret\"").await;
    let server = &flow.server;
    let refusal =
        |error: &str| json!({ "error": error, "error_description": "secret" }).to_string();
    server.answer("/token", 400, refusal("invalid_grant"));
    invalid(flow.exchange().await);
    let long = "secret".repeat(100_000);
    for (status, body) in [
        (401, refusal("invalid_client")),
        (400, refusal("secret")),
        (500, "secret".to_owned()),
        (200, "{\"secret\": 1}".to_owned()),
        (302, format!("{}/secret", server.url)),
        (200, long),
    ] {
        server.answer("/token", status, body);
        let why = unavailable(flow.exchange().await);
        assert!(!why.contains("secret"), "{status}: {why}");
    }
    assert!(server.asked("/secret").is_empty());
}

#[tokio::test]
async fn a_missing_address_is_asked_for() {
    let flow = Flow::start("").await;
    let server = &flow.server;
    server.answer("/userinfo", 500, "");
    unavailable(flow.with("email", Value::Null).await);
    let about = |sub: &str, verified: Value| json!({ "sub": sub, "email": "a@example.com", "email_verified": verified, "name": "Another" });
    server.json("/userinfo", &about("else", json!(true)));
    invalid(flow.with("email", Value::Null).await);
    server.json("/userinfo", &json!({ "email": "a@example.com" }));
    invalid(flow.with("email", Value::Null).await);
    for (said, verified) in [
        (json!(true), true),
        (json!("true"), true),
        (json!("yes"), false),
        (json!(1), false),
        (Value::Null, false),
        (json!(false), false),
    ] {
        server.json("/userinfo", &about("somebody", said));
        let identity = flow.with("email", Value::Null).await.unwrap();
        assert_eq!(identity.email.as_deref(), Some("a@example.com"));
        assert_eq!(identity.email_verified, verified);
        assert_eq!(identity.name.as_deref(), Some("Some Body"));
    }
    let asked = server.asked("/userinfo");
    assert_eq!(
        asked.last().unwrap().headers["authorization"],
        "Bearer access"
    );
    // The flag of the id token says nothing about an address that is not in it.
    server.json("/userinfo", &json!({ "sub": "somebody" }));
    let identity = flow.with("email", Value::Null).await.unwrap();
    assert_eq!((identity.email, identity.email_verified), (None, false));
    for bad in ["", "a\nb@example.com", &"x".repeat(400)] {
        let identity = flow.with("email", json!(bad)).await.unwrap();
        assert_eq!((identity.email, identity.email_verified), (None, false));
    }
}

#[tokio::test]
async fn endpoints_of_a_document_are_checked() {
    for (name, url) in [
        ("authorization_endpoint", json!("javascript:alert(1)")),
        ("authorization_endpoint", json!("http://example.com/")),
        ("authorization_endpoint", Value::Null),
        ("token_endpoint", json!("https://169.254.169.254/token")),
        ("token_endpoint", json!("http://10.0.0.1/token")),
        ("token_endpoint", Value::Null),
        ("userinfo_endpoint", json!("https://169.254.169.254/")),
    ] {
        let mut flow = Flow::start("").await;
        flow.discovery(name, url.clone());
        flow.sign_in = SignIn::new(Jwks::new(Outbound::new(Reach::Private).unwrap()));
        let started = flow.sign_in.start(&flow.provider, REDIRECT, NOW_MS).await;
        assert_eq!(started.is_err(), name.starts_with("auth"), "{name} {url}");
        if started.is_ok() {
            unavailable(flow.with("email", Value::Null).await);
        }
    }
}

#[test]
fn providers_are_read_from_toml() {
    let text = "[corp]\nissuer = \"https://id.example/realm\"\nclient_id = \"headwater\"\n";
    let providers = read_providers(text, Reach::Private).unwrap();
    let corp = &providers["corp"];
    assert_eq!(corp.name, "corp");
    assert_eq!(corp.scopes, "openid email profile");
    assert!(corp.client_secret.is_none());
    let secret = format!("{text}client_secret = \"s3cret\"\n");
    let providers = read_providers(&secret, Reach::Private).unwrap();
    assert!(!format!("{providers:?}").contains("s3cret"));

    let bad = [
        format!("{text}other = 1\n"),
        format!("{text}scopes = \"email\"\n"),
        format!("{text}client_secret = \"\"\n"),
        text.replace("[corp]", "[Corp]"),
        text.replace("https", "http"),
        text.replace("realm", "realm?a=b"),
        text.replace("\"headwater\"", "\"\""),
        text.replace("client_id", "client"),
        format!("{text}client_secret = \"s3cret\n"),
        format!("{text}client_secret = [\"s3cret\"]\n"),
        format!("{text}name = \"s3cret\"\n"),
    ];
    for text in bad {
        let error = read_providers(&text, Reach::Private).unwrap_err();
        assert!(!error.contains("s3cret"), "{error}");
    }
    let error = read_providers(&format!("{text}x"), Reach::Private).unwrap_err();
    assert!(error.starts_with("line 4:"), "{error}");
}
