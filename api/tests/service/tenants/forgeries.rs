//! Tokens that nobody gave out, of the service and of an issuer that an organization trusts.

use aws_lc_rs::signature::KeyPair;
use serde_json::{Value, json};

use super::people::{Engine, Tenant, on_both_engines};
use super::tokens::{Issuer, encode, hmac_sha256, part, some_key, token};
use crate::client::{Api, reply};

on_both_engines!(forged_tokens_of_the_service_are_refused);

/// A client from an address of its own, so that no refusal is held against another.
fn with(tenant: &Tenant, token: &str) -> Api {
    tenant.stranger().with_key(token)
}

async fn is_refused(tenant: &Tenant, what: &str, token: &str) {
    let api = with(tenant, token);
    for answer in [
        api.get("/topics").await,
        api.manage("GET", "/me", Value::Null).await,
    ] {
        assert_eq!(answer.status, 401, "{what}: {}", answer.text);
        answer.problem(401, "unauthenticated");
    }
}

async fn forged_tokens_of_the_service_are_refused(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let good = tenant.owner.api.key.clone();
    let (header, claims) = (part(&good, 0), part(&good, 1));
    let api = &tenant.owner.api;
    let url = format!("{}/.well-known/jwks.json", api.root);
    let keys = reply(api.anonymous("GET", &url)).await.expect(200).json();
    let mut known = keys["keys"].as_array().expect("keys").iter();
    let known = known
        .find(|key| key["kid"] == header["kid"])
        .cloned()
        .expect("the key");
    let x = known["x"].as_str().expect("x");
    let public = base64_simd::URL_SAFE_NO_PAD
        .decode_to_vec(x)
        .expect("base64url");
    let foreign = some_key();
    let by_foreign = |message: &[u8]| foreign.sign(message).as_ref().to_vec();
    let changed = |name: &str, value: Value| {
        let mut changed = claims.clone();
        changed[name] = value;
        changed
    };
    let none = |name: &str| json!({"alg": name, "typ": "JWT", "kid": header["kid"]});
    let hs = json!({"alg": "HS256", "typ": "JWT", "kid": header["kid"]});
    let mut embedded = header.clone();
    embedded["jwk"] = json!({
        "kty": "OKP", "crv": "Ed25519", "x": encode(foreign.public_key().as_ref()),
    });
    let mut remote = header.clone();
    remote["jku"] = json!("http://127.0.0.1:1/keys");
    let mut nobody = claims.clone();
    nobody.as_object_mut().unwrap().remove("sub");
    let pieces: Vec<_> = good.split('.').collect();
    let signature = pieces[2];
    for (what, forged) in [
        ("alg none", token(&none("none"), &claims, |_| Vec::new())),
        ("alg None", token(&none("None"), &claims, |_| Vec::new())),
        (
            "alg none with a signature",
            format!(
                "{}.{}.{signature}",
                encode(none("none").to_string()),
                pieces[1]
            ),
        ),
        (
            "HS256 by the public key",
            token(&hs, &claims, |message| hmac_sha256(&public, message)),
        ),
        (
            "HS256 by the public key as text",
            token(&hs, &claims, |message| hmac_sha256(x.as_bytes(), message)),
        ),
        (
            "HS256 by nothing",
            token(&hs, &claims, |message| hmac_sha256(b"", message)),
        ),
        ("another key", token(&header, &claims, by_foreign)),
        (
            "another key, embedded",
            token(&embedded, &claims, by_foreign),
        ),
        (
            "another key, elsewhere",
            token(&remote, &claims, by_foreign),
        ),
        (
            "an unknown key",
            token(
                &json!({"alg": "EdDSA", "kid": "unknown"}),
                &claims,
                by_foreign,
            ),
        ),
        (
            "no kid",
            token(&json!({"alg": "EdDSA"}), &claims, by_foreign),
        ),
        (
            "another subject",
            format!(
                "{}.{}.{signature}",
                pieces[0],
                encode(changed("sub", json!("x@example.com")).to_string())
            ),
        ),
        (
            "a longer life",
            format!(
                "{}.{}.{signature}",
                pieces[0],
                encode(changed("exp", json!(9_999_999_999_i64)).to_string())
            ),
        ),
        (
            "another audience",
            format!(
                "{}.{}.{signature}",
                pieces[0],
                encode(changed("aud", json!("else")).to_string())
            ),
        ),
        (
            "no subject",
            format!("{}.{}.{signature}", pieces[0], encode(nobody.to_string())),
        ),
        ("no signature", format!("{}.{}.", pieces[0], pieces[1])),
        ("half a token", format!("{}.{}", pieces[0], pieces[1])),
        ("too many parts", format!("{good}.{signature}")),
        ("a cookie", tenant.owner.refresh.clone()),
    ] {
        is_refused(&tenant, what, &forged).await;
    }
    with(&tenant, &good).get("/topics").await.expect(200);
}

#[tokio::test]
async fn tokens_of_another_server_are_refused() {
    let here = Tenant::new(Engine::Sqlite).await;
    let there = Tenant::new(Engine::Postgres).await;
    is_refused(&here, "a token of another server", &there.owner.api.key).await;
    is_refused(&there, "a token of another server", &here.owner.api.key).await;
}

/// Only `dev` trusts an issuer on loopback.
#[tokio::test]
async fn tokens_of_a_trusted_issuer_are_checked_whole() {
    let tenant = Tenant::new(Engine::Sqlite).await;
    let path = tenant.key.topic("for-teams", 1).await;
    let issuer = Issuer::start().await;
    let body = json!({
        "issuer": issuer.url, "audience": "headwater",
        "rules": [
            {"claim": "team", "value": "data", "role": "viewer"},
            {"claim": "team", "value": "platform", "role": "developer"},
        ],
    });
    let trust = tenant.path("/issuers/teams");
    tenant
        .owner
        .api
        .manage("PUT", &trust, body)
        .await
        .expect(201);
    let good = with(&tenant, &issuer.sign(&issuer.claims()));
    good.get(&path).await.expect(200);
    let me = good.see("/me").await;
    assert_eq!(
        (&me["kind"], &me["subject"]),
        (&json!("external"), &json!("somebody"))
    );
    assert_eq!(me["organizations"][0]["role"], "viewer");
    let record = r#"{"records":[{"value":1}]}"#;
    good.send("POST", &format!("{path}/records"), record)
        .await
        .problem(403, "forbidden");
    let changed = |changes: Value| {
        let mut claims = issuer.claims();
        for (name, value) in changes.as_object().expect("changes") {
            match value {
                Value::Null => _ = claims.as_object_mut().unwrap().remove(name),
                value => claims[name] = value.clone(),
            }
        }
        claims
    };
    let platform = with(&tenant, &issuer.sign(&changed(json!({"team": "platform"}))));
    platform
        .send("POST", &format!("{path}/records"), record)
        .await
        .expect(200);

    let now = jiff::Timestamp::now().as_second();
    for (what, changes) in [
        ("expired", json!({"exp": now - 120})),
        ("no end", json!({"exp": null})),
        ("not yet good", json!({"nbf": now + 600})),
        ("no subject", json!({"sub": null})),
        ("an empty subject", json!({"sub": ""})),
        ("another audience", json!({"aud": "something-else"})),
        ("no audience", json!({"aud": null})),
        ("another issuer", json!({"iss": "http://127.0.0.1:1"})),
        ("no issuer", json!({"iss": null})),
    ] {
        is_refused(&tenant, what, &issuer.sign(&changed(changes))).await;
    }
    let claims = issuer.claims();
    let hs = json!({"alg": "HS256", "kid": "test"});
    let by_public = token(&hs, &claims, |message| {
        hmac_sha256(&issuer.public_key(), message)
    });
    is_refused(&tenant, "HS256 by the issuer's public key", &by_public).await;
    let none = token(&json!({"alg": "none", "kid": "test"}), &claims, |_| {
        Vec::new()
    });
    is_refused(&tenant, "alg none", &none).await;
    let foreign = some_key();
    let header = json!({"alg": "EdDSA", "kid": "test"});
    let other = token(&header, &claims, |message| {
        foreign.sign(message).as_ref().to_vec()
    });
    is_refused(&tenant, "another key of that name", &other).await;

    // A member of no team is no member, and another organization knows neither.
    let outsider = with(&tenant, &issuer.sign(&changed(json!({"team": "sales"}))));
    assert!([401, 404].contains(&outsider.get(&path).await.status));
    let other = Tenant::new(Engine::Sqlite).await;
    let there = with(&other, &good.key).get("/topics").await;
    there.problem(404, "not_found");

    tenant
        .owner
        .api
        .manage("DELETE", &trust, Value::Null)
        .await
        .expect(204);
    super::people::takes_effect("an issuer that is trusted no more", async || {
        good.get(&path).await.status == 401
    })
    .await;
}
