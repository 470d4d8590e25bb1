//! Standard output, written by a thread of its own.
//!
//! A pager that does not read would otherwise stop the whole client inside a write, interrupts
//! included.

use std::io::{self, Write};
use std::sync::mpsc;
use std::thread;

use tokio::sync::oneshot;

use super::failure::Failure;

type Job = (Vec<u8>, oneshot::Sender<io::Result<()>>);

/// Writes whole chunks to standard output and flushes each.
#[derive(Debug)]
pub struct Output {
    jobs: mpsc::Sender<Job>,
}

impl Output {
    /// Starts the writing thread. It is never joined: a write that hangs must not hold the exit.
    pub fn start() -> Output {
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::spawn(move || {
            let mut stdout = io::stdout().lock();
            for (bytes, done) in queue {
                let outcome = stdout.write_all(&bytes).and_then(|()| stdout.flush());
                // The client may have been interrupted meanwhile.
                let _ = done.send(outcome);
            }
        });
        Output { jobs }
    }

    /// Returns once `bytes` were handed to the system.
    pub async fn write(&self, bytes: Vec<u8>) -> Result<(), Failure> {
        if bytes.is_empty() {
            return Ok(());
        }
        let (done, outcome) = oneshot::channel();
        let sent = self.jobs.send((bytes, done));
        let outcome = match sent {
            Ok(()) => outcome
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into())),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        };
        outcome.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::Local(format!("cannot write to standard output: {error}")),
        })
    }
}
