//! `headwater`: the whole service in one binary, and the tools to use it.

mod auth;
mod bench;
mod bucket;
mod cli;
mod client;
mod gateway;
mod http;
mod limits;
mod metadata;
mod problem;
mod quota;
mod tls;
mod usage;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
