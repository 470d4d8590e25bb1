use std::time::Duration;

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::{NOW, NOW_MS, Server, TestKey, base64url, token};
use crate::auth::{
    jwks::{
        ExternalClaims, FRESH_MS, ISSUERS_MAX, Jwks, KEPT_MS, RETRY_MS, check_issuer,
        claim_matches, peek_issuer,
    },
    outbound::{Outbound, Reach},
    signing::{LEEWAY_S, TokenError},
};

fn cache() -> Jwks {
    Jwks::new(Outbound::new(Reach::Private).unwrap())
}

async fn verify(
    jwks: &Jwks,
    server: &Server,
    token: &str,
    now_ms: i64,
) -> Result<ExternalClaims, TokenError> {
    let audiences = ["another".to_owned(), "headwater".to_owned()];
    jwks.verify(token, &server.url, &audiences, now_ms).await
}

fn unavailable<T>(result: Result<T, TokenError>) -> String {
    match result {
        Err(TokenError::IssuerUnavailable(why)) => why,
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it is good"),
    }
}

fn invalid<T>(result: Result<T, TokenError>) -> &'static str {
    match result {
        Err(TokenError::Invalid(why)) => why,
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it is good"),
    }
}

#[tokio::test]
async fn every_algorithm_is_verified_by_its_key() {
    let keys = [
        TestKey::rsa("rs256", "RS256"),
        TestKey::rsa("rs512", "RS512"),
        TestKey::rsa("ps256", "PS256"),
        TestKey::ec("es256", "ES256"),
        TestKey::ec("es384", "ES384"),
        TestKey::ed("ed"),
    ];
    let server = Server::issuer(&keys.each_ref()).await;
    let jwks = cache();
    for key in &keys {
        let token = key.token(&server.claims());
        let claims = verify(&jwks, &server, &token, NOW_MS).await.unwrap();
        assert_eq!(claims.issuer, server.url);
        assert_eq!(claims.subject, "somebody");
        assert_eq!(claims.expires_at_ms, (NOW + 300) * 1_000);
        assert_eq!(claims.claims["aud"], "headwater");
        assert_eq!(peek_issuer(&token).as_ref(), Some(&server.url));

        // Signed by one key in the name of another.
        for other in keys.iter().filter(|other| other.jwk != key.jwk) {
            for alg in [key.alg(), other.alg()] {
                let header = json!({ "alg": alg, "kid": other.jwk["kid"] });
                let forged = super::token(&header, &server.claims(), &key.sign);
                invalid(verify(&jwks, &server, &forged, NOW_MS).await);
            }
        }
    }
    assert_eq!(server.asked("/keys").len(), 1);
}

#[tokio::test]
async fn the_algorithm_is_the_keys() {
    let mut rsa = TestKey::rsa("rsa", "RS512");
    let server = Server::issuer(&[&rsa]).await;
    // Without `alg`, RSA is RS256 and nothing else.
    let good = rsa.token(&server.claims());
    rsa.jwk.as_object_mut().unwrap().remove("alg");
    server.publish(&[&rsa]);
    let jwks = cache();
    invalid(verify(&jwks, &server, &good, NOW_MS).await);

    let n = rsa.jwk["n"].as_str().unwrap();
    let n = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(n).unwrap();
    for secret in [n.clone(), server.url.clone().into_bytes(), Vec::new()] {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let header = json!({ "alg": "HS256", "kid": "rsa" });
        let sign = |message: &[u8]| hmac::sign(&secret, message).as_ref().to_vec();
        let forged = token(&header, &server.claims(), sign);
        invalid(verify(&jwks, &server, &forged, NOW_MS).await);
    }
    for alg in ["none", "None", "", "RS1", "ES256K"] {
        let header = json!({ "alg": alg, "kid": "rsa" });
        let forged = token(&header, &server.claims(), |_| Vec::new());
        invalid(verify(&jwks, &server, &forged, NOW_MS).await);
    }
}

#[tokio::test]
async fn keys_for_something_else_are_not_read() {
    let good = TestKey::ec("good", "ES256");
    let rsa = TestKey::rsa("bad", "RS256");
    let n = rsa.jwk["n"].as_str().unwrap();
    let n = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(n).unwrap();
    let small = base64url(&n[..255]);
    let padded = base64url([vec![0; 8], n[..255].to_vec()].concat());
    let changes = [
        ("use", json!("enc")),
        ("key_ops", json!(["encrypt"])),
        ("alg", json!("HS256")),
        ("alg", json!("ES256")),
        ("alg", json!("RSA-OAEP")),
        ("alg", json!("none")),
        ("n", json!(small)),
        ("n", json!(padded)),
        ("n", json!("")),
        ("n", json!(1)),
        ("kty", json!("oct")),
        ("kty", json!("EC")),
    ];
    for (name, value) in changes {
        let mut bad = rsa.jwk.clone();
        bad[name] = value.clone();
        let server = Server::issuer(&[]).await;
        server.json("/keys", &json!({ "keys": [bad, 1, {}, good.jwk] }));
        let jwks = cache();
        let token = good.token(&server.claims());
        verify(&jwks, &server, &token, NOW_MS).await.unwrap();
        let token = rsa.token(&server.claims());
        invalid(verify(&jwks, &server, &token, NOW_MS).await);
        server.json("/keys", &json!({ "keys": [bad] }));
        let why = unavailable(verify(&cache(), &server, &token, NOW_MS).await);
        assert!(why.starts_with("keys: none"), "{name} {value} {why}");
    }
}

#[tokio::test]
async fn only_an_only_key_needs_no_id() {
    let (one, two) = (TestKey::ec("one", "ES256"), TestKey::ec("two", "ES256"));
    let server = Server::issuer(&[&one]).await;
    let header = json!({ "alg": "ES256" });
    let token = token(&header, &server.claims(), &one.sign);
    verify(&cache(), &server, &token, NOW_MS).await.unwrap();
    server.publish(&[&one, &two]);
    let jwks = cache();
    invalid(verify(&jwks, &server, &token, NOW_MS).await);
    invalid(verify(&jwks, &server, &token, NOW_MS + RETRY_MS).await);
    assert_eq!(server.asked("/keys").len(), 2, "one for each cache");
}

#[tokio::test]
async fn claims_are_checked() {
    let key = TestKey::ec("key", "ES256");
    let server = Server::issuer(&[&key]).await;
    let jwks = cache();
    let with = async |name: &str, value: Value| {
        let mut claims = server.claims();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value;
        }
        verify(&jwks, &server, &key.token(&claims), NOW_MS).await
    };
    with("aud", json!(["x", "headwater"])).await.unwrap();
    with("exp", json!(NOW as f64 + 0.5)).await.unwrap();
    with("iat", Value::Null).await.unwrap();
    for name in ["iss", "aud", "sub", "exp"] {
        for value in [Value::Null, json!({}), json!([]), json!(""), json!(["x"])] {
            invalid(with(name, value).await);
        }
    }
    invalid(with("iss", json!([server.url])).await);
    invalid(with("iss", json!(format!("{}/", server.url))).await);
    invalid(with("exp", json!(NOW - LEEWAY_S)).await);
    for name in ["nbf", "iat"] {
        with(name, json!(NOW + LEEWAY_S)).await.unwrap();
        invalid(with(name, json!(NOW + LEEWAY_S + 1)).await);
        invalid(with(name, json!("now")).await);
    }
    let none: [String; 0] = [];
    let token = key.token(&server.claims());
    invalid(jwks.verify(&token, &server.url, &none, NOW_MS).await);
    invalid(with("sub", json!("x".repeat(8_192))).await);
}

#[tokio::test]
async fn a_token_causes_no_fetch_of_its_own() {
    let (key, attacker) = (TestKey::rsa("key", "RS256"), TestKey::rsa("own", "RS256"));
    let server = Server::issuer(&[&key]).await;
    server.json("/own", &json!({ "keys": [attacker.jwk] }));
    let header = json!({
        "alg": "RS256", "kid": "own", "jwk": attacker.jwk,
        "jku": format!("{}/own", server.url), "x5u": format!("{}/own", server.url),
    });
    let forged = token(&header, &server.claims(), &attacker.sign);
    let jwks = cache();
    invalid(verify(&jwks, &server, &forged, NOW_MS).await);
    assert!(server.asked("/own").is_empty());
    let crit = json!({ "alg": "RS256", "kid": "key", "crit": ["b64"], "b64": false });
    let token = token(&crit, &server.claims(), &key.sign);
    invalid(verify(&jwks, &server, &token, NOW_MS).await);
}

#[tokio::test]
async fn unknown_keys_cause_one_fetch_in_a_while() {
    let (old, new) = (TestKey::ec("old", "ES256"), TestKey::ec("new", "ES256"));
    let server = Server::issuer(&[&old]).await;
    let jwks = cache();
    let token = old.token(&server.claims());
    verify(&jwks, &server, &token, NOW_MS).await.unwrap();
    let rotated = new.token(&server.claims());
    for at in 0..50 {
        invalid(verify(&jwks, &server, &rotated, NOW_MS + at).await);
    }
    assert_eq!(server.asked("/keys").len(), 1);

    server.publish(&[&old, &new]);
    let later = NOW_MS + RETRY_MS;
    invalid(verify(&jwks, &server, &rotated, later - 1).await);
    let storm = (0..50).map(|_| verify(&jwks, &server, &rotated, later));
    for result in futures_util::future::join_all(storm).await {
        result.unwrap();
    }
    assert_eq!(server.asked("/keys").len(), 2);
    // A key that is taken back is good until the documents are old.
    server.publish(&[&new]);
    let last = later + FRESH_MS - 1;
    let mut claims = server.claims();
    claims["exp"] = json!(NOW + 86_400);
    let token = old.token(&claims);
    verify(&jwks, &server, &token, last).await.unwrap();
    invalid(verify(&jwks, &server, &token, last + 1).await);
    assert_eq!(server.asked("/keys").len(), 3);
}

#[tokio::test]
async fn kept_keys_serve_while_the_issuer_is_down() {
    let key = TestKey::rsa("key", "RS256");
    let server = Server::issuer(&[&key]).await;
    let jwks = cache();
    let mut claims = server.claims();
    claims["exp"] = json!(NOW + 10 * 86_400);
    let token = key.token(&claims);
    verify(&jwks, &server, &token, NOW_MS).await.unwrap();
    server.answer("/.well-known/openid-configuration", 503, "secret-body");
    let discovery = || server.asked("/.well-known/openid-configuration").len();
    let mut now_ms = NOW_MS + FRESH_MS;
    verify(&jwks, &server, &token, now_ms).await.unwrap();
    assert_eq!(discovery(), 2);
    // Known to be down: no request waits, and one in a while asks again.
    for step in 1..=20 {
        now_ms += RETRY_MS / 4;
        verify(&jwks, &server, &token, now_ms).await.unwrap();
        while discovery() < 2 + step / 4 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Until the flight has landed
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(discovery(), 2 + step / 4);
    }
    let why = unavailable(verify(&jwks, &server, &ids(&key, &claims), now_ms).await);
    assert!(!why.contains("secret"), "{why}");
    verify(&jwks, &server, &token, NOW_MS + KEPT_MS - 1)
        .await
        .unwrap();
    unavailable(verify(&jwks, &server, &token, NOW_MS + KEPT_MS + RETRY_MS).await);
}

/// A token of a key that the issuer does not publish.
fn ids(key: &TestKey, claims: &Value) -> String {
    token(
        &json!({ "alg": "RS256", "kid": "other" }),
        claims,
        &key.sign,
    )
}

#[tokio::test]
async fn failures_are_remembered() {
    let key = TestKey::ec("key", "ES256");
    let server = Server::issuer(&[&key]).await;
    let token = key.token(&server.claims());
    server.answer("/keys", 500, "");
    let jwks = cache();
    let storm = (0..20).map(|_| verify(&jwks, &server, &token, NOW_MS));
    for result in futures_util::future::join_all(storm).await {
        assert_eq!(unavailable(result), "keys: it answered with status 500");
    }
    assert_eq!(server.asked("/keys").len(), 1);
    server.publish(&[&key]);
    unavailable(verify(&jwks, &server, &token, NOW_MS + RETRY_MS - 1).await);
    verify(&jwks, &server, &token, NOW_MS + RETRY_MS)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_cost_the_fetch() {
    let key = TestKey::ec("key", "ES256");
    let server = Server::issuer(&[&key]).await;
    let token = key.token(&server.claims());
    let jwks = cache();
    let first = verify(&jwks, &server, &token, NOW_MS);
    let soon = Duration::from_micros(50);
    let _ = tokio::time::timeout(soon, first).await;
    verify(&jwks, &server, &token, NOW_MS).await.unwrap();
    assert_eq!(server.asked("/keys").len(), 1);
}

#[tokio::test]
async fn documents_are_bound_to_the_issuer_and_to_the_rules() {
    let key = TestKey::ec("key", "ES256");
    let server = Server::issuer(&[&key]).await;
    let token = key.token(&server.claims());
    let discovery = |issuer: &str, keys: &str| {
        let document = json!({ "issuer": issuer, "jwks_uri": keys });
        server.json("/.well-known/openid-configuration", &document);
    };
    let url = &server.url;
    server.answer("/away", 302, format!("{url}/keys"));
    server.answer("/large", 200, " ".repeat(300_000));
    server.answer("/text", 200, "keys");
    let cases = [
        (format!("{url}/"), format!("{url}/keys"), "another issuer"),
        (url.clone(), "http://10.0.0.1/keys".to_owned(), "https"),
        (
            url.clone(),
            "https://169.254.169.254/".to_owned(),
            "not an address",
        ),
        (url.clone(), "file:///etc/passwd".to_owned(), "host"),
        (url.clone(), format!("{url}/away"), "status 302"),
        (url.clone(), format!("{url}/large"), "more than"),
        (url.clone(), format!("{url}/text"), "not the JSON"),
    ];
    for (issuer, keys, expected) in cases {
        discovery(&issuer, &keys);
        let why = unavailable(verify(&cache(), &server, &token, NOW_MS).await);
        assert!(why.contains(expected), "{keys}: {why}");
    }
    let public = Jwks::new(Outbound::new(Reach::Public).unwrap());
    unavailable(verify(&public, &server, &token, NOW_MS).await);
}

#[tokio::test]
async fn issuers_are_bounded() {
    let key = TestKey::ec("key", "ES256");
    let server = Server::issuer(&[&key]).await;
    let token = key.token(&server.claims());
    let jwks = cache();
    let others = async |from: usize| {
        for at in from..from + ISSUERS_MAX - 1 {
            // Refused before anything is sent.
            let issuer = format!("http://10.0.0.1/{at}");
            unavailable(jwks.discovery(&issuer, NOW_MS).await);
        }
    };
    verify(&jwks, &server, &token, NOW_MS).await.unwrap();
    others(0).await;
    verify(&jwks, &server, &token, NOW_MS).await.unwrap();
    assert_eq!(server.asked("/keys").len(), 1, "it was still there");
    others(ISSUERS_MAX).await;
    others(2 * ISSUERS_MAX).await;
    verify(&jwks, &server, &token, NOW_MS).await.unwrap();
    assert_eq!(server.asked("/keys").len(), 2, "the oldest went");
}

#[test]
fn issuers_are_peeked_at() {
    assert_eq!(peek_issuer(""), None);
    assert_eq!(peek_issuer("a.b.c"), None);
    let with = |claims: Value| peek_issuer(&token(&json!({}), &claims, |_| Vec::new()));
    assert_eq!(
        with(json!({ "iss": "https://one" })).as_deref(),
        Some("https://one")
    );
    assert_eq!(with(json!({ "iss": ["https://one"] })), None);
    assert_eq!(with(json!({ "iss": "x", "y": "x".repeat(8_192) })), None);
    assert!(check_issuer(Reach::Public, "https://one.example/realm/").is_ok());
    assert!(check_issuer(Reach::Public, "https://one.example/?a").is_err());
    assert!(check_issuer(Reach::Public, "http://one.example/").is_err());
}

#[test]
fn claims_match_as_text() {
    let claims = json!({
        "text": "a", "flag": true, "number": 7, "list": ["a", 7, false, ["deep"]],
        "object": { "text": "a" }, "dotted.name": "b", "nothing": null,
    });
    let Value::Object(claims) = claims else {
        panic!("it is one");
    };
    let good = [
        ("text", "a"),
        ("flag", "true"),
        ("number", "7"),
        ("list", "a"),
        ("list", "7"),
        ("list", "false"),
        ("dotted.name", "b"),
    ];
    for (name, value) in good {
        assert!(claim_matches(&claims, name, value), "{name} {value}");
    }
    let bad = [
        ("text", "A"),
        ("text", ""),
        ("flag", "True"),
        ("list", "deep"),
        ("object.text", "a"),
        ("object", r#"{"text":"a"}"#),
        ("nothing", "null"),
        ("absent", ""),
    ];
    for (name, value) in bad {
        assert!(!claim_matches(&claims, name, value), "{name} {value}");
    }
}
