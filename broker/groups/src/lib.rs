//! Consumer groups as state machines over a log: calls in, events and replies out.
#![deny(unsafe_code)]

pub mod shared;
