//! `headwater admin`: what operators do on the metadata database, with or without a running service.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{exit, settings::database_url};
use crate::{
    auth::{ApiKey, generate_api_key},
    gateway::{check_email, check_slug},
    limits::OFFSET_MAX,
    metadata::{
        KeyRow, Kind, ProvisionError, Store, StoreError,
        store::{Layer, OrganizationRow, QuotaRow},
    },
    quota::{Limits, LimitsChange, Resource},
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
    /// Show the ceilings of an organization's quotas, or set them
    ///
    /// Its own admins set quotas under these. Prints one JSON object with all ceilings. Nodes that run
    /// learn of a change within a second.
    Ceilings(CeilingsArgs),
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

/// `headwater admin ceilings`
#[derive(Args)]
pub struct CeilingsArgs {
    /// Metadata database: postgres://USER@HOST/NAME or sqlite://PATH
    #[arg(long, env = "HEADWATER_DATABASE", hide_env_values = true, value_parser = database_url)]
    database: String,
    /// The organization's id
    #[arg(long, value_parser = slug)]
    org: String,
    /// What to set, such as topics=100, or topics=null for no ceiling; may be repeated
    #[arg(long = "set", value_name = "QUOTA=NUMBER", value_parser = assignment)]
    wanted: Vec<(Resource, Option<u64>)>,
}

/// Runs one verb.
pub async fn run(verb: Verb) -> ExitCode {
    let done = match verb {
        Verb::Bootstrap(args) => bootstrap(&args).await,
        Verb::Ceilings(args) => ceilings(&args).await,
    };
    match done {
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
    let target = format!("organizations/{}/members/{}", args.org, args.email);
    change
        .write_down_operator(&args.org, "bootstrap", &target)
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

async fn ceilings(args: &CeilingsArgs) -> Result<serde_json::Value, ProvisionError> {
    let store = Store::open(&args.database).await?;
    let now_ms = headwater_broker::Clock::now_ms(&headwater_broker::SystemClock);
    let mut change = store.change(now_ms).await?;
    let organization = OrganizationRow::get(&mut change, &args.org).await?;
    if organization.is_none() {
        let why = format!("there is no organization {}", args.org);
        return Err(ProvisionError::Refused(why));
    }
    let mut wanted = LimitsChange::default();
    for (resource, limit) in &args.wanted {
        wanted.set(*resource, Some(*limit));
    }
    change.set_ceilings(&args.org, &wanted).await?;
    let rows = QuotaRow::of(&mut change, &args.org).await?;
    if !args.wanted.is_empty() {
        let target = format!("organizations/{}/quotas", args.org);
        change
            .write_down_operator(&args.org, "setCeilings", &target)
            .await?;
        change.touch(Kind::Organization, &args.org).await?;
        change.commit().await?;
    }
    store.close().await;
    Ok(serde_json::json!(Limits::of_rows(&rows, Layer::Service)))
}

fn assignment(text: &str) -> Result<(Resource, Option<u64>), String> {
    let (name, number) = text.split_once('=').ok_or("must be QUOTA=NUMBER")?;
    let names: Vec<_> = Resource::ALL.iter().map(|known| known.name()).collect();
    let resource = Resource::ALL.iter().find(|known| known.name() == name);
    let resource = resource.ok_or_else(|| format!("quotas are {}", names.join(", ")))?;
    if number == "null" {
        return Ok((*resource, None));
    }
    let limit = number.parse().ok().filter(|limit| *limit <= OFFSET_MAX);
    let limit = limit.ok_or_else(|| format!("must be 0 to {OFFSET_MAX}, or null"))?;
    Ok((*resource, Some(limit)))
}

fn slug(text: &str) -> Result<String, String> {
    check_slug("", text).map_err(|problem| problem.detail.clone())?;
    Ok(text.to_owned())
}

fn email(text: &str) -> Result<String, String> {
    check_email("", text).map_err(|problem| problem.detail.clone())
}
