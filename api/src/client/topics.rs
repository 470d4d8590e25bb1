//! `headwater topics`: list, create, describe, delete.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::resources::{RETRY_FOR, Resources};
use super::service::ServiceArgs;
use super::topic_name;

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
    let topics = Resources::of(&args.service)?;
    match args.command {
        Command::List => topics.list("/topics").await,
        Command::Create {
            name,
            partitions,
            replication_factor,
            config,
        } => create(&topics, &name, partitions, replication_factor, config).await,
        Command::Describe { name } => describe(&topics, &name).await,
        Command::Delete { name } => {
            let path = format!("/topics/{name}");
            topics.delete(&path, &format!("topic {name}")).await
        }
    }
}

async fn create(
    topics: &Resources,
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
    let path = format!("/topics/{name}");
    let request = || topics.service.request(Method::PUT, &path).json(&body);
    let (status, answer) = topics
        .service
        .exchange_retrying(RETRY_FOR, &topics.progress, request)
        .await?;
    topics.progress.note(&match status {
        201 => format!("created topic {name}"),
        _ => format!("topic {name} exists already and is equal"),
    });
    topics.print(&answer).await
}

async fn describe(topics: &Resources, name: &str) -> Result<(), Failure> {
    let mut topic = topics.get_value(&format!("/topics/{name}")).await?;
    let mut partitions = topics
        .get_value(&format!("/topics/{name}/partitions"))
        .await?;
    topic["partition_states"] = partitions["partitions"].take();
    topics.print_pretty(&topic).await
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
}
