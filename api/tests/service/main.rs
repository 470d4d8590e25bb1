//! The contract, checked from outside: the real binary, real HTTP, real files.

#![allow(missing_docs, reason = "tests are read, not linked to")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic is how a test fails"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "no simulated clock reaches over a process border"
)]

mod attacks;
mod auth;
mod bad_input;
mod bucket;
mod cli;
mod client;
mod cluster;
mod compaction;
mod contract;
mod doctor;
mod durability;
mod flights;
mod groups;
mod grpc;
mod harness;
mod idempotency;
mod json;
mod lines;
mod nodes;
mod oidc;
mod postgres;
mod raw_http;
mod readme;
mod tenants;
mod tiers;
pub mod tls;
pub mod vanish;
