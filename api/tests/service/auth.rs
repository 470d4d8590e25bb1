//! Who may come in, and what a stranger can learn.

use serde_json::Value;

use crate::client::{Api, Reply, reply};
use crate::harness::{Server, eventually, shared};

const CALLS: &[(&str, &str)] = &[
    ("GET", "/topics"),
    ("PUT", "/topics/t"),
    ("GET", "/topics/t"),
    ("PATCH", "/topics/t"),
    ("DELETE", "/topics/t"),
    ("GET", "/topics/t/partitions"),
    ("POST", "/topics/t/records"),
    ("POST", "/topics/t/raw"),
    ("POST", "/topics/t/records/bulk"),
    ("GET", "/topics/t/partitions/0/records"),
    ("GET", "/topics/t/records"),
    ("GET", "/topics/t/tail"),
    ("GET", "/topics/t/tail.ndjson"),
    ("GET", "/topics/t/offsets?at=0"),
    ("POST", "/topics/t/trim"),
    ("GET", "/groups"),
    ("PUT", "/groups/g"),
];

#[tokio::test]
async fn every_call_needs_a_good_credential() {
    let api = shared().await;
    let key = &api.key;
    let mut wrong_secret = key.clone();
    let last = wrong_secret.pop().unwrap();
    wrong_secret.push(if last == 'x' { 'y' } else { 'x' });
    let swapped: String = {
        // Another place than the last character, whose low bits an encoding may ignore.
        let mut bytes = key.clone().into_bytes();
        let at = bytes.len() - 10;
        bytes[at] = if bytes[at] == b'a' { b'b' } else { b'a' };
        String::from_utf8(bytes).unwrap()
    };
    let long = "x".repeat(4_000);
    let credentials = [
        None,
        Some(String::new()),
        Some("Bearer".to_owned()),
        Some("Bearer ".to_owned()),
        Some("Bearer hw_".to_owned()),
        Some("Bearer nonsense".to_owned()),
        Some(format!("Bearer {long}")),
        Some(format!("Bearer {wrong_secret}")),
        Some(format!("Bearer {swapped}")),
        Some(format!("Bearer {key}{key}")),
        Some(format!("Basic {key}")),
        Some(key.clone()),
    ];
    for (n, (method, path)) in CALLS.iter().enumerate() {
        for (m, credential) in credentials.iter().enumerate() {
            // Every call with none, the rest in turn: the check is one, the calls are many.
            if m != 0 && n != 0 && (n + m) % 5 != 0 {
                continue;
            }
            let mut request = api.anonymous(method, &format!("{}{path}", api.base));
            if let Some(credential) = credential {
                request = request.header("authorization", credential);
            }
            let answer = reply(request).await;
            answer.problem(401, "unauthenticated");
            assert!(
                answer
                    .header("www-authenticate")
                    .is_some_and(|scheme| scheme.starts_with("Bearer"))
            );
        }
    }
}

#[tokio::test]
async fn a_refused_body_is_not_read_to_its_end() {
    let api = shared().await.with_key("hw_wrong");
    let (lines, body) = crate::lines::open_body();
    let request = api.request("POST", "/topics/t/records/bulk").body(body);
    lines.send("{\"value\":1}\n".to_owned()).await.unwrap();
    let answer = crate::harness::soon("401 while the body is open", reply(request)).await;
    answer.problem(401, "unauthenticated");
    drop(lines);
}

/// Gives the running server a second tenant, and returns a client for it once the server knows it.
async fn other_project(server: &Server) -> Api {
    let tenant = server
        .bootstrap("other-org", "other-project", "other@example.com")
        .await;
    let api = server.api();
    let key = tenant["api_key"].as_str().expect("a key");
    let mut other = api.with_key(key);
    other.base = format!("{}/v1/projects/other-project", api.root);
    eventually("the tenant is known", async || {
        other.get("/topics").await.status == 200
    })
    .await;
    other
}

/// The body without what differs from request to request.
fn without_id(answer: &Reply) -> Value {
    let mut body = answer.problem(404, "not_found");
    body.as_object_mut().unwrap().remove("request_id");
    body
}

#[tokio::test]
async fn another_project_is_as_absent_as_an_unknown_one() {
    let server = Server::start().await;
    let other = other_project(&server).await;
    let api = server.api();
    other.topic("secret", 1).await;
    api.topic("ours", 1).await;

    for path in [
        "/topics",
        "/topics/secret",
        "/topics/secret/records",
        "/topics/ours",
        "/topics/secret/tail",
    ] {
        let call = |project: &str, key: &str| {
            let url = format!("{}/v1/projects/{project}{path}", api.root);
            reply(api.anonymous("GET", &url).bearer_auth(key))
        };
        let foreign = without_id(&call("other-project", &api.key).await);
        let unknown = without_id(&call("no-such-project", &api.key).await);
        assert_eq!(
            foreign.to_string().replace("other-project", "P"),
            unknown.to_string().replace("no-such-project", "P"),
            "{path}"
        );
        let back = without_id(&call("demo", &other.key).await);
        assert_eq!(
            back.to_string().replace("demo", "P"),
            unknown.to_string().replace("no-such-project", "P")
        );
    }
    other
        .get("/topics/ours")
        .await
        .problem(404, "topic_not_found");
    let write = reply(
        api.anonymous("POST", &format!("{}/topics/secret/records", other.base))
            .bearer_auth(&api.key)
            .body(r#"{"records":[{"value":"stranger"}]}"#),
    );
    write.await.problem(404, "not_found");
    assert_eq!(other.high_watermarks("/topics/secret").await, [0]);

    let cursor = other
        .get("/topics/secret/records")
        .await
        .expect(200)
        .json_member("cursor");
    api.topic("secret", 1).await;
    api.get(&format!("/topics/secret/records?cursor={cursor}"))
        .await
        .problem(400, "invalid_cursor");
}
