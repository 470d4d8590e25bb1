//! `headwater`: the whole service in one binary, and the tools to use it.

mod auth;
mod bench;
mod cli;
mod client;
mod gateway;
mod http;
mod limits;
mod metadata;
mod problem;

use std::process::ExitCode;

// The system's allocator keeps what threads freed; a server that reads bodies of all sizes grows by it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
