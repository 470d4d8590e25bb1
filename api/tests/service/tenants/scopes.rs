//! What the scopes of a key cover: topics by name or prefix, and the keys that it may make.

use serde_json::{Value, json};

use super::keys::{RECORD, scope, writes};
use super::people::{Engine, Tenant, everything, on_both_engines};
use crate::harness::unique;

on_both_engines!(
    a_scope_covers_its_topics_and_no_others,
    a_missing_scope_hides_what_exists,
    a_key_makes_only_lesser_keys,
);

async fn a_scope_covers_its_topics_and_no_others(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    for topic in ["orders", "orders-1", "orders-2", "order", "payments"] {
        tenant.key.topic(topic, 1).await;
    }
    let exact = tenant.key_with(scope("produce", "orders")).await;
    let prefix = tenant.key_with(scope("produce", "orders-*")).await;
    let all = tenant.key_with(scope("produce", "*")).await;
    for (topic, expected) in [
        ("orders", [200, 403, 200]),
        ("orders-1", [403, 200, 200]),
        ("orders-2", [403, 200, 200]),
        ("order", [403, 403, 200]),
        ("payments", [403, 403, 200]),
    ] {
        let got = [
            writes(&exact, topic).await,
            writes(&prefix, topic).await,
            writes(&all, topic).await,
        ];
        assert_eq!(got, expected, "{topic}");
    }
    // A list shows what describe covers.
    let two = json!([
        {"operations": ["describe"], "topic": "orders-*"},
        {"operations": ["describe", "fetch"], "topic": "payments"},
    ]);
    let two = tenant.key_with(two).await;
    let listed = two.get("/topics").await.expect(200).json();
    let names: Vec<_> = listed["topics"]
        .as_array()
        .expect("topics")
        .iter()
        .collect();
    let names: Vec<_> = names
        .iter()
        .map(|topic| topic["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["orders-1", "orders-2", "payments"]);
    two.get("/topics/payments/records").await.expect(200);
    two.get("/topics/orders-1/records")
        .await
        .problem(403, "forbidden");
    exact.get("/topics").await.problem(403, "forbidden");
    // Pages are of what is shown, not of what is there.
    let page = two.get("/topics?page_size=2").await.expect(200).json();
    let token = page["next_page_token"].as_str().expect("another page");
    let last = two
        .get(&format!("/topics?page_size=2&page_token={token}"))
        .await
        .expect(200)
        .json();
    assert_eq!(last["topics"].as_array().map(Vec::len), Some(1));
    assert_eq!(last["next_page_token"], Value::Null);
}

async fn a_missing_scope_hides_what_exists(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    tenant.key.topic("there", 1).await;
    let key = tenant.key_with(scope("produce", "mine-*")).await;
    for (method, rest, body) in [
        ("GET", "", ""),
        ("PUT", "", "{}"),
        ("DELETE", "", ""),
        ("GET", "/records", ""),
        ("POST", "/records", RECORD),
        ("GET", "/tail", ""),
        ("GET", "/partitions/7/records", ""),
    ] {
        let call = async |topic: &str| {
            let answer = key
                .send(method, &format!("/topics/{topic}{rest}"), body)
                .await;
            answer.problem(403, "forbidden");
            answer.timeless().to_string().replace(topic, "T")
        };
        assert_eq!(
            call("there").await,
            call("nowhere").await,
            "{method} {rest}"
        );
    }
    key.send("POST", "/topics/mine-1/records", RECORD)
        .await
        .problem(404, "topic_not_found");
}

async fn a_key_makes_only_lesser_keys(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    let body = json!({
        "scopes": [{"operations": ["manage", "fetch"], "topic": "*"}, {"operations": ["produce"], "topic": "in-*"}],
        "expires_at": expires.to_string(),
    });
    let path = tenant.in_project("/keys/maker");
    let made = tenant
        .owner
        .api
        .manage("PUT", &path, body)
        .await
        .expect(201)
        .json();
    let maker = tenant.owner.api.with_key(made["secret"].as_str().unwrap());
    let sooner = (expires - jiff::SignedDuration::from_mins(1)).to_string();
    let later = (expires + jiff::SignedDuration::from_mins(1)).to_string();
    for (scopes, until, status) in [
        (scope("fetch", "*"), json!(sooner), 201),
        (scope("fetch", "orders"), json!(sooner), 201),
        (scope("produce", "in-1"), json!(sooner), 201),
        (scope("produce", "in-1-*"), json!(sooner), 201),
        (scope("produce", "in-*"), json!(sooner), 201),
        (scope("produce", "i*"), json!(sooner), 403),
        (scope("produce", "*"), json!(sooner), 403),
        (scope("describe", "*"), json!(sooner), 403),
        (
            json!([{"operations": ["consume"], "group": "*"}]),
            json!(sooner),
            403,
        ),
        (scope("fetch", "*"), json!(later), 403),
        (scope("fetch", "*"), Value::Null, 403),
    ] {
        let path = tenant.in_project(&format!("/keys/{}", unique("made")));
        let body = json!({"scopes": scopes, "expires_at": until});
        let answer = maker.manage("PUT", &path, body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
    }
    // Nor does it widen one that exists, itself included.
    let body = json!({"scopes": everything(), "expires_at": sooner});
    maker
        .manage("PUT", &path, body)
        .await
        .problem(403, "forbidden");
    // A key that may manage some topics makes none.
    let some = tenant.key_with(scope("manage", "in-*")).await;
    let path = tenant.in_project("/keys/from-some");
    some.manage("PUT", &path, json!({"scopes": scope("manage", "in-1")}))
        .await
        .problem(403, "forbidden");
}
