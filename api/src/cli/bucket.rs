//! `headwater bucket`, and how it ends.

use std::process::ExitCode;

use super::exit;
use crate::bucket::{self, Failure, Verb};

/// Runs one verb.
pub async fn run(verb: Verb) -> ExitCode {
    match bucket::run(verb).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(exit::FINDINGS),
        Err(Failure::Refused(why)) => exit::usage(&why),
        Err(Failure::Metadata(error)) => {
            exit::fail(exit::METADATA, &format!("metadata database: {error}"))
        }
        Err(Failure::Objects(error)) => {
            exit::fail(exit::OBJECT_STORE, &format!("object store: {error}"))
        }
        Err(Failure::Output(error)) => {
            exit::fail(exit::OUTPUT, &format!("cannot print findings: {error}"))
        }
    }
}
