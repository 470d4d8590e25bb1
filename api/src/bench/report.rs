//! Results, for people on standard error and for programs on standard output.

use std::io::{self, Write};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::load::LoadArgs;
use super::tally::Tally;

/// Latency in microseconds.
#[derive(Debug, Serialize)]
pub struct Percentiles {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
    mean: f64,
}

impl Percentiles {
    /// Reads a histogram of nanoseconds.
    pub fn of(histogram: &Histogram<u64>) -> Percentiles {
        let at = |quantile| round(histogram.value_at_quantile(quantile) as f64 / 1e3, 1);
        Percentiles {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: round(histogram.max() as f64 / 1e3, 1),
            mean: round(histogram.mean() / 1e3, 1),
        }
    }

    /// Writes one row of a table.
    pub fn write_row(&self, out: &mut dyn Write, name: &str) -> io::Result<()> {
        let Percentiles {
            p50,
            p90,
            p99,
            p999,
            max,
            mean,
        } = self;
        writeln!(
            out,
            "  {name:<18} {p50:>10.0} {p90:>10.0} {p99:>10.0} {p999:>10.0} {max:>10.0} {mean:>10.0}"
        )
    }

    /// Writes the head of such a table.
    pub fn write_head(out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "  {:<18} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
            "µs", "p50", "p90", "p99", "p99.9", "max", "mean"
        )
    }
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

/// What a load run found.
#[derive(Debug, Serialize)]
pub struct LoadReport {
    name: &'static str,
    connections: u32,
    requests: u64,
    records: u64,
    /// Of record values.
    bytes: u64,
    seconds: f64,
    requests_per_second: f64,
    records_per_second: f64,
    /// Millions of bytes of record values.
    megabytes_per_second: f64,
    errors: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_error: Option<String>,
    latency_us: Percentiles,
    client_cpu_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    open_loop: Option<OpenLoop>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<Server>,
}

#[derive(Debug, Serialize)]
struct OpenLoop {
    requests_per_second_wanted: f64,
    behind_max_ms: f64,
    unsent: u64,
}

#[derive(Debug, Serialize)]
struct Server {
    cpu_seconds: f64,
    cpu_us_per_request: f64,
    rss_max_bytes: Option<u64>,
}

impl LoadReport {
    /// Puts a tally in words.
    pub fn new(name: &'static str, args: &LoadArgs, tally: Tally) -> LoadReport {
        let rate = |count: u64| round(count as f64 / tally.seconds.max(1e-9), 1);
        LoadReport {
            name,
            connections: args.connections,
            requests: tally.requests,
            records: tally.records,
            bytes: tally.bytes,
            seconds: tally.seconds,
            requests_per_second: rate(tally.requests),
            records_per_second: rate(tally.records),
            megabytes_per_second: round(tally.bytes as f64 / 1e6 / tally.seconds.max(1e-9), 2),
            errors: tally.errors,
            latency_us: Percentiles::of(&tally.latency),
            client_cpu_seconds: round(tally.client_cpu_seconds, 2),
            open_loop: args.rate.map(|wanted| OpenLoop {
                requests_per_second_wanted: wanted,
                behind_max_ms: round(tally.behind_max.as_secs_f64() * 1e3, 3),
                unsent: tally.unsent,
            }),
            server: tally.server_cpu_seconds.map(|seconds| Server {
                cpu_seconds: round(seconds, 2),
                cpu_us_per_request: round(seconds * 1e6 / tally.requests.max(1) as f64, 2),
                rss_max_bytes: tally.server_rss_max_bytes,
            }),
            first_error: tally.first_error,
        }
    }

    /// Prints it; false if nothing succeeded.
    pub fn show(&self, json: bool) -> bool {
        print(json, self, |out| self.write(out));
        self.requests > 0
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "{}: {} connections, {} s: {:.0} requests/s, {:.0} records/s, {:.1} MB/s of values",
            self.name,
            self.connections,
            self.seconds,
            self.requests_per_second,
            self.records_per_second,
            self.megabytes_per_second
        )?;
        Percentiles::write_head(out)?;
        self.latency_us.write_row(out, "latency")?;
        if let Some(open) = &self.open_loop {
            writeln!(
                out,
                "  open loop at {} requests/s: at most {} ms behind, {} never sent",
                open.requests_per_second_wanted, open.behind_max_ms, open.unsent
            )?;
        }
        write!(out, "  generator {} CPU s", self.client_cpu_seconds)?;
        if let Some(server) = &self.server {
            write!(
                out,
                ", server {} CPU s, {} µs a request, {:.1} MB resident at most",
                server.cpu_seconds,
                server.cpu_us_per_request,
                server.rss_max_bytes.unwrap_or(0) as f64 / 1e6
            )?;
        }
        writeln!(out)?;
        if let Some(error) = &self.first_error {
            writeln!(out, "  {} errors, the first: {error}", self.errors)?;
        }
        Ok(())
    }
}

/// Writes the table to standard error, and the JSON to standard output if asked for.
pub fn print<T: Serialize>(
    json: bool,
    report: &T,
    table: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) {
    // Nobody is left to tell when the streams are closed.
    let _ = table(&mut io::stderr().lock());
    if json {
        let text = serde_json::to_string(report).expect("a report is plain data");
        let _ = writeln!(io::stdout().lock(), "{text}");
    }
}
