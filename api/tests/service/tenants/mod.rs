//! Who may do what in an organization, what they use, what is written down of it, and that nobody
//! sees or stops anybody else.

mod audit;
mod bootstrap;
mod forgeries;
mod invitations;
mod isolation;
mod keys;
mod operations;
mod organizations;
mod people;
mod permissions;
mod projects;
mod quotas;
mod roles;
mod sessions;
mod tokens;
mod usage;
