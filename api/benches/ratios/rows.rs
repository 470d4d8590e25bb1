//! The rows of the table, and what is wanted of each.

use serde_json::Value;

use crate::Outcome;
use crate::cluster;
use crate::cold;
use crate::contender::{Contender, Setup};
use crate::groups;
use crate::grpc;
use crate::life;
use crate::neighbour;
use crate::offload;
use crate::table::{Line, Target, median};

/// One row: a measurement that can be asked for by name.
pub struct Row {
    /// Its name.
    pub name: &'static str,
    kind: Kind,
}

enum Kind {
    /// The same load on the product and on roofs.
    Compare {
        bench: &'static [&'static str],
        metrics: &'static [Metric],
    },
    /// The same number of single records over many partitions and over one.
    Spread,
    /// From produce to consumer.
    Latency,
    /// Anything else.
    Other(fn(&Setup, &'static str) -> Outcome<Vec<Line>>),
}

/// The least share of what the minimal server does that the product has to reach; the aim is 0.85.
const SHARE_LEAST: f64 = 0.7;

struct Metric {
    /// Added to the row's name.
    label: &'static str,
    unit: &'static str,
    /// A JSON pointer into the report.
    pointer: &'static str,
    against: Contender,
    target: Target,
}

const fn throughput(least: f64) -> Metric {
    Metric {
        label: "",
        unit: "MB/s",
        pointer: "/megabytes_per_second",
        against: Contender::Minimal,
        target: Target::AtLeast(least),
    }
}

const fn cpu(against: Contender, most: f64) -> Metric {
    Metric {
        label: " cpu",
        unit: "µs/request",
        pointer: "/server/cpu_us_per_request",
        against,
        target: Target::AtMost(most),
    }
}

const P99: Metric = Metric {
    label: "",
    unit: "µs",
    pointer: "/latency_us/p99",
    against: Contender::Minimal,
    target: Target::AtMost(1.5),
};

const REQUESTS: Metric = Metric {
    label: "",
    unit: "requests/s",
    pointer: "/requests_per_second",
    against: Contender::Minimal,
    target: Target::AtLeast(SHARE_LEAST),
};

macro_rules! compare {
    ($name:literal, $bench:literal $(, $flag:literal => $value:literal)*; $($metric:expr),+) => {
        Row {
            name: $name,
            kind: Kind::Compare {
                bench: &[$bench $(, $flag, $value)*],
                metrics: &[$($metric),+],
            },
        }
    };
}

macro_rules! other {
    ($name:literal, $run:path) => {
        Row {
            name: $name,
            kind: Kind::Other($run),
        }
    };
}

/// All rows, in the order in which they run.
pub const ROWS: &[Row] = &[
    compare!("produce-100x1k-16", "produce", "--connections" => "16",
        "--records-per-request" => "100", "--record-bytes" => "1024";
        throughput(SHARE_LEAST), cpu(Contender::Minimal, 1.5)),
    compare!("produce-100x1k-64", "produce", "--connections" => "64",
        "--records-per-request" => "100", "--record-bytes" => "1024";
        throughput(SHARE_LEAST), cpu(Contender::Minimal, 1.5)),
    compare!("produce-100x100-64", "produce", "--connections" => "64",
        "--records-per-request" => "100", "--record-bytes" => "100";
        throughput(SHARE_LEAST), cpu(Contender::Minimal, 1.5)),
    compare!("produce-1x100-64", "produce", "--connections" => "64",
        "--records-per-request" => "1", "--record-bytes" => "100";
        REQUESTS, cpu(Contender::Minimal, 1.5), cpu(Contender::Noop, 2.0)),
    compare!("p99-1x1k-16", "produce", "--connections" => "16",
        "--records-per-request" => "1", "--record-bytes" => "1024"; P99),
    compare!("p99-100x1k-16", "produce", "--connections" => "16",
        "--records-per-request" => "100", "--record-bytes" => "1024"; P99),
    compare!("fetch-1000x1k-1", "fetch", "--connections" => "1", "--record-bytes" => "1024";
        throughput(SHARE_LEAST)),
    compare!("fetch-1000x1k-16", "fetch", "--connections" => "16", "--record-bytes" => "1024";
        throughput(SHARE_LEAST)),
    compare!("fetch-1000x100-1", "fetch", "--connections" => "1", "--record-bytes" => "100",
        "--fill" => "32"; throughput(SHARE_LEAST)),
    compare!("fetch-1000x100-16", "fetch", "--connections" => "16", "--record-bytes" => "100",
        "--fill" => "32"; throughput(SHARE_LEAST)),
    Row {
        name: "latency",
        kind: Kind::Latency,
    },
    Row {
        name: "spread-2000",
        kind: Kind::Spread,
    },
    other!("grpc-100x1k-16", grpc::beside_rest),
    other!("group", groups::partitioned),
    other!("shared-64", groups::shared),
    other!("neighbour", neighbour::beside),
    other!("cold-catch-up", cold::beside_catch_up),
    other!("offload", offload::at_full_speed),
    other!("cluster", cluster::of_three),
    other!("idle", life::idle),
    other!("memory-2000", life::memory_of_partitions),
    other!("start-empty", life::start_empty),
    other!("start-crashed-1g", life::start_crashed),
];

impl Row {
    /// True if a user who asks for `name` means this row.
    pub fn is_named(&self, name: &str) -> bool {
        self.name.starts_with(name)
    }

    /// Measures it.
    pub fn run(&self, setup: &Setup) -> Outcome<Vec<Line>> {
        match &self.kind {
            Kind::Compare { bench, metrics } => self.compare(setup, bench, metrics),
            Kind::Spread => self.spread(setup),
            Kind::Latency => self.latency(setup),
            Kind::Other(run) => run(setup, self.name),
        }
    }

    fn compare(&self, setup: &Setup, bench: &[&str], metrics: &[Metric]) -> Outcome<Vec<Line>> {
        let mut roofs: Vec<Contender> = Vec::new();
        for metric in metrics {
            if !roofs.contains(&metric.against) {
                roofs.push(metric.against);
            }
        }
        let mut rounds: Vec<(Value, Vec<Value>)> = Vec::new();
        for _ in 0..setup.rounds {
            let product = measure(setup, Contender::Product, bench)?;
            let of_roofs: Outcome<Vec<Value>> = roofs
                .iter()
                .map(|roof| measure(setup, *roof, bench))
                .collect();
            rounds.push((product, of_roofs?));
        }
        let line = |metric: &Metric| -> Line {
            let roof = roofs
                .iter()
                .position(|roof| *roof == metric.against)
                .unwrap_or(0);
            let pairs: Vec<(f64, f64)> = rounds
                .iter()
                .map(|(product, of_roofs)| {
                    (
                        number(product, metric.pointer),
                        number(&of_roofs[roof], metric.pointer),
                    )
                })
                .collect();
            let name = match metric.against {
                Contender::Noop => "noop",
                _ => "minimal",
            };
            Line {
                name: format!("{}{}", self.name, metric.label),
                unit: metric.unit,
                product: median(pairs.iter().map(|pair| pair.0)),
                yardstick: Some((name, median(pairs.iter().map(|pair| pair.1)))),
                // Of each round by itself: neighbours change between rounds.
                judged: median(pairs.iter().map(|pair| pair.0 / pair.1)),
                target: metric.target,
                failure: None,
            }
        };
        Ok(metrics.iter().map(line).collect())
    }

    fn spread(&self, setup: &Setup) -> Outcome<Vec<Line>> {
        let load = [
            "--connections",
            "64",
            "--records-per-request",
            "1",
            "--record-bytes",
            "100",
        ];
        let one: Vec<&str> = ["produce"].iter().chain(&load).copied().collect();
        let many: Vec<&str> = one.iter().chain(&life::OVER_2000).copied().collect();
        let mut pairs = Vec::new();
        for _ in 0..setup.rounds {
            let of_many = measure(setup, Contender::Product, &many)?;
            let of_one = measure(setup, Contender::Product, &one)?;
            let rate = |report| number(report, "/requests_per_second");
            pairs.push((rate(&of_many), rate(&of_one)));
        }
        Ok(vec![Line {
            name: self.name.to_owned(),
            unit: "requests/s",
            product: median(pairs.iter().map(|pair| pair.0)),
            yardstick: Some(("one partition", median(pairs.iter().map(|pair| pair.1)))),
            judged: median(pairs.iter().map(|pair| pair.0 / pair.1)),
            target: Target::AtLeast(0.5),
            failure: None,
        }])
    }

    fn latency(&self, setup: &Setup) -> Outcome<Vec<Line>> {
        let mut rounds = Vec::new();
        for _ in 0..setup.rounds {
            let server = setup.start(Contender::Product)?;
            let seconds = format!("{}s", setup.duration.as_secs());
            let bench = ["latency", "--rate", "100", "--duration", &seconds];
            let report = setup.bench(&server, &bench)?;
            drop(server);
            rounds.push((report, life::sync_p50_us(setup)?));
        }
        let middle = |pointer: &str| median(rounds.iter().map(|round| number(&round.0, pointer)));
        let p50s = [
            (
                " acknowledged",
                "/acknowledged_us/p50",
                2.0,
                "2 trips + sync",
            ),
            (" long poll", "/long_poll_us/p50", 4.0, "4 trips + sync"),
            (" sse", "/sse_us/p50", 4.0, "4 trips + sync"),
        ];
        let lines = p50s.map(|(label, pointer, trips, yardstick)| {
            let possible =
                |round: &(Value, f64)| trips * number(&round.0, "/round_trip_us/p50") + round.1;
            Line {
                name: format!("{}{label}", self.name),
                unit: "µs p50",
                product: middle(pointer),
                yardstick: Some((yardstick, median(rounds.iter().map(possible)))),
                judged: median(rounds.iter().map(|r| number(&r.0, pointer) / possible(r))),
                target: Target::AtMost(1.0),
                failure: None,
            }
        });
        Ok(lines.into())
    }
}

/// One run on a fresh server.
pub fn measure(setup: &Setup, contender: Contender, bench: &[&str]) -> Outcome<Value> {
    let server = setup.start(contender)?;
    let seconds = format!("{}s", setup.duration.as_secs());
    let (pid, duration) = (
        server.pid(),
        ["--duration", &seconds, "--warmup", "1s", "--pid"],
    );
    let mut arguments: Vec<&str> = bench.iter().chain(&duration).copied().collect();
    arguments.push(&pid);
    if contender == Contender::Noop {
        arguments.extend(["--path", "/noop"]);
    }
    setup.bench(&server, &arguments)
}

/// A number of a report.
pub fn number(report: &Value, pointer: &str) -> f64 {
    report
        .pointer(pointer)
        .and_then(Value::as_f64)
        .unwrap_or(f64::NAN)
}
