//! Who may do what in an organization, what they use, what is written down of it, and that nobody
//! sees or stops anybody else.

mod keys;
mod operations;
mod people;
mod permissions;
mod roles;
