//! The database is lost, and so are the brokers' disks: the bucket is enough.

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
};

use serde_json::json;

use super::{Places, cold_topic, eager, key, objects_of};
use crate::{
    client::{Api, Row},
    harness::{Server, bootstrap_on, eventually},
    tenants::schema::Database,
    tiers::{objects, small_segments, until_cold, write},
};

/// Removes everything but the bucket.
pub fn lose_all_but_the_bucket(data_dir: &Path) {
    for entry in fs::read_dir(data_dir).expect("entries").flatten() {
        let path = entry.path();
        match path.is_dir() {
            _ if path.ends_with("objects") => {}
            true => fs::remove_dir_all(path).expect("removed"),
            false => fs::remove_file(path).expect("removed"),
        }
    }
}

/// A client with a new key of a project.
async fn owner_of(server: &Server, organization: &str, project: &str) -> Api {
    let made = server
        .bootstrap(organization, project, "eve@example.com")
        .await;
    let base = format!("{}/v1/projects/{project}", server.root());
    let key = made["api_key"].as_str().expect("a key").to_owned();
    let api = Api::new(server.root(), base, key);
    let known = async || api.get("/topics").await.status == 200;
    eventually("the new key is known", known).await;
    api
}

/// What is in each partition of a topic.
pub async fn all_rows(api: &Api, path: &str, partitions: u32) -> Vec<Vec<Row>> {
    let mut all = Vec::new();
    for partition in 0..partitions {
        all.push(api.read_partition(path, partition).await);
    }
    all
}

/// The same without what comes after these ends.
pub fn below(rows: &[Vec<Row>], ends: &[u64]) -> Vec<Vec<Row>> {
    let cut = |(rows, end): (&Vec<Row>, &u64)| {
        let rows = rows.iter().filter(|row| row.offset < *end);
        rows.cloned().collect()
    };
    rows.iter().zip(ends).map(cut).collect()
}

#[tokio::test]
async fn everything_in_the_bucket_is_served_again_and_written_on() {
    let mut server = eager().started().await;
    server
        .bootstrap("acme", "acme-main", "ada@example.com")
        .await;
    let theirs = owner_of(&server, "acme", "acme-main").await;
    let topics = [
        (server.api(), "demo", "demo", "flights", 2),
        (server.api(), "demo", "demo", "orders", 1),
        (theirs, "acme", "acme-main", "flights", 3),
    ];
    let mut before = Vec::new();
    for (api, _, _, name, partitions) in &topics {
        let path = small_segments(api, name, *partitions).await;
        write(api, &path, 0, 900).await;
        until_cold(api, &path).await;
        before.push(all_rows(api, &path, *partitions).await);
    }
    server.stop().await;
    lose_all_but_the_bucket(&server.data_dir());
    let places = Places::of(&server);
    let plan = places.run("rebuild", &["--dry-run"]).clean();
    assert!(!server.data_dir().join("metadata.db").exists());
    let done = places.run("rebuild", &[]);
    assert!(
        done.errors.contains("headwater admin bootstrap"),
        "{}",
        done.errors
    );
    let done = done.clean();
    assert_eq!(
        (&done["topics"], &done["partitions"]),
        (&json!(3), &json!(6))
    );
    assert_eq!(done["segments"], plan["segments"]);
    let again = places.run("rebuild", &[]);
    assert_eq!(again.code, 2);
    assert!(again.errors.contains("it has 3 topics"), "{}", again.errors);

    server.restart().await;
    for ((_, organization, project, name, partitions), before) in topics.iter().zip(&before) {
        let api = owner_of(&server, organization, project).await;
        let path = format!("/topics/{name}");
        let config = &api.get(&path).await.expect(200).json()["config"];
        assert_eq!(config["segment_bytes"], 65536, "{config}");
        let ends = api.high_watermarks(&path).await;
        let expected = below(before, &ends);
        let (had, has) = (before.concat().len(), expected.concat().len());
        assert!(has > had / 2 && has < had, "{has} of {had}");
        assert!(
            all_rows(&api, &path, *partitions).await == expected,
            "{name} reads as before"
        );
        assert_eq!(api.read_by_cursor(&path).await.len(), has);
        let one = &expected[0][expected[0].len() / 2];
        let value: serde_json::Value = serde_json::from_str(&one.value).expect("JSON");
        let at = 1_700_000_000_000 + value["n"].as_u64().expect("a number");
        let url = format!("{path}/partitions/0/records?at={at}&max_records=1");
        assert!(api.get(&url).await.expect(200).rows()[0] == *one, "by time");
        let tail = api.get(&format!("{path}/records?from=tail-5")).await;
        assert_eq!(tail.expect(200).rows().len(), 5);
        // It goes on where the objects end.
        write(&api, &path, 5_000, 600).await;
        let rows = all_rows(&api, &path, *partitions).await;
        for ((rows, expected), end) in rows.iter().zip(&expected).zip(&ends) {
            assert_eq!(rows[..expected.len()], expected[..]);
            let offsets = rows.iter().map(|row| row.offset);
            assert!(
                offsets.eq(0..rows.len() as u64),
                "after {end} without a gap"
            );
        }
        assert_eq!(rows.concat().len(), has + 600);
    }
    let api = owner_of(&server, "demo", "demo").await;
    until_cold(&api, "/topics/orders").await;
    places.run("verify", &[]).clean();
    let all = objects(&server.data_dir().join("objects"));
    let keep = json!({"config": {"retention_bytes": 200_000}}).to_string();
    api.send("PATCH", "/topics/orders", keep).await.expect(200);
    let fewer = async || objects(&server.data_dir().join("objects")) < all - 5;
    eventually("retention deletes objects from before", fewer).await;
    server.kill9();
    server.restart().await;
    let rows = server.api().read_partition("/topics/orders", 0).await;
    assert!(rows[0].offset > 0 && rows.len() > 100);
}

#[tokio::test]
async fn once_begun_a_partition_that_loses_its_disk_waits_for_it() {
    let mut server = eager().started().await;
    cold_topic(&server.api(), "flights").await;
    server.stop().await;
    lose_all_but_the_bucket(&server.data_dir());
    let places = Places::of(&server);
    places.run("rebuild", &[]).clean();
    server.restart().await;
    let begun = server.api().high_watermarks("/topics/flights").await;
    assert!(begun[0] > 0);
    write(&server.api(), "/topics/flights", 800, 10).await;
    server.stop().await;
    fs::remove_dir_all(server.data_dir().join("log")).expect("removed");
    server.restart().await;
    let record = r#"{"records":[{"value":1}]}"#;
    let url = "/topics/flights/records";
    let refused = server.api().send("POST", url, record).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
}

#[tokio::test]
async fn a_disk_with_records_is_not_begun_over() {
    let mut server = eager().started().await;
    cold_topic(&server.api(), "flights").await;
    server.stop().await;
    for file in ["metadata.db", "metadata.db-wal", "metadata.db-shm"] {
        let path = server.data_dir().join(file);
        if path.exists() {
            fs::remove_file(path).expect("removed");
        }
    }
    let log = server.data_dir().join("log");
    let places = Places::of(&server);
    places.run("rebuild", &[]).clean();
    server.restart().await;
    let told = async || server.log().contains("with an empty data directory");
    eventually("it is told why the partition waits", told).await;
    let record = r#"{"records":[{"value":1}]}"#;
    let url = "/topics/flights/records";
    let refused = server.api().send("POST", url, record).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    // With an empty disk it is begun.
    server.stop().await;
    fs::rename(&log, server.work_dir().join("log")).expect("moved");
    server.restart().await;
    assert!(server.api().high_watermarks("/topics/flights").await[0] > 0);
}

#[tokio::test]
async fn holes_and_damage_are_told_and_the_rest_is_used() {
    let mut server = eager().started().await;
    let api = server.api();
    let path = cold_topic(&api, "flights").await;
    let before = all_rows(&api, &path, 1).await;
    let objects = objects_of(&server, &api, &path).await;
    server.stop().await;
    lose_all_but_the_bucket(&server.data_dir());
    fs::remove_file(&objects[2]).expect("removed");
    let bytes = fs::read(&objects[4]).expect("read");
    fs::write(&objects[4], &bytes[..bytes.len() - 10]).expect("cut");
    let stray = super::abandoned(objects.last().expect("some"));
    let places = Places::of(&server);
    let done = places.run("rebuild", &[]);
    assert_eq!(done.code, 0, "{}", done.errors);
    assert_eq!(done.keys("damaged"), [key(&objects[4])]);
    // Before the hole, and one of two that are the same.
    let strays = done.keys("stray");
    assert_eq!(strays.len(), 4, "{strays:?}");
    for unused in [&objects[0], &objects[1], &objects[3]] {
        assert!(strays.contains(&key(unused).as_str()), "{unused:?}");
    }
    let same = [key(&stray), key(objects.last().expect("some"))];
    assert!(same.iter().any(|key| strays.contains(&key.as_str())));
    let hole = done.findings.iter().find(|line| line["finding"] == "hole");
    let hole = hole.expect("a hole");
    let start = hole["end_offset"].as_u64().expect("an offset");
    assert!(hole["base_offset"].as_u64() < Some(start), "{hole}");
    assert_eq!(hole["topic"], "flights", "{hole}");
    server.restart().await;
    let api = server.api();
    let gone = api
        .get(&format!("{path}/partitions/0/records?offset=0"))
        .await;
    gone.problem(416, "offset_out_of_range");
    let ends = api.high_watermarks(&path).await;
    let mut expected = below(&before, &ends);
    expected[0].retain(|row| row.offset >= start);
    assert!(all_rows(&api, &path, 1).await == expected);
}

/// A rebuild that never ends its second topic.
async fn stuck_rebuild(places: &Places) -> Child {
    // Makes and migrates the database.
    bootstrap_on(&places.database, "demo", "demo", "eve@example.com").await;
    let database = Database::open(&places.database).await;
    database
        .run(
            "CREATE TRIGGER stuck BEFORE INSERT ON topics \
             WHEN (SELECT COUNT(*) FROM topics) = 1 BEGIN \
             SELECT (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
             SELECT MAX(i) FROM n); END",
        )
        .await;
    let mut command = places.command("rebuild", &[]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let child = child.expect("it starts");
    let half = async || {
        let topics = "SELECT CAST(COUNT(*) AS TEXT) FROM topics";
        database.text(topics).await == ["1"]
    };
    eventually("one topic is made", half).await;
    child
}

#[tokio::test]
async fn a_rebuild_that_is_killed_is_told_and_repeated() {
    let mut server = eager().started().await;
    let api = server.api();
    let mut before = Vec::new();
    for name in ["one", "two", "three"] {
        let path = cold_topic(&api, name).await;
        before.push((path.clone(), all_rows(&api, &path, 1).await));
    }
    server.stop().await;
    lose_all_but_the_bucket(&server.data_dir());
    let places = Places::of(&server);
    let mut rebuild = stuck_rebuild(&places).await;
    rebuild.kill().expect("killed");
    rebuild.wait().expect("gone");
    let database = Database::open(&places.database).await;
    database.run("DROP TRIGGER stuck").await;
    // No broker starts on a half of it: it would take the other half for strays.
    server.launch();
    assert_eq!(server.exited().await.code(), Some(4));
    let told = "wait for `headwater bucket rebuild`";
    assert!(server.log().contains(told), "{}", server.log());
    let done = places.run("rebuild", &[]);
    assert!(done.errors.contains("it begins anew"), "{}", done.errors);
    assert_eq!(done.clean()["topics"], 3);
    server.restart().await;
    let api = server.api();
    for (path, before) in before {
        let ends = api.high_watermarks(&path).await;
        assert!(
            all_rows(&api, &path, 1).await == below(&before, &ends),
            "{path}"
        );
    }
    places.run("verify", &[]).clean();
}

#[tokio::test]
async fn what_is_no_bucket_of_this_service_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let places = Places {
        database: format!("sqlite://{}/m.db", directory.path().display()),
        objects: format!("file://{}/bucket", directory.path().display()),
        environment: Vec::new(),
    };
    let said = places.run("rebuild", &[]);
    assert_eq!(said.code, 2);
    assert!(
        said.errors.contains("is not Headwater's"),
        "{}",
        said.errors
    );
    assert!(!directory.path().join("m.db").exists());
}
