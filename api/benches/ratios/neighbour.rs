//! A quiet organization beside a loud one.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::Outcome;
use crate::contender::{Contender, Load, Setup};
use crate::table::{Line, Target, median};

/// What the quiet one does: 300 single records a second, sent when they are due.
pub const QUIET: [&str; 9] = [
    "produce",
    "--rate",
    "300",
    "--connections",
    "8",
    "--records-per-request",
    "1",
    "--record-bytes",
    "1000",
];

/// What the loud one does, without end: connections and records in a request.
const LOUD: [(&str, &str, &str); 3] = [
    ("64 x 100", "64", "100"),
    ("64 x 1", "64", "1"),
    ("256 x 1", "256", "1"),
];

/// The p99 of the quiet organization alone and beside each loud load.
pub fn beside(setup: &Setup, name: &'static str) -> Outcome<Vec<Line>> {
    let mut alone = Vec::new();
    let mut beside = vec![Vec::new(); LOUD.len()];
    for _ in 0..setup.rounds {
        let server = setup.start(Contender::Product)?;
        let neighbour = setup.neighbour(&server)?;
        let seconds = format!("{}s", setup.duration.as_secs());
        let mut quiet = QUIET.to_vec();
        quiet.extend(["--duration", &seconds, "--warmup", "1s"]);
        alone.push(p99(&setup.bench_as(&neighbour, Load::Urgent, &quiet)?));
        for ((_, connections, records), times) in LOUD.iter().zip(&mut beside) {
            // Longer than the quiet one with its warm-up.
            let seconds = format!("{}s", setup.duration.as_secs() + 3);
            let loud = [
                "produce",
                "--connections",
                connections,
                "--records-per-request",
                records,
                "--record-bytes",
                "1000",
                "--warmup",
                "0s",
                "--duration",
                &seconds,
            ];
            times.push(thread::scope(|scope| -> Outcome<f64> {
                let loud = scope.spawn(|| {
                    let report = setup.bench_as(&server.tenant(), Load::Patient, &loud);
                    report.map(drop).map_err(|error| error.to_string())
                });
                thread::sleep(Duration::from_secs(1));
                let report = setup.bench_as(&neighbour, Load::Urgent, &quiet);
                loud.join().map_err(|_| "the loud load panicked")??;
                Ok(p99(&report?))
            })?);
        }
    }
    let line = |((label, ..), times): (&(&str, &str, &str), &Vec<f64>)| Line {
        name: format!("{name} beside {label}"),
        unit: "µs p99",
        product: median(times.iter().copied()),
        yardstick: Some(("alone", median(alone.iter().copied()))),
        judged: median(times.iter().zip(&alone).map(|(time, alone)| time / alone)),
        target: Target::AtMost(2.0),
        failure: None,
    };
    Ok(LOUD.iter().zip(&beside).map(line).collect())
}

/// The latency of a report within which 99 in 100 requests were answered.
pub fn p99(report: &Value) -> f64 {
    let p99 = report.pointer("/latency_us/p99").and_then(Value::as_f64);
    p99.unwrap_or(f64::NAN)
}
