//! Consumer groups over HTTP: partitioned ones beside plain fetches of the same records, shared ones by
//! what they settle.

use serde_json::Value;

use crate::Outcome;
use crate::contender::{Contender, Server, Setup};
use crate::rows::number;
use crate::table::{Line, Target, median};

/// Members, each of its own partition.
const MEMBERS: [&str; 2] = ["1", "16"];
/// Records that a shared group settles in a second, at least.
const SETTLED_LEAST: f64 = 20_000.0;
/// What the workers of a shared group read: records of 100 bytes, 64 workers, so many in a lease.
const SHARED: [&str; 10] = [
    "--connections",
    "64",
    "--partitions",
    "4",
    "--records-per-request",
    "100",
    "--record-bytes",
    "100",
    "--fill",
    "64",
];
/// How many different keys those records have.
const KEYS: [&str; 2] = ["0", "100000"];

/// Members that commit each page with the poll for the next, beside as many connections that fetch.
pub fn partitioned(setup: &Setup, name: &'static str) -> Outcome<Vec<Line>> {
    let mut lines = Vec::new();
    for members in MEMBERS {
        let plain = ["--connections", members, "--partitions", members];
        let grouped = [&plain[..], &["--group", "partitioned"]].concat();
        let mut pairs = Vec::new();
        for round in 0..setup.rounds {
            let server = setup.start(Contender::Product)?;
            // Whoever goes first has no advantage in the end.
            let (group, fetch) = if round % 2 == 0 {
                let fetch = fetch(setup, &server, &plain)?;
                (self::fetch(setup, &server, &grouped)?, fetch)
            } else {
                let group = fetch(setup, &server, &grouped)?;
                (group, fetch(setup, &server, &plain)?)
            };
            pairs.push([group, fetch].map(|report| number(&report, "/megabytes_per_second")));
        }
        lines.push(Line {
            name: format!("{name}-{members}"),
            unit: "MB/s",
            product: median(pairs.iter().map(|pair| pair[0])),
            yardstick: Some(("plain fetch", median(pairs.iter().map(|pair| pair[1])))),
            judged: median(pairs.iter().map(|pair| pair[0] / pair[1])),
            target: Target::AtLeast(0.6),
            failure: None,
        });
    }
    Ok(lines)
}

/// Workers that lease records and acknowledge them, without keys and with many.
pub fn shared(setup: &Setup, name: &'static str) -> Outcome<Vec<Line>> {
    let mut settled = vec![Vec::new(); KEYS.len()];
    for _ in 0..setup.rounds {
        for (keys, settled) in KEYS.iter().zip(&mut settled) {
            let server = setup.start(Contender::Product)?;
            let load = [&SHARED[..], &["--group", "shared", "--keys", keys]].concat();
            let report = fetch(setup, &server, &load)?;
            settled.push(number(&report, "/records_per_second"));
        }
    }
    let line = |(keys, settled): (&&str, Vec<f64>)| {
        let settled = median(settled);
        Line {
            name: format!("{name} {keys} keys"),
            unit: "settled/s",
            product: settled,
            yardstick: Some(("promised", SETTLED_LEAST)),
            judged: settled / SETTLED_LEAST,
            target: Target::AtLeast(1.0),
            failure: None,
        }
    };
    Ok(KEYS.iter().zip(settled).map(line).collect())
}

fn fetch(setup: &Setup, server: &Server, load: &[&str]) -> Outcome<Value> {
    let (seconds, pid) = (format!("{}s", setup.duration.as_secs()), server.pid());
    let timed = ["--duration", &seconds, "--warmup", "1s", "--pid", &pid];
    setup.bench(server, &[&["fetch"], load, &timed].concat())
}
