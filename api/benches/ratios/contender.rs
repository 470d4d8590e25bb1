//! Servers under measurement, and the load generator.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Args, Outcome};

/// A server that does not answer by then will not.
const START_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(2);

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    /// `headwater dev`.
    Product,
    /// The roof that appends and reads, and nothing else.
    Minimal,
    /// The roof that does nothing.
    Noop,
}

/// Somebody who may use a project.
#[derive(Debug, Clone, Default)]
pub struct Tenant {
    base_url: String,
    key: String,
}

impl Tenant {
    /// The same at a server on this address.
    pub fn at(&self, address: SocketAddr) -> Tenant {
        let path = self.base_url.splitn(4, '/').nth(3).unwrap_or_default();
        Tenant {
            base_url: format!("http://{address}/{path}"),
            key: self.key.clone(),
        }
    }

    /// Sends one request; `path` is below the project.
    pub fn call(&self, method: &str, path: &str, body: &str) -> Outcome<(u16, String)> {
        let mut parts = self.base_url.splitn(4, '/').skip(2);
        let (host, base) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        let mut stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(START_MAX))?;
        write!(
            stream,
            "{method} /{base}{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.key,
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.get(9..12).and_then(|text| text.parse().ok());
        Ok((status.ok_or("not an HTTP answer")?, answer))
    }
}

/// Which load generator the processor is for, where several run: what one of them waits for it is not
/// the server's.
#[derive(Debug, Clone, Copy)]
pub enum Load {
    /// There is one.
    Plain,
    /// It gets what the other leaves.
    Patient,
    /// It goes first, which takes root's rights.
    Urgent,
}

/// Executables and habits of a run.
pub struct Setup {
    headwater: PathBuf,
    roof: PathBuf,
    dir: PathBuf,
    pin: bool,
    /// How often each contender runs.
    pub rounds: usize,
    /// Of each measurement.
    pub duration: Duration,
}

impl Setup {
    /// Finds the executables: the one that cargo built with this, the roofs beside this one.
    pub fn find(args: &Args) -> Outcome<Setup> {
        let built = option_env!("CARGO_BIN_EXE_headwater").map(PathBuf::from);
        let headwater = args
            .headwater
            .clone()
            .or(built)
            .ok_or("--headwater PATH is needed")?;
        let roof = match &args.roof {
            Some(path) => path.clone(),
            None => newest_roof(env::current_exe()?.parent().unwrap_or(Path::new(".")))?,
        };
        let dir = args.dir.clone().unwrap_or_else(env::temp_dir);
        let dir = dir.join(format!("headwater-ratios-{}", std::process::id()));
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let taskset = Command::new("taskset")
            .arg("-V")
            .stdout(Stdio::null())
            .status();
        let pin = !args.no_pin && processors >= 2 && taskset.is_ok_and(|status| status.success());
        Ok(Setup {
            headwater,
            roof,
            dir,
            pin,
            rounds: args.rounds.max(1),
            duration: args.duration(),
        })
    }

    fn command(&self, program: &Path, processor: &str) -> Command {
        let mut command = match self.pin {
            true => {
                let mut command = Command::new("taskset");
                command.args(["-c", processor]).arg(program);
                command
            }
            false => Command::new(program),
        };
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("HEADWATER_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Starts a server on an empty directory and waits until it answers.
    pub fn start(&self, contender: Contender) -> Outcome<Server> {
        let name = format!("{contender:?}").to_lowercase();
        self.start_on(contender, self.data_dir(&name)?)
    }

    /// An empty directory on the disk that servers have their data on.
    pub fn data_dir(&self, name: &str) -> Outcome<DataDir> {
        DataDir::new(self.dir.join(name))
    }

    /// Starts a server on a directory that may hold an earlier one's data.
    pub fn start_on(&self, contender: Contender, data: DataDir) -> Outcome<Server> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = File::create(data.path.join("server.log"))?;
        let place = data.path.join("data");
        let mut command = match contender {
            Contender::Product => {
                let mut command = self.command(&self.headwater, "0");
                command.arg("dev").arg("--data-dir").arg(&place);
                command
            }
            Contender::Minimal | Contender::Noop => {
                let mut command = self.command(&self.roof, "0");
                let kind = if contender == Contender::Noop {
                    "noop"
                } else {
                    "minimal"
                };
                command.arg(kind).arg("--dir").arg(&place);
                command
            }
        };
        command.arg("--listen").arg(address.to_string());
        let started = Instant::now();
        let child = command.stdout(log.try_clone()?).stderr(log).spawn()?;
        let mut server = Server {
            child,
            address,
            base_url: format!("http://{address}/v1/projects/roof"),
            key: String::new(),
            started,
            data,
        };
        server.wait_until_ready(contender)?;
        Ok(server)
    }

    /// What starts a server on the servers' processor.
    pub fn server_command(&self) -> Command {
        self.command(&self.headwater, "0")
    }

    /// Makes another organization on a server.
    pub fn neighbour(&self, server: &Server) -> Outcome<Tenant> {
        let database = server.data.path.join("data/metadata.db");
        let database = format!("sqlite://{}", database.display());
        let made = self.bootstrap(&database, "neighbour")?;
        // The server hears of it within a second.
        thread::sleep(Duration::from_secs(2));
        Ok(made.at(server.address))
    }

    /// Makes an organization in a database, with a project of the same name.
    pub fn bootstrap(&self, database: &str, name: &str) -> Outcome<Tenant> {
        let output = Command::new(&self.headwater)
            .args(["admin", "bootstrap", "--database", database])
            .args(["--org", name, "--project", name])
            .args(["--email", "somebody@example.com"])
            .output()?;
        let made: Value = serde_json::from_slice(&output.stdout)?;
        let text = |name: &str| made[name].as_str().unwrap_or_default();
        Ok(Tenant {
            base_url: format!("http://nowhere{}", text("base_path")),
            key: text("api_key").to_owned(),
        })
    }

    /// Runs `headwater bench` against a server and gives its report.
    pub fn bench(&self, server: &Server, arguments: &[&str]) -> Outcome<Value> {
        self.bench_as(&server.tenant(), Load::Plain, arguments)
    }

    /// The same as one of several tenants.
    pub fn bench_as(&self, tenant: &Tenant, load: Load, arguments: &[&str]) -> Outcome<Value> {
        let mut command = match load {
            Load::Plain => self.command(&self.headwater, "1"),
            Load::Patient => self.command(Path::new("nice"), "1"),
            Load::Urgent => self.command(Path::new("chrt"), "1"),
        };
        match load {
            Load::Plain => {}
            Load::Patient => drop(command.args(["-n", "10"]).arg(&self.headwater)),
            Load::Urgent => drop(command.args(["--fifo", "10"]).arg(&self.headwater)),
        }
        let output = command
            .arg("bench")
            .args(arguments)
            .arg("--json")
            .env("HEADWATER_URL", &tenant.base_url)
            .env("HEADWATER_KEY", &tenant.key)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return Err(format!("bench {arguments:?}: {}", said.trim()).into());
        }
        let report: Value = serde_json::from_slice(&output.stdout)?;
        match report["errors"].as_u64() {
            Some(0) => Ok(report),
            _ => Err(format!("bench {arguments:?} had errors: {}", said.trim()).into()),
        }
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        // Servers have taken their own directories away; one may have been left by a failure.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn newest_roof(dir: &Path) -> Outcome<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        if name.is_some_and(|name| name.starts_with("roof-") && !name.contains('.')) {
            found.push((path.metadata()?.modified()?, path));
        }
    }
    let newest = found.into_iter().max().map(|(_, path)| path);
    newest.ok_or_else(|| "no roof is built: run `cargo bench -p headwater --no-run`".into())
}

/// A directory that goes when it is dropped.
pub struct DataDir {
    /// Where it is.
    pub path: PathBuf,
}

impl DataDir {
    fn new(path: PathBuf) -> Outcome<DataDir> {
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir_all(&path)?;
        Ok(DataDir { path })
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // What is left over is in the directory for temporary files.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    address: SocketAddr,
    base_url: String,
    key: String,
    /// When its process was started.
    pub started: Instant,
    data: DataDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Server {
    /// Its first tenant.
    pub fn tenant(&self) -> Tenant {
        Tenant {
            base_url: self.base_url.clone(),
            key: self.key.clone(),
        }
    }

    /// The id of its process.
    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// Kills it as a power cut would, and gives its data.
    pub fn crash(mut self) -> DataDir {
        self.kill();
        let none = DataDir {
            path: PathBuf::new(),
        };
        std::mem::replace(&mut self.data, none)
    }

    fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends one request; `path` is below the project.
    pub fn call(&self, method: &str, path: &str, body: &str) -> Outcome<(u16, String)> {
        self.tenant().call(method, path, body)
    }

    /// Sends a request again and again until the answer is a success.
    pub fn call_until_good(&mut self, method: &str, path: &str, body: &str) -> Outcome<()> {
        let mut last = String::new();
        while self.started.elapsed() < START_MAX {
            match self.call(method, path, body) {
                Ok((200..=299, _)) => return Ok(()),
                Ok((_, answer)) => last = answer,
                Err(error) => last = error.to_string(),
            }
            self.still_running()?;
            thread::sleep(POLL);
        }
        Err(format!("{method} {path} never succeeded: {last}").into())
    }

    fn wait_until_ready(&mut self, contender: Contender) -> Outcome<()> {
        let credentials = self.data.path.join("data/credentials.json");
        while contender == Contender::Product && self.key.is_empty() {
            let text = fs::read(&credentials).unwrap_or_default();
            if let Ok(read) = serde_json::from_slice::<Value>(&text) {
                let path = read["base_url"]
                    .as_str()
                    .and_then(|url| url.splitn(4, '/').nth(3));
                let path = path.ok_or("credentials.json has no base_url")?;
                // An earlier server on this data had another port.
                self.base_url = format!("http://{}/{path}", self.address);
                self.key = read["api_key"].as_str().unwrap_or_default().to_owned();
            }
            self.still_running()?;
            if self.started.elapsed() > START_MAX {
                return Err("credentials.json was never written".into());
            }
            thread::sleep(POLL);
        }
        self.call_until_good("GET", "/topics", "")
    }

    fn still_running(&mut self) -> Outcome<()> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        let log = fs::read_to_string(self.data.path.join("server.log")).unwrap_or_default();
        Err(format!("the server ended, {status}: {}", log.trim()).into())
    }
}
