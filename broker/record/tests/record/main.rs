//! The record format and its JSON, held against the format's own tools and against `serde_json`.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking too")]

mod batch;
mod compression;
mod json_limits;
mod json_produce;
mod json_value;
mod json_write;
mod kafka;
mod oracle;
mod partition;
mod retain;
mod sample;
