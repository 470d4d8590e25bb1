//! The log, from outside.

mod support;

mod basics;
