//! What the contract promises to a client that does everything right.

mod bulk;
pub mod compression;
mod cursor;
mod errors;
mod fetch;
mod operations;
mod partitioning;
mod produce;
mod raw;
mod record;
mod tail;
mod topics;
mod trim;
