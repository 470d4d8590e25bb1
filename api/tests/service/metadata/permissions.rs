//! Roles and scopes, as one table of who may call what.

use super::{Database, both, key_id, tenant};
use crate::client::Api;
use crate::harness::eventually;

/// A call, the grant that a key needs for it, and whether a viewer's key may do it.
const CALLS: &[(&str, &str, &str, &str, bool)] = &[
    ("GET", "/topics", "", "describe", true),
    ("GET", "/topics/orders", "", "describe", true),
    ("GET", "/topics/orders/partitions", "", "describe", true),
    ("GET", "/topics/orders/offsets?at=0", "", "describe", true),
    (
        "PUT",
        "/topics/orders",
        r#"{"partitions":1}"#,
        "manage",
        false,
    ),
    (
        "PATCH",
        "/topics/orders",
        r#"{"description":"x"}"#,
        "manage",
        false,
    ),
    (
        "POST",
        "/topics/orders/trim",
        r#"{"partition":0,"before_offset":0}"#,
        "manage",
        false,
    ),
    (
        "POST",
        "/topics/orders/records",
        r#"{"records":[{"value":1}]}"#,
        "produce",
        false,
    ),
    ("POST", "/topics/orders/raw", "1", "produce", false),
    (
        "POST",
        "/topics/orders/records/bulk",
        "{\"value\":1}\n",
        "produce",
        false,
    ),
    ("GET", "/topics/orders/records", "", "fetch", true),
    (
        "GET",
        "/topics/orders/partitions/0/records",
        "",
        "fetch",
        true,
    ),
    ("GET", "/topics/orders/tail", "", "fetch", true),
    ("GET", "/topics/orders/tail.ndjson", "", "fetch", true),
    ("DELETE", "/topics/orders", "", "manage", false),
];

/// Gives the client's key these scopes.
async fn set_scopes(database: &Database, api: &Api, scopes: &str) {
    let id = key_id(api);
    let sql = format!("UPDATE api_keys SET scopes = '{scopes}' WHERE id = '{id}'");
    database.change(&sql, "key", id).await;
}

/// A harmless call that needs each grant.
const PROBES: [(&str, &str, &str, &str); 4] = [
    ("describe", "GET", "/topics/orders", ""),
    ("produce", "POST", "/topics/orders/raw", "1"),
    ("fetch", "GET", "/topics/orders/records", ""),
    ("manage", "PATCH", "/topics/orders", "{}"),
];

/// The status alone: a tail has no end.
async fn status(api: &Api, method: &str, path: &str, body: &str) -> u16 {
    let request = api.request(method, path).body(body.to_owned());
    request.send().await.expect("an answer").status().as_u16()
}

#[tokio::test]
async fn a_key_does_what_its_scopes_name_and_nothing_else() {
    for server in both().await {
        let owner = tenant(&server, "acme", "acme-main").await;
        let key = tenant(&server, "acme", "acme-main").await;
        let database = Database::of(&server).await;
        for grant in ["describe", "produce", "fetch", "manage", "consume"] {
            let ensured = owner.send("PUT", "/topics/orders", r#"{"partitions":1}"#);
            assert!(ensured.await.status < 300);
            let scopes = format!(r#"[{{"operations":["{grant}"],"topic":"orders"}}]"#);
            set_scopes(&database, &key, &scopes).await;
            eventually("the scopes are known", async || {
                let mut known = true;
                for (needed, method, path, body) in PROBES {
                    let refused = status(&key, method, path, body).await == 403;
                    known &= refused == (needed != grant);
                }
                known
            })
            .await;
            let before = owner.get("/topics/orders").await.expect(200).json();
            for (method, path, body, needed, _) in CALLS {
                let status_here = status(&key, method, path, body).await;
                if *needed == grant {
                    assert!(status_here < 300, "{grant}: {method} {path}: {status_here}");
                    continue;
                }
                let refused = key.send(method, path, *body).await;
                refused.problem(403, "forbidden");
                // What is not there is refused alike.
                let absent = path.replace("orders", "absent");
                let refused_too = key.send(method, &absent, *body).await;
                refused_too.problem(403, "forbidden");
            }
            // Another name is out of reach, also for what the key may do.
            for (method, path, body, ..) in CALLS.iter().filter(|call| call.1 != "/topics") {
                let other = path.replace("orders", "orders2");
                let refused = key.send(method, &other, *body).await;
                refused.problem(403, "forbidden");
            }
            if grant == "describe" {
                assert_eq!(owner.get("/topics/orders").await.expect(200).json(), before);
            }
        }
    }
}

#[tokio::test]
async fn lists_show_what_a_prefix_covers() {
    for server in both().await {
        let owner = tenant(&server, "acme", "acme-main").await;
        let key = tenant(&server, "acme", "acme-main").await;
        for topic in ["orders-eu", "orders-us", "payroll"] {
            owner.topic(topic, 1).await;
        }
        let database = Database::of(&server).await;
        let scopes = r#"[{"operations":["describe"],"topic":"orders-*"}]"#;
        set_scopes(&database, &key, scopes).await;
        eventually("the scopes are known", async || {
            status(&key, "GET", "/topics/payroll", "").await == 403
        })
        .await;
        let first = key.get("/topics?page_size=1").await.expect(200).json();
        assert_eq!(first["topics"][0]["name"], "orders-eu");
        let token = first["next_page_token"].as_str().expect("a second page");
        let second = key
            .get(&format!("/topics?page_size=1&page_token={token}"))
            .await
            .expect(200)
            .json();
        assert_eq!(second["topics"][0]["name"], "orders-us");
        assert!(second["next_page_token"].is_null());
    }
}

#[tokio::test]
async fn a_key_is_at_most_what_its_maker_is_at_the_moment() {
    for server in both().await {
        let api = tenant(&server, "acme", "acme-main").await;
        api.topic("orders", 1).await;
        let database = Database::of(&server).await;
        let demote = "UPDATE memberships SET role = 'viewer' WHERE organization_id = 'acme'";
        database.change(demote, "organization", "acme").await;
        let produce = ("/topics/orders/records", r#"{"records":[{"value":1}]}"#);
        eventually("the role is known", async || {
            status(&api, "POST", produce.0, produce.1).await == 403
        })
        .await;
        for (method, path, body, _, viewer) in CALLS {
            let status = status(&api, method, path, body).await;
            let right = if *viewer { status < 300 } else { status == 403 };
            assert!(right, "viewer: {method} {path}: {status}");
        }
        let leave = "DELETE FROM memberships WHERE organization_id = 'acme'";
        database.change(leave, "organization", "acme").await;
        eventually("nobody is left", async || {
            status(&api, "GET", "/topics", "").await == 401
        })
        .await;
        let gone = api.get("/topics").await.problem(401, "unauthenticated");
        let mut unknown = api.with_key(&format!("hw_{}_{}", "0".repeat(16), "0".repeat(64)));
        unknown.base = api.base.clone();
        let unknown = unknown.get("/topics").await.problem(401, "unauthenticated");
        assert_eq!(gone["detail"], unknown["detail"]);
    }
}
