//! `headwater bench`: a load generator for this service and for anything that answers HTTP.
//!
//! It shares the machine with the server more often than not, so it does as little as it can for
//! a request: prebuilt bodies, raw connections, an answer read no further than needed.

mod body;
mod fetch;
mod groups;
mod grpc;
mod latency;
mod load;
mod process;
mod produce;
mod report;
mod tally;
mod target;
mod wire;

use std::process::ExitCode;

use crate::client::ServiceArgs;

/// The load generator.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  headwater bench produce --connections 64 --records-per-request 100 --record-bytes 100
  headwater bench produce --grpc --in-flight 8
  headwater bench produce --rate 5000 --connections 32 --json
  headwater bench fetch --connections 16
  headwater bench fetch --connections 64 --group shared
  headwater bench latency --rate 100")]
pub struct Args {
    #[command(flatten)]
    service: ServiceArgs,
    /// Also print the result as one JSON object on standard output
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Append records as fast as the service takes them, or at a fixed rate
    Produce(produce::Args),
    /// Read stored records as fast as the service gives them, or at a fixed rate
    Fetch(fetch::Args),
    /// Measure the time from a produce to its arrival at a consumer
    Latency(latency::Args),
}

/// Runs one measurement.
///
/// Exit codes: 0 measured, 1 the target could not be reached or every request failed, 2 bad usage.
pub async fn run(args: Args) -> ExitCode {
    let target = match target::Target::new(&args.service) {
        Ok(target) => target,
        Err(failure) => return failure.report(),
    };
    let json = args.json;
    let outcome = match args.command {
        Command::Produce(args) => produce::run(args, target).await.map(|r| r.show(json)),
        Command::Fetch(args) => fetch::run(args, target).await.map(|r| r.show(json)),
        Command::Latency(args) => latency::run(args, target).await.map(|r| r.show(json)),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => failure.report(),
    }
}
