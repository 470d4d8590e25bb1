//! Requests that no HTTP library would send.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Api, check_problem};

/// An answer read from the socket.
#[derive(Debug)]
pub struct RawReply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// Opens a connection to the server.
pub async fn connect(api: &Api) -> TcpStream {
    let address = api.root.strip_prefix("http://").expect("plain HTTP");
    TcpStream::connect(address).await.expect("a connection")
}

/// The path of the project's API on the server.
pub fn project_path(api: &Api) -> &str {
    api.base
        .strip_prefix(&api.root)
        .expect("the base URL is the server's")
}

/// A request head with the credential; `extra` are header lines, each with its line end.
pub fn head(api: &Api, method: &str, path: &str, extra: &str) -> String {
    format!(
        "{method} {}{path} HTTP/1.1\r\nhost: headwater\r\nauthorization: Bearer {}\r\n{extra}\r\n",
        project_path(api),
        api.key
    )
}

/// Sends bytes as they are and reads the answer. The connection is asked to close.
pub async fn exchange(api: &Api, method: &str, path: &str, extra: &str, body: &[u8]) -> RawReply {
    let mut socket = connect(api).await;
    let head = head(api, method, path, &format!("connection: close\r\n{extra}"));
    socket
        .write_all(head.as_bytes())
        .await
        .expect("the head is sent");
    // A server that refuses a body early may close before it has all of it.
    let _ = socket.write_all(body).await;
    read_reply(&mut socket).await.expect("an answer")
}

/// Reads until the server closes; nothing if it closed without a word.
pub async fn read_reply(socket: &mut (impl AsyncRead + Unpin)) -> Option<RawReply> {
    let mut bytes = Vec::new();
    let mut chunk = [0_u8; 16 * 1024];
    loop {
        let read = tokio::time::timeout(Duration::from_secs(120), socket.read(&mut chunk)).await;
        match read.expect("the server answers or closes within two minutes") {
            Ok(0) | Err(_) => break,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
        }
        if complete(&bytes) {
            break;
        }
    }
    let text = String::from_utf8_lossy(without_interim(&bytes));
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(RawReply {
        status,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    })
}

/// What follows a `100 Continue`.
fn without_interim(bytes: &[u8]) -> &[u8] {
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
    bytes.strip_prefix(interim).unwrap_or(bytes)
}

fn complete(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(without_interim(bytes));
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let head = head.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    length
        .and_then(|length| length.trim().parse::<usize>().ok())
        .is_some_and(|length| body.len() >= length)
}

impl RawReply {
    /// Asserts a whole problem document of this status.
    #[track_caller]
    pub fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        assert!(
            self.head.contains("content-type: application/problem+json"),
            "{}",
            self.head
        );
        let problem: Value = serde_json::from_str(&self.body).expect("a problem document");
        check_problem(&problem);
        problem
    }
}
