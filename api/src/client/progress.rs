//! What a long-running verb shows on standard error while it works.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

/// Counts records and bytes; draws a bar or a spinner if standard error is a terminal.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    silent: bool,
    started: Instant,
    records: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// A bar towards `length` bytes, or a spinner if the length is not known. `quiet` draws
    /// nothing; notes are written all the same.
    pub fn new(length: Option<u64>, quiet: bool) -> Progress {
        let bar = (!quiet && io::stderr().is_terminal()).then(|| match length {
            Some(length) => ProgressBar::new(length).with_style(style(
                "{bar:30} {bytes} of {total_bytes}, {msg}, {eta} left",
            )),
            None => ProgressBar::new_spinner().with_style(style("{spinner} {bytes}, {msg}")),
        });
        if let Some(bar) = &bar {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Progress::start(bar, false)
    }

    /// Shows nothing and notes nothing.
    #[cfg(test)]
    pub fn hidden() -> Progress {
        Progress::start(None, true)
    }

    fn start(bar: Option<ProgressBar>, silent: bool) -> Progress {
        let (records, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Progress {
            bar,
            silent,
            started: Instant::now(),
            records,
            bytes,
        }
    }

    /// So many more records and bytes are done.
    pub fn add(&self, records: u64, bytes: u64) {
        let records = self.records.fetch_add(records, Ordering::Relaxed) + records;
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if let Some(bar) = &self.bar {
            let rate = records as f64 / self.seconds();
            bar.set_position(bytes);
            bar.set_message(format!(
                "{} records, {}/s",
                HumanCount(records),
                HumanCount(rate as u64)
            ));
        }
    }

    /// Records done so far.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Writes a line to standard error without tearing the bar.
    pub fn note(&self, text: &str) {
        if self.silent {
            return;
        }
        // Nobody is left to tell when standard error is closed.
        let write = || drop(writeln!(io::stderr(), "headwater: {text}"));
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Records, bytes, time and rates on one line.
    pub fn summary(&self) -> String {
        let seconds = self.seconds();
        let (records, bytes) = (self.records(), self.bytes.load(Ordering::Relaxed));
        format!(
            "{} records, {} in {seconds:.2} s ({} records/s, {}/s)",
            HumanCount(records),
            HumanBytes(bytes),
            HumanCount((records as f64 / seconds) as u64),
            HumanBytes((bytes as f64 / seconds) as u64),
        )
    }

    fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64().max(1e-6)
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
