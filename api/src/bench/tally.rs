//! What a measurement counts.

use std::time::Duration;

use hdrhistogram::Histogram;

/// What came of a measurement.
#[derive(Debug)]
pub struct Tally {
    /// Requests answered well within the measured time.
    pub requests: u64,
    /// Their records.
    pub records: u64,
    /// Their bytes of values.
    pub bytes: u64,
    /// Requests that failed.
    pub errors: u64,
    /// What was wrong with the first.
    pub first_error: Option<String>,
    /// Nanoseconds.
    pub latency: Histogram<u64>,
    /// Open loop: how late the latest request was sent.
    pub behind_max: Duration,
    /// Open loop: requests that were due and never sent.
    pub unsent: u64,
    /// The measured time.
    pub seconds: f64,
    /// CPU of the generator in that time.
    pub client_cpu_seconds: f64,
    /// CPU of the server in that time.
    pub server_cpu_seconds: Option<f64>,
    /// The most memory that the server had resident.
    pub server_rss_max_bytes: Option<u64>,
}

/// An empty histogram of nanoseconds: 1 µs to 100 s at three digits.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 100_000_000_000, 3).expect("the bounds are good")
}

/// Adds one latency.
pub fn record(histogram: &mut Histogram<u64>, latency: Duration) {
    histogram.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
}

impl Tally {
    /// An empty one.
    pub fn new() -> Tally {
        Tally {
            requests: 0,
            records: 0,
            bytes: 0,
            errors: 0,
            first_error: None,
            latency: histogram(),
            behind_max: Duration::ZERO,
            unsent: 0,
            seconds: 0.0,
            client_cpu_seconds: 0.0,
            server_cpu_seconds: None,
            server_rss_max_bytes: None,
        }
    }

    /// Counts one answer: its records and bytes, or what was wrong.
    pub fn count(&mut self, judged: Result<(u64, u64), String>, within: Within, latency: Duration) {
        match judged {
            Ok((records, bytes)) => {
                if within.due {
                    record(&mut self.latency, latency);
                }
                if within.ended {
                    self.requests += 1;
                    self.records += records;
                    self.bytes += bytes;
                }
            }
            Err(reason) if within.due => self.fail(reason),
            Err(reason) => drop(self.first_error.get_or_insert(reason)),
        }
    }

    /// Counts a failure.
    pub fn fail(&mut self, reason: String) {
        self.errors += 1;
        self.first_error.get_or_insert(reason);
    }

    /// Adds what another thread counted.
    pub fn merge(&mut self, other: Tally) {
        self.requests += other.requests;
        self.records += other.records;
        self.bytes += other.bytes;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        self.latency
            .add(&other.latency)
            .expect("histograms have the same bounds");
        self.behind_max = self.behind_max.max(other.behind_max);
        self.unsent += other.unsent;
    }
}

/// What of a request lies within the measured time.
#[derive(Debug, Clone, Copy)]
pub struct Within {
    /// Its answer.
    pub ended: bool,
    /// The moment that decides over its latency.
    pub due: bool,
}
