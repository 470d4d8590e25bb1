//! `headwater groups`, `headwater keys` and `headwater consume --group`.

use std::process::Output;

use serde_json::{Value, json};
use tokio::process::Command;

use super::redrives::die;
use super::shared::{produce, shared_group};
use super::worker::{committed, ensure, fill, group_of};
use crate::client::{Api, Row};
use crate::harness::{BINARY, shared, soon, unique};

async fn run(api: &Api, arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command
        .args(arguments)
        .env("HEADWATER_URL", &api.base)
        .env("HEADWATER_KEY", &api.key)
        .kill_on_drop(true);
    soon("it ends", command.output()).await.expect("it starts")
}

/// What it prints, one JSON value a line.
async fn lines(api: &Api, arguments: &[&str]) -> Vec<Value> {
    let output = run(api, arguments).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[tokio::test]
async fn each_run_goes_on_where_the_last_one_stopped() {
    let api = shared().await;
    let topic = unique("consumed");
    api.topic(&topic, 3).await;
    for partition in 0..3 {
        fill(&api, &topic, partition, 0..10).await;
    }
    let group = unique("consumers");
    let some = lines(&api, &["consume", &topic, "--group", &group, "--max", "7"]).await;
    assert_eq!(some.len(), 7);
    let rest = lines(
        &api,
        &["consume", &topic, "--group", &group, "--member", "me"],
    )
    .await;
    assert_eq!(rest.len(), 23, "no record twice, and none lost");
    assert_eq!(
        lines(&api, &["consume", &topic, "--group", &group])
            .await
            .len(),
        0
    );
    assert_eq!(committed(&api, &group).await, [Some(10); 3]);
    // What it prints can be appended again.
    let line = some[0].to_string();
    assert_eq!(some[0]["topic"], topic.as_str());
    Row::parse(&line);
    let again = format!("{{\"records\":[{line}]}}");
    api.produce(&format!("/topics/{topic}"), again).await;
    let other = unique("other");
    api.topic(&other, 1).await;
    let refused = run(&api, &["consume", &other, "--group", &group]).await;
    assert_eq!(refused.status.code(), Some(2));
    let refused = run(
        &api,
        &["consume", &topic, "--group", &group, "--partition", "0"],
    )
    .await;
    assert_eq!(refused.status.code(), Some(2));
}

#[tokio::test]
async fn groups_are_listed_described_reset_and_deleted() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 1).await;
    fill(&api, &topic, 0, 0..5).await;
    let listed = lines(&api, &["groups", "list"]).await;
    assert!(
        listed
            .iter()
            .any(|listed| listed["group"] == group.as_str())
    );
    let output = run(&api, &["groups", "describe", &group]).await;
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["positions"][0]["lag"], 5);
    let dry = lines(
        &api,
        &["groups", "reset", &group, "--to-latest", "--dry-run"],
    )
    .await;
    assert_eq!(
        (&dry[0]["before"], &dry[0]["after"]),
        (&json!(0), &json!(5))
    );
    assert_eq!(committed(&api, &group).await, [None]);
    for (how, after) in [
        (vec!["--to-latest".to_owned()], 5),
        (vec!["--shift-by".to_owned(), "-2".to_owned()], 3),
        (vec!["--to-offset".to_owned(), format!("{topic}:0=1")], 1),
        (
            vec!["--to-time".to_owned(), "2020-01-01T00:00:00Z".to_owned()],
            0,
        ),
        (
            vec![
                "--to-latest".to_owned(),
                "--topic".to_owned(),
                topic.clone(),
            ],
            5,
        ),
        (vec!["--to-earliest".to_owned()], 0),
    ] {
        let how: Vec<_> = ["groups", "reset", &group]
            .into_iter()
            .chain(how.iter().map(String::as_str))
            .collect();
        let moved = lines(&api, &how).await;
        assert_eq!(moved[0]["after"], after, "{how:?}");
    }
    assert_eq!(
        run(&api, &["groups", "reset", &group]).await.status.code(),
        Some(2)
    );
    assert!(lines(&api, &["groups", "delete", &group]).await.is_empty());
    assert_eq!(
        run(&api, &["groups", "delete", &group]).await.status.code(),
        Some(1)
    );
    ensure(&api, &group, json!({"topics": [topic]})).await;
}

#[tokio::test]
async fn dead_letters_are_moved_back() {
    let api = shared().await;
    let (topic, _, group) = shared_group(&api, 1, 1).await;
    let records: Vec<_> = (0..4)
        .map(|n| json!({"key": format!("k{n}"), "value": n, "headers": {"n": n.to_string()}}))
        .collect();
    produce(&api, &topic, json!(records)).await;
    die(&api, &group, "rejected").await;
    let redrive = async |more: &[&str]| {
        let how: Vec<_> = [&["groups", "redrive", group.as_str()][..], more].concat();
        lines(&api, &how).await.len()
    };
    assert_eq!(redrive(&["--dry-run"]).await, 4);
    assert_eq!(redrive(&["--dry-run", "--record-key", "k1"]).await, 1);
    assert_eq!(redrive(&["--header", "n=2", "--rate", "100"]).await, 1);
    assert_eq!(redrive(&["--reason", "rain"]).await, 0);
    let all = [
        "--reason",
        "rejected",
        "--topic",
        topic.as_str(),
        "--since",
        "0",
    ];
    assert_eq!(redrive(&[&all[..], &["--max", "2"]].concat()).await, 2);
    assert_eq!(redrive(&all).await, 1);
    assert_eq!(redrive(&[]).await, 0);
    let unclear = run(&api, &["groups", "redrive", &group, "--offsets", "3"]).await;
    assert_eq!(unclear.status.code(), Some(2));
    let unknown = run(&api, &["groups", "redrive", "not-there"]).await;
    assert_eq!(unknown.status.code(), Some(1));
}

#[tokio::test]
async fn keys_are_made_and_ended() {
    let api = shared().await;
    let (topic, group) = group_of(&api, 1).await;
    let name = unique("cli-key");
    let (read, consume) = (
        format!("fetch:topic={topic}"),
        format!("consume:group={group}"),
    );
    let made = lines(
        &api,
        &[
            "keys", "create", &name, "--scope", &read, "--scope", &consume,
        ],
    )
    .await;
    let key = api.with_key(made[0]["secret"].as_str().expect("a secret"));
    key.get(&format!("/groups/{group}")).await.expect(200);
    key.get(&format!("/topics/{topic}/records"))
        .await
        .expect(200);
    let listed = lines(&api, &["keys", "list"]).await;
    assert!(listed.iter().any(|listed| listed["name"] == name.as_str()));
    let rotated = lines(&api, &["keys", "rotate", &name]).await;
    let key = api.with_key(rotated[0]["secret"].as_str().expect("a secret"));
    key.get(&format!("/groups/{group}")).await.expect(200);
    assert!(lines(&api, &["keys", "delete", &name]).await.is_empty());
    key.get(&format!("/groups/{group}"))
        .await
        .problem(401, "unauthenticated");
    let without = run(&api, &["keys", "create", &name]).await;
    assert_eq!(without.status.code(), Some(2));
}
