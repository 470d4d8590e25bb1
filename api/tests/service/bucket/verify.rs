//! What is damaged, missing or a stray is named, and nothing else ever is.

use std::fs;

use serde_json::json;

use super::{Places, abandoned, cold_topic, eager, key, objects_of};
use crate::{
    harness::eventually,
    tiers::{small_segments, until_cold, write},
};

#[tokio::test]
async fn damage_is_named_and_a_clean_bucket_is_clean() {
    let server = eager().started().await;
    let api = server.api();
    let path = cold_topic(&api, "flights").await;
    let places = Places::of(&server);
    let summary = places.run("verify", &[]).clean();
    assert!(summary["compared"].as_u64() > Some(5), "{summary}");
    let objects = objects_of(&server, &api, &path).await;
    let (gone, cut, flipped) = (&objects[0], &objects[1], &objects[2]);
    let were: Vec<_> = objects[..3]
        .iter()
        .map(|path| fs::read(path).expect("read"))
        .collect();
    fs::remove_file(gone).expect("removed");
    fs::write(cut, &were[1][..were[1].len() - 10]).expect("cut");
    let mut bytes = were[2].clone();
    bytes[were[2].len() / 3] ^= 1;
    fs::write(flipped, bytes).expect("flipped");
    let stray = abandoned(&objects[3]);
    let foreign = server.data_dir().join("objects/notes.txt");
    fs::write(&foreign, "mine").expect("written");

    let said = places.run("verify", &[]);
    assert_eq!(said.code, 1, "{}", said.errors);
    assert_eq!(said.keys("missing"), [key(gone)]);
    assert_eq!(said.keys("damaged"), [key(cut), key(flipped)]);
    assert_eq!(said.keys("stray"), ["notes.txt".to_owned(), key(&stray)]);
    assert_eq!(said.findings.len(), 5);
    for (object, was) in objects[..3].iter().zip(&were) {
        let line = said.about(&key(object));
        assert_eq!(line["bytes"], was.len(), "{line}");
        assert_eq!(line["organization"], "demo", "{line}");
        assert_eq!(line["project"], "demo", "{line}");
        assert_eq!(line["topic"], "flights", "{line}");
        assert_eq!(line["partition"], 0, "{line}");
        assert!(line["end_offset"].as_u64() > line["base_offset"].as_u64());
    }
    assert_eq!(said.about("notes.txt")["bytes"], 4);
    let count = |name: &str| said.summary[name].as_u64().expect(name);
    let counts = ["missing", "damaged", "stray"].map(count);
    assert_eq!(counts, [1, 2, 2], "{}", said.summary);

    let shallow = places.run("verify", &["--shallow"]);
    assert_eq!(shallow.code, 1);
    assert_eq!(shallow.keys("missing"), [key(gone)]);
    assert_eq!(shallow.keys("damaged"), [key(cut)]);

    for (object, was) in objects.iter().zip(&were) {
        fs::write(object, was).expect("mended");
    }
    fs::remove_file(stray).expect("removed");
    fs::remove_file(foreign).expect("removed");
    places.run("verify", &[]).clean();
    places.run("verify", &["--shallow"]).clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_in_use_has_no_findings() {
    let server = eager().started().await;
    let api = server.api();
    let kept = cold_topic(&api, "kept").await;
    let places = Places::of(&server);
    // Objects come, are retired and go all the while.
    let writing = tokio::spawn({
        let (api, kept) = (api.clone(), kept.clone());
        async move {
            for round in 1..=4 {
                write(&api, &kept, round * 800, 800).await;
                let before = json!({"partition": 0, "before_offset": round * 700});
                let trim = format!("{kept}/trim");
                let trimmed = api.send("POST", &trim, before.to_string()).await;
                trimmed.expect(200);
                let passing = small_segments(&api, &format!("passing-{round}"), 1).await;
                write(&api, &passing, 0, 400).await;
                api.send("DELETE", &passing, "").await.expect(204);
            }
        }
    });
    let mut rounds = 0;
    while !writing.is_finished() || rounds < 3 {
        places.run("verify", &[]).clean();
        places.run("verify", &["--shallow"]).clean();
        rounds += 1;
    }
    writing.await.expect("written");
    until_cold(&api, &kept).await;
    let all_gone = async || {
        let summary = places.run("verify", &[]).clean();
        summary["doomed"] == 0
    };
    eventually("what was retired is deleted", all_gone).await;
}

#[tokio::test]
async fn another_clusters_bucket_is_refused() {
    let mut server = eager().started().await;
    let api = server.api();
    let path = cold_topic(&api, "flights").await;
    let objects = objects_of(&server, &api, &path).await;
    server.stop().await;
    let mut places = Places::of(&server);
    let claim = server.data_dir().join("objects/headwater.json");
    let was = fs::read(&claim).expect("read");
    fs::write(&claim, r#"{"format":1,"cluster_id":"somebody-elses"}"#).expect("written");
    for verb in ["verify", "sweep"] {
        let said = places.run(verb, &[]);
        assert_eq!(said.code, 2, "{}", said.errors);
        assert!(
            said.errors.contains("belongs to cluster somebody-elses"),
            "{}",
            said.errors
        );
    }
    fs::write(&claim, was).expect("written");
    // A database that knows no object would take all of them for strays.
    places.database = format!("sqlite://{}/empty.db", server.work_dir().display());
    for verb in ["verify", "sweep"] {
        let said = places.run(verb, &[]);
        assert_eq!(said.code, 2, "{}", said.errors);
        assert!(
            said.errors.contains("no broker has ever used"),
            "{}",
            said.errors
        );
    }
    assert!(objects.iter().all(|object| object.exists()));
}
