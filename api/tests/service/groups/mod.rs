//! Consumer groups as workers see them: over HTTP, any call at any gateway.

mod ahead;
mod assignment;
mod command_line;
mod commits;
mod cursors;
mod description;
mod grpc;
mod leases;
mod lifecycle;
mod polls;
mod redrives;
mod resets;
mod scopes;
pub mod shared;
mod topics;
pub mod worker;
