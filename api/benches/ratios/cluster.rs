//! Three brokers on one machine beside one: what copies cost.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::contender::{Contender, DataDir, Load, Setup, Tenant};
use crate::life;
use crate::rows::number;
use crate::table::{Line, Target, median};

const START_MAX: Duration = Duration::from_secs(60);
const PRODUCE: [&str; 10] = [
    "produce",
    "--connections",
    "16",
    "--records-per-request",
    "100",
    "--record-bytes",
    "1024",
    "--partitions",
    "12",
    "--spread",
];
/// What the p99 at a tenth of the full load may be above that of a sync on the idle disk.
const P99_ABOVE_SYNC_US: f64 = 25_000.0;

/// Throughput of three brokers, each record on all of their disks, by that of one; and the p99 at a
/// tenth of it. All of them share one disk and, where processors are chosen, one processor.
pub fn of_three(setup: &Setup, name: &'static str) -> Outcome<Vec<Line>> {
    let seconds = format!("{}s", setup.duration.as_secs());
    let timed = ["--duration", &seconds, "--warmup", "2s"];
    let full: Vec<&str> = PRODUCE.iter().chain(&timed).copied().collect();
    let (mut pairs, mut tails) = (Vec::new(), Vec::new());
    for _ in 0..setup.rounds {
        let cluster = Cluster::start(setup)?;
        let three = setup.bench_as(&cluster.tenant, Load::Plain, &full)?;
        let rate = number(&three, "/requests_per_second") / 10.0;
        let rate = format!("{}", rate.max(1.0).round());
        let tenth: Vec<&str> = full.iter().chain(&["--rate", &rate]).copied().collect();
        let quiet = setup.bench_as(&cluster.tenant, Load::Plain, &tenth)?;
        drop(cluster);
        let one = setup.start(Contender::Product)?;
        let alone = setup.bench(&one, &full)?;
        drop(one);
        pairs.push([&three, &alone].map(|report| number(report, "/megabytes_per_second")));
        let above = number(&quiet, "/latency_us/p99") - life::sync_p50_us(setup)?;
        tails.push(above);
    }
    let throughput = Line {
        name: name.to_owned(),
        unit: "MB/s",
        product: median(pairs.iter().map(|pair| pair[0])),
        yardstick: Some(("one broker", median(pairs.iter().map(|pair| pair[1])))),
        judged: median(pairs.iter().map(|pair| pair[0] / pair[1])),
        target: Target::AtLeast(0.35),
        failure: None,
    };
    let tail = median(tails);
    let tail = Line {
        name: format!("{name} at a tenth"),
        unit: "µs p99 - sync",
        product: tail,
        yardstick: Some(("25 ms", P99_ABOVE_SYNC_US)),
        judged: tail / P99_ABOVE_SYNC_US,
        target: Target::AtMost(1.0),
        failure: None,
    };
    Ok(vec![throughput, tail])
}

/// A Postgres and three brokers; killed when dropped.
struct Cluster {
    processes: Vec<Child>,
    tenant: Tenant,
    _data: DataDir,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The brokers first; any of them may have ended by itself.
        for process in self.processes.iter_mut().rev() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Cluster {
    fn start(setup: &Setup) -> Outcome<Cluster> {
        let data = setup.data_dir("cluster")?;
        let directory = data.path.clone();
        let (postgres, database) = start_postgres(&directory)?;
        let mut cluster = Cluster {
            processes: vec![postgres],
            tenant: Tenant::default(),
            _data: data,
        };
        let secret = directory.join("secret");
        fs::write(&secret, "known to these brokers alone")?;
        let made = until("the database answers", || {
            setup.bootstrap(&database, "roof")
        })?;
        let mut addresses = Vec::new();
        for number in 1..=3 {
            let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            let internal = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            let log = fs::File::create(directory.join(format!("broker-{number}.log")))?;
            let mut command = setup.server_command();
            command
                .args(["serve", "--database", &database])
                .args(["--broker-id", &number.to_string()])
                .args(["--listen", &address.to_string()])
                .args(["--internal-listen", &internal.to_string()])
                .arg("--cluster-secret-file")
                .arg(&secret)
                .arg("--data-dir")
                .arg(directory.join(format!("broker-{number}")));
            let child = command.stdout(log.try_clone()?).stderr(log).spawn()?;
            cluster.processes.push(child);
            addresses.push(address);
        }
        cluster.tenant = made.at(addresses[0]);
        // A topic of three copies is made only when there are three brokers to hold them.
        until("three brokers take part", || {
            let body = r#"{"partitions":12,"replication_factor":3}"#;
            match cluster.tenant.call("PUT", "/topics/bench", body)? {
                (200..=299, _) => Ok(()),
                (_, answer) => Err(answer.into()),
            }
        })?;
        Ok(cluster)
    }
}

/// Tries again until it succeeds.
pub fn until<T>(what: &str, mut attempt: impl FnMut() -> Outcome<T>) -> Outcome<T> {
    let started = Instant::now();
    loop {
        match attempt() {
            Ok(done) => return Ok(done),
            Err(error) if started.elapsed() > START_MAX => {
                return Err(format!("in vain: {what}: {error}").into());
            }
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// A Postgres in this directory, as its own user where this runs as root, which it refuses.
fn start_postgres(directory: &Path) -> Outcome<(Child, String)> {
    let tools = postgres_tools()?;
    let place = directory.join("postgres");
    fs::create_dir_all(&place)?;
    let is_root = fs::metadata("/proc/self")?.uid() == 0;
    let run = |program: &Path| match is_root {
        true => {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
                .arg(program);
            command
        }
        false => Command::new(program),
    };
    if is_root {
        let owned = Command::new("chown").arg("postgres").arg(&place).status()?;
        if !owned.success() {
            return Err("there is no user postgres".into());
        }
    }
    let made = run(&tools.join("initdb"))
        .args(["-A", "trust", "-U", "headwater", "--no-sync", "-D"])
        .arg(&place)
        .output()?;
    if !made.status.success() {
        return Err(format!("initdb: {}", String::from_utf8_lossy(&made.stderr)).into());
    }
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let postgres = run(&tools.join("postgres"))
        .args(["-c", "listen_addresses=127.0.0.1", "-p", &port.to_string()])
        .arg("-k")
        .arg(&place)
        .arg("-D")
        .arg(&place)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let database = format!("postgres://headwater@127.0.0.1:{port}/postgres");
    Ok((postgres, database))
}

/// Debian keeps the newest of them here, out of the PATH.
fn postgres_tools() -> Outcome<PathBuf> {
    let mut found = Vec::new();
    for version in fs::read_dir("/usr/lib/postgresql")? {
        let tools = version?.path().join("bin");
        if tools.join("initdb").exists() {
            found.push(tools);
        }
    }
    let newest = found.into_iter().max();
    newest.ok_or_else(|| "no Postgres is installed: apt-get install postgresql".into())
}
