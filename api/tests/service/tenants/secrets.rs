//! Secrets are nowhere but with their owners: not in the database, the log, metrics, audit or errors.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::people::{
    Engine, Tenant, accept, access_token, everything, make_key, refresh, refresh_cookie,
    try_sign_in,
};
use crate::client::{Reply, reply};
use crate::harness::{Server, eventually};
use crate::postgres::dump;

/// A secret, by what it is.
type Secret = (&'static str, String);

/// Every way that a secret may be written down.
fn spellings(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut found = vec![
        secret.to_owned(),
        base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes),
        base64_simd::STANDARD_NO_PAD.encode_to_string(bytes),
        hex.to_uppercase(),
        hex,
    ];
    // A key is its id, which may be known, and its secret half; a cookie may be made of parts too.
    for part in secret.split(['_', '.']).filter(|part| part.len() >= 32) {
        found.push(part.to_owned());
        if let Some(raw) = from_hex(part) {
            found.push(base64_simd::STANDARD_NO_PAD.encode_to_string(&raw));
            found.push(base64_simd::URL_SAFE_NO_PAD.encode_to_string(&raw));
        }
        if let Ok(raw) = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(part) {
            found.push(raw.iter().map(|byte| format!("{byte:02x}")).collect());
        }
    }
    found
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

fn contains(place: &[u8], text: &str) -> bool {
    memchr::memmem::find(place, text.as_bytes()).is_some()
}

/// Asserts that none of them is there.
#[track_caller]
fn are_absent(secrets: &[Secret], name: &str, place: &[u8]) {
    assert!(
        !place.is_empty(),
        "{name} has something to be looked through"
    );
    for (what, secret) in secrets {
        for spelling in spellings(secret) {
            assert!(
                !contains(place, &spelling),
                "{what} is in {name}, written {spelling}"
            );
        }
    }
}

/// Uses every kind of secret, rightly and wrongly; what was used, and all answers of errors.
async fn plant(tenant: &Tenant) -> (Vec<Secret>, Vec<Reply>) {
    let api = &tenant.owner.api;
    let mut secrets: Vec<Secret> = vec![
        ("a bootstrap password", tenant.owner.password.clone()),
        ("a bootstrap key", tenant.key.key.clone()),
        ("an access token", api.key.clone()),
        ("a refresh token", tenant.owner.refresh.clone()),
    ];
    let mut errors = Vec::new();
    let path = tenant.in_project("/keys/planted");
    let key = make_key(api, &path, everything()).await;
    key.get("/topics").await.expect(200);
    secrets.push(("a key", key.key.clone()));
    let rotated = api
        .manage("POST", &format!("{path}/rotate"), Value::Null)
        .await
        .expect(200)
        .json();
    secrets.push((
        "a rotated key",
        rotated["secret"].as_str().unwrap().to_owned(),
    ));
    eventually("the old secret is dead", async || {
        key.get("/topics").await.status == 401
    })
    .await;
    errors.push(key.get("/topics").await);

    let email = "planted@example.com";
    let dead = tenant.invite(email, "viewer").await;
    let invited = tenant
        .put_member(email, "developer")
        .await
        .expect(200)
        .json();
    let token = invited["token"].as_str().unwrap().to_owned();
    let guest = tenant.stranger();
    let chosen = "a planted password of some length";
    errors.push(accept(&guest, &dead, Some(chosen)).await);
    accept(&guest, &token, Some(chosen)).await.expect(200);
    errors.push(accept(&guest, &token, Some(chosen)).await);
    secrets.push(("a withdrawn invitation", dead));
    secrets.push(("an invitation", token));
    secrets.push(("a chosen password", chosen.to_owned()));

    let typed = "a mistyped password, nearly right";
    errors.push(try_sign_in(&guest, email, typed).await);
    secrets.push(("a wrong password", typed.to_owned()));
    let session = try_sign_in(&guest, email, chosen).await.expect(200);
    let first = refresh_cookie(&session).unwrap();
    let renewed = refresh(&guest, &first).await.expect(200);
    let access = access_token(&renewed);
    let person = guest.with_key(&access);
    let new = "another planted password, as long";
    let body = json!({"current_password": chosen, "new_password": new});
    person.manage("PUT", "/me/password", body).await.expect(204);
    secrets.push(("a new password", new.to_owned()));
    secrets.push(("another access token", access));
    secrets.push(("a renewed refresh token", refresh_cookie(&renewed).unwrap()));
    errors.push(refresh(&guest, &first).await);
    secrets.push(("a used refresh token", first));

    // Secrets where they do not belong.
    let guess = format!("hw_0123456789abcdef_{}", "5ec2e7".repeat(11));
    errors.push(guest.with_key(&guess).get("/topics").await);
    let basic = guest.anonymous("GET", &format!("{}/v1/me", guest.root));
    errors.push(reply(basic.header("authorization", format!("Basic {guess}"))).await);
    errors.push(
        guest
            .manage("GET", &format!("/projects/{guess}"), Value::Null)
            .await,
    );
    let misplaced = json!({"email": email, "password": 1, new: 2});
    errors.push(guest.manage("POST", "/sessions", misplaced).await);
    secrets.push(("a guessed key", guess));
    (secrets, errors)
}

/// Every file below a directory.
fn files(directory: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

async fn look_everywhere(server: &Server, engine: Engine) {
    let tenant = Tenant::on(server).await;
    let (secrets, errors) = plant(&tenant).await;
    // A search that finds nothing anywhere proves nothing: it must find what is known to be there.
    let marker = tenant.organization.clone();
    let audit = tenant
        .owner
        .api
        .manage(
            "GET",
            &tenant.path("/audit-events?page_size=1000"),
            Value::Null,
        )
        .await;
    are_absent(&secrets, "the audit log", audit.expect(200).text.as_bytes());
    for error in &errors {
        assert!(error.status >= 400, "{}", error.text);
        // What the caller put into the path is echoed as `instance` at most, never in an error of 401.
        if error.status != 404 && error.status != 400 {
            are_absent(&secrets, "an error", error.text.as_bytes());
        }
        let others = &secrets[..secrets.len() - 1];
        let others: Vec<_> = others
            .iter()
            .filter(|(what, _)| *what != "a new password")
            .cloned()
            .collect();
        are_absent(&others, "an error", error.text.as_bytes());
    }
    let url = format!("{}/metrics", server.internal_root());
    let metrics = reply(tenant.key.anonymous("GET", &url)).await.expect(200);
    are_absent(&secrets, "the metrics", metrics.text.as_bytes());

    if engine == Engine::Postgres {
        let dumped = dump(&server.database());
        assert!(contains(&dumped, &marker), "the dump is of this database");
        are_absent(&secrets, "the database", &dumped);
    } else {
        // `credentials.json` is where `dev` hands its own secrets to its user.
        let mut found = Vec::new();
        files(&server.data_dir(), &mut found);
        let mut seen = false;
        for path in found
            .iter()
            .filter(|path| !path.ends_with("credentials.json"))
        {
            let content = fs::read(path).expect("a file");
            seen |= contains(&content, &marker);
            if !content.is_empty() {
                are_absent(&secrets, &path.display().to_string(), &content);
            }
        }
        assert!(seen, "the database is among the files: {found:?}");
    }
    let log = server.log();
    assert!(
        log.contains("DEBUG") || log.contains("\"debug\""),
        "the log is at debug level"
    );
    are_absent(&secrets, "the log", log.as_bytes());
}

#[tokio::test]
async fn no_secret_is_kept_by_dev() {
    let server = Engine::Sqlite
        .unstarted()
        .with("HEADWATER_LOG_LEVEL", "debug")
        .started()
        .await;
    look_everywhere(&server, Engine::Sqlite).await;
}

#[tokio::test]
async fn no_secret_is_kept_by_serve() {
    let server = Engine::Postgres
        .unstarted()
        .with("HEADWATER_LOG_LEVEL", "debug")
        .started()
        .await;
    look_everywhere(&server, Engine::Postgres).await;
}
