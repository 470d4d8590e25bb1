//! What happened, line by line: a digest of all of it, and the last part to be read.

use std::{
    collections::VecDeque,
    fmt::{self, Write},
    hash::Hasher,
    io::Write as _,
};

const LINES_KEPT: usize = 400;

/// The story of one run.
#[derive(Debug)]
pub struct Trace {
    digest: Fnv,
    lines: VecDeque<String>,
    print: bool,
}

impl Trace {
    /// An empty one; `print` also writes every line to standard output.
    pub fn new(print: bool) -> Self {
        Self {
            digest: Fnv(0xcbf2_9ce4_8422_2325),
            lines: VecDeque::with_capacity(LINES_KEPT),
            print,
        }
    }

    /// Notes one line.
    pub fn line(&mut self, now: u64, step: u64, text: fmt::Arguments<'_>) {
        let mut line = match self.lines.len() {
            LINES_KEPT => self.lines.pop_front().unwrap_or_default(),
            _ => String::new(),
        };
        line.clear();
        // Writing to a string does not fail.
        let _ = write!(line, "{step:>7} {:>11.6} {text}", now as f64 / 1e6);
        self.digest.write(line.as_bytes());
        if self.print {
            let _ = writeln!(std::io::stdout(), "{line}");
        }
        self.lines.push_back(line);
    }

    /// A digest of all lines so far.
    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }

    /// The last lines.
    pub fn tail(&self, lines: usize) -> Vec<String> {
        let skipped = self.lines.len().saturating_sub(lines);
        self.lines.iter().skip(skipped).cloned().collect()
    }
}

/// FNV-1a: the standard library promises no digest that stays the same.
#[derive(Debug)]
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
