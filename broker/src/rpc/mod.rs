//! How the processes of a cluster talk: gRPC over HTTP/2, on the port of the internal listener.
//!
//! - [`Client`] is the [`Network`](crate::Network) of a cluster: two connections to each broker that is
//!   called, one for calls and one for replication, so that neither waits behind the other.
//! - [`serve_connection`] answers them from a [`Broker`](crate::Broker) and a
//!   [`SessionHost`](crate::SessionHost).
//! - Each connection begins with a handshake (`auth`) in which both ends prove that they know the
//!   cluster's [`Secret`] without sending it. What follows is encrypted only if the [`Client`] has an
//!   [`Encryption`], and whoever calls [`serve_connection`] the same.
//! - Each call says who calls and who is meant (`hello`), because an address may be another broker's
//!   by now. A refusal says that nothing was done.
//!
//! What callers rest on is which failures are *definite*. A produce that provably did not reach the
//! other broker's log fails with [`ProduceError::Unreachable`](crate::ProduceError::Unreachable); once
//! the request may have left, every failure of the transport is
//! [`ProduceError::Unknown`](crate::ProduceError::Unknown).

mod auth;
mod calls;
mod client;
mod encryption;
mod frames;
mod groups;
mod handlers;
mod hello;
mod link;
mod remote;
mod seldom;
mod server;
mod sessions;
mod wire;

pub use auth::{MAGIC, Secret, SecretError};
pub use client::{Client, Deadlines};
pub use encryption::{Encrypting, Encryption, Socket};
pub use hello::{Identity, PROTOCOL_VERSION};
pub use link::greet;
pub use remote::RemoteBroker;
pub use server::{Service, serve_connection};

use std::time::Duration;

/// The generated messages, clients and servers.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    reason = "generated; the comments are in the proto file"
)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/headwater.internal.v1.rs"));
}

/// The largest message of either direction. Leaders and gateways split below it.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// What a stream and a connection may have under way before the other end has read it: enough for the
/// delay of a wide network at a fast disk's rate.
const STREAM_WINDOW: u32 = 4 << 20;
/// As above, for all streams of a connection.
const CONNECTION_WINDOW: u32 = 8 << 20;
/// Larger frames cost less; small ones let other streams through in between.
const FRAME_BYTES: u32 = 256 << 10;
/// How often both ends ask whether the other one is there.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// How long the other end may leave that unanswered before the connection is given up.
const PING_TIMEOUT: Duration = Duration::from_secs(4);
/// Messages that wait in a session, in each direction and at each end.
const SESSION_MESSAGES: usize = 8;
/// The longest wait of a fetch.
const FETCH_WAIT_MAX: Duration = Duration::from_secs(60);
