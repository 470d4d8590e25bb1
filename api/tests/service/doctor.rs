//! `headwater doctor`, beside real servers and beside broken ones.

use std::{fs, net::TcpListener, path::Path};

use serde_json::Value;
use tokio::process::Command;

use crate::{
    cluster::brokers::Cluster,
    harness::{BINARY, Server, free_port, soon},
    postgres::Postgres,
    tls::authority::{Authority, Files},
};

/// What the doctor said.
struct Said {
    code: i32,
    report: Value,
}

impl Said {
    /// The only finding of a check.
    #[track_caller]
    fn of(&self, check: &str) -> &Value {
        let found = self.all(check);
        assert_eq!(found.len(), 1, "{check} in {}", self.report);
        found[0]
    }

    fn all(&self, check: &str) -> Vec<&Value> {
        let checks = self.report["checks"].as_array().expect("checks");
        checks.iter().filter(|one| one["check"] == check).collect()
    }

    /// Says that a check ended so, and what it says.
    #[track_caller]
    fn is(&self, check: &str, status: &str, says: &str) {
        let finding = self.of(check);
        assert_eq!(finding["status"], status, "{finding}");
        assert!(finding.to_string().contains(says), "{says}: {finding}");
        let advised = finding["advice"].is_string();
        assert_eq!(
            advised,
            status != "ok",
            "what is wrong has advice: {finding}"
        );
        if status == "failed" {
            assert_eq!((self.code, &self.report["ok"]), (1, &Value::Bool(false)));
        }
    }
}

/// What a node would be started with.
struct Deployment {
    directory: tempfile::TempDir,
    settings: Vec<(String, String)>,
}

impl Deployment {
    fn on(database: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name).display().to_string();
        let address = || format!("127.0.0.1:{}", free_port());
        let settings = [
            ("DATABASE", database.to_owned()),
            ("DATA_DIR", path("data")),
            ("OBJECT_STORE", format!("file://{}", path("objects"))),
            ("LISTEN", address()),
            ("INTERNAL_LISTEN", address()),
        ];
        let settings = settings.map(|(name, value)| (format!("HEADWATER_{name}"), value));
        Self {
            settings: settings.into(),
            directory,
        }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .arg("doctor")
            .args(flags)
            .envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    async fn examined(&self) -> Said {
        let output = self.command(&["--json"]).output();
        let output = soon("the doctor ends", output).await.expect("it runs");
        let report = serde_json::from_slice(&output.stdout);
        Said {
            code: output.status.code().expect("a code"),
            report: report.unwrap_or_else(|error| panic!("{error}: {output:?}")),
        }
    }
}

#[tokio::test]
async fn a_good_deployment_has_nothing_to_be_fixed() {
    let deployment = Deployment::on(&Postgres::shared().database());
    let said = deployment.examined().await;
    said.is("database", "ok", "Postgres");
    said.is("migrations", "ok", "newest");
    said.is("clock", "ok", "this machine's");
    said.is("object_store", "ok", "conditional PUT works");
    said.is("object_store_owner", "ok", "nobody's");
    for address in ["listen", "internal_listen"] {
        said.is(address, "ok", "is free");
    }
    assert!(said.of("disk_sync")["figures"]["sync_p99_ms"].is_number());
    for check in ["data_dir", "disk_space", "open_files"] {
        said.of(check);
    }
    // Nothing is made that was not there, but for the directory of the store.
    assert!(!deployment.path().join("data").exists());
    let objects = deployment.path().join("objects");
    let left: Vec<_> = walk(&objects);
    assert_eq!(left, [] as [String; 0]);

    let output = deployment.command(&[]).output().await.expect("it runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(said.code));
    let checks = said.report["checks"].as_array().expect("checks").len();
    assert_eq!(
        printed.lines().count(),
        checks + 2,
        "a line each: {printed}"
    );
}

/// The files below a directory.
fn walk(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let files = paths.flat_map(|path| match path.is_dir() {
        true => walk(&path),
        false => vec![path.display().to_string()],
    });
    files.collect()
}

#[tokio::test]
async fn a_running_node_is_known_and_a_stranger_is_told() {
    let database = Postgres::shared().database();
    let server = Server::start_on(&database).await;
    let running = Deployment::on(&database)
        .with(
            "HEADWATER_LISTEN",
            server.root().trim_start_matches("http://"),
        )
        .with(
            "HEADWATER_INTERNAL_LISTEN",
            server.internal_root().trim_start_matches("http://"),
        );
    let said = running.examined().await;
    for address in ["listen", "internal_listen"] {
        said.is(address, "ok", "a node listens");
    }
    let stranger = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = stranger.local_addr().expect("an address").to_string();
    let deployment = Deployment::on(&database).with("HEADWATER_LISTEN", &taken);
    let said = deployment.examined().await;
    said.is("listen", "failed", "something else listens");
    said.is("internal_listen", "ok", "is free");
}

#[tokio::test]
async fn a_database_that_is_away_empty_or_too_new_is_told() {
    let nowhere = format!("postgres://nobody@127.0.0.1:{}/none", free_port());
    let said = Deployment::on(&nowhere).examined().await;
    said.is("database", "failed", "--database");
    assert!(said.all("migrations").is_empty());
    said.is("object_store", "ok", "conditional PUT works");

    let files = tempfile::tempdir().expect("a directory");
    let sqlite = format!("sqlite://{}", files.path().join("metadata.db").display());
    let said = Deployment::on(&sqlite).examined().await;
    said.is("database", "warning", "the first start makes it");
    assert!(!files.path().join("metadata.db").exists(), "it is not made");
    fs::write(files.path().join("metadata.db"), "").expect("written");
    let said = Deployment::on(&sqlite).examined().await;
    said.is("database", "ok", "SQLite");
    said.is("migrations", "warning", "admin bootstrap");

    let postgres = Postgres::shared();
    let database = postgres.database();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'of a later version', true, '', 0)";
    postgres.query(&database, newer);
    let said = Deployment::on(&database).examined().await;
    said.is("migrations", "failed", "a newer version");
}

#[tokio::test]
async fn a_store_that_is_anothers_or_does_not_answer_is_told() {
    let database = Postgres::shared().database();
    let deployment = Deployment::on(&database);
    let objects = deployment.path().join("objects");
    fs::create_dir(&objects).expect("made");
    let claim = r#"{"format": 1, "cluster_id": "another"}"#;
    fs::write(objects.join("headwater.json"), claim).expect("written");
    let said = deployment.examined().await;
    said.is("object_store", "ok", "lists and deletes");
    said.is("object_store_owner", "warning", "cluster another");

    let endpoint = format!("http://127.0.0.1:{}", free_port());
    let away = Deployment::on(&database)
        .with("HEADWATER_OBJECT_STORE", "s3://records/production")
        .with("AWS_ENDPOINT", &endpoint)
        .with("AWS_ALLOW_HTTP", "true")
        .with("AWS_REGION", "us-east-1")
        .with("AWS_ACCESS_KEY_ID", "somebody")
        .with("AWS_SECRET_ACCESS_KEY", "something");
    let said = away.examined().await;
    let findings = said.all("object_store");
    assert!(
        findings.iter().all(|one| one["status"] == "failed"),
        "{findings:?}"
    );
    assert!(
        findings[0].to_string().contains("AWS_ENDPOINT"),
        "{findings:?}"
    );
}

#[tokio::test]
async fn certificates_that_do_not_do_are_told() {
    let authority = Authority::generate();
    let database = Postgres::shared().database();
    let examined = async |files: &Files| {
        let settings = files.public().into_iter().chain(files.internal());
        let deployment = settings.fold(Deployment::on(&database), |deployment, (name, value)| {
            deployment.with(name, &value)
        });
        let deployment = deployment.with("HEADWATER_PUBLIC_URL", "https://localhost:8443");
        deployment.examined().await
    };
    let both = ["certificate", "internal_certificate"];
    let good = Files::of(&authority, &authority.issue());
    let said = examined(&good).await;
    said.is("certificate", "ok", "good for localhost until 4096");
    said.is(
        "internal_certificate",
        "ok",
        "good for 127.0.0.1 until 4096",
    );

    let names = ["127.0.0.1", "localhost"];
    let ended = authority.issue_with(&names, |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    good.replace(&ended);
    let said = examined(&good).await;
    for check in both {
        said.is(check, "failed", "ended on 2020-01-01");
    }

    good.replace(&authority.issue_with(&["elsewhere.example"], |_| ()));
    let said = examined(&good).await;
    said.is("certificate", "failed", "not one of localhost");
    said.is("internal_certificate", "failed", "127.0.0.1");

    // Of an authority that the other nodes do not know.
    good.replace(&Authority::generate().issue());
    let said = examined(&good).await;
    said.is("certificate", "ok", "localhost");
    said.is("internal_certificate", "failed", "UnknownIssuer");

    fs::write(good.path("key.pem"), authority.issue().key).expect("written");
    let said = examined(&good).await;
    for check in both {
        said.is(check, "failed", "not the certificate's key");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_brokers_are_dialled_as_a_node_would() {
    let cluster = Cluster::start(2).await;
    let deployment = |secret: &str| {
        let deployment = Deployment::on(&cluster.brokers[0].database());
        let file = deployment.path().join("secret");
        fs::write(&file, secret).expect("written");
        let file = file.display().to_string();
        deployment
            .with("HEADWATER_CLUSTER_SECRET_FILE", &file)
            .with("HEADWATER_BROKER_ID", "1")
    };
    let said = deployment("what only these brokers know").examined().await;
    said.is("cluster_secret", "ok", "holds one");
    said.is("peers", "ok", "broker 2");
    let said = deployment("what somebody else knows").examined().await;
    said.is("peers", "failed", "same cluster secret");
    // A gateway has no number of its own.
    let gateway = deployment("short").with("HEADWATER_ROLES", "gateway");
    let gateway = Deployment {
        settings: (gateway.settings.into_iter())
            .filter(|(name, _)| name != "HEADWATER_BROKER_ID")
            .collect(),
        directory: gateway.directory,
    };
    let said = gateway.examined().await;
    said.is("cluster_secret", "failed", "16 bytes");
    assert!(said.all("disk_sync").is_empty() && said.all("object_store").is_empty());
}
