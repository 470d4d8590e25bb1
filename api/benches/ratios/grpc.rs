//! `ProduceStream` beside produce over REST.

use crate::Outcome;
use crate::contender::{Contender, Setup};
use crate::rows::{measure, number};
use crate::table::{Line, Target, median};

const LOAD: [&str; 7] = [
    "produce",
    "--connections",
    "16",
    "--records-per-request",
    "100",
    "--record-bytes",
    "1024",
];

/// The same records over both, each on a fresh server.
pub fn beside_rest(setup: &Setup, name: &'static str) -> Outcome<Vec<Line>> {
    let streams: Vec<&str> = LOAD.iter().chain(&["--grpc"]).copied().collect();
    let mut rounds = Vec::new();
    for _ in 0..setup.rounds {
        let grpc = measure(setup, Contender::Product, &streams)?;
        let rest = measure(setup, Contender::Product, &LOAD)?;
        rounds.push((grpc, rest));
    }
    let line = |label, unit, pointer, target| {
        let both = rounds.iter();
        let both = both.map(|(grpc, rest)| (number(grpc, pointer), number(rest, pointer)));
        Line {
            name: format!("{name}{label}"),
            unit,
            product: median(both.clone().map(|pair| pair.0)),
            yardstick: Some(("REST", median(both.clone().map(|pair| pair.1)))),
            judged: median(both.map(|pair| pair.0 / pair.1)),
            target,
            failure: None,
        }
    };
    let cpu = "/server/cpu_us_per_request";
    Ok(vec![
        line("", "MB/s", "/megabytes_per_second", Target::AtLeast(1.3)),
        line(" cpu", "µs/request", cpu, Target::None),
    ])
}
