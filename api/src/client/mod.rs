//! The client verbs of the command line: topics, groups, keys, produce and consume over HTTP.
//!
//! They read and write NDJSON on the standard streams, one record a line, in the shape that the
//! service itself takes and gives, so that what `consume` prints `produce` accepts. Records pass
//! through as text: nothing here parses a value and writes it again.

mod consume;
mod failure;
mod follow;
mod groups;
mod input;
mod key;
mod keys;
mod member;
mod output;
mod page;
mod produce;
mod progress;
mod redrive;
mod resources;
mod retry;
mod service;
mod topics;

use std::process::ExitCode;

pub use failure::Failure;
pub use retry::duration;
pub use service::ServiceArgs;

/// What a user may ask of a running service.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// List, create, describe or delete topics
    Topics(topics::Args),
    /// List, describe, reset, redrive or delete consumer groups
    Groups(groups::Args),
    /// List, create, rotate or delete the project's API keys
    Keys(keys::Args),
    /// Read records from standard input or a file, one JSON object a line, and append them
    Produce(produce::Args),
    /// Print the records of a topic, one JSON object a line
    Consume(consume::Args),
}

/// Does what `verb` says.
///
/// Exit codes: 0 done, 1 the service refused or could not be reached or an input line was bad
/// (what happened stands on standard error), 2 bad usage, 130 stopped by an interrupt.
pub async fn run(verb: Verb) -> ExitCode {
    let outcome = match verb {
        Verb::Topics(args) => topics::run(args).await,
        Verb::Groups(args) => groups::run(args).await,
        Verb::Keys(args) => keys::run(args).await,
        Verb::Produce(args) => produce::run(args).await,
        Verb::Consume(args) => consume::run(args).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Accepts what the service accepts as the name of a topic, so that a name can stand in a path.
pub fn topic_name(text: &str) -> Result<String, String> {
    name("topic", text)
}

/// The same of a group or a member of one.
pub fn group_name(text: &str) -> Result<String, String> {
    name("group or member", text)
}

/// The same of a key.
pub fn key_name(text: &str) -> Result<String, String> {
    name("key", text)
}

fn name(of: &str, text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if text.is_empty() || text.len() > 249 || !text.bytes().all(allowed) {
        return Err(format!("a {of} name is 1 to 249 of a-z A-Z 0-9 . _ -"));
    }
    if text == "." || text == ".." {
        return Err(format!("a {of} name cannot be `.` or `..`"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::topic_name;

    #[test]
    fn names_that_could_change_a_path_are_refused() {
        for bad in ["", ".", "..", "a/b", "a?b", "a b", "ü", &"x".repeat(250)] {
            assert!(topic_name(bad).is_err(), "{bad}");
        }
        for good in ["orders", "a.b_c-D9", "...", &"x".repeat(249)] {
            assert_eq!(topic_name(good).as_deref(), Ok(good));
        }
    }
}
