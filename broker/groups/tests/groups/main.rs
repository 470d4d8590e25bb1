//! What groups promise, by rule and over random histories.

#![allow(missing_docs, reason = "tests are read, not linked to")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod balance;
mod commits;
mod limits;
mod log;
mod members;
mod model;
mod shared;
mod support;
mod topics;
