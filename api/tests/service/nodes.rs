//! The internal port: operators' tools and other nodes share it.

use std::{os::unix::fs::PermissionsExt, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::Server;

/// Begins as another node does, with a proof that is none; answers what came.
async fn knock(server: &Server) -> Vec<u8> {
    let internal = server.internal_root();
    let address = internal.strip_prefix("http://").expect("a URL");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut hello = b"HWINTER1".to_vec();
    hello.extend([7; 32]);
    stream.write_all(&hello).await.unwrap();
    let mut heard = vec![0; 64];
    if stream.read_exact(&mut heard).await.is_err() {
        return Vec::new();
    }
    stream.write_all(&[0; 32]).await.unwrap();
    // Nothing more comes.
    let _ = stream.read_to_end(&mut heard).await;
    heard
}

async fn is_healthy(server: &Server) {
    for path in ["healthz", "readyz", "metrics"] {
        let url = format!("{}/{path}", server.internal_root());
        assert_eq!(reqwest::get(&url).await.unwrap().status(), 200, "{path}");
    }
}

#[tokio::test]
async fn health_checks_and_other_nodes_share_a_port() {
    let files = tempfile::tempdir().unwrap();
    let secret = files.path().join("secret");
    std::fs::write(&secret, "of sixteen bytes and some more\n").unwrap();
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    let database = |name| format!("sqlite://{}", files.path().join(name).display());

    let mut server = Server::serve(&database("one.db"))
        .with("HEADWATER_CLUSTER_SECRET_FILE", secret.to_str().unwrap())
        .with("HEADWATER_ADVERTISE", "broker-1.internal:7070")
        .with("HEADWATER_RACK", "eu-1a")
        .started()
        .await;
    is_healthy(&server).await;
    assert_eq!(knock(&server).await.len(), 64);
    is_healthy(&server).await;
    // The public port knows nothing of nodes.
    let mut stream = TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    stream.write_all(b"HWINTER1\r\n\r\n").await.unwrap();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.unwrap();
    assert!(heard.starts_with(b"HTTP/1.1 400"), "{heard:?}");
    let log = server.log();
    assert!(
        log.contains("same cluster secret") && log.contains("eu-1a"),
        "{log}"
    );
    let stopping = std::time::Instant::now();
    server.stop().await;
    assert!(stopping.elapsed() < Duration::from_secs(5));

    // Without a secret nobody is let in, and the log says what to do.
    let mut server = Server::serve(&database("two.db")).started().await;
    assert_eq!(knock(&server).await.len(), 0);
    is_healthy(&server).await;
    assert!(server.log().contains("set cluster_secret_file"));
    server.stop().await;
}

#[tokio::test]
async fn a_secret_that_is_none_is_told_at_the_start() {
    let files = tempfile::tempdir().unwrap();
    let secret = files.path().join("secret");
    std::fs::write(&secret, "short\n").unwrap();
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_headwater"))
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--internal-listen",
            "127.0.0.1:0",
        ])
        .args(["--database", "sqlite://unused.db", "--data-dir"])
        .arg(files.path().join("data"))
        .arg("--cluster-secret-file")
        .arg(&secret)
        .current_dir(files.path())
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("cluster_secret_file") && said.contains("16 bytes"),
        "{said}"
    );
    assert!(!files.path().join("data").exists(), "nothing was made");
}
