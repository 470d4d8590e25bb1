//! `headwater ready`: whether a node can serve, for health checks of containers that hold nothing else.

use std::{process::ExitCode, time::Duration};

use super::exit;
use crate::auth::outbound::tls_client;

const WAIT: Duration = Duration::from_secs(2);

#[derive(clap::Args)]
pub struct Args {
    /// The node's internal address; of `headwater dev` the public one
    #[arg(default_value = "http://127.0.0.1:7070")]
    url: String,
}

/// Asks the node; exit code 0 if it can serve, 1 if not.
pub async fn run(args: Args) -> ExitCode {
    match ask(&args.url).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => exit::fail(exit::NOT_READY, &why),
    }
}

async fn ask(url: &str) -> Result<(), String> {
    let client = tls_client(|builder| builder.timeout(WAIT)).map_err(|error| error.to_string())?;
    let url = format!("{}/readyz", url.trim_end_matches('/'));
    let answer = client.get(&url).send().await;
    let answer = answer.map_err(|error| format!("{url} does not answer: {error}"))?;
    match answer.status().is_success() {
        true => Ok(()),
        false => Err(answer.text().await.map_err(|error| error.to_string())?),
    }
}
