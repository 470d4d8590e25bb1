//! How the process ends, by number.

use std::process::ExitCode;

/// What was looked for was found.
pub const FINDINGS: u8 = 1;
/// Nobody reads what is printed.
pub const OUTPUT: u8 = 1;
/// The node cannot serve, or does not answer.
pub const NOT_READY: u8 = 1;
/// Bad usage or configuration.
pub const USAGE: u8 = 2;
/// The data directory is in use, of a newer version, or damaged.
pub const DATA_DIR: u8 = 3;
/// The metadata database cannot be opened.
pub const METADATA: u8 = 4;
/// A disk write or sync failed; nothing was acknowledged after it.
pub const DISK_FAILED: u8 = 5;

/// Another process is this broker.
pub const REPLACED: u8 = 6;
/// The object store cannot be used.
pub const OBJECT_STORE: u8 = 7;

/// What `--help` says about it.
pub const HELP: &str = "\
Exit codes:
  0  clean stop
  1  a client verb failed, or the service refused it; `bucket verify` or `doctor` has findings; `ready` has bad news
  2  bad usage or configuration
  3  the data directory is in use, of a newer version, or damaged
  4  the metadata database cannot be opened
  5  a disk write or sync failed; nothing was acknowledged after it
  6  another process has this broker's number
  7  the object store does not answer, or denies it (`bucket`)
  130  a client verb was interrupted";

/// Ends with one clear line about bad usage.
pub fn usage(message: &str) -> ExitCode {
    fail(USAGE, message)
}

/// Ends with one clear line.
pub fn fail(code: u8, message: &str) -> ExitCode {
    use std::io::Write;
    // Nobody may be reading; the exit code says it too.
    let _ = writeln!(std::io::stderr().lock(), "headwater: {message}");
    ExitCode::from(code)
}
