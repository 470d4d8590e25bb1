//! `headwater keys`: list, create, rotate, delete.

use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::failure::Failure;
use super::output::Output;
use super::progress::Progress;
use super::service::{Service, ServiceArgs, percent_encode};
use super::topics::{not_understood, push_line};
use super::{key_name, topic_name};

/// Reading is tried again for this long.
const RETRY_FOR: Duration = Duration::from_secs(10);

/// The keys verb.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "A key does what its scopes say, and never more than whoever made it may:\n  \
    headwater keys create shop --scope produce:topic=orders\n  headwater keys create billing --scope \
    'fetch:topic=orders-*' --scope consume:group=billing\n\nIts text is printed once, as `secret`: use \
    it as HEADWATER_KEY."
)]
pub struct Args {
    #[command(flatten)]
    service: ServiceArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the project's keys, one JSON object a line, without their secrets
    List,
    /// Make a key, and print it with its secret
    Create {
        /// Its name
        #[arg(value_parser = key_name)]
        name: String,
        /// What it may do, as produce,fetch:topic=orders-* or consume:group=billing; may be repeated
        #[arg(long = "scope", value_name = "OPERATIONS:topic|group=NAME", required = true, value_parser = scope)]
        scopes: Vec<Value>,
        /// When it ends: RFC 3339
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
    },
    /// Give a key a new secret, and print it; the old one ends
    Rotate {
        /// Its name
        #[arg(value_parser = key_name)]
        name: String,
    },
    /// Delete a key: whoever has it is shut out
    Delete {
        /// Its name
        #[arg(value_parser = key_name)]
        name: String,
    },
}

/// Reads `operations:topic=name` or `operations:group=name`.
fn scope(text: &str) -> Result<Value, String> {
    let read = || {
        let (operations, place) = text.split_once(':')?;
        let (kind @ ("topic" | "group"), name) = place.split_once('=')? else {
            return None;
        };
        let operations: Vec<_> = operations.split(',').map(str::trim).collect();
        let plain = name.strip_suffix('*').unwrap_or(name);
        let named = plain.is_empty() && name == "*" || topic_name(plain).is_ok();
        named.then(|| json!({"operations": operations, kind: name}))
    };
    read().ok_or_else(|| {
        "a scope is OPERATIONS:topic=NAME or consume:group=NAME, as produce,fetch:topic=orders-*"
            .to_owned()
    })
}

/// Does one command on keys.
pub async fn run(args: Args) -> Result<(), Failure> {
    let keys = Keys {
        service: Service::new(&args.service)?,
        output: Output::start(),
        progress: Progress::new(None, true),
    };
    match args.command {
        Command::List => keys.list().await,
        Command::Create {
            name,
            scopes,
            expires_at,
        } => keys.create(&name, scopes, expires_at).await,
        Command::Rotate { name } => keys.rotate(&name).await,
        Command::Delete { name } => keys.delete(&name).await,
    }
}

struct Keys {
    service: Service,
    output: Output,
    progress: Progress,
}

#[derive(Deserialize)]
struct KeyList<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
    next_page_token: Option<String>,
}

impl Keys {
    async fn list(&self) -> Result<(), Failure> {
        let mut token: Option<String> = None;
        loop {
            let path = match &token {
                Some(token) => format!("/keys?page_token={}", percent_encode(token)),
                None => "/keys".to_owned(),
            };
            let request = || self.service.request(Method::GET, &path);
            let (_, body) = self
                .service
                .exchange_retrying(RETRY_FOR, &self.progress, request)
                .await?;
            let page: KeyList<'_> = serde_json::from_slice(&body).map_err(not_understood)?;
            let mut lines = Vec::with_capacity(body.len());
            for key in &page.keys {
                push_line(&mut lines, key.get().as_bytes());
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
        scopes: Vec<Value>,
        expires_at: Option<String>,
    ) -> Result<(), Failure> {
        let mut body = json!({ "scopes": scopes });
        if let Some(at) = expires_at {
            body["expires_at"] = json!(at);
        }
        // Not repeated: the secret is in the first answer alone.
        let request = self.service.request(Method::PUT, &format!("/keys/{name}"));
        let (status, answer) = self.service.exchange(request.json(&body)).await?;
        if status != 201 {
            let note =
                format!("key {name} was there already: its scopes are changed, its secret is not");
            self.progress.note(&note);
        }
        self.print(&answer).await
    }

    async fn rotate(&self, name: &str) -> Result<(), Failure> {
        let path = format!("/keys/{name}/rotate");
        let request = self.service.request(Method::POST, &path);
        let (_, answer) = self.service.exchange(request).await?;
        self.print(&answer).await
    }

    async fn delete(&self, name: &str) -> Result<(), Failure> {
        // Not repeated: a second try after a lost answer would say that there is no such key.
        let request = self
            .service
            .request(Method::DELETE, &format!("/keys/{name}"));
        self.service.exchange(request).await?;
        self.progress.note(&format!("deleted key {name}"));
        Ok(())
    }

    async fn print(&self, key: &[u8]) -> Result<(), Failure> {
        let mut line = Vec::with_capacity(key.len() + 1);
        push_line(&mut line, key);
        self.output.write(line).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_names_operations_and_topics_or_groups() {
        let expected = json!({"operations": ["produce", "fetch"], "topic": "orders-*"});
        assert_eq!(scope("produce,fetch:topic=orders-*"), Ok(expected));
        let expected = json!({"operations": ["consume"], "group": "*"});
        assert_eq!(scope("consume:group=*"), Ok(expected));
        for bad in [
            "produce",
            "produce:orders",
            "produce:key=a",
            "fetch:topic=",
            "fetch:topic=a b",
        ] {
            assert!(scope(bad).is_err(), "{bad}");
        }
    }
}
