//! What surrounds the calls: health, metrics, documents, ids.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::client::reply;
use crate::harness::{Server, shared, unique};

#[tokio::test]
async fn health_and_metrics_need_no_credential() {
    let api = shared().await;
    for path in ["/healthz", "/readyz"] {
        reply(api.anonymous("GET", &format!("{}{path}", api.root)))
            .await
            .expect(200);
    }
    let path = api.topic(&unique("measured"), 1).await;
    api.produce(&path, r#"{"records":[{"value":1}]}"#).await;
    let metrics = reply(api.anonymous("GET", &format!("{}/metrics", api.root)))
        .await
        .expect(200);
    for gauge in [
        "headwater_http_connections",
        "headwater_tails_open",
        "headwater_long_polls_waiting",
    ] {
        assert!(
            metrics.text.contains(&format!("# TYPE {gauge} gauge")),
            "{gauge}: {}",
            metrics.text
        );
    }
    for line in metrics
        .text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let number = line.rsplit(' ').next().unwrap();
        assert!(number.parse::<f64>().is_ok(), "an OpenMetrics line: {line}");
        assert!(
            line.starts_with("headwater_") || line.starts_with("process_"),
            "a named metric: {line}"
        );
    }
}

#[tokio::test]
async fn the_page_of_metrics_is_what_is_exported() {
    let api = shared().await;
    let path = api.topic(&unique("counted"), 1).await;
    api.produce(&path, r#"{"records":[{"value":1}]}"#).await;
    let metrics = reply(api.anonymous("GET", &format!("{}/metrics", api.root)));
    let text = metrics.await.expect(200).text;
    let told = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let exported: BTreeSet<(String, String)> = told
        .map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            let suffix = if kind == "counter" { "_total" } else { "" };
            (format!("{name}{suffix}"), kind.to_owned())
        })
        .collect();
    let page = include_str!("../../../../docs/metrics.md");
    // `dev` has no certificates.
    let (page, _) = page.split_once("## With TLS").unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented = rows.map(|row| {
        let mut cells = row.split(" | ");
        let name = cells.next().unwrap().trim_end_matches('`');
        (name.to_owned(), cells.next().unwrap().to_owned())
    });
    assert_eq!(exported, documented.collect());
}

#[tokio::test]
async fn documents_come_with_the_binary() {
    let api = shared().await;
    let get = async |path: &str| {
        reply(api.anonymous("GET", &format!("{}{path}", api.root)))
            .await
            .expect(200)
    };
    let openapi = get("/openapi/streaming.json").await.json();
    assert!(openapi["openapi"].as_str().unwrap().starts_with("3.1"));
    let server = openapi["servers"][0]["url"].as_str().unwrap();
    assert!(server.ends_with("/v1/projects/{project}"), "{server}");
    assert!(openapi["paths"]["/topics/{topic}/records"]["post"]["operationId"].is_string());

    let docs = get("/docs").await;
    assert!(
        docs.header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    assert!(
        !docs.text.contains("//cdn") && !docs.text.contains("https://unpkg"),
        "assets are inside"
    );

    let problem = api
        .get("/topics/there-is-no-such-topic")
        .await
        .problem(404, "topic_not_found");
    let page = get(problem["type"].as_str().unwrap()).await;
    assert!(
        page.text.contains("topic_not_found"),
        "the page explains its code"
    );
    reply(api.anonymous("GET", &format!("{}/errors/nonsense", api.root)))
        .await
        .expect(404);
}

#[tokio::test]
async fn every_operation_has_an_id_and_its_own_answers() {
    let api = shared().await;
    let openapi = reply(api.anonymous("GET", &format!("{}/openapi/streaming.json", api.root)))
        .await
        .json();
    let mut ids = Vec::new();
    for (path, operations) in openapi["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            if !["get", "put", "post", "patch", "delete"].contains(&method.as_str()) {
                continue;
            }
            let id = operation["operationId"]
                .as_str()
                .unwrap_or_else(|| panic!("{method} {path} has no id"));
            assert!(
                id.chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'),
                "{id}"
            );
            ids.push(id.to_owned());
            let answers = operation["responses"].as_object().unwrap();
            assert!(
                answers.keys().any(|status| status.starts_with('2')),
                "{method} {path}"
            );
            assert!(
                answers.keys().any(|status| status == "401"),
                "{method} {path} needs a credential"
            );
        }
    }
    let total = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), total, "operation ids are unique");
    assert!(total >= 15, "the calls of the contract are there: {ids:?}");
}

#[tokio::test]
async fn request_ids_and_traces_come_back() {
    let api = shared().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = api
        .request("GET", "/topics")
        .header("x-request-id", "my-id-1")
        .header("traceparent", trace);
    let answer = reply(request).await.expect(200);
    assert_eq!(answer.header("x-request-id"), Some("my-id-1"));
    let returned = answer.header("traceparent").expect("a traceparent");
    assert!(
        returned.contains("0af7651916cd43dd8448eb211c80319c"),
        "{returned}"
    );
    let first = api
        .get("/topics")
        .await
        .header("x-request-id")
        .unwrap()
        .to_owned();
    let second = api
        .get("/topics")
        .await
        .header("x-request-id")
        .unwrap()
        .to_owned();
    assert_ne!(first, second);
    let request = api
        .request("GET", "/topics/none")
        .header("x-request-id", "my-id-2");
    assert_eq!(reply(request).await.any_problem()["request_id"], "my-id-2");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let api = shared().await;
    reply(
        api.anonymous("GET", &format!("{}/v1/nothing-here", api.root))
            .bearer_auth(&api.key),
    )
    .await
    .expect(404)
    .any_problem();
    let path = api.topic(&unique("methods"), 1).await;
    let wrong = api.send("PATCH", &format!("{path}/records"), "{}").await;
    assert_eq!(wrong.any_problem()["status"], 405);
    assert!(
        wrong
            .header("allow")
            .is_some_and(|allow| allow.contains("POST"))
    );
}

#[tokio::test]
async fn state_and_credentials_survive_a_restart() {
    let mut server = Server::start().await;
    let credentials = server.credentials();
    let mode = std::fs::metadata(server.data_dir().join("credentials.json"))
        .unwrap()
        .permissions();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777,
        0o600
    );
    for name in ["base_url", "api_key", "console_url", "email", "password"] {
        assert!(credentials[name].is_string(), "{name}: {credentials}");
    }
    let api = server.api();
    let path = api.topic("kept", 2).await;
    let topic = api.get(&path).await.expect(200).json();
    let cursor = api
        .get(&format!("{path}/records"))
        .await
        .expect(200)
        .json_member("cursor");
    server.stop().await;
    server.restart().await;
    assert_eq!(server.credentials(), credentials);
    let api = server.api();
    assert_eq!(api.get(&path).await.expect(200).json(), topic);
    api.get(&format!("{path}/records?cursor={cursor}"))
        .await
        .expect(200);
    let started = server.log();
    assert!(
        started.contains(&format!("127.0.0.1:{}", server.port)),
        "every start says where it listens"
    );
    assert!(
        started.contains("curl "),
        "and gives a line to paste: {started}"
    );
    let leaked: Value = credentials["password"].clone();
    assert!(
        !started.contains(leaked.as_str().unwrap()),
        "passwords are never printed"
    );
}
