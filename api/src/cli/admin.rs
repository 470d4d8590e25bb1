//! `headwater admin`: what operators do on the metadata database, with or without a running service.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{exit, settings::database_url};
use crate::{
    auth::{ApiKey, generate_api_key},
    gateway::{check_email, check_slug},
    metadata::{KeyRow, ProvisionError, Store, StoreError},
};

/// `headwater admin`
#[derive(Subcommand)]
pub enum Verb {
    /// Create an organization, a project in it and an owner, and print what opens them
    ///
    /// Creates and migrates the database as needed. What exists stays as it is: another --email
    /// becomes one more owner. Prints one JSON object with a new api_key, and with a password if the
    /// user is new; neither is shown again. Nodes that run learn of it within a second.
    Bootstrap(BootstrapArgs),
}

/// `headwater admin bootstrap`
#[derive(Args)]
pub struct BootstrapArgs {
    /// Metadata database: postgres://USER@HOST/NAME or sqlite://PATH
    #[arg(long, env = "HEADWATER_DATABASE", hide_env_values = true, value_parser = database_url)]
    database: String,
    /// The organization's id: a-z, 0-9 and -, 3 to 63 characters, starting with a letter
    #[arg(long, value_parser = slug)]
    org: String,
    /// The project's id, unique in the service, by the same rule
    #[arg(long, value_parser = slug)]
    project: String,
    /// The owner's address
    #[arg(long, value_parser = email)]
    email: String,
}

/// Runs one verb.
pub async fn run(verb: Verb) -> ExitCode {
    let Verb::Bootstrap(args) = verb;
    match bootstrap(&args).await {
        Ok(answer) => {
            use std::io::Write;
            // What was made is only shown here: a reader that went away is an error.
            match writeln!(std::io::stdout().lock(), "{answer}") {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => exit::usage(&format!("cannot print what was made: {error}")),
            }
        }
        Err(ProvisionError::Refused(why)) => exit::usage(&why),
        Err(ProvisionError::Failed(error)) => exit::fail(exit::METADATA, &error.to_string()),
    }
}

async fn bootstrap(args: &BootstrapArgs) -> Result<serde_json::Value, ProvisionError> {
    let store = Store::open(&args.database).await?;
    let now_ms = headwater_broker::Clock::now_ms(&headwater_broker::SystemClock);
    let mut change = store.change(now_ms).await?;
    let password = change
        .provision(&args.org, &args.project, &args.email, None)
        .await?;
    // A key that was lost is no reason to end one that is in use.
    let names = KeyRow::names(&mut change, &args.project).await?;
    let name = (1..)
        .map(|nth| format!("bootstrap-{nth}"))
        .find(|name| !names.contains(name))
        .unwrap_or_default();
    let text = generate_api_key();
    let key = ApiKey::parse(&text).ok_or_else(|| StoreError("a new key is no key".into()))?;
    change
        .add_full_key(&args.project, &name, &key, &args.email)
        .await?;
    change.commit().await?;
    store.close().await;
    Ok(serde_json::json!({
        "organization": args.org,
        "project": args.project,
        "email": args.email,
        "password": password,
        "api_key": text,
        "base_path": format!("/v1/projects/{}", args.project),
    }))
}

fn slug(text: &str) -> Result<String, String> {
    check_slug("", text).map_err(|problem| problem.detail.clone())?;
    Ok(text.to_owned())
}

fn email(text: &str) -> Result<String, String> {
    check_email("", text).map_err(|problem| problem.detail.clone())
}
