//! Shared groups: rule by rule, and whole histories against a naive model.

#![allow(missing_docs, reason = "tests are read, not linked to")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod bounds;
mod harness;
mod history;
mod model;
mod random;
mod rules;
mod speed;
