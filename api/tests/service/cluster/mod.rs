//! Several brokers on one Postgres, as processes: killed, stopped, restarted, while clients write and
//! afterwards count.

mod brokers;
mod failures;
mod load;
mod members;
mod moves;
