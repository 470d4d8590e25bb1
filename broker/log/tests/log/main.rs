//! The log, from outside.
#![allow(clippy::unwrap_used)]

mod support;

mod basics;
mod crashes;
mod faults;
mod lost_checkpoint;
mod model;
