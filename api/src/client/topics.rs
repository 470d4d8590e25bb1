//! `headwater topics`: list, create, describe, delete.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::output::Output;
use super::progress::Progress;
use super::service::{Service, ServiceArgs, percent_encode};
use super::topic_name;

/// Reading is tried again for this long.
const RETRY_FOR: Duration = Duration::from_secs(10);

/// The topics verb.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    service: ServiceArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print every topic, one JSON object a line
    List,
    /// Create a topic; nothing happens if an equal one exists
    Create {
        /// Its name
        #[arg(value_parser = topic_name)]
        name: String,
        /// How many partitions it has
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        partitions: u32,
        /// On how many brokers each partition is kept
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        replication_factor: Option<u32>,
        /// A setting, as retention_ms=86400000; may be repeated
        #[arg(long = "config", value_name = "NAME=VALUE", value_parser = setting)]
        config: Vec<(String, Value)>,
    },
    /// Print a topic and its partitions
    Describe {
        /// Its name
        #[arg(value_parser = topic_name)]
        name: String,
    },
    /// Delete a topic with all its records
    Delete {
        /// Its name
        #[arg(value_parser = topic_name)]
        name: String,
    },
}

/// Reads `name=value`; a value that is a JSON number, true, false or null is that, anything else
/// is a string.
fn setting(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("a setting is NAME=VALUE")?;
    if name.is_empty() {
        return Err("a setting is NAME=VALUE".to_owned());
    }
    let value = match serde_json::from_str::<Value>(value) {
        Ok(scalar @ (Value::Null | Value::Bool(_) | Value::Number(_))) => scalar,
        _ => Value::String(value.to_owned()),
    };
    Ok((name.to_owned(), value))
}

/// Does one command on topics.
pub async fn run(args: Args) -> Result<(), Failure> {
    let topics = Topics {
        service: Service::new(&args.service)?,
        output: Output::start(),
        progress: Progress::new(None, true),
    };
    match args.command {
        Command::List => topics.list().await,
        Command::Create {
            name,
            partitions,
            replication_factor,
            config,
        } => {
            topics
                .create(&name, partitions, replication_factor, config)
                .await
        }
        Command::Describe { name } => topics.describe(&name).await,
        Command::Delete { name } => topics.delete(&name).await,
    }
}

struct Topics {
    service: Service,
    output: Output,
    progress: Progress,
}

#[derive(Deserialize)]
struct TopicList<'a> {
    #[serde(borrow)]
    topics: Vec<&'a RawValue>,
    next_page_token: Option<String>,
}

impl Topics {
    async fn list(&self) -> Result<(), Failure> {
        let mut token: Option<String> = None;
        loop {
            let path = match &token {
                Some(token) => format!("/topics?page_token={}", percent_encode(token)),
                None => "/topics".to_owned(),
            };
            let body = self.get(&path).await?;
            let page: TopicList<'_> = serde_json::from_slice(&body).map_err(not_understood)?;
            let mut lines = Vec::with_capacity(body.len());
            for topic in &page.topics {
                push_line(&mut lines, topic.get().as_bytes());
            }
            self.output.write(lines).await?;
            token = page.next_page_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(());
            }
        }
    }

    async fn create(
        &self,
        name: &str,
        partitions: u32,
        replication_factor: Option<u32>,
        config: Vec<(String, Value)>,
    ) -> Result<(), Failure> {
        let mut body = json!({ "partitions": partitions });
        if let Some(replication_factor) = replication_factor {
            body["replication_factor"] = json!(replication_factor);
        }
        if !config.is_empty() {
            body["config"] = Value::Object(config.into_iter().collect::<Map<_, _>>());
        }
        let request = || {
            self.service
                .request(Method::PUT, &format!("/topics/{name}"))
                .json(&body)
        };
        let (status, answer) = self
            .service
            .exchange_retrying(RETRY_FOR, &self.progress, request)
            .await?;
        match status {
            201 => self.progress.note(&format!("created topic {name}")),
            _ => self
                .progress
                .note(&format!("topic {name} exists already and is equal")),
        }
        let mut line = Vec::with_capacity(answer.len() + 1);
        push_line(&mut line, &answer);
        self.output.write(line).await
    }

    async fn describe(&self, name: &str) -> Result<(), Failure> {
        let topic = self.get(&format!("/topics/{name}")).await?;
        let partitions = self.get(&format!("/topics/{name}/partitions")).await?;
        let mut topic: Value = serde_json::from_slice(&topic).map_err(not_understood)?;
        let mut partitions: Value = serde_json::from_slice(&partitions).map_err(not_understood)?;
        topic["partition_states"] = partitions["partitions"].take();
        let text = serde_json::to_string_pretty(&topic).map_err(not_understood)?;
        self.output.write((text + "\n").into_bytes()).await
    }

    async fn delete(&self, name: &str) -> Result<(), Failure> {
        // Not repeated: a second try after a lost answer would say that there is no such topic.
        let request = self
            .service
            .request(Method::DELETE, &format!("/topics/{name}"));
        self.service.exchange(request).await?;
        self.progress.note(&format!("deleted topic {name}"));
        Ok(())
    }

    async fn get(&self, path: &str) -> Result<Bytes, Failure> {
        let request = || self.service.request(Method::GET, path);
        let (_, body) = self
            .service
            .exchange_retrying(RETRY_FOR, &self.progress, request)
            .await?;
        Ok(body)
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
    fn settings_are_typed_by_their_look() {
        assert_eq!(
            setting("retention_ms=-1"),
            Ok(("retention_ms".to_owned(), json!(-1)))
        );
        assert_eq!(setting("x=true"), Ok(("x".to_owned(), json!(true))));
        assert_eq!(
            setting("compression=lz4"),
            Ok(("compression".to_owned(), json!("lz4")))
        );
        assert_eq!(setting("a=b=c"), Ok(("a".to_owned(), json!("b=c"))));
        assert!(setting("nothing").is_err() && setting("=1").is_err());
    }

    #[test]
    fn a_line_has_no_breaks_inside() {
        let mut lines = Vec::new();
        push_line(&mut lines, b"{\r\n\"a\": \"x\\ny\"\n}\n");
        assert_eq!(lines, b"{  \"a\": \"x\\ny\" }\n");
    }
}
