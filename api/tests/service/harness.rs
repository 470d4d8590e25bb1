//! The real `headwater` process on a directory and a port of its own.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::Api;
use crate::postgres::Postgres;

/// The program under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_headwater");

/// The longest that starting or stopping may take before a test gives up.
const LIFECYCLE_WAIT: Duration = Duration::from_secs(60);

/// Where the repository starts: documents and scripts under test are read from here.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .expect("the repository exists")
}

/// A topic name nobody else in this run uses.
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Ports below the ephemeral range: while a killed server is away, a client's own outgoing
/// connection must not be given its port (or connect to itself).
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000
            + ((std::process::id() as u16)
                .wrapping_mul(31)
                .wrapping_add(step)
                % 12_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Where a server's process runs, and what it listens on.
pub struct Place {
    /// The network namespace, if it is not this process's own.
    pub namespace: Option<String>,
    /// The address for clients.
    pub public_host: String,
    /// The address for other nodes.
    pub internal_host: String,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            namespace: None,
            public_host: "127.0.0.1".into(),
            internal_host: "127.0.0.1".into(),
        }
    }
}

impl Place {
    /// A program that runs there.
    fn command(&self, program: &str) -> Command {
        let Some(namespace) = &self.namespace else {
            return Command::new(program);
        };
        // It becomes the program: the process id is the program's.
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace, program]);
        command
    }
}

/// One `headwater dev` or `headwater serve`. Dropping it kills the process and removes its
/// directory.
pub struct Server {
    child: Option<Child>,
    /// Kills the server when this test process ends in any way, so that none is left behind.
    reaper: Option<Child>,
    data: tempfile::TempDir,
    /// The port it listens on, kept over restarts.
    pub port: u16,
    place: Place,
    /// What `serve` needs; nothing is `dev`.
    node: Option<Node>,
    environment: Vec<(String, String)>,
    /// Who its certificate is from, if clients speak TLS.
    authority: Option<String>,
}

/// What a `headwater serve` is told beside its directory.
struct Node {
    database: String,
    internal_port: u16,
}

impl Server {
    /// Starts `dev` on an empty directory and waits until it is ready.
    pub async fn start() -> Self {
        Self::dev().started().await
    }

    /// Starts `serve` on an empty directory and a migrated database and waits until it is ready.
    pub async fn start_on(database: &str) -> Self {
        Self::serve(database).started().await
    }

    /// A `headwater dev` to be started.
    pub fn dev() -> Self {
        let data = tempfile::Builder::new()
            .prefix("headwater-test-")
            .tempdir()
            .expect("a temporary directory");
        Self {
            child: None,
            reaper: None,
            data,
            port: free_port(),
            place: Place::default(),
            node: None,
            environment: Vec::new(),
            authority: None,
        }
    }

    /// A `headwater serve` to be started.
    pub fn serve(database: &str) -> Self {
        let mut server = Self::dev();
        server.node = Some(Node {
            database: database.to_owned(),
            internal_port: free_port(),
        });
        server
    }

    /// Starts with this environment variable.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Serves clients by a certificate of this authority.
    pub fn certified_by(mut self, authority: &str) -> Self {
        self.authority = Some(authority.to_owned());
        self
    }

    /// Runs somewhere else.
    pub fn at(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// Starts the process and waits until it is ready.
    pub async fn started(mut self) -> Self {
        self.restart().await;
        self
    }

    /// Starts the process again on the same directory and port and waits until it is ready.
    pub async fn restart(&mut self) {
        self.launch();
        self.ready().await;
    }

    /// Starts the process without waiting for anything.
    pub fn launch(&mut self) {
        assert!(self.child.is_none(), "the server is already running");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("a log file");
        let mut command = self.place.command(BINARY);
        match &self.node {
            None => command.arg("dev"),
            Some(node) => command
                .args(["serve", "--database", &node.database])
                .args(["--internal-listen", &self.internal_address()]),
        };
        let child = command
            .arg("--data-dir")
            .arg(self.data_dir())
            .args(["--listen", &self.address()])
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the headwater binary starts");
        let reaper = Command::new("sh")
            .args(["-c", &format!("read _; kill -9 {} 2>/dev/null", child.id())])
            .stdin(Stdio::piped())
            .spawn()
            .expect("sh starts");
        self.child = Some(child);
        self.reaper = Some(reaper);
    }

    /// Waits until `/readyz` answers 200.
    pub async fn ready(&mut self) {
        let deadline = Instant::now() + LIFECYCLE_WAIT;
        let client = self.client("", "");
        let url = format!("{}/readyz", self.root());
        loop {
            let probe = client
                .anonymous("GET", &url)
                .timeout(Duration::from_secs(5))
                .send()
                .await;
            if probe.is_ok_and(|response| response.status() == 200) {
                return;
            }
            if let Some(status) = self
                .child
                .as_mut()
                .expect("running")
                .try_wait()
                .expect("a status")
            {
                panic!(
                    "the server ended with {status} while starting\n{}",
                    self.log()
                );
            }
            assert!(
                Instant::now() < deadline,
                "the server is not ready\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn address(&self) -> String {
        format!("{}:{}", self.place.public_host, self.port)
    }

    fn internal_address(&self) -> String {
        match &self.node {
            Some(node) => format!("{}:{}", self.place.internal_host, node.internal_port),
            None => self.address(),
        }
    }

    /// Scheme, host and port.
    pub fn root(&self) -> String {
        let scheme = if self.authority.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.address())
    }

    /// A client of one project.
    pub fn client(&self, project: &str, key: &str) -> Api {
        let base = format!("{}/v1/projects/{project}", self.root());
        let api = Api::new(self.root(), base, key.to_owned());
        match &self.authority {
            Some(authority) => api.trusting(authority),
            None => api,
        }
    }

    /// Where `/metrics` is.
    pub fn internal_root(&self) -> String {
        format!("http://{}", self.internal_address())
    }

    /// The metadata database's URL.
    pub fn database(&self) -> String {
        match &self.node {
            Some(node) => node.database.clone(),
            None => format!("sqlite://{}", self.data_dir().join("metadata.db").display()),
        }
    }

    /// Runs `headwater admin bootstrap` beside the running server; what it prints.
    pub async fn bootstrap(&self, organization: &str, project: &str, email: &str) -> Value {
        bootstrap_on(&self.database(), organization, project, email).await
    }

    /// A client with the credentials that `dev` wrote at its first start.
    pub fn api(&self) -> Api {
        let credentials = self.credentials();
        let text = |name: &str| credentials[name].as_str().expect(name).to_owned();
        Api::new(self.root(), text("base_url"), text("api_key"))
    }

    /// What `credentials.json` says.
    pub fn credentials(&self) -> Value {
        let text =
            fs::read_to_string(self.data_dir().join("credentials.json")).expect("credentials.json");
        serde_json::from_str(&text).expect("credentials.json is JSON")
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.data.path().join("headwater-data")
    }

    /// The directory that holds the data directory.
    pub fn work_dir(&self) -> &Path {
        self.data.path()
    }

    fn log_path(&self) -> PathBuf {
        self.data.path().join("server.log")
    }

    /// Everything that all runs on this directory have printed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("running").id()
    }

    /// SIGKILL, as a crash would.
    pub fn kill9(&mut self) {
        let mut child = self.child.take().expect("running");
        child.kill().expect("the server can be killed");
        child.wait().expect("the server ends");
        self.end_reaper();
    }

    /// Sends SIGTERM and returns at once.
    pub fn terminate(&self) {
        let sent = Command::new("kill")
            .args(["-TERM", &self.pid().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// SIGTERM, and the clean exit that it must lead to.
    pub async fn stop(&mut self) {
        self.terminate();
        let status = self.exited().await;
        assert_eq!(status.code(), Some(0), "a clean stop\n{}", self.log());
    }

    /// Waits for the process to end by itself.
    pub async fn exited(&mut self) -> ExitStatus {
        let deadline = Instant::now() + LIFECYCLE_WAIT;
        loop {
            if let Some(status) = self
                .child
                .as_mut()
                .expect("running")
                .try_wait()
                .expect("a status")
            {
                self.child = None;
                self.end_reaper();
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "the server does not stop\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The most memory the process has had, in bytes.
    pub fn peak_resident_bytes(&self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a status file");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .expect("VmHWM");
        let kib: u64 = line
            .split_whitespace()
            .nth(1)
            .expect("a number")
            .parse()
            .expect("a number");
        kib * 1024
    }

    fn end_reaper(&mut self) {
        if let Some(mut reaper) = self.reaper.take() {
            let _ = reaper.kill();
            let _ = reaper.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.end_reaper();
        if std::thread::panicking() {
            let log = self.log();
            let tail = log.char_indices().rev().nth(4_000).map_or(0, |(at, _)| at);
            eprintln!("--- the server's last words ---\n{}", &log[tail..]);
        }
    }
}

/// Runs `headwater admin`, rightly or wrongly.
pub fn admin(arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    let output = command.arg("admin").args(arguments).output();
    output.expect("it starts")
}

/// Migrates an empty database, of which others become copies.
pub fn make_template(database: &str) {
    let mut arguments = vec!["bootstrap", "--database", database];
    arguments.extend(["--org", "template", "--project", "template"]);
    arguments.extend(["--email", "template@example.com"]);
    let made = admin(&arguments);
    assert!(made.status.success(), "headwater admin bootstrap: {made:?}");
}

/// Runs `headwater admin bootstrap`; what it prints.
pub async fn bootstrap_on(database: &str, organization: &str, project: &str, email: &str) -> Value {
    let output = tokio::process::Command::new(BINARY)
        .args(["admin", "bootstrap", "--database", database])
        .args(["--org", organization, "--project", project])
        .args(["--email", email])
        .output();
    let output = soon("bootstrap ends", output).await.expect("it starts");
    assert!(
        output.status.success(),
        "bootstrap: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

/// The one `dev` that the cheap tests share: a client for it, with connections of its own because
/// each test has its own runtime.
pub async fn shared() -> Api {
    shared_dev().await.api()
}

/// The one `dev` that the cheap tests share.
pub async fn shared_dev() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    started_once(&SHARED, Server::dev).await
}

/// The one `serve` on Postgres that the cheap tests share.
pub async fn shared_serve() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    started_once(&SHARED, || Server::serve(&Postgres::shared().database())).await
}

async fn started_once(
    cell: &'static OnceLock<Server>,
    make: impl FnOnce() -> Server + Send + 'static,
) -> &'static Server {
    let server = tokio::task::spawn_blocking(|| {
        cell.get_or_init(|| {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(make().started())
        })
    });
    server.await.expect("the shared server starts")
}

/// The middle of several measurements.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Waits for a condition that only polling can see.
pub async fn eventually<F: AsyncFnMut() -> bool>(what: &str, mut condition: F) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Awaits something that must happen, for at most a minute.
pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(Duration::from_secs(60), future).await {
        Ok(output) => output,
        Err(_) => panic!("never: {what}"),
    }
}
