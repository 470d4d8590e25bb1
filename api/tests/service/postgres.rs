//! A real Postgres server: one for the whole run, and a database of its own for each test.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::harness::{free_port, make_template};

/// The database user, who needs no password.
const USER: &str = "headwater";
/// The migrated database that all others are copies of.
const TEMPLATE: &str = "migrated";
const LIFECYCLE_WAIT: Duration = Duration::from_secs(60);

/// A server on a port and a directory of its own. Dropping it ends it and removes the directory.
pub struct Postgres {
    directory: PathBuf,
    host: String,
    port: u16,
    /// The postmaster, while it runs.
    process: Option<Child>,
    /// Ends the server and removes its directory when this test process ends in any way.
    reaper: Child,
}

/// The user that Postgres runs as: it refuses root.
struct Account {
    user: u32,
    group: u32,
}

impl Postgres {
    /// The server that tests share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Starts a server with a migrated template.
    pub fn start() -> Self {
        Self::start_at("127.0.0.1")
    }

    /// The same on another address of this machine, for its neighbours there too.
    pub fn start_at(host: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("headwater-postgres-")
            .tempdir()
            .expect("a temporary directory")
            .keep();
        if let Some(account) = account() {
            std::os::unix::fs::chown(&directory, Some(account.user), Some(account.group))
                .expect("the directory can be given away");
        }
        let reaper = Command::new("sh")
            .args(["-c", REAPER, "reaper"])
            .arg(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("sh starts");
        let mut server = Self {
            host: host.to_owned(),
            port: free_port(),
            process: None,
            reaper,
            directory,
        };
        let data = server.data();
        let made = as_postgres("initdb")
            .args(["-A", "trust", "-U", USER, "--no-sync", "-E", "UTF8"])
            .args(["--locale=C.UTF-8", "-D"])
            .arg(data)
            .output()
            .expect("initdb runs");
        success("initdb", &made);
        fs::File::options()
            .append(true)
            .open(server.data().join("pg_hba.conf"))
            .and_then(|mut file| file.write_all(b"host all all samenet trust\n"))
            .expect("neighbours are let in");
        server.launch();
        server.execute("postgres", &format!("CREATE DATABASE {TEMPLATE}"));
        make_template(&server.url(TEMPLATE));
        server
    }

    /// A fresh migrated database; its URL.
    pub fn database(&self) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let statement = format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}");
        self.execute("postgres", &statement);
        self.url(&name)
    }

    /// An empty database without any schema; its URL.
    pub fn empty_database(&self, name: &str) -> String {
        self.execute("postgres", &format!("CREATE DATABASE {name}"));
        self.url(name)
    }

    fn url(&self, name: &str) -> String {
        format!("postgres://{USER}@{}:{}/{name}", self.host, self.port)
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Runs one statement.
    fn execute(&self, database: &str, statement: &str) {
        let output = Command::new(tool("psql"))
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement])
            .arg(self.url(database))
            .output()
            .expect("psql runs");
        success(statement, &output);
    }

    /// The one value that a statement answers, on a database's URL.
    pub fn query(&self, url: &str, statement: &str) -> String {
        let output = Command::new(tool("psql"))
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-c",
                statement,
            ])
            .arg(url)
            .output()
            .expect("psql runs");
        success(statement, &output);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Starts the server on its directory and port, and waits until it takes connections.
    pub fn launch(&mut self) {
        let deadline = Instant::now() + LIFECYCLE_WAIT;
        while !self.try_launch() {
            // After a crash the old backends may hold the shared memory for a moment.
            assert!(Instant::now() < deadline, "no Postgres\n{}", self.log());
            sleep(Duration::from_millis(50));
        }
    }

    fn try_launch(&mut self) -> bool {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.directory.join("log"))
            .expect("a log file");
        let mut command = as_postgres("postgres");
        for setting in [
            "fsync=off",
            "full_page_writes=off",
            "max_connections=400",
            "shared_buffers=32MB",
            "autovacuum=off",
        ] {
            command.args(["-c", setting]);
        }
        let child = command
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(&self.directory)
            .args(["-h", &self.host, "-p", &self.port.to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("postgres starts");
        let child = self.process.insert(child);
        let ready = tool("pg_isready");
        loop {
            if child.try_wait().expect("a status").is_some() {
                self.process = None;
                return false;
            }
            let probe = Command::new(&ready)
                .args(["-q", "-h", &self.host, "-p", &self.port.to_string()])
                .status();
            if probe.expect("pg_isready runs").success() {
                return true;
            }
            sleep(Duration::from_millis(10));
        }
    }

    /// Stops the server as an operator does: those who are connected are cut off.
    pub fn stop(&mut self) {
        let mut process = self.process.take().expect("running");
        let sent = Command::new("kill")
            .args(["-INT", &process.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
        process.wait().expect("postgres ends");
    }

    /// SIGKILL to the postmaster; its backends end by themselves.
    pub fn kill9(&mut self) {
        let mut process = self.process.take().expect("running");
        process.kill().expect("postgres can be killed");
        process.wait().expect("postgres ends");
    }

    /// Stops every process of the server where it stands: connections stay open, nothing answers.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let Some(process) = &self.process else { return };
        let postmaster = process.id();
        let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"))
            .expect("the list of its children");
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(postmaster.to_string())
            .args(children.split_whitespace())
            .status();
        // A backend may have ended since the list was read; the postmaster has not.
        sent.expect("kill runs");
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.thaw();
        drop(self.reaper.stdin.take());
        let _ = self.reaper.wait();
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Waits for the end of its input, which is the end of the test process, then cleans up.
const REAPER: &str = r#"
trap '' INT TERM HUP
read -r _
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
if [ -n "$pid" ] && grep -q postgres "/proc/$pid/comm"; then
    kill -CONT "$pid" $(cat "/proc/$pid/task/$pid/children")
    kill -QUIT "$pid"
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        kill -0 "$pid" && sleep 0.05
    done
    kill -KILL "$pid"
fi
rm -rf "$1"
"#;

/// Everything that a database holds, as text.
pub fn dump(url: &str) -> Vec<u8> {
    let output = Command::new(tool("pg_dump"))
        .args(["--inserts", url])
        .output()
        .expect("pg_dump runs");
    success("pg_dump", &output);
    output.stdout
}

fn success(what: &str, output: &Output) {
    assert!(
        output.status.success(),
        "{what}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A program of Postgres, under its own user where this process is root.
fn as_postgres(name: &str) -> Command {
    let mut command = Command::new(tool(name));
    if let Some(account) = account() {
        command.uid(account.user).gid(account.group);
    }
    command.current_dir("/");
    command
}

/// Whom to run Postgres as: nobody else unless this process is root.
fn account() -> Option<Account> {
    let root = fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt;
        own.uid() == 0
    });
    if !root {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("the list of users");
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let fields: Vec<_> = line.unwrap_or_else(|| missing()).split(':').collect();
    Some(Account {
        user: fields[2].parse().expect("a user id"),
        group: fields[3].parse().expect("a group id"),
    })
}

/// Where a program of Postgres is: Debian keeps the server's out of PATH.
fn tool(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<_> = std::env::split_paths(&path).collect();
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    versions.sort_by_key(|version| {
        let name = version.file_name().and_then(|name| name.to_str());
        std::cmp::Reverse(name.and_then(|name| name.parse::<u32>().ok()))
    });
    places.extend(versions.into_iter().map(|version| version.join("bin")));
    let mut candidates = places.into_iter().map(|place| place.join(name));
    let found = candidates.find(|candidate| is_program(candidate));
    found.unwrap_or_else(|| missing())
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

fn missing() -> ! {
    panic!(
        "These tests need a Postgres server's programs (initdb, postgres, psql, pg_dump), and none \
         is here. Install them: apt-get install postgresql (or run .ci/setup)"
    )
}
