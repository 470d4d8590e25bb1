//! Producing at full speed while everything goes into an object store: what the store takes of it, what
//! the same client gets by plain PUTs, and how the backlog grows meanwhile.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::aws::{AmazonS3Builder, Checksum};
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};

use crate::Outcome;
use crate::cluster::until;
use crate::contender::{DataDir, Load, Setup, Tenant};
use crate::rows::number;
use crate::table::{Line, Target};

const PRODUCE: [&str; 9] = [
    "produce",
    "--connections",
    "16",
    "--records-per-request",
    "100",
    "--record-bytes",
    "1024",
    "--partitions",
    "4",
];
/// What is in the store leaves the disk.
const TOPIC: &str =
    r#"{"partitions":4,"config":{"segment_bytes":67108864,"local_retention_bytes":65536}}"#;
const PROGRESS: Duration = Duration::from_secs(5);
/// How the broker writes: two objects at once, in parts.
const OBJECTS_AT_ONCE: usize = 2;
const PART_BYTES: usize = 8 << 20;
const PARTS_IN_FLIGHT: usize = 3;
/// What is written plainly.
const OBJECTS: usize = 8;
const OBJECT_BYTES: usize = 64 << 20;

const BUCKET: &str = "headwater";
const SECRET: &str = "known-to-this-machine";

#[derive(Debug, Clone, Copy)]
enum Kind {
    Directory,
    Minio,
}

/// What is offloaded beside what is produced, and beside what plain PUTs of the same client get from a
/// store that has nothing else to do.
pub fn at_full_speed(setup: &Setup, name: &'static str) -> Outcome<Vec<Line>> {
    let mut lines = Vec::new();
    for (kind, label) in [(Kind::Directory, "directory"), (Kind::Minio, "MinIO")] {
        let name = format!("{name} {label}");
        match measure(setup, kind, &name) {
            Ok(measured) => lines.extend(measured),
            Err(error) => lines.push(Line::failed(&name, &error.to_string())),
        }
    }
    Ok(lines)
}

fn measure(setup: &Setup, kind: Kind, name: &str) -> Outcome<Vec<Line>> {
    let data = setup.data_dir("offload")?;
    let store = Store::start(kind, &data)?;
    let plain = store.plain_puts()?;
    let server = Server::start(setup, &store, data)?;
    let (status, answer) = server.tenant.call("PUT", "/topics/bench", TOPIC)?;
    if status >= 300 {
        return Err(answer.into());
    }
    let seconds = format!("{}s", setup.duration.as_secs());
    let load = [&PRODUCE[..], &["--duration", &seconds, "--warmup", "0s"]].concat();
    let began = Instant::now();
    let report = thread::scope(|scope| -> Outcome<_> {
        let produce = scope.spawn(|| {
            let report = setup.bench_as(&server.tenant, Load::Plain, &load);
            report.map_err(|error| error.to_string())
        });
        let mut next = began + PROGRESS;
        while !produce.is_finished() {
            thread::sleep(PROGRESS.min(Duration::from_millis(100)));
            if Instant::now() >= next {
                next += PROGRESS;
                server.tell_progress(name, began.elapsed())?;
            }
        }
        Ok(produce.join().map_err(|_| "the load panicked")??)
    })?;
    let offloaded = server.metric("headwater_tier_uploaded_bytes_total")?;
    let offloaded = offloaded / 1e6 / began.elapsed().as_secs_f64();
    let produced = number(&report, "/megabytes_per_second");
    let line = |label: &str, yardstick, number: f64, target| Line {
        name: format!("{name}{label}"),
        unit: "MB/s",
        product: offloaded,
        yardstick: Some((yardstick, number)),
        judged: offloaded / number,
        target,
        failure: None,
    };
    Ok(vec![
        line("", "produced", produced, Target::AtLeast(0.9)),
        line("", "plain PUTs, alone", plain, Target::None),
    ])
}

/// Where objects go; killed when dropped, if it is a server.
struct Store {
    url: String,
    client: Arc<dyn ObjectStore>,
    settings: Vec<(&'static str, String)>,
    process: Option<Child>,
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Store {
    fn start(kind: Kind, data: &DataDir) -> Outcome<Self> {
        let directory = data.path.join("store");
        match kind {
            Kind::Directory => {
                fs::create_dir_all(&directory)?;
                let client = LocalFileSystem::new_with_prefix(&directory)?.with_fsync(true);
                Ok(Self {
                    url: format!("file://{}", directory.display()),
                    client: Arc::new(client),
                    settings: Vec::new(),
                    process: None,
                })
            }
            Kind::Minio => Self::minio(&directory),
        }
    }

    fn minio(directory: &Path) -> Outcome<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        let program = root
            .unwrap_or(Path::new(".."))
            .join("target/tools/bin/minio");
        if !program.exists() {
            return Err("MinIO is not there: make object-stores".into());
        }
        fs::create_dir_all(directory.join(BUCKET))?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let process = Command::new(program)
            .args(["server", "--quiet", "--address", &address.to_string()])
            .arg(directory)
            .env("MINIO_ROOT_USER", BUCKET)
            .env("MINIO_ROOT_PASSWORD", SECRET)
            .env("MINIO_BROWSER", "off")
            .env("HOME", directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let endpoint = format!("http://{address}");
        let client = AmazonS3Builder::new()
            .with_endpoint(&endpoint)
            .with_allow_http(true)
            .with_bucket_name(BUCKET)
            .with_access_key_id(BUCKET)
            .with_secret_access_key(SECRET)
            .with_region("us-east-1")
            // As the service has it.
            .with_checksum_algorithm(Checksum::SHA256)
            .build()?;
        let settings = vec![
            ("AWS_ENDPOINT", endpoint),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_ACCESS_KEY_ID", BUCKET.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ];
        let store = Self {
            url: format!("s3://{BUCKET}/segments"),
            client: Arc::new(client),
            settings,
            process: Some(process),
        };
        until("MinIO answers", || Ok(TcpStream::connect(address)?))?;
        Ok(store)
    }

    /// MB/s of objects that are written in parts and not read back.
    fn plain_puts(&self) -> Outcome<f64> {
        let runtime = tokio::runtime::Runtime::new()?;
        let part = bytes::Bytes::from(vec![b'x'; PART_BYTES]);
        let began = Instant::now();
        runtime.block_on(async {
            let writes = (0..OBJECTS).map(|number| {
                let part = part.clone();
                async move {
                    let path = object_store::path::Path::from(format!("plain-{number}"));
                    let upload = self.client.put_multipart(&path).await?;
                    let mut parts = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
                    for _ in 0..OBJECT_BYTES / PART_BYTES {
                        parts.wait_for_capacity(PARTS_IN_FLIGHT).await?;
                        parts.put(part.clone());
                    }
                    parts.finish().await?;
                    Ok::<_, object_store::Error>(path)
                }
            });
            let writes = stream::iter(writes).buffer_unordered(OBJECTS_AT_ONCE);
            writes.try_collect::<Vec<_>>().await
        })?;
        let took = began.elapsed().as_secs_f64();
        for number in 0..OBJECTS {
            let path = object_store::path::Path::from(format!("plain-{number}"));
            runtime.block_on(self.client.delete(&path))?;
        }
        Ok((OBJECTS * OBJECT_BYTES) as f64 / 1e6 / took)
    }
}

/// `headwater serve` with an object store; killed when dropped.
struct Server {
    process: Child,
    /// Where its metrics are.
    internal: SocketAddr,
    tenant: Tenant,
    _data: DataDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn start(setup: &Setup, store: &Store, data: DataDir) -> Outcome<Self> {
        let place = data.path.join("data");
        fs::create_dir_all(&place)?;
        let database = format!("sqlite://{}", data.path.join("metadata.db").display());
        let made = setup.bootstrap(&database, "roof")?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let internal = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = File::create(data.path.join("server.log"))?;
        let mut command = setup.server_command();
        command
            .args(["serve", "--database", &database])
            .args(["--listen", &address.to_string()])
            .args(["--internal-listen", &internal.to_string()])
            .args(["--object-store", &store.url])
            .args(["--maintenance-interval", "1s"])
            .arg("--data-dir")
            .arg(place)
            .envs(store.settings.clone());
        let process = command.stdout(log.try_clone()?).stderr(log).spawn()?;
        let server = Self {
            process,
            internal,
            tenant: made.at(address),
            _data: data,
        };
        until("the server answers", || {
            match server.tenant.call("GET", "/topics", "")? {
                (200, _) => Ok(()),
                (_, answer) => Err(answer.into()),
            }
        })?;
        Ok(server)
    }

    fn tell_progress(&self, name: &str, elapsed: Duration) -> Outcome<()> {
        let mebibytes =
            |metric| Ok::<_, Box<dyn std::error::Error>>(self.metric(metric)? / f64::from(1 << 20));
        let produced = mebibytes("headwater_record_bytes_in_total")?;
        let offloaded = mebibytes("headwater_tier_uploaded_bytes_total")?;
        let backlog = mebibytes("headwater_tier_backlog_bytes")?;
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(
            io::stderr(),
            "{name}: {:3.0} s: {produced:6.0} MiB produced, {offloaded:6.0} MiB offloaded, {backlog:6.0} MiB of sealed segments left",
            elapsed.as_secs_f64()
        );
        Ok(())
    }

    /// What the server counts.
    fn metric(&self, name: &str) -> Outcome<f64> {
        let mut stream = TcpStream::connect(self.internal)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let host = self.internal;
        write!(
            stream,
            "GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let value = answer.lines().find_map(|line| {
            let value = line.strip_prefix(name)?.strip_prefix(' ')?;
            value.trim().parse().ok()
        });
        value.ok_or_else(|| format!("no {name}").into())
    }
}
