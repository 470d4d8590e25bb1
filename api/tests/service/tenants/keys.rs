//! API keys: what they may, how long, and that their secrets are shown once.

use serde_json::{Value, json};

use super::people::{Engine, Tenant, everything, make_key, on_both_engines, takes_effect};
use crate::client::Api;
use crate::harness::eventually;

on_both_engines!(
    an_expired_key_is_no_key,
    rotation_ends_the_old_secret,
    a_secret_is_shown_once,
    use_is_noted,
    changes_honour_etags,
    a_dry_run_makes_nothing,
    lists_come_in_pages,
    bad_keys_are_refused_at_their_place,
);

/// One operation on topics.
pub fn scope(operation: &str, topic: &str) -> Value {
    json!([{"operations": [operation], "topic": topic}])
}

/// A body with one record.
pub const RECORD: &str = r#"{"records":[{"value":1}]}"#;

/// The status of producing to a topic.
pub async fn writes(key: &Api, topic: &str) -> u16 {
    let path = format!("/topics/{topic}/records");
    key.send("POST", &path, RECORD).await.status
}

async fn an_expired_key_is_no_key(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    let path = tenant.in_project("/keys/short");
    let body = json!({"scopes": everything(), "expires_at": expires.to_string()});
    let owner = &tenant.owner.api;
    let made = owner.manage("PUT", &path, body).await.expect(201).json();
    let until: jiff::Timestamp = made["expires_at"].as_str().unwrap().parse().unwrap();
    assert!(
        (until.as_millisecond() - expires.as_millisecond()).abs() < 1_000,
        "{made}"
    );
    let key = owner.with_key(made["secret"].as_str().unwrap());
    key.get("/topics").await.expect(200);
    eventually("the key expires", async || {
        key.get("/topics").await.status == 401
    })
    .await;
    let now = jiff::Timestamp::now();
    assert!(now >= until, "not before its time: {now} {until}");
    assert!(
        (now - until).total(jiff::Unit::Second).unwrap() < 5.0,
        "soon after its time"
    );
    // A later time brings it back.
    let body = json!({"scopes": everything(), "expires_at": null});
    owner.manage("PUT", &path, body).await.expect(200);
    takes_effect("a key without an end", async || {
        key.get("/topics").await.status == 200
    })
    .await;
    let past = json!({"scopes": everything(), "expires_at": "2001-01-01T00:00:00Z"});
    owner.manage("PUT", &path, past).await.any_problem_of(422);
}

async fn rotation_ends_the_old_secret(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let path = tenant.in_project("/keys/rotated");
    let owner = &tenant.owner.api;
    let old = make_key(owner, &path, everything()).await;
    old.get("/topics").await.expect(200);
    let rotate = format!("{path}/rotate");
    let rotated = owner
        .manage("POST", &rotate, Value::Null)
        .await
        .expect(200)
        .json();
    let secret = rotated["secret"].as_str().expect("a secret");
    assert_ne!(secret, old.key);
    assert_eq!(rotated["name"], "rotated");
    owner.with_key(secret).get("/topics").await.expect(200);
    takes_effect("the old secret", async || {
        old.get("/topics").await.status == 401
    })
    .await;
    let absent = tenant.in_project("/keys/absent/rotate");
    owner
        .manage("POST", &absent, Value::Null)
        .await
        .problem(404, "not_found");
}

async fn a_secret_is_shown_once(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let path = tenant.in_project("/keys/shown");
    let owner = &tenant.owner.api;
    let key = make_key(owner, &path, everything()).await;
    assert!(
        key.key.starts_with("hw_") && key.key.len() > 40,
        "{}",
        key.key.len()
    );
    let secret = key.key.rsplit('_').next().unwrap().to_owned();
    let body = json!({"scopes": scope("fetch", "*")});
    let changed = owner.manage("PUT", &path, body).await.expect(200);
    let read = owner.manage("GET", &path, Value::Null).await.expect(200);
    let listed = owner
        .manage("GET", &tenant.in_project("/keys"), Value::Null)
        .await
        .expect(200);
    for answer in [&changed, &read, &listed] {
        assert!(!answer.text.contains(&secret), "{}", answer.text);
        assert!(
            answer.json().get("secret").is_none_or(Value::is_null),
            "{}",
            answer.text
        );
    }
    assert_eq!(read.json()["scopes"], scope("fetch", "*"));
    takes_effect("new scopes", async || writes(&key, "x").await == 403).await;
    owner.manage("DELETE", &path, Value::Null).await.expect(204);
    takes_effect("a deleted key", async || {
        key.get("/topics").await.status == 401
    })
    .await;
    // The name can be had again, with another secret.
    let again = make_key(owner, &path, everything()).await;
    assert_ne!(again.key, key.key);
    key.get("/topics").await.problem(401, "unauthenticated");
    again.get("/topics").await.expect(200);
}

async fn use_is_noted(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let path = tenant.in_project("/keys/noted");
    let owner = &tenant.owner.api;
    let key = make_key(owner, &path, everything()).await;
    assert_eq!(owner.see(&path).await["last_used_at"], Value::Null);
    let before = jiff::Timestamp::now();
    key.get("/topics").await.expect(200);
    eventually("the use is noted", async || {
        !owner.see(&path).await["last_used_at"].is_null()
    })
    .await;
    let seen = owner.see(&path).await;
    let at: jiff::Timestamp = seen["last_used_at"]
        .as_str()
        .unwrap()
        .parse()
        .expect("RFC 3339");
    assert!(
        (at - before).total(jiff::Unit::Second).unwrap().abs() < 61.0,
        "{seen}"
    );
}

async fn changes_honour_etags(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let path = tenant.in_project("/keys/tagged");
    let owner = &tenant.owner.api;
    make_key(owner, &path, everything()).await;
    let read = owner.manage("GET", &path, Value::Null).await.expect(200);
    let tag = read.header("etag").expect("an ETag").to_owned();
    let conditional = async |method: &str, tag: &str, body: Value| {
        let request = owner.managing(method, &path, body).header("if-match", tag);
        crate::client::reply(request).await
    };
    let body = json!({"scopes": scope("fetch", "*")});
    conditional("PUT", "\"never-that\"", body.clone())
        .await
        .problem(412, "precondition_failed");
    let changed = conditional("PUT", &tag, body.clone()).await.expect(200);
    let new = changed.header("etag").expect("an ETag").to_owned();
    assert_ne!(new, tag);
    conditional("PUT", &tag, json!({"scopes": everything()}))
        .await
        .problem(412, "precondition_failed");
    conditional("DELETE", &tag, Value::Null)
        .await
        .problem(412, "precondition_failed");
    assert_eq!(owner.see(&path).await["scopes"], scope("fetch", "*"));
    conditional("DELETE", &new, Value::Null).await.expect(204);
}

async fn a_dry_run_makes_nothing(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let owner = &tenant.owner.api;
    let path = tenant.in_project("/keys/dry");
    let dry = format!("{path}?dry_run=true");
    let body = json!({"scopes": everything()});
    let would = owner.manage("PUT", &dry, body.clone()).await.expect(201);
    assert_eq!(would.header("headwater-dry-run"), Some("true"));
    assert_eq!(would.json()["secret"], Value::Null);
    assert_eq!(would.json()["name"], "dry");
    owner
        .manage("GET", &path, Value::Null)
        .await
        .problem(404, "not_found");
    let key = make_key(owner, &path, everything()).await;
    owner
        .manage("PUT", &dry, json!({"scopes": scope("fetch", "*")}))
        .await
        .expect(200);
    let rotated = owner
        .manage("POST", &format!("{path}/rotate?dry_run=true"), Value::Null)
        .await;
    assert_eq!(rotated.expect(200).json()["secret"], Value::Null);
    owner.manage("DELETE", &dry, Value::Null).await.expect(204);
    assert_eq!(owner.see(&path).await["scopes"], everything());
    key.get("/topics").await.expect(200);
    let bad = json!({"scopes": []});
    owner.manage("PUT", &dry, bad).await.any_problem_of(400);
    owner
        .manage("PUT", &format!("{path}?dry_run=perhaps"), body)
        .await
        .any_problem_of(400);
}

async fn lists_come_in_pages(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let owner = &tenant.owner.api;
    for n in 0..7 {
        let path = tenant.in_project(&format!("/keys/page-{n}"));
        make_key(owner, &path, scope("fetch", "*")).await;
    }
    let mut names = Vec::new();
    let mut token = String::new();
    loop {
        let page = owner
            .see(&tenant.in_project(&format!("/keys?page_size=3{token}")))
            .await;
        let keys = page["keys"].as_array().expect("keys");
        assert!(keys.len() <= 3);
        names.extend(
            keys.iter()
                .map(|key| key["name"].as_str().unwrap().to_owned()),
        );
        match page["next_page_token"].as_str() {
            Some(next) => token = format!("&page_token={next}"),
            None => break,
        }
    }
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(names, sorted, "in the order of their names");
    names.retain(|name| name.starts_with("page-"));
    assert_eq!(names.len(), 7);
    for query in [
        "page_size=0",
        "page_size=1001",
        "page_size=x",
        "page_token=!!",
        "unknown=1",
    ] {
        let path = tenant.in_project(&format!("/keys?{query}"));
        owner
            .manage("GET", &path, Value::Null)
            .await
            .any_problem_of(400);
    }
}

async fn bad_keys_are_refused_at_their_place(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let owner = &tenant.owner.api;
    let path = tenant.in_project("/keys/bad");
    let many: Vec<_> = (0..65)
        .map(|n| json!({"operations": ["fetch"], "topic": format!("t-{n}")}))
        .collect();
    for (body, pointer) in [
        (json!({}), "/scopes"),
        (json!({"scopes": null}), "/scopes"),
        (json!({"scopes": []}), "/scopes"),
        (json!({"scopes": many}), "/scopes"),
        (json!({"scopes": [{"topic": "*"}]}), "/scopes/0"),
        (
            json!({"scopes": [{"operations": [], "topic": "*"}]}),
            "/scopes/0/operations",
        ),
        (
            json!({"scopes": [{"operations": ["fly"], "topic": "*"}]}),
            "/scopes/0/operations/0",
        ),
        (json!({"scopes": [{"operations": ["fetch"]}]}), "/scopes/0"),
        (
            json!({"scopes": [{"operations": ["fetch"], "topic": "*", "group": "*"}]}),
            "/scopes/0",
        ),
        (
            json!({"scopes": [{"operations": ["fetch"], "group": "*"}]}),
            "/scopes/0",
        ),
        (
            json!({"scopes": [{"operations": ["fetch"], "topic": "a*b"}]}),
            "/scopes/0/topic",
        ),
        (
            json!({"scopes": [{"operations": ["fetch"], "topic": ""}]}),
            "/scopes/0/topic",
        ),
        (
            json!({"scopes": everything(), "expires_at": "tomorrow"}),
            "/expires_at",
        ),
        (json!({"scopes": everything(), "admin": true}), "/admin"),
        (
            json!({"scopes": everything(), "quotas": {"requests_per_second": -1}}),
            "/quotas/requests_per_second",
        ),
    ] {
        let answer = owner.manage("PUT", &path, body.clone()).await;
        assert!(
            [400, 422].contains(&answer.status),
            "{body}: {} {}",
            answer.status,
            answer.text
        );
        let problem = answer.any_problem();
        let found = problem["errors"][0]["pointer"].as_str().unwrap_or_default();
        assert!(
            found.starts_with(pointer),
            "{body}: {found} instead of {pointer}"
        );
    }
    let repeated = r#"{"scopes":[{"operations":["fetch"],"topic":"*"}],"scopes":[]}"#;
    let request = owner.managing("PUT", &path, Value::Null).body(repeated);
    crate::client::reply(request).await.any_problem_of(400);
    for name in ["..", "__x", "a%20b", &"n".repeat(250)] {
        let path = tenant.in_project(&format!("/keys/{name}"));
        let answer = owner
            .manage("PUT", &path, json!({"scopes": everything()}))
            .await;
        assert!(
            [400, 404, 405].contains(&answer.status),
            "{name}: {}",
            answer.text
        );
    }
    owner
        .manage("GET", &path, Value::Null)
        .await
        .problem(404, "not_found");
}
