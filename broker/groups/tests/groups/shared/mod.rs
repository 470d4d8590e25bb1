//! Shared groups: rule by rule, and whole histories against a naive model.

mod bounds;
mod harness;
mod history;
mod model;
mod other;
mod random;
mod redrives;
mod rules;
mod speed;
