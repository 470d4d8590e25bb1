//! What the verbs of named things have in common: their lists, looks and ends.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::failure::Failure;
use super::output::Output;
use super::progress::Progress;
use super::service::{Service, ServiceArgs, percent_encode};

/// What may be repeated is tried again for this long.
pub const RETRY_FOR: Duration = Duration::from_secs(10);

/// Topics, groups or keys of a project, and where to tell of them.
pub struct Resources {
    pub service: Service,
    pub output: Output,
    pub progress: Progress,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow, alias = "topics", alias = "groups", alias = "keys")]
    rows: Vec<&'a RawValue>,
    next_page_token: Option<String>,
}

impl Resources {
    pub fn of(service: &ServiceArgs) -> Result<Self, Failure> {
        Ok(Self {
            service: Service::new(service)?,
            output: Output::start(),
            progress: Progress::new(None, true),
        })
    }

    /// Prints all that a list has, one a line.
    pub async fn list(&self, path: &str) -> Result<(), Failure> {
        let mut token: Option<String> = None;
        loop {
            let path = match &token {
                Some(token) => format!("{path}?page_token={}", percent_encode(token)),
                None => path.to_owned(),
            };
            let body = self.get(&path).await?;
            let page: Page<'_> = serde_json::from_slice(&body).map_err(not_understood)?;
            self.print_all(&page.rows).await?;
            token = page.next_page_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(());
            }
        }
    }

    pub async fn get(&self, path: &str) -> Result<Bytes, Failure> {
        let request = || self.service.request(Method::GET, path);
        let (_, body) = self
            .service
            .exchange_retrying(RETRY_FOR, &self.progress, request)
            .await?;
        Ok(body)
    }

    pub async fn get_value(&self, path: &str) -> Result<Value, Failure> {
        let body = self.get(path).await?;
        serde_json::from_slice(&body).map_err(not_understood)
    }

    /// Not repeated: a second try after a lost answer would say that there is no such thing.
    pub async fn delete(&self, path: &str, name: &str) -> Result<(), Failure> {
        let request = self.service.request(Method::DELETE, path);
        self.service.exchange(request).await?;
        self.progress.note(&format!("deleted {name}"));
        Ok(())
    }

    pub async fn print(&self, json: &[u8]) -> Result<(), Failure> {
        let mut line = Vec::with_capacity(json.len() + 1);
        push_line(&mut line, json);
        self.output.write(line).await
    }

    pub async fn print_all(&self, rows: &[&RawValue]) -> Result<(), Failure> {
        let mut lines = Vec::new();
        for row in rows {
            push_line(&mut lines, row.get().as_bytes());
        }
        self.output.write(lines).await
    }

    pub async fn print_pretty(&self, value: &Value) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(not_understood)?;
        self.output.write((text + "\n").into_bytes()).await
    }
}

/// Appends JSON text as one line: outside of strings, line breaks are white space.
pub fn push_line(lines: &mut Vec<u8>, json: &[u8]) {
    let start = lines.len();
    lines.extend_from_slice(json.trim_ascii());
    for byte in &mut lines[start..] {
        if matches!(*byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    lines.push(b'\n');
}

/// The service answered something that is not what the contract says.
pub fn not_understood(error: serde_json::Error) -> Failure {
    Failure::Local(format!(
        "the answer of the service cannot be understood: {error}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_breaks_inside() {
        let mut lines = Vec::new();
        push_line(&mut lines, b"{\r\n\"a\": \"x\\ny\"\n}\n");
        assert_eq!(lines, b"{  \"a\": \"x\\ny\" }\n");
    }
}
