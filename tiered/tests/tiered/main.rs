//! The crate over memory, a directory and real servers, with faults between.

#![allow(missing_docs, reason = "tests are read, not linked to")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod cache;
mod compaction;
mod crash;
mod damage;
mod faults;
mod key_damage;
mod keyed;
mod keys;
mod model;
mod proxy;
mod servers;
mod source;
mod suite;
