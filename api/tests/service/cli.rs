//! The client verbs, as a person at a terminal uses them.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::client::Api;
use crate::harness::{BINARY, shared, soon, unique};
use crate::json;

fn headwater(api: &Api, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command
        .args(arguments)
        .env("HEADWATER_URL", &api.base)
        .env("HEADWATER_KEY", &api.key);
    command
}

/// Runs a verb to its end with this text on standard input.
async fn run(api: &Api, arguments: &[&str], input: &str) -> Output {
    let mut command = headwater(api, arguments);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("stdin");
    let input = input.to_owned();
    let work = tokio::task::spawn_blocking(move || {
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("output")
    });
    soon("the verb ends", work).await.expect("the verb ran")
}

fn text(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

#[tokio::test]
async fn topics_come_and_go() {
    let api = shared().await;
    let name = unique("cli-topic");
    text(&run(&api, &["topics", "create", &name, "--partitions", "3"], "").await);
    text(&run(&api, &["topics", "create", &name, "--partitions", "3"], "").await);
    assert_eq!(
        run(&api, &["topics", "create", &name, "--partitions", "4"], "")
            .await
            .status
            .code(),
        Some(1)
    );
    assert!(text(&run(&api, &["topics", "list"], "").await).contains(&name));
    assert!(text(&run(&api, &["topics", "describe", &name], "").await).contains(&name));
    text(&run(&api, &["topics", "delete", &name], "").await);
    let gone = run(&api, &["topics", "describe", &name], "").await;
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("topic_not_found"));
}

#[tokio::test]
async fn what_consume_prints_produce_takes() {
    let api = shared().await;
    let (from, to) = (unique("cli-from"), unique("cli-to"));
    let path = api.topic(&from, 1).await;
    api.topic(&to, 1).await;
    let records = r#"{"records":[{"key":"a","value":{"x":1e400}},{"key_base64":"/w==","value_text":"t","headers":{"h":["1","2"]}},{"value":null}]}"#;
    api.produce(&path, records).await;
    let printed = text(&run(&api, &["consume", &from, "--from", "earliest"], "").await);
    assert_eq!(printed.lines().count(), 3);
    text(&run(&api, &["produce", &to], &printed).await);
    assert_eq!(
        text(&run(&api, &["consume", &to, "--from", "earliest"], "").await),
        printed
    );
    let one = text(
        &run(
            &api,
            &["consume", &to, "--from", "earliest", "--max", "1"],
            "",
        )
        .await,
    );
    assert_eq!(one.lines().count(), 1);
}

#[tokio::test]
async fn keys_come_from_a_field() {
    let api = shared().await;
    let name = unique("cli-key");
    let path = api.topic(&name, 1).await;
    let lines = "{\"id\":\"a\",\"n\":1}\n{\"id\":7,\"n\":1e400}\n";
    text(&run(&api, &["produce", &name, "--key-field", "id"], lines).await);
    let rows = api.read_partition(&path, 0).await;
    assert_eq!(
        rows.iter()
            .map(|row| row.key.as_deref().unwrap())
            .collect::<Vec<_>>(),
        ["a", "7"]
    );
    assert_eq!(rows[1].value, "{\"id\":7,\"n\":1e400}");
}

#[tokio::test]
async fn follow_prints_records_as_they_come() {
    let api = shared().await;
    let name = unique("cli-follow");
    let path = api.topic(&name, 2).await;
    api.produce(&path, r#"{"records":[{"value":"first"}]}"#)
        .await;
    let command = headwater(&api, &["consume", &name, "--from", "earliest", "--follow"]);
    let mut child = tokio::process::Command::from(command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary starts");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for value in ["\"first\"", "\"second\"", "\"third\""] {
        if value != "\"first\"" {
            api.produce(&path, format!("{{\"records\":[{{\"value\":{value}}}]}}"))
                .await;
        }
        let line = soon("a printed record", lines.next_line())
            .await
            .unwrap()
            .expect("a line");
        assert_eq!(json::member(&line, "value"), Some(value));
    }
}

#[tokio::test]
async fn mistakes_have_their_exit_codes() {
    let api = shared().await;
    let name = unique("cli-mistakes");
    let path = api.topic(&name, 1).await;
    for usage in [
        &["produce"][..],
        &["topics", "create", "x"],
        &["consume", &name, "--from", "middle"],
        &["nonsense"],
        &["dev", "--listen", "here"],
    ] {
        let output = run(&api, usage, "").await;
        assert_eq!(output.status.code(), Some(2), "{usage:?}");
        assert!(!output.stderr.is_empty());
    }
    let stranger = api.with_key("hw_nobody");
    let refused = run(&stranger, &["consume", &name], "").await;
    assert_eq!(refused.status.code(), Some(1));
    let bad_line = run(&api, &["produce", &name], "{\"value\":1}\nnot json\n").await;
    assert_eq!(bad_line.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&bad_line.stderr).contains('2'),
        "the line is named"
    );
    assert!(api.high_watermarks(&path).await[0] <= 1);
}

#[tokio::test]
async fn openapi_prints_the_documents() {
    let api = shared().await;
    let all: Value = serde_json::from_str(&text(&run(&api, &["openapi"], "").await)).expect("JSON");
    assert!(all.is_object());
    let streaming = text(&run(&api, &["openapi", "streaming"], "").await);
    let printed: Value = serde_json::from_str(&streaming).expect("JSON");
    let url = format!("{}/openapi/streaming.json", api.root);
    let served = crate::client::reply(api.anonymous("GET", &url))
        .await
        .expect(200)
        .json();
    assert_eq!(printed["paths"], served["paths"]);
}

#[tokio::test]
async fn bench_reports_in_json() {
    let help = run(&shared().await, &["bench", "--help"], "").await;
    assert!(
        text(&help).contains("connections"),
        "bench says how to use it"
    );
}

#[tokio::test]
async fn bench_reads_by_groups_and_leaves_none() {
    let api = shared().await;
    for group_type in ["partitioned", "shared"] {
        let topic = unique("bench");
        let arguments = [
            "bench",
            "fetch",
            "--group",
            group_type,
            "--topic",
            topic.as_str(),
            "--connections",
            "2",
            "--partitions",
            "2",
            "--fill",
            "1",
            "--record-bytes",
            "100",
            "--warmup",
            "0s",
            "--duration",
            "2s",
            "--json",
        ];
        let said = run(&api, &arguments, "").await;
        let report: Value = serde_json::from_str(&text(&said)).expect("a report");
        assert_eq!(report["errors"], 0, "{report}");
        let read = report["records"].as_u64().expect("a number");
        assert!(read > 0, "{report}");
    }
    let listed = api.get("/groups").await.expect(200).json();
    let groups = listed["groups"].as_array().expect("groups").iter();
    let mut names = groups.map(|group| group["group"].as_str().expect("a name"));
    assert!(names.all(|name| !name.starts_with("bench-")), "{listed}");
}

/// A value for every flag of `serve` that is also a key of its file.
const SETTINGS: [(&str, &str); 23] = [
    ("roles", "gateway,broker"),
    ("broker-id", "1"),
    ("listen", "127.0.0.1:0"),
    ("internal-listen", "127.0.0.1:0"),
    ("cluster-secret-file", "secret"),
    ("advertise", "node:7070"),
    ("rack", "a"),
    ("move-bytes-per-second", "1000"),
    ("data-dir", "data"),
    ("database", "sqlite://none/m.db"),
    ("object-store", "memory:"),
    ("upload-bytes-per-second", "1000"),
    ("cache-bytes", "1000"),
    ("maintenance-interval", "1s"),
    ("object-delete-delay", "1s"),
    ("tls-cert", "cert.pem"),
    ("tls-key", "key.pem"),
    ("tls-internal-cert", "node.pem"),
    ("tls-internal-key", "node-key.pem"),
    ("tls-internal-ca", "ca.pem"),
    ("oidc-file", "oidc.toml"),
    ("public-url", "https://streams.example.com"),
    // Refused after the whole file was read, before anything is done.
    ("log-level", "loud"),
];

#[test]
fn a_setting_may_be_given_by_flag_and_by_file_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("headwater.toml");
    let quoted = |(name, value): (&str, &str)| match value.parse::<u64>() {
        Ok(number) => format!("{} = {number}\n", name.replace('-', "_")),
        Err(_) => format!("{} = \"{value}\"\n", name.replace('-', "_")),
    };
    std::fs::write(&config, SETTINGS.map(quoted).concat()).expect("a file");
    let serve = || {
        let mut command = Command::new(BINARY);
        command.current_dir(directory.path()).arg("serve");
        command
    };
    let stopped = |mut command: Command| {
        let output = command.output().expect("the binary starts");
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    let by_file = || {
        let mut command = serve();
        command.arg("--config").arg(&config);
        command
    };
    let mut by_both = by_file();
    for (name, value) in SETTINGS {
        by_both.arg(format!("--{name}")).arg(value);
    }
    for error in [stopped(by_file()), stopped(by_both)] {
        assert!(error.contains("log_level: must be one of"), "{error}");
    }
    let help = serve().arg("--help").output().expect("help");
    let help = String::from_utf8(help.stdout).expect("UTF-8");
    let flags = help
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("--"));
    let others = ["config", "help"];
    for flag in flags.filter(|flag| !others.contains(flag)) {
        let flag = flag.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let known = SETTINGS.iter().any(|(name, _)| *name == flag);
        assert!(known, "--{flag} has no row");
    }
}

/// Runs a shell on a script that it is only to read.
fn reads(shell: &str, arguments: &[&str], script: &std::path::Path) -> Option<Output> {
    let mut command = Command::new(shell);
    match command.args(arguments).arg(script).output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("{shell}: {error}"),
    }
}

#[tokio::test]
async fn shells_read_the_completions() {
    let api = shared().await;
    let folder = tempfile::tempdir().expect("a folder");
    for (shell, arguments) in [
        ("bash", vec!["-n"]),
        ("zsh", vec!["-n"]),
        ("fish", vec!["--no-execute"]),
        ("elvish", vec!["-compileonly"]),
        ("powershell", vec![]),
    ] {
        let script = text(&run(&api, &["completions", shell], "").await);
        for word in ["headwater", "redrive", "dry-run"] {
            assert!(script.contains(word), "{shell}: no {word}");
        }
        assert!(!script.contains(&api.key), "no secret of the environment");
        let path = folder.path().join(shell);
        std::fs::write(&path, script).expect("written");
        // bash is wherever these tests are; the others may not be.
        let read = match shell {
            "powershell" => None,
            _ => reads(shell, &arguments, &path),
        };
        assert!(read.is_some() || shell != "bash", "no bash");
        if let Some(read) = read {
            let said = String::from_utf8_lossy(&read.stderr);
            assert!(read.status.success(), "{shell}: {said}");
        }
    }
    let unknown = run(&api, &["completions", "tcsh"], "").await;
    assert_eq!(unknown.status.code(), Some(2));
    let help = text(&run(&api, &["--help"], "").await);
    assert!(help.contains("completions"), "{help}");
}
