//! What a process costs, from `/proc` (Linux; proc(5)).

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Kernel ticks a second as `/proc` shows them; fixed on Linux.
const TICKS_PER_SECOND: f64 = 100.0;
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// CPU seconds that a process has used, user and system; `None` if there is no such process.
pub fn cpu_seconds(pid: &str) -> Option<f64> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(stat: &str) -> Option<f64> {
    // The command's name in parentheses may hold anything, spaces and parentheses too.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / TICKS_PER_SECOND)
}

/// Resident memory of a process in bytes.
pub fn resident_bytes(pid: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Watches a process' resident memory until dropped.
#[derive(Debug)]
pub struct MemoryWatch {
    max: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl MemoryWatch {
    /// Samples on a thread of its own.
    pub fn start(pid: u32) -> MemoryWatch {
        let watch = MemoryWatch {
            max: Arc::default(),
            stop: Arc::default(),
        };
        let (max, stop) = (Arc::clone(&watch.max), Arc::clone(&watch.stop));
        thread::spawn(move || {
            let pid = pid.to_string();
            while !stop.load(Ordering::Relaxed) {
                max.fetch_max(resident_bytes(&pid).unwrap_or(0), Ordering::Relaxed);
                thread::sleep(SAMPLE_EVERY);
            }
        });
        watch
    }

    /// The most seen so far, in bytes.
    pub fn max(&self) -> u64 {
        self.max.load(Ordering::Relaxed)
    }
}

impl Drop for MemoryWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_commands_do_not_confuse() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 100 1000 10";
        assert_eq!(parse_stat(stat), Some(3.0));
    }

    #[test]
    fn this_process_is_seen() {
        assert!(cpu_seconds("self").is_some());
        assert!(resident_bytes("self").is_some_and(|bytes| bytes > 100_000));
        assert!(cpu_seconds("0").is_none());
    }
}
