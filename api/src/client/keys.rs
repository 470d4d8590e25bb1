//! `headwater keys`: list, create, rotate, delete.

use reqwest::Method;
use serde_json::{Value, json};

use super::failure::Failure;
use super::resources::Resources;
use super::service::ServiceArgs;
use super::{key_name, topic_name};

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
    let keys = Resources::of(&args.service)?;
    match args.command {
        Command::List => keys.list("/keys").await,
        Command::Create {
            name,
            scopes,
            expires_at,
        } => create(&keys, &name, scopes, expires_at).await,
        Command::Rotate { name } => {
            let path = format!("/keys/{name}/rotate");
            let request = keys.service.request(Method::POST, &path);
            let (_, answer) = keys.service.exchange(request).await?;
            keys.print(&answer).await
        }
        Command::Delete { name } => {
            let path = format!("/keys/{name}");
            keys.delete(&path, &format!("key {name}")).await
        }
    }
}

async fn create(
    keys: &Resources,
    name: &str,
    scopes: Vec<Value>,
    expires_at: Option<String>,
) -> Result<(), Failure> {
    let mut body = json!({ "scopes": scopes });
    if let Some(at) = expires_at {
        body["expires_at"] = json!(at);
    }
    // Not repeated: the secret is in the first answer alone.
    let request = keys.service.request(Method::PUT, &format!("/keys/{name}"));
    let (status, answer) = keys.service.exchange(request.json(&body)).await?;
    if status != 201 {
        let note =
            format!("key {name} was there already: its scopes are changed, its secret is not");
        keys.progress.note(&note);
    }
    keys.print(&answer).await
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
