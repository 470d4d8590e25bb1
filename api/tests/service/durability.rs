//! An acknowledged record is there, whatever happens to the process or a bit of the disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::client::try_reply;
use crate::harness::{Server, soon};

/// The exit code for a data directory that cannot be used.
const DATA_DIR: i32 = 3;
/// The exit code for a failed write or sync.
const DISK_FAILED: i32 = 5;

#[tokio::test]
async fn acknowledged_records_survive_a_kill() {
    let mut server = Server::start().await;
    let path = server.api().topic("killed", 3).await;
    let mut expected = vec![Vec::new(); 3];
    for round in 0..10_u32 {
        let api = server.api();
        for partition in 0..3_u32 {
            let value = format!("{{ \"round\":{round} , \"big\":{}1e400 }}", "9".repeat(40));
            let body = format!("{{\"records\":[{{\"partition\":{partition},\"value\":{value}}}]}}");
            let answer = api.produce(&path, body).await;
            assert_eq!(answer["results"][0]["offset"], round);
            expected[partition as usize].push(value);
        }
        server.kill9();
        server.restart().await;
    }
    let api = server.api();
    for partition in 0..3_u32 {
        let rows = api.read_partition(&path, partition).await;
        let values: Vec<_> = rows.into_iter().map(|row| row.value).collect();
        assert_eq!(values, expected[partition as usize]);
    }
}

#[tokio::test]
async fn topics_and_their_changes_survive_a_kill() {
    let mut server = Server::start().await;
    let api = server.api();
    let kept = api.topic("kept", 2).await;
    let gone = api.topic("gone", 1).await;
    api.produce(
        &kept,
        r#"{"records":[{"partition":0,"value":1},{"partition":0,"value":2}]}"#,
    )
    .await;
    api.send("PATCH", &kept, r#"{"partitions":4}"#)
        .await
        .expect(200);
    api.send(
        "POST",
        &format!("{kept}/trim"),
        r#"{"partition":0,"before_offset":1}"#,
    )
    .await
    .expect(200);
    api.send("DELETE", &gone, "").await.expect(204);
    server.kill9();
    server.restart().await;
    let api = server.api();
    assert_eq!(api.high_watermarks(&kept).await, [2, 0, 0, 0]);
    let rows = api
        .get(&format!("{kept}/partitions/0/records"))
        .await
        .expect(200)
        .rows();
    assert_eq!(
        rows.iter().map(|row| row.offset).collect::<Vec<_>>(),
        [1],
        "trim is durable"
    );
    api.get(&gone).await.problem(404, "topic_not_found");
}

#[tokio::test]
async fn tails_and_cursors_go_on_after_a_kill() {
    let mut server = Server::start().await;
    let api = server.api();
    let path = api.topic("resumed", 2).await;
    api.produce(
        &path,
        r#"{"records":[{"partition":0,"value":1},{"partition":1,"value":2}]}"#,
    )
    .await;
    let cursor = api
        .get(&format!("{path}/records"))
        .await
        .expect(200)
        .json_member("cursor");
    server.kill9();
    server.restart().await;
    let api = server.api();
    api.produce(&path, r#"{"records":[{"partition":1,"value":3}]}"#)
        .await;
    let rows = api
        .get(&format!("{path}/records?cursor={cursor}"))
        .await
        .expect(200)
        .rows();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].value, "3");
}

/// Attaches strace to the server so that the `nth` fdatasync from now on fails.
async fn fail_sync(server: &Server, nth: u32) -> tokio::process::Child {
    let mut strace = tokio::process::Command::new("strace")
        .args(["-f", "-q", "-e", "trace=fdatasync", "-o", "/dev/null"])
        .args(["-e", &format!("inject=fdatasync:error=EIO:when={nth}+")])
        .args(["-p", &server.pid().to_string()])
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("strace starts");
    // Without -q it would say when it is attached; the tracer in /proc says it as well.
    let pid = server.pid();
    crate::harness::eventually("strace is attached to every thread", async || {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("threads");
        threads.filter_map(Result::ok).all(|thread| {
            let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            !status.contains("TracerPid:\t0\n")
        })
    })
    .await;
    if let Some(status) = strace.try_wait().expect("a status") {
        let mut line = String::new();
        let _ = BufReader::new(strace.stderr.take().expect("stderr"))
            .read_line(&mut line)
            .await;
        panic!("strace ended with {status}: {line}");
    }
    strace
}

#[tokio::test]
async fn a_failed_sync_ends_the_process_and_acknowledges_nothing() {
    if Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        println!("skipped: a_failed_sync_ends_the_process: strace is not installed");
        return;
    }
    for nth in [1, 2, 5] {
        let mut server = Server::start().await;
        let api = server.api();
        let path = api.topic("failing", 1).await;
        api.produce(&path, r#"{"records":[{"value":"before"}]}"#)
            .await;
        let _strace = fail_sync(&server, nth).await;

        let mut acknowledged = 1;
        for n in 0.. {
            assert!(n < 50, "the sync that fails comes");
            let request = api
                .request("POST", &format!("{path}/records"))
                .timeout(Duration::from_secs(30));
            let answer =
                try_reply(request.body(json!({"records": [{"value": n}]}).to_string())).await;
            match answer {
                Ok(answer) if answer.status == 200 => acknowledged += 1,
                Ok(answer) => {
                    assert!(answer.status >= 500, "{}", answer.text);
                    assert_ne!(answer.any_problem()["outcome"], "applied");
                    break;
                }
                Err(_) => break,
            }
        }
        assert!(
            acknowledged <= nth,
            "{acknowledged} acknowledged though sync {nth} failed"
        );
        let status = soon("the process ends", server.exited()).await;
        assert_eq!(
            status.code(),
            Some(DISK_FAILED),
            "{status}\n{}",
            server.log()
        );

        server.restart().await;
        let rows = server.api().read_partition(&path, 0).await;
        assert!(
            rows.len() >= acknowledged as usize,
            "{acknowledged} were acknowledged, {} are there",
            rows.len()
        );
        server
            .api()
            .produce(&path, r#"{"records":[{"value":"after"}]}"#)
            .await;
    }
}

/// Every file of the log that contains these bytes.
fn files_with(directory: &Path, needle: &[u8]) -> Vec<(PathBuf, usize)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_with(&path, needle));
        } else if path.extension().is_some_and(|extension| extension == "log") {
            let bytes = fs::read(&path).expect("a file");
            if let Some(at) = bytes
                .windows(needle.len())
                .position(|window| window == needle)
            {
                found.push((path, at));
            }
        }
    }
    found
}

#[tokio::test]
async fn a_flipped_bit_is_found_never_served_and_costs_nothing_else() {
    let mut server = Server::start().await;
    let api = server.api();
    let path = api.topic("flipped", 1).await;
    for n in 0..20 {
        let value = format!("marker-of-record-{n:04}");
        api.produce(&path, json!({"records": [{"value": value}]}).to_string())
            .await;
    }
    server.stop().await;
    let damaged = 9;
    let needle = format!("marker-of-record-{damaged:04}");
    let files = files_with(&server.data_dir(), needle.as_bytes());
    assert!(!files.is_empty(), "a segment file holds the record");
    for (file, at) in &files {
        let mut bytes = fs::read(file).expect("the file");
        bytes[at + 3] ^= 0x10;
        fs::write(file, bytes).expect("the damaged file");
    }

    server.restart().await;
    let api = server.api();
    let url = format!("{path}/partitions/0/records");
    let problem = api
        .get(&format!("{url}?offset={damaged}"))
        .await
        .problem(503, "record_corrupt");
    assert_eq!(problem["retryable"], false);
    assert_eq!(
        (&problem["from"], &problem["to"]),
        (&json!(damaged), &json!(damaged + 1))
    );
    let page = api.get(&url).await.expect(200);
    let before: Vec<_> = page.rows().into_iter().map(|row| row.offset).collect();
    assert_eq!(
        before,
        (0..damaged).collect::<Vec<_>>(),
        "what comes before is served"
    );
    let after = api
        .get(&format!("{url}?offset={}", damaged + 1))
        .await
        .expect(200)
        .rows();
    assert_eq!(after.len(), 10, "what follows is served");
    assert_eq!(after[9].value, "\"marker-of-record-0019\"");
    let across = api
        .get(&format!("{path}/records?from=earliest&max_records=10000"))
        .await;
    assert!(
        !across.text.contains("marker-of-record-0009") && !across.text.contains("mar{er"),
        "{}",
        across.text
    );
    assert_eq!(
        api.produce(&path, r#"{"records":[{"value":1}]}"#).await["results"][0]["offset"],
        20
    );
    assert_eq!(api.high_watermarks(&path).await, [21]);

    server.kill9();
    server.restart().await;
    let api = server.api();
    api.get(&format!("{url}?offset={damaged}"))
        .await
        .problem(503, "record_corrupt");
    assert_eq!(
        api.get(&format!("{url}?offset=20"))
            .await
            .expect(200)
            .rows()
            .len(),
        1
    );
}

#[tokio::test]
async fn one_data_directory_has_one_server() {
    let server = Server::start().await;
    let second = tokio::process::Command::new(crate::harness::BINARY)
        .arg("dev")
        .arg("--data-dir")
        .arg(server.data_dir())
        .args(["--listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = soon("the second server gives up", second)
        .await
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(DATA_DIR), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.lines().count() <= 3 && !said.trim().is_empty(),
        "one clear line: {said}"
    );
    server.api().topic("undisturbed", 1).await;
}
