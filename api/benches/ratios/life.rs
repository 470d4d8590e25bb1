//! Idling, starting, and what a sync costs.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::contender::{Contender, Server, Setup};
use crate::table::{Line, Target, median};

/// Single records over 2 000 partitions in turn, in two topics because of the default quota.
pub const OVER_2000: [&str; 5] = ["--topics", "2", "--partitions", "1000", "--spread"];

const ONE_RECORD: &str = "{\"records\":[{\"value\":1}]}";
const LOADED_BYTES: f64 = 1e9;
const SYNCS: usize = 300;

fn absolute(name: String, unit: &'static str, numbers: &[f64], most: f64) -> Line {
    let product = median(numbers.iter().copied());
    let target = Target::AtMost(most);
    Line {
        name,
        unit,
        product,
        yardstick: None,
        judged: product,
        target,
        failure: None,
    }
}

/// Memory and CPU of a server that nobody uses.
pub fn idle(setup: &Setup, name: &'static str) -> Outcome<Vec<Line>> {
    let server = setup.start(Contender::Product)?;
    thread::sleep(Duration::from_secs(1));
    let before = cpu_seconds(&server)?;
    let began = Instant::now();
    thread::sleep(setup.duration.max(Duration::from_secs(5)));
    let share = (cpu_seconds(&server)? - before) / began.elapsed().as_secs_f64() * 100.0;
    Ok(vec![
        absolute(
            format!("{name} memory"),
            "MB",
            &[resident_mb(&server)?],
            64.0,
        ),
        absolute(format!("{name} cpu"), "% of one", &[share], 1.0),
    ])
}

/// Memory with 2 000 partitions, each written to.
pub fn memory_of_partitions(setup: &Setup, name: &'static str) -> Outcome<Vec<Line>> {
    let server = setup.start(Contender::Product)?;
    let mut load = vec![
        "produce",
        "--records-per-request",
        "1",
        "--record-bytes",
        "100",
    ];
    load.extend(OVER_2000);
    load.extend(["--warmup", "0s", "--duration", "3s"]);
    setup.bench(&server, &load)?;
    Ok(vec![absolute(
        name.to_owned(),
        "MB",
        &[resident_mb(&server)?],
        256.0,
    )])
}

/// From an empty directory to the first record.
pub fn start_empty(setup: &Setup, name: &'static str) -> Outcome<Vec<Line>> {
    let mut times = Vec::new();
    for _ in 0..setup.rounds {
        let mut server = setup.start(Contender::Product)?;
        server.call_until_good("PUT", "/topics/first", "{\"partitions\":1}")?;
        server.call_until_good("POST", "/topics/first/records", ONE_RECORD)?;
        times.push(server.started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(vec![absolute(name.to_owned(), "ms", &times, 1_000.0)])
}

/// From a crash under a gigabyte of records to the first one after it.
pub fn start_crashed(setup: &Setup, name: &'static str) -> Outcome<Vec<Line>> {
    let server = setup.start(Contender::Product)?;
    let mut loaded = 0.0;
    while loaded < LOADED_BYTES {
        let load = [
            "produce",
            "--topic",
            "first",
            "--warmup",
            "0s",
            "--duration",
            "1s",
        ];
        loaded += setup.bench(&server, &load)?["bytes"]
            .as_f64()
            .unwrap_or(0.0);
    }
    let mut data = server.crash();
    let mut times = Vec::new();
    for _ in 0..setup.rounds {
        let mut server = setup.start_on(Contender::Product, data)?;
        server.call_until_good("POST", "/topics/first/records", ONE_RECORD)?;
        times.push(server.started.elapsed().as_secs_f64() * 1e3);
        data = server.crash();
    }
    // The first has the most to do; those after it only say that it stays that way.
    let first = times[..1].to_vec();
    Ok(vec![
        absolute(name.to_owned(), "ms", &first, 2_000.0),
        absolute(format!("{name} again"), "ms", &times, 2_000.0),
    ])
}

/// What one small synced overwrite of preallocated space takes, where the servers have their data.
pub fn sync_p50_us(setup: &Setup) -> Outcome<f64> {
    const ROOM: usize = 4 << 20;
    let data = setup.data_dir("sync")?;
    let file = File::create(data.path.join("file"))?;
    file.write_all_at(&vec![0; ROOM], 0)?;
    file.sync_all()?;
    let mut times = Vec::with_capacity(SYNCS);
    for turn in 0..SYNCS {
        let began = Instant::now();
        file.write_all_at(&[7; 512], (turn * 4096 % ROOM) as u64)?;
        file.sync_data()?;
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(times))
}

/// CPU that a process used, user and system (proc(5); 100 ticks a second).
fn cpu_seconds(server: &Server) -> Outcome<f64> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid()))?;
    let (_, fields) = stat.rsplit_once(')').ok_or("/proc has no stat")?;
    let ticks = fields.split_ascii_whitespace().skip(11).take(2);
    Ok(ticks
        .filter_map(|field| field.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0)
}

fn resident_mb(server: &Server) -> Outcome<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB"));
    let kibibytes: f64 = kibibytes.ok_or("/proc has no VmRSS")?.trim().parse()?;
    Ok(kibibytes * 1024.0 / 1e6)
}
