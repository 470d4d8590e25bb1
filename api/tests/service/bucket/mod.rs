//! `headwater bucket`: what is in the object store, checked, cleaned and read anew.

pub mod rebuild;
mod sweep;
mod verify;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{
    client::Api,
    harness::{BINARY, Server},
    tiers::{small_segments, until_cold, write},
};

/// What a verb said.
pub struct Said {
    pub code: i32,
    /// All lines but the last.
    pub findings: Vec<Value>,
    pub summary: Value,
    pub errors: String,
}

impl Said {
    /// The findings of a kind, by key.
    fn keys(&self, kind: &str) -> Vec<&str> {
        let of_kind = self.findings.iter().filter(|line| line["finding"] == kind);
        let mut keys: Vec<_> = of_kind
            .map(|line| line["key"].as_str().expect("key"))
            .collect();
        keys.sort_unstable();
        keys
    }

    /// The line about an object.
    fn about(&self, key: &str) -> &Value {
        let line = self.findings.iter().find(|line| line["key"] == key);
        line.unwrap_or_else(|| panic!("{key} in {:?}", self.findings))
    }

    /// Says that it went well and found nothing.
    pub fn clean(self) -> Value {
        assert_eq!(self.code, 0, "{}", self.errors);
        assert_eq!(self.findings, [] as [Value; 0]);
        self.summary
    }
}

/// A database and a bucket, with what the bucket's servers want to hear.
pub struct Places {
    pub database: String,
    pub objects: String,
    pub environment: Vec<(String, String)>,
}

impl Places {
    /// Those of a `dev`.
    pub fn of(server: &Server) -> Self {
        Self {
            database: server.database(),
            objects: format!("file://{}", server.data_dir().join("objects").display()),
            environment: Vec::new(),
        }
    }

    /// A verb to be run.
    pub fn command(&self, verb: &str, flags: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(["bucket", verb, "--database", &self.database])
            .args(["--object-store", &self.objects])
            .args(flags)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a verb to its end.
    pub fn run(&self, verb: &str, flags: &[&str]) -> Said {
        let output = self.command(verb, flags).output().expect("it starts");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let lines = text.lines().map(serde_json::from_str);
        let mut findings: Vec<Value> = lines.map(|line| line.expect("JSON")).collect();
        let last = findings.pop().unwrap_or_default();
        Said {
            code: output.status.code().expect("a code"),
            findings,
            summary: last["summary"].clone(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A server that looks at its segments all the time, and deletes objects soon.
fn eager() -> Server {
    Server::dev()
        .with("HEADWATER_MAINTENANCE_INTERVAL", "100ms")
        .with("HEADWATER_OBJECT_DELETE_DELAY", "1s")
}

/// A topic of one partition whose segments are in the store; its path.
async fn cold_topic(api: &Api, name: &str) -> String {
    let path = small_segments(api, name, 1).await;
    write(api, &path, 0, 800).await;
    until_cold(api, &path).await;
    path
}

/// The objects of a topic's first partition, by offset.
async fn objects_of(server: &Server, api: &Api, path: &str) -> Vec<PathBuf> {
    let topic = api.get(path).await.expect(200).json_member("topic_id");
    let store = server.data_dir().join("objects/segments");
    let entries = fs::read_dir(store.join(topic).join("00000")).expect("objects");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
}

/// An object's name in its bucket.
fn key(path: &Path) -> String {
    let text = path.to_str().expect("UTF-8");
    let at = text.find("/segments/").expect("below segments");
    text[at + 1..].to_owned()
}

/// A copy of an object under a name that nobody gave; its path.
fn abandoned(path: &Path) -> PathBuf {
    let text = path.to_str().expect("UTF-8");
    let (front, _) = text.rsplit_once('-').expect("a random part");
    let copy = PathBuf::from(format!("{front}-00000000000000aa.segment"));
    fs::copy(path, &copy).expect("a copy");
    copy
}
