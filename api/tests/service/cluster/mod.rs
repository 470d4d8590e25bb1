//! Several brokers on one Postgres, as processes: killed, stopped, restarted, cut off, while clients write
//! and read and afterwards count.

pub mod brokers;
mod cuts;
mod failures;
mod groups;
mod load;
mod loss;
mod members;
mod moves;
mod netns;
mod readers;
mod rebuild;
mod shared;
mod strong;
mod tiers;
mod trial;
