//! Real S3-compatible servers, as processes of their own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use headwater_tiered::{Bounds, Store, StoreOptions};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const BUCKET: &str = "headwater";
pub const SECRET: &str = "a-secret-that-no-message-holds";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Moto,
    S3sFs,
    Minio,
}

/// A server; killed when it is dropped.
pub struct Server {
    kind: Kind,
    pub address: SocketAddr,
    pub dir: TempDir,
    process: Child,
}

fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("target/tools")
}

impl Kind {
    fn program(self) -> PathBuf {
        tools().join(match self {
            Self::Moto => "moto/bin/moto_server",
            Self::S3sFs => "bin/s3s-fs",
            Self::Minio => "bin/minio",
        })
    }

    pub fn is_installed(self) -> bool {
        self.program().exists()
    }
}

impl Server {
    pub async fn start(kind: Kind) -> Self {
        let dir = tempfile::tempdir().unwrap();
        if kind != Kind::Moto {
            std::fs::create_dir(dir.path().join(BUCKET)).unwrap();
        }
        // Free until now; the port is taken again at once.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let process = spawn(kind, dir.path(), address);
        let server = Self {
            kind,
            address,
            dir,
            process,
        };
        server.answers().await;
        if kind == Kind::Moto {
            let created = server.send("PUT", &format!("/{BUCKET}")).await;
            assert!(created.starts_with("HTTP/1.1 200"), "{created}");
        }
        server
    }

    /// Kills it as a crash would.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again where it was, with what it had.
    pub async fn restart(&mut self) {
        self.process = spawn(self.kind, self.dir.path(), self.address);
        self.answers().await;
    }

    /// Waits until it takes connections.
    async fn answers(&self) {
        let tries = async {
            while TcpStream::connect(self.address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let limit = Duration::from_secs(60);
        let answered = tokio::time::timeout(limit, tries).await;
        answered.unwrap_or_else(|_| panic!("{:?} does not answer", self.kind));
    }

    /// Sends a request that nobody signed; the answer as text.
    pub async fn send(&self, method: &str, target: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nhost: {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            self.address
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    pub fn store(&self, prefix: &str) -> Store {
        store_at(self.address, prefix, StoreOptions::default())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(kind: Kind, dir: &Path, address: SocketAddr) -> Child {
    let program = kind.program();
    assert!(
        kind.is_installed(),
        "{} is missing: run `make object-stores`",
        program.display()
    );
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let mut command = Command::new(program);
    match kind {
        Kind::Moto => command.args(["-H", &host, "-p", &port]),
        Kind::S3sFs => command
            .args(["--host", &host, "--port", &port])
            .args(["--access-key", "headwater", "--secret-key", SECRET])
            .arg(dir),
        Kind::Minio => command
            .args(["server", "--quiet", "--address", &address.to_string()])
            .arg(dir)
            .env("MINIO_ROOT_USER", "headwater")
            .env("MINIO_ROOT_PASSWORD", SECRET)
            .env("MINIO_BROWSER", "off")
            .env("HOME", dir),
    };
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// A store on an S3-compatible server, or on a proxy before it.
pub fn store_at(address: SocketAddr, prefix: &str, mut options: StoreOptions) -> Store {
    for (name, value) in [
        ("aws_endpoint", format!("http://{address}")),
        ("aws_allow_http", "true".to_owned()),
        ("aws_access_key_id", "headwater".to_owned()),
        ("aws_secret_access_key", SECRET.to_owned()),
        ("aws_region", "us-east-1".to_owned()),
    ] {
        // The caller's own come first and stay.
        if !options.settings.iter().any(|(known, _)| known == name) {
            options.settings.push((name.to_owned(), value));
        }
    }
    Store::open(&format!("s3://{BUCKET}/{prefix}"), options).unwrap()
}

/// Bounds so short that a test sees them pass.
pub fn impatient() -> StoreOptions {
    let bounds = Bounds {
        attempt: Duration::from_millis(1_000),
        total: Duration::from_millis(2_500),
    };
    StoreOptions {
        foreground: bounds,
        background: bounds,
        ..StoreOptions::default()
    }
}
