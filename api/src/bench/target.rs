//! What is measured: an address, a base path, a key.

use std::io;

use crate::client::{Failure, ServiceArgs};

use super::wire::Connection;

/// A server, and the project on it.
#[derive(Debug, Clone)]
pub struct Target {
    /// `host:port`.
    pub address: String,
    base_path: String,
    /// Header lines that every request has.
    headers: String,
    /// What gRPC calls have as `authorization`.
    pub authorization: Option<String>,
}

impl Target {
    /// Reads the base URL and the key.
    pub fn new(args: &ServiceArgs) -> Result<Target, Failure> {
        let rest = args.base_url()?.trim_start_matches("http://");
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        let has_port = authority
            .rsplit_once(':')
            .is_some_and(|(_, p)| p.parse::<u16>().is_ok());
        let address = if has_port {
            authority.to_owned()
        } else {
            format!("{authority}:80")
        };
        let mut authorization = None;
        let mut headers = format!("Host: {authority}\r\n");
        if let Some(key) = args
            .key
            .as_deref()
            .map(str::trim)
            .filter(|key| !key.is_empty())
        {
            if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(Failure::Usage(
                    "the API key has characters that no key has".into(),
                ));
            }
            headers.push_str(&format!("Authorization: Bearer {key}\r\n"));
            authorization = Some(format!("Bearer {key}"));
        }
        Ok(Target {
            address,
            base_path: path.to_owned(),
            headers,
            authorization,
        })
    }

    /// The path of `path` in the project.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.base_path)
    }

    /// The start of a request without a body, up to the end of its headers.
    pub fn get(&self, path: &str) -> Vec<u8> {
        format!("GET {path} HTTP/1.1\r\n{}\r\n", self.headers).into_bytes()
    }

    /// The start of a request with a JSON body of `length` bytes; `extra` are whole header lines.
    pub fn with_body(&self, method: &str, path: &str, extra: &str, length: usize) -> Vec<u8> {
        format!(
            "{method} {path} HTTP/1.1\r\n{}{extra}Content-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n",
            self.headers
        )
        .into_bytes()
    }

    /// Sends one request on a connection of its own.
    pub async fn once(&self, head: &[u8], body: &[u8]) -> Result<(u16, Vec<u8>), Failure> {
        let exchange = async {
            let mut connection = Connection::open(&self.address).await?;
            let status = connection.call(head, body).await?;
            Ok((status, connection.body().to_vec()))
        };
        exchange.await.map_err(|error| self.unreachable(error))
    }

    /// An error on a connection to this target.
    pub fn unreachable(&self, error: io::Error) -> Failure {
        Failure::Unreachable(format!("{}: {error}", self.address))
    }

    /// Makes a topic unless it is there with at least that many partitions.
    pub async fn ensure_topic(&self, topic: &str, partitions: u32) -> Result<(), Failure> {
        let path = self.path(&format!("/topics/{topic}"));
        let body = format!("{{\"partitions\":{partitions}}}").into_bytes();
        let (status, answer) = self
            .once(&self.with_body("PUT", &path, "", body.len()), &body)
            .await?;
        if matches!(status, 200 | 201) {
            return Ok(());
        }
        let there = self.partitions(topic).await.map_or(0, |list| list.len());
        if status == 409 && there >= partitions as usize {
            return Ok(());
        }
        Err(refused("creating the topic", status, &answer))
    }

    /// Log start and high watermark of each partition.
    pub async fn partitions(&self, topic: &str) -> Result<Vec<(u64, u64)>, Failure> {
        let path = self.path(&format!("/topics/{topic}/partitions"));
        let (status, body) = self.once(&self.get(&path), b"").await?;
        let parsed = serde_json::from_slice::<serde_json::Value>(&body).ok();
        let list = parsed
            .as_ref()
            .and_then(|value| value["partitions"].as_array());
        let Some(list) = list.filter(|_| status == 200) else {
            return Err(refused("looking at the partitions", status, &body));
        };
        let number = |value: &serde_json::Value| value.as_u64().unwrap_or(0);
        Ok(list
            .iter()
            .map(|p| (number(&p["log_start"]), number(&p["high_watermark"])))
            .collect())
    }
}

/// An answer that ends the measurement.
pub fn refused(what: &str, status: u16, body: &[u8]) -> Failure {
    Failure::Local(format!("{what} failed: {}", excerpt(status, body)))
}

/// The status and the beginning of a body, for messages.
pub fn excerpt(status: u16, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(400)]);
    format!("{status} {}", text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_addresses_and_paths() {
        let target = |url: &str| {
            Target::new(&ServiceArgs {
                url: Some(url.to_owned()),
                key: None,
                ca_file: None,
            })
            .unwrap()
        };
        let dev = target("http://127.0.0.1:8080/v1/projects/demo/");
        assert_eq!(dev.address, "127.0.0.1:8080");
        assert_eq!(dev.path("/topics/t"), "/v1/projects/demo/topics/t");
        let bare = target("http://example.com");
        assert_eq!(bare.address, "example.com:80");
        assert_eq!(bare.path("/noop"), "/noop");
    }
}
