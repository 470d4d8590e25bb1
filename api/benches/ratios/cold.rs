//! Producers beside a consumer that catches up out of the object store.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Outcome;
use crate::contender::{Contender, Load, Server, Setup};
use crate::neighbour::{QUIET, p99};
use crate::table::{Line, Target, median};

/// What there is to catch up with, in MiB.
const BEHIND_MIB: &str = "1024";
/// What may be left of it on the disk: no segment is dropped that is written to.
const TOPIC: &str =
    r#"{"partitions":1,"config":{"segment_bytes":33554432,"local_retention_bytes":65536}}"#;
const HOT_BYTES_MAX: u64 = 64 << 20;
const COLD_WITHIN: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(200);

/// The p99 of producers alone and beside the catch-up.
pub fn beside_catch_up(setup: &Setup, name: &'static str) -> Outcome<Vec<Line>> {
    let seconds = format!("{}s", setup.duration.as_secs());
    let mut produce = QUIET.to_vec();
    produce.extend(["--duration", &seconds, "--warmup", "1s"]);
    // Longer than the producers with their warm-up.
    let longer = format!("{}s", setup.duration.as_secs() + 3);
    let mut catch_up = vec!["fetch", "--topic", "cold", "--connections", "1"];
    catch_up.extend(["--fill", "0", "--warmup", "0s", "--duration", &longer]);
    let (mut alone, mut beside, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..setup.rounds {
        let server = with_cold_topic(setup)?;
        let tenant = server.tenant();
        alone.push(p99(&setup.bench_as(&tenant, Load::Urgent, &produce)?));
        let (report, caught_up) = thread::scope(|scope| -> Outcome<(Value, Value)> {
            let caught_up = scope.spawn(|| {
                let report = setup.bench_as(&tenant, Load::Patient, &catch_up);
                report.map_err(|error| error.to_string())
            });
            thread::sleep(Duration::from_secs(1));
            let report = setup.bench_as(&tenant, Load::Urgent, &produce);
            let caught_up = caught_up.join().map_err(|_| "the catch-up panicked")??;
            Ok((report?, caught_up))
        })?;
        beside.push(p99(&report));
        let rate = caught_up["megabytes_per_second"].as_f64();
        rates.push(rate.unwrap_or(f64::NAN));
    }
    let rate = median(rates);
    Ok(vec![Line {
        name: format!("{name} at {rate:.0} MB/s"),
        unit: "µs p99",
        product: median(beside.iter().copied()),
        yardstick: Some(("alone", median(alone.iter().copied()))),
        judged: median(
            beside
                .iter()
                .zip(&alone)
                .map(|(beside, alone)| beside / alone),
        ),
        target: Target::AtMost(1.5),
        failure: None,
    }])
}

/// A server with a topic that is in the store alone, and nothing in its cache.
fn with_cold_topic(setup: &Setup) -> Outcome<Server> {
    let mut server = setup.start(Contender::Product)?;
    server.call_until_good("PUT", "/topics/cold", TOPIC)?;
    let fill = ["fetch", "--topic", "cold", "--fill", BEHIND_MIB];
    let fill: Vec<&str> = fill.into_iter().chain(["--duration", "1s"]).collect();
    setup.bench(&server, &fill)?;
    let until = Instant::now() + COLD_WITHIN;
    while hot_bytes(&server)? > HOT_BYTES_MAX {
        if Instant::now() > until {
            return Err("the topic does not leave the disk".into());
        }
        thread::sleep(POLL);
    }
    setup.start_on(Contender::Product, server.crash())
}

fn hot_bytes(server: &Server) -> Outcome<u64> {
    let (_, answer) = server.call("GET", "/topics/cold/partitions", "")?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or("not an HTTP answer")?;
    let state: Value = serde_json::from_str(body)?;
    let bytes = state
        .pointer("/partitions/0/hot_bytes")
        .and_then(Value::as_u64);
    bytes.ok_or_else(|| format!("no hot_bytes: {body}").into())
}
