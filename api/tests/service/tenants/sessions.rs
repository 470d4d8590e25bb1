//! Signing in, staying in, going out: cookies, rotation, and what ends a session.

use std::time::Instant;

use serde_json::{Value, json};

use super::people::{
    Engine, Person, Tenant, access_token, on_both_engines, refresh, refresh_cookie, sign_in,
    takes_effect, try_sign_in,
};
use super::tokens::part;
use crate::client::{Api, reply};
use crate::harness::{median, unique};

on_both_engines!(
    a_session_is_a_token_and_a_cookie,
    refreshing_rotates_the_cookie,
    a_reused_cookie_ends_the_session,
    signing_out_ends_the_session,
    a_new_password_ends_the_other_sessions,
    an_unknown_address_answers_like_a_wrong_password,
    bad_sign_ins_are_refused,
    sessions_outlive_a_restart,
);

fn seconds(claims: &Value, name: &str) -> i64 {
    claims[name]
        .as_i64()
        .unwrap_or_else(|| panic!("no {name} in {claims}"))
}

async fn a_session_is_a_token_and_a_cookie(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let owner = &tenant.owner;
    let answer = try_sign_in(&owner.api, &owner.email, &owner.password)
        .await
        .expect(200);
    let body = answer.json();
    assert_eq!(
        (&body["token_type"], &body["expires_in"]),
        (&json!("Bearer"), &json!(900))
    );
    let token = body["access_token"].as_str().expect("a token");
    let header = part(token, 0);
    assert_eq!(header["alg"], "EdDSA");
    let claims = part(token, 1);
    assert_eq!(claims["sub"], owner.email);
    assert_eq!(seconds(&claims, "exp") - seconds(&claims, "iat"), 900);
    assert!(
        claims["aud"].is_string() && claims["iss"].is_string(),
        "{claims}"
    );
    assert!(!claims.to_string().contains(&owner.password), "{claims}");

    let cookie = answer.header("set-cookie").expect("a cookie");
    let attributes: Vec<_> = cookie
        .split(';')
        .skip(1)
        .map(|a| a.trim().to_ascii_lowercase())
        .collect();
    for expected in ["httponly", "samesite=strict", "path=/v1/sessions"] {
        assert!(
            attributes.iter().any(|a| a == expected),
            "{expected} in {attributes:?}"
        );
    }
    assert!(
        !attributes.iter().any(|a| a == "secure"),
        "it came over plain HTTP: {attributes:?}"
    );
    assert!(
        !attributes.iter().any(|a| a.starts_with("domain")),
        "{attributes:?}"
    );
    assert!(
        !body
            .to_string()
            .contains(&refresh_cookie(&answer).expect("its value")),
        "not in the body"
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    let url = format!("{}/.well-known/jwks.json", owner.api.root);
    let keys = reply(owner.api.anonymous("GET", &url))
        .await
        .expect(200)
        .json();
    let key = keys["keys"]
        .as_array()
        .expect("keys")
        .iter()
        .find(|key| key["kid"] == header["kid"]);
    let key = key.expect("the token's key is published");
    assert_eq!(
        (&key["kty"], &key["crv"], &key["use"], &key["alg"]),
        (
            &json!("OKP"),
            &json!("Ed25519"),
            &json!("sig"),
            &json!("EdDSA")
        )
    );
    assert!(key.get("d").is_none(), "public keys only");
}

async fn refreshing_rotates_the_cookie(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let person = tenant.person("viewer").await;
    let mut cookie = person.refresh.clone();
    for _ in 0..3 {
        let answer = refresh(&person.api, &cookie).await.expect(200);
        let new = refresh_cookie(&answer).expect("a new cookie");
        assert_ne!(new, cookie);
        cookie = new;
        let token = access_token(&answer);
        person.api.with_key(&token).get("/topics").await.expect(200);
    }
    person.api.get("/topics").await.expect(200);
    for bad in ["", "nonsense", &"x".repeat(5_000)] {
        refresh(&person.api, bad)
            .await
            .problem(401, "unauthenticated");
    }
    let without = person
        .api
        .with_key("")
        .manage("POST", "/sessions/refresh", Value::Null)
        .await;
    without.problem(401, "unauthenticated");
    // An access token refreshes nothing.
    let by_token = person
        .api
        .manage("POST", "/sessions/refresh", Value::Null)
        .await;
    by_token.problem(401, "unauthenticated");
}

async fn is_out(api: &Api) -> bool {
    let management = api.manage("GET", "/me", Value::Null).await.status;
    management == 401 && api.get("/topics").await.status == 401
}

async fn a_reused_cookie_ends_the_session(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let person = tenant.person("developer").await;
    let other = sign_in(&person.api, &person.email, &person.password).await;
    let renewed = refresh(&person.api, &person.refresh).await.expect(200);
    let thief = refresh_cookie(&renewed).expect("a cookie");
    let newer = person.api.with_key(&access_token(&renewed));
    newer.get("/topics").await.expect(200);
    refresh(&person.api, &person.refresh)
        .await
        .problem(401, "unauthenticated");
    takes_effect("both tokens of a stolen session", async || {
        is_out(&newer).await && is_out(&person.api).await
    })
    .await;
    refresh(&person.api, &thief)
        .await
        .problem(401, "unauthenticated");
    other.api.get("/topics").await.expect(200);
    refresh(&other.api, &other.refresh).await.expect(200);
}

async fn signing_out_ends_the_session(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let by_cookie = tenant.person("developer").await;
    let request = by_cookie
        .api
        .with_key("")
        .managing("DELETE", "/sessions/current", Value::Null)
        .header("cookie", format!("headwater_refresh={}", by_cookie.refresh));
    let answer = reply(request).await.expect(204);
    let cleared = answer
        .header("set-cookie")
        .expect("the cookie is removed")
        .to_ascii_lowercase();
    assert!(
        cleared.starts_with("headwater_refresh=;") && cleared.contains("max-age=0"),
        "{cleared}"
    );
    takes_effect("a signed-out token", async || is_out(&by_cookie.api).await).await;
    refresh(&by_cookie.api, &by_cookie.refresh)
        .await
        .problem(401, "unauthenticated");

    let by_token = sign_in(&by_cookie.api, &by_cookie.email, &by_cookie.password).await;
    by_token
        .api
        .manage("DELETE", "/sessions/current", Value::Null)
        .await
        .expect(204);
    takes_effect("a token signed out by itself", async || {
        is_out(&by_token.api).await
    })
    .await;
    refresh(&by_token.api, &by_token.refresh)
        .await
        .problem(401, "unauthenticated");
    // A key has no session.
    let key = tenant
        .key
        .manage("DELETE", "/sessions/current", Value::Null)
        .await;
    assert!((400..500).contains(&key.status), "{}", key.text);
    tenant.key.get("/topics").await.expect(200);
}

async fn a_new_password_ends_the_other_sessions(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let person = tenant.person("developer").await;
    let elsewhere = sign_in(&person.api, &person.email, &person.password).await;
    let change = async |by: &Api, current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new});
        by.manage("PUT", "/me/password", body).await
    };
    let wrong = change(&person.api, "not the password", "a new long password").await;
    assert!([401, 403, 422].contains(&wrong.status), "{}", wrong.text);
    change(&person.api, &person.password, "short")
        .await
        .problem(422, "invalid_setting");
    change(&person.api, &person.password, &"x".repeat(257))
        .await
        .problem(422, "invalid_setting");
    change(&tenant.key, &person.password, "a new long password")
        .await
        .problem(403, "forbidden");
    change(&person.api, &person.password, "a new long password")
        .await
        .expect(204);
    takes_effect("the other session", async || is_out(&elsewhere.api).await).await;
    refresh(&elsewhere.api, &elsewhere.refresh)
        .await
        .problem(401, "unauthenticated");
    person.api.get("/topics").await.expect(200);
    try_sign_in(&person.api, &person.email, &person.password)
        .await
        .problem(401, "unauthenticated");
    sign_in(&person.api, &person.email, "a new long password").await;
}

async fn an_unknown_address_answers_like_a_wrong_password(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let root = &tenant.owner.api.root;
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for _ in 0..9 {
        // From a new address each time, below the limit of tries.
        let api = Api::stranger(root.clone());
        let started = Instant::now();
        let one = try_sign_in(&api, &tenant.owner.email, "not the password").await;
        known.push(started.elapsed());
        let started = Instant::now();
        let nobody = format!("{}@example.com", unique("nobody"));
        let two = try_sign_in(&api, &nobody, "not the password").await;
        unknown.push(started.elapsed());
        one.problem(401, "unauthenticated");
        assert_eq!(one.timeless(), two.timeless());
        assert!(one.header("set-cookie").is_none());
    }
    let (known, unknown) = (median(known), median(unknown));
    println!("wrong password: {known:?}, unknown address: {unknown:?}");
    // A hash that is left out would make a difference of an order of magnitude.
    assert!(
        known < unknown * 3 && unknown < known * 3,
        "{known:?} {unknown:?}"
    );
}

async fn bad_sign_ins_are_refused(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let api = tenant.owner.api.with_key("");
    for body in [
        json!({}),
        json!({"email": "x@example.com"}),
        json!({"email": "x@example.com", "password": 1}),
        json!({"email": null, "password": "x"}),
        json!({"email": "x@example.com", "password": "x", "remember": true}),
        json!([]),
    ] {
        let problem = api
            .manage("POST", "/sessions", body)
            .await
            .any_problem_of(400);
        assert!(
            !problem["errors"].as_array().expect("errors").is_empty(),
            "{problem}"
        );
    }
    let long = json!({"email": "x@example.com", "password": "x".repeat(60_000)});
    let answer = api.manage("POST", "/sessions", long).await;
    assert!([400, 401].contains(&answer.status), "{}", answer.text);
    let request = api.managing("POST", "/sessions", Value::Null).body("{");
    reply(request).await.any_problem_of(400);
    // However the address is written, it is the same person.
    let owner = &tenant.owner;
    try_sign_in(&api, &owner.email.to_uppercase(), &owner.password)
        .await
        .expect(200);
}

async fn sessions_outlive_a_restart(engine: Engine) {
    let mut server = engine.own().await;
    let tenant = Tenant::on(&server).await;
    let person: Person = tenant.person("viewer").await;
    server.stop().await;
    server.restart().await;
    // The key that signs is the process's own: an old token may be good or not, a cookie is.
    let renewed = refresh(&person.api, &person.refresh).await.expect(200);
    let token = access_token(&renewed);
    person.api.with_key(&token).get("/topics").await.expect(200);
    refresh(&person.api, &person.refresh)
        .await
        .problem(401, "unauthenticated");
}
