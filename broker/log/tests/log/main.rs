//! The log, from outside.
#![allow(clippy::unwrap_used)]

mod support;

mod basics;
mod crashes;
mod cut_crashes;
mod cut_races;
mod faults;
mod lost_checkpoint;
mod model;
mod offload;
mod old_format;
mod replica;
mod tiers;
