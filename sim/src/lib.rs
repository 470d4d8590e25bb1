//! Whole clusters in one thread, from one seed. The replication core and the controller are the real
//! ones; disks, network, metadata, clients and time are simulated, and go wrong. Whatever a broker says
//! or does is held against what was promised; the first promise that is broken ends the run.

mod broker;
mod checks;
mod client;
mod compact;
mod content;
mod control;
mod counts;
mod dice;
mod faults;
mod lives;
mod log;
mod manifest;
mod metadata;
mod net;
mod objects;
mod offload;
mod produce;
mod profile;
mod replication;
mod store;
mod tiers;
mod trace;
mod truth;
mod world;

pub use counts::Counts;
pub use headwater_broker::replica::Rule;
pub use truth::Broken;
pub use world::{Options, Outcome, World};
