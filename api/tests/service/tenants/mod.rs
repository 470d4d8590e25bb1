//! Who may do what in an organization, what they use, what is written down of it, and that nobody
//! sees or stops anybody else.

mod at_large;
mod audit;
mod authority;
mod bootstrap;
mod burials;
pub mod callers;
mod cluster;
mod forgeries;
mod guessing;
mod invitations;
mod isolation;
mod keys;
mod metered;
pub mod operations;
mod organizations;
mod outages;
pub mod people;
mod permissions;
mod projects;
mod quota_pace;
mod quota_rates;
mod quotas;
mod revocation;
mod roles;
pub mod schema;
mod scopes;
mod secrets;
mod sessions;
mod tokens;
mod unreadable;
mod usage;
