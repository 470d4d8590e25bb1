//! The log, from outside.

mod support;

mod basics;
mod crashes;
mod faults;
