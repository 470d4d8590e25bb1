//! Roofs: servers that do the least a server could, on the HTTP stack of the product, so that the
//! product's numbers can be read as a share of what this machine allows at this minute.
//!
//! `noop` reads a request's body and answers a constant. `minimal` appends for real: it parses
//! records into a batch, hands it to one committer thread (one write and one fdatasync for all
//! that is queued), answers when that is done, and reads batches back as JSON. It has one
//! partition, no topics, no keys, no quotas, no index.
//!
//! `roof noop|minimal --listen ADDR [--dir DIR]`

#[path = "roof/journal.rs"]
mod journal;
#[path = "roof/log.rs"]
mod log;
#[path = "roof/minimal.rs"]
mod minimal;
#[path = "roof/serve.rs"]
mod serve;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use clap::{Parser, ValueEnum};

#[derive(Parser)]
struct Args {
    /// Which roof
    kind: Kind,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:9090")]
    listen: SocketAddr,
    /// Where the minimal roof keeps its journal
    #[arg(long, default_value = "roof-data")]
    dir: PathBuf,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Answers a constant
    Noop,
    /// Appends with a sync before each answer, and reads
    Minimal,
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    let router = match args.kind {
        Kind::Noop => Router::new().fallback(noop),
        Kind::Minimal => minimal::router(&args.dir)?,
    };
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(serve::serve(args.listen, router))
}

async fn noop(_body: Bytes) -> ([(axum::http::HeaderName, &'static str); 1], &'static str) {
    let answer = "{\"results\":[{\"partition\":0,\"offset\":1,\"timestamp\":1767225600000}],\
                  \"durability\":\"none\",\"duplicate\":false}";
    ([(CONTENT_TYPE, "application/json")], answer)
}
