//! The internal gRPC over real sockets: what arrives, and what failures mean.

#![allow(missing_docs, reason = "tests are read, not linked to")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod calls;
mod failures;
mod groups;
mod memory;
mod proxy;
mod sessions;
mod speed;
mod strangers;
mod world;
