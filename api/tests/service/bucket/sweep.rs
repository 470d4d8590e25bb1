//! Strays go after a second look, and nothing else ever does.

use std::fs;

use super::{Places, abandoned, cold_topic, eager, key, objects_of};

#[tokio::test]
async fn a_stray_goes_after_two_looks_that_agree() {
    let server = eager().started().await;
    let api = server.api();
    let path = cold_topic(&api, "flights").await;
    let places = Places::of(&server);
    let objects = objects_of(&server, &api, &path).await;
    let (first, second) = (abandoned(&objects[0]), abandoned(&objects[1]));
    let foreign = server.data_dir().join("objects/notes.txt");
    fs::write(&foreign, "mine").expect("written");
    let actions = |flags: &[&str]| {
        let said = places.run("sweep", flags);
        assert_eq!(said.code, 0, "{}", said.errors);
        assert_eq!(said.about("notes.txt")["action"], "kept");
        let action = |path| said.findings.iter().find(|line| line["key"] == key(path));
        let action = |path| action(path).map(|line| line["action"].clone());
        let both = [action(&first), action(&second)];
        both.map(|action| action.map(|name| name.as_str().expect("text").to_owned()))
    };
    let noted = || Some("noted".to_owned());
    let deleted = || Some("deleted".to_owned());
    // A look that notes nothing is none.
    for _ in 0..2 {
        let seen = actions(&["--dry-run", "--older-than", "0s"]);
        assert_eq!(seen, [noted(), noted()]);
    }
    assert_eq!(actions(&["--older-than", "0s"]), [noted(), noted()]);
    // By default a day has to lie between two looks.
    assert_eq!(actions(&[]), [noted(), noted()]);
    // What has changed since is another one.
    let mut longer = fs::read(&second).expect("read");
    longer.push(0);
    fs::write(&second, longer).expect("written");
    let would = actions(&["--dry-run", "--older-than", "0s"]);
    assert_eq!(would, [deleted(), noted()]);
    assert!(first.exists() && second.exists());
    assert_eq!(actions(&["--older-than", "0s"]), [deleted(), noted()]);
    assert!(!first.exists() && second.exists());
    assert_eq!(actions(&["--older-than", "0s"]), [None, deleted()]);
    assert!(!second.exists() && foreign.exists());
    fs::remove_file(foreign).expect("removed");
    places.run("verify", &[]).clean();
    assert_eq!(objects_of(&server, &api, &path).await, objects);
    // One that was away for a look is seen for the first time again.
    let back = abandoned(&objects[0]);
    let about = |said: super::Said| said.about(&key(&back))["action"].clone();
    assert_eq!(about(places.run("sweep", &["--older-than", "0s"])), "noted");
    let hidden = server.work_dir().join("hidden");
    fs::rename(&back, &hidden).expect("hidden");
    places.run("sweep", &["--older-than", "0s"]).clean();
    fs::rename(&hidden, &back).expect("back");
    assert_eq!(about(places.run("sweep", &["--older-than", "0s"])), "noted");
}
