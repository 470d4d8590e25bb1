//! `headwater ready`: whether a node can serve, for health checks of containers that hold nothing else.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use super::exit;
use crate::auth::outbound::tls_client_with;

const WAIT: Duration = Duration::from_secs(2);

#[derive(clap::Args)]
pub struct Args {
    /// The node's internal address; of `headwater dev` the public one
    #[arg(default_value = "http://127.0.0.1:7070")]
    url: String,
    /// Certificates of authorities, as PEM, that are trusted beside the system's
    #[arg(long, value_name = "PATH", env = "HEADWATER_CA_FILE")]
    ca_file: Option<PathBuf>,
}

/// Asks the node; exit code 0 if it can serve, 1 if not.
pub async fn run(args: Args) -> ExitCode {
    match ask(&args.url, args.ca_file.as_deref()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => exit::fail(exit::NOT_READY, &why),
    }
}

async fn ask(url: &str, ca_file: Option<&Path>) -> Result<(), String> {
    let client = tls_client_with(ca_file, |builder| builder.timeout(WAIT))?;
    let url = format!("{}/readyz", url.trim_end_matches('/'));
    let answer = client.get(&url).send().await;
    let answer = answer.map_err(|error| format!("{url} does not answer: {error}"))?;
    match answer.status().is_success() {
        true => Ok(()),
        false => Err(answer.text().await.map_err(|error| error.to_string())?),
    }
}
