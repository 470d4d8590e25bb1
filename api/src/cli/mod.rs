//! The command line.

mod admin;
mod bucket;
mod cluster;
mod doctor;
mod exit;
mod node;
mod oidc;
mod ready;
mod settings;
mod tenant;
mod tls;

use std::{io::Write, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};

pub use settings::database_url;

use crate::{bench, client, http};

#[derive(Parser)]
#[command(
    name = "headwater",
    version,
    about = "Durable, partitioned streams over plain HTTP",
    long_about = "Headwater keeps durable, partitioned logs of records and serves them over plain \
                  HTTP.\n\nStart a whole service with `headwater dev`, then follow the curl line that \
                  it prints.",
    after_long_help = exit::HELP,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a whole service in one process, with a project and a key ready to use
    Dev(settings::DevArgs),
    /// Start a node
    Serve(Box<settings::ServeArgs>),
    /// Say by the exit code whether a node can serve
    Ready(ready::Args),
    /// Check what a node needs, and say what to do about what is wrong
    ///
    /// Takes the settings of `headwater serve`: run it with the same flags, file and environment, on the
    /// node's machine and as its user, before the node starts or while it runs. It looks at the disk (how
    /// long a sync takes, the filesystem, free space), open files, addresses, certificates, the database
    /// (reachable, migrated, its clock), the object store (read, write, list, delete, conditional PUT),
    /// the cluster's secret and the other brokers. It changes nothing, but for a file on the disk and an
    /// object in the store that it deletes again.
    ///
    /// Ends with 0 if nothing must be fixed, and with 1 if something must.
    Doctor(Box<doctor::Args>),
    /// Manage tenants on the metadata database
    #[command(subcommand)]
    Admin(admin::Verb),
    /// Check, clean or read anew what is in the object store
    #[command(subcommand)]
    Bucket(crate::bucket::Verb),
    #[command(flatten)]
    Client(client::Verb),
    /// Measure throughput and latency of a running service
    Bench(bench::Args),
    /// Print the OpenAPI documents
    Openapi {
        /// One document instead of all
        #[arg(value_parser = ["streaming", "management"])]
        document: Option<String>,
    },
    /// Print what completes these commands in a shell
    #[command(after_long_help = COMPLETIONS_HELP)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

const COMPLETIONS_HELP: &str = "Put it where the shell looks, for example:\n  \
    headwater completions bash > ~/.local/share/bash-completion/completions/headwater\n  \
    headwater completions zsh > ~/.zfunc/_headwater        (a directory of fpath)\n  \
    headwater completions fish > ~/.config/fish/completions/headwater.fish";

/// Runs what the arguments say.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Command::Dev(args) => node::run(settings::Settings::of_dev(args)),
        Command::Serve(args) => match settings::Settings::of_serve(*args) {
            Ok(settings) => node::run(settings),
            Err(error) => exit::usage(&error),
        },
        Command::Ready(args) => on_runtime(ready::run(args)),
        Command::Doctor(args) => on_runtime(doctor::run(*args)),
        Command::Admin(verb) => on_runtime(admin::run(verb)),
        Command::Bucket(verb) => on_runtime(bucket::run(verb)),
        Command::Client(verb) => on_runtime(client::run(verb)),
        Command::Bench(args) => on_runtime(bench::run(args)),
        Command::Openapi { document } => print_openapi(document.as_deref()),
        Command::Completions { shell } => print_completions(shell),
    }
}

fn on_runtime(work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => exit::usage(&format!("the runtime cannot start: {error}")),
    }
}

fn print_completions(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "headwater", &mut script);
    print(&script)
}

fn print_openapi(document: Option<&str>) -> ExitCode {
    let streaming = http::openapi::streaming_document();
    let management = http::management_document();
    let text = match document {
        Some("streaming") => serde_json::to_string_pretty(&streaming),
        Some(_) => serde_json::to_string_pretty(&management),
        None => serde_json::to_string_pretty(&serde_json::json!({
            "streaming": streaming, "management": management,
        })),
    };
    match text {
        Ok(text) => print((text + "\n").as_bytes()),
        Err(error) => exit::usage(&error.to_string()),
    }
}

fn print(text: &[u8]) -> ExitCode {
    match std::io::stdout().lock().write_all(text) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of a pipe had enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => exit::usage(&error.to_string()),
    }
}
