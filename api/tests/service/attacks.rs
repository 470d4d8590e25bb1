//! Clients that break off, hoard, race or ask for odd things: what must hold all the same.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::client::{Api, check_problem, reply};
use crate::harness::{BINARY, Server, eventually, shared, soon, unique};
use crate::json;
use crate::lines::{Lines, open_body};
use crate::raw_http::{connect, head};
use crate::vanish::gauge;

const CONNECTIONS: &str = "headwater_http_connections";
const POLLS: &str = "headwater_long_polls_waiting";

/// How long an answer may take that must not wait for anything.
const PROMPT: Duration = Duration::from_secs(10);

/// Sends the head of a request, and what of the body there is, on a connection of its own.
async fn begin(api: &Api, method: &str, path: &str, extra: &str, body: &str) -> TcpStream {
    let mut socket = connect(api).await;
    let request = head(api, method, path, extra) + body;
    socket.write_all(request.as_bytes()).await.unwrap();
    socket
}

/// The topics by name, each with its id and its number of partitions.
async fn topics(api: &Api) -> BTreeMap<String, (Value, Value)> {
    let page = api.get("/topics?page_size=1000").await.expect(200).json();
    let topics = page["topics"].as_array().expect("topics");
    topics
        .iter()
        .map(|topic| {
            let name = topic["name"].as_str().expect("a name").to_owned();
            (
                name,
                (topic["topic_id"].clone(), topic["partitions"].clone()),
            )
        })
        .collect()
}

/// The topics as they are once nothing changes any more.
async fn settled_topics(api: &Api) -> BTreeMap<String, (Value, Value)> {
    let mut last = topics(api).await;
    eventually("the topics stay as they are", async || {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = topics(api).await;
        std::mem::replace(&mut last, now.clone()) == now
    })
    .await;
    last
}

/// A change that needs no `If-Match`.
async fn describe(api: &Api, name: &str) {
    let body = r#"{"description":"still in step"}"#;
    let answer = api.send("PATCH", &format!("/topics/{name}"), body).await;
    answer.expect(200);
}

#[tokio::test]
async fn changes_broken_off_leave_no_half() {
    let mut server = Server::start().await;
    let api = server.api();
    let changes = [
        ("PUT", r#"{"partitions":2}"#),
        ("PATCH", r#"{"partitions":3}"#),
        ("DELETE", ""),
    ];
    let mut names = Vec::new();
    for (method, body) in changes {
        for n in 0..20_u64 {
            let name = format!("{}-{n}", method.to_lowercase());
            let path = format!("/topics/{name}");
            if method != "PUT" {
                api.topic(&name, 1).await;
            }
            let extra = format!("content-length: {}\r\n", body.len());
            let socket = begin(&api, method, &path, &extra, body).await;
            if n > 0 {
                tokio::time::sleep(Duration::from_micros(n * 100)).await;
            }
            drop(socket);
            names.push(name);
        }
    }

    let listed = settled_topics(&api).await;
    for (n, name) in names.iter().enumerate() {
        let path = format!("/topics/{name}");
        let exists = listed.contains_key(name);
        for _ in 0..3 {
            let status = if exists { 200 } else { 404 };
            api.get(&path).await.expect(status);
        }
        if exists {
            describe(&api, name).await;
        }
        // The others are left to the restart.
        if n % 2 == 0 {
            let status = if exists { 200 } else { 201 };
            api.send("PUT", &path, "{}").await.expect(status);
            describe(&api, name).await;
        }
    }

    let before = topics(&api).await;
    server.stop().await;
    server.restart().await;
    let api = server.api();
    assert_eq!(topics(&api).await, before, "memory and database agreed");
    for name in &names {
        let path = format!("/topics/{name}");
        let status = if before.contains_key(name) { 200 } else { 201 };
        api.send("PUT", &path, "{}").await.expect(status);
        describe(&api, name).await;
        api.produce(&path, r#"{"records":[{"value":1}]}"#).await;
    }
}

/// A whole bulk load under an idempotency key; the last line of the answer.
async fn load_once(api: &Api, path: &str, lines: String) -> Value {
    let request = api.request("POST", &format!("{path}/records/bulk"));
    let request = request.header("idempotency-key", "load").body(lines);
    let answer = reply(request).await.expect(200);
    serde_json::from_str(answer.text.lines().last().expect("a line")).expect("JSON")
}

#[tokio::test]
async fn a_keyed_load_broken_off_can_be_repeated() {
    let api = shared().await;
    let path = api.topic(&unique("broken-load"), 3).await;
    let lines: Vec<_> = (0..1_000)
        .map(|n| format!("{{\"key\":\"k{}\",\"value\":{n}}}\n", n % 37))
        .collect();
    let part = lines[..700].concat();
    let extra = "transfer-encoding: chunked\r\nidempotency-key: load\r\n";
    let chunk = format!("{:x}\r\n{part}\r\n", part.len());
    let call = format!("{path}/records/bulk");
    let mut socket = begin(&api, "POST", &call, extra, &chunk).await;
    let mut answer = Vec::new();
    soon("the first run is committed", async {
        while !String::from_utf8_lossy(&answer).contains("\"n\":500,") {
            let read = socket.read_buf(&mut answer).await.expect("an answer");
            assert_ne!(read, 0, "{}", String::from_utf8_lossy(&answer));
        }
    })
    .await;
    drop(socket);

    let done = json!({"done": true, "accepted": 1_000, "rejected": 0});
    assert_eq!(load_once(&api, &path, lines.concat()).await, done);
    let held = api.high_watermarks(&path).await.iter().sum::<u64>();
    assert_eq!(held, 1_000, "every line once");
}

#[tokio::test]
async fn bodies_announced_and_never_sent_keep_nobody_out() {
    let server = Server::start().await;
    let api = server.api();
    let path = api.topic("hoarded", 1).await;
    let before = gauge(&api, CONNECTIONS).await;
    let mut sockets = Vec::new();
    for _ in 0..8 {
        let call = format!("{path}/records");
        let extra = "content-type: application/json\r\ncontent-length: 8388608\r\n";
        sockets.push(begin(&api, "POST", &call, extra, "").await);
    }
    eventually("all are connected", async || {
        gauge(&api, CONNECTIONS).await >= before + 8
    })
    .await;
    for n in 0..5 {
        api.produce(&path, r#"{"records":[{"value":1}]}"#).await;
        api.topic(&format!("beside-{n}"), 1).await;
    }
    drop(sockets);
}

#[tokio::test]
async fn a_repeat_is_known_when_its_records_are_trimmed() {
    let api = shared().await;
    let path = api.topic(&unique("trimmed-repeat"), 1).await;
    let body = r#"{"records":[{"value":1},{"value":2}]}"#;
    api.produce(&path, body).await;
    let first = api.produce_once(&path, "k", body).await.expect(200).json();
    assert_eq!(first["results"][0]["offset"], 2);
    api.produce(&path, body).await;
    let trim = r#"{"partition":0,"before_offset":5}"#;
    let trimmed = api.send("POST", &format!("{path}/trim"), trim).await;
    trimmed.expect(200);
    let again = api.produce_once(&path, "k", body).await.expect(200).json();
    assert_eq!(again["duplicate"], true, "{again}");
    assert_eq!(again["results"][0]["offset"], 2);
    assert_eq!(api.high_watermarks(&path).await, [6]);
}

#[tokio::test]
async fn a_blank_line_holds_no_result_back() {
    let api = shared().await;
    let path = api.topic(&unique("blank"), 1).await;
    let (lines, body) = open_body();
    lines.send("{\"value\":2}\n\n".into()).await.unwrap();
    let request = api.request("POST", &format!("{path}/records/bulk"));
    let (line, answer) = tokio::time::timeout(PROMPT, async {
        let mut answer = Lines::new(request.body(body).send().await.expect("an answer"));
        (answer.next().await.expect("a line"), answer)
    })
    .await
    .expect("a result while the body is open");
    let run: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((&run["from"], &run["n"]), (&json!(1), &json!(1)));
    drop((lines, answer));
}

#[tokio::test]
async fn a_keyed_load_of_large_records_is_taken() {
    let api = shared().await;
    let path = api.topic(&unique("large-load"), 1).await;
    let line = format!("{{\"value\":\"{}\"}}\n", "x".repeat(700_000));
    let done = json!({"done": true, "accepted": 100, "rejected": 0});
    assert_eq!(load_once(&api, &path, line.repeat(100)).await, done);
    assert_eq!(api.high_watermarks(&path).await, [100]);
}

#[tokio::test]
async fn lost_credentials_are_replaced() {
    let mut server = Server::start().await;
    let old = server.api();
    let path = old.topic("kept", 1).await;
    old.produce(&path, r#"{"records":[{"value":"old"}]}"#).await;
    server.stop().await;
    fs::remove_file(server.data_dir().join("credentials.json")).expect("it was there");
    server.restart().await;
    let api = server.api();
    assert_ne!(api.key, old.key);
    api.get("/topics").await.expect(200);
    let rows = api.read_partition(&path, 0).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].value, "\"old\"");
}

#[tokio::test]
async fn serve_keeps_metrics_inside_and_ends_idle_loads() {
    // `dev` makes the project and the key, `serve` goes on with them.
    let mut server = Server::start().await;
    let api = server.api();
    let path = api.topic("served", 1).await;
    server.stop().await;
    let log = server.work_dir().join("serve.log");
    let database = server.data_dir().join("metadata.db");
    assert!(database.is_file(), "dev keeps its metadata there");
    let mut serve = Command::new(BINARY)
        .arg("serve")
        .arg("--data-dir")
        .arg(server.data_dir())
        .args(["--database", &format!("sqlite://{}", database.display())])
        .args(["--listen", &format!("127.0.0.1:{}", server.port)])
        .args(["--internal-listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).expect("a log"))
        .kill_on_drop(true)
        .spawn()
        .expect("the binary starts");
    let mut internal = None;
    eventually("the internal listener is there", async || {
        let said = fs::read_to_string(&log).expect("the log");
        let ended = serve.try_wait().expect("a status");
        assert!(ended.is_none(), "serve ended: {said}");
        let line = said
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|line| line["message"] == "listening for health and metrics");
        internal = line.map(|line| line["address"].as_str().expect("an address").to_owned());
        internal.is_some()
    })
    .await;
    let metrics = |root: &str| reply(api.anonymous("GET", &format!("{root}/metrics")));
    let internal = internal.expect("an address");
    metrics(&format!("http://{internal}")).await.expect(200);
    metrics(&api.root).await.expect(404);

    let (lines, body) = open_body();
    lines.send("{\"value\":1}\n".into()).await.unwrap();
    let request = api.request("POST", &format!("{path}/records/bulk"));
    let response = soon("bulk answers", request.body(body).send()).await;
    let mut answer = Lines::new(response.expect("an answer"));
    let mut last = answer.next().await.expect("the first result");
    let pid = serve.id().expect("running").to_string();
    let kill = Command::new("kill").args(["-TERM", &pid]).status().await;
    assert!(kill.expect("kill runs").success());
    while let Some(line) = answer.next().await {
        last = line;
    }
    let last: Value = serde_json::from_str(&last).expect("JSON");
    check_problem(&last["error"]);
    assert_eq!(last["error"]["retryable"], true, "{last}");
    let status = soon("serve ends", serve.wait()).await.expect("a status");
    assert_eq!(status.code(), Some(0));
    drop(lines);
}

#[tokio::test]
async fn changes_at_once_all_succeed() {
    let api = shared().await;
    let path = api.topic(&unique("patched"), 1).await;
    for round in 0..5 {
        let patches = (0..8).map(|n| {
            let body = json!({"config": {"retention_ms": 3_600_000 + 8 * round + n}});
            api.send("PATCH", &path, body.to_string())
        });
        for answer in join_all(patches).await {
            answer.expect(200);
        }
    }
}

#[tokio::test]
async fn the_newest_records_may_all_be_in_one_partition() {
    let api = shared().await;
    let path = api.topic(&unique("lopsided"), 50).await;
    for start in (0..1_000).step_by(250) {
        let records: Vec<_> = (start..start + 250)
            .map(|n| json!({"partition": 7, "value": n}))
            .collect();
        let body = json!({"records": records}).to_string();
        api.produce(&path, body).await;
    }
    let url = format!("{path}/records?from=tail-500&max_records=10000");
    let rows = api.get(&url).await.expect(200).rows();
    let offsets: Vec<_> = rows.iter().map(|row| (row.partition, row.offset)).collect();
    let newest: Vec<_> = (500..1_000).map(|offset| (7, offset)).collect();
    assert_eq!(offsets, newest);
}

#[tokio::test]
async fn waiting_readers_hear_of_changes_to_their_topic() {
    let server = Server::start().await;
    let api = server.api();
    let doomed = api.topic("doomed", 1).await;
    let poll = tokio::spawn({
        let url = format!("{doomed}/partitions/0/records?wait_ms=20000");
        let api = api.clone();
        async move { api.get(&url).await }
    });
    eventually("the poll waits", async || gauge(&api, POLLS).await == 1).await;
    api.send("DELETE", &doomed, "").await.expect(204);
    let answer = soon("the poll is answered", poll).await.expect("a reply");
    answer.problem(404, "topic_not_found");

    let growing = api.topic("growing", 1).await;
    let tail = format!("{growing}/tail.ndjson");
    let mut tail = soon("the tail opens", Lines::open(&api, &tail)).await;
    let patch = api.send("PATCH", &growing, r#"{"partitions":3}"#).await;
    patch.expect(200);
    let body = r#"{"records":[{"partition":2,"value":"new"}]}"#;
    api.produce(&growing, body).await;
    let line = tokio::time::timeout(PROMPT, async {
        loop {
            let line = tail.next().await.expect("the tail goes on");
            if json::member(&line, "cursor").is_none() {
                return line;
            }
        }
    })
    .await
    .expect("a record of the new partition");
    assert_eq!(json::member(&line, "value"), Some("\"new\""));
    assert_eq!(json::member(&line, "partition"), Some("2"));
}

#[tokio::test]
async fn odd_requests_and_open_directories() {
    let server = Server::start().await;
    let api = server.api();
    let path = api.topic("odd", 1).await;
    let signed = api.get(&format!("{path}/partitions/+0/records")).await;
    signed.expect(404).any_problem();
    let mode = fs::metadata(server.data_dir())
        .expect("it exists")
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o700, "for its owner alone");
}
