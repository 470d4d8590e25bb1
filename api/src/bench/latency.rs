//! `headwater bench latency`: from a produce to its arrival at a consumer.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::task::LocalSet;

use crate::client::{Failure, duration};

use super::body::push_value;
use super::fetch::{digits, number_after};
use super::load::counts_from;
use super::report::{Percentiles, print};
use super::tally::{histogram, record};
use super::target::{Target, excerpt};
use super::wire::{Connection, find};

/// How long what was produced may be on its way after the last one.
const GRACE: Duration = Duration::from_secs(2);
const MARK: &[u8] = b"\"bench_sequence\":";

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Records a second, one in a request
    #[arg(long, default_value_t = 100.0, value_name = "R")]
    rate: f64,
    /// Bytes of each record's value
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(60..=1_000_000))]
    record_bytes: u32,
    /// How long to measure each kind of consumer
    #[arg(long, default_value = "5s", value_parser = duration)]
    duration: Duration,
    /// How long to run before that
    #[arg(long, default_value = "1s", value_parser = duration)]
    warmup: Duration,
    /// The topic, made if it is not there; partition 0 is used
    #[arg(long, default_value = "bench-latency")]
    topic: String,
    /// A path that does nothing, for the bare round trip
    #[arg(long, default_value = "/healthz")]
    path: String,
    /// Measure the consumer by server-sent events only, or by long polls only
    #[arg(long, value_enum)]
    only: Option<Kind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    LongPoll,
    Sse,
}

/// What was found. Times in microseconds.
#[derive(Debug, Serialize)]
pub struct LatencyReport {
    name: &'static str,
    requests_per_second_wanted: f64,
    requests: u64,
    errors: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_error: Option<String>,
    /// A request that does nothing.
    round_trip_us: Percentiles,
    /// From sending a record to its acknowledgement.
    acknowledged_us: Percentiles,
    /// From sending a record to having it in a long poll's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    long_poll_us: Option<Percentiles>,
    /// From sending a record to having it in a server-sent event.
    #[serde(skip_serializing_if = "Option::is_none")]
    sse_us: Option<Percentiles>,
}

impl LatencyReport {
    /// Prints it; false if nothing succeeded.
    pub fn show(&self, json: bool) -> bool {
        print(json, self, |out| self.write(out));
        self.requests > 0 && self.errors == 0
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let rate = self.requests_per_second_wanted;
        writeln!(out, "latency: {rate} records/s, {} records", self.requests)?;
        Percentiles::write_head(out)?;
        self.round_trip_us.write_row(out, "bare round trip")?;
        self.acknowledged_us.write_row(out, "acknowledged")?;
        for (name, row) in [
            ("long poll", &self.long_poll_us),
            ("server-sent", &self.sse_us),
        ] {
            if let Some(row) = row {
                row.write_row(out, name)?;
            }
        }
        if let Some(error) = &self.first_error {
            writeln!(out, "  {} errors, the first: {error}", self.errors)?;
        }
        Ok(())
    }
}

/// Makes the topic and measures each kind in turn, on a thread of its own.
pub async fn run(args: Args, target: Target) -> Result<LatencyReport, Failure> {
    target.ensure_topic(&args.topic, 1).await?;
    let measured = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| Failure::Local(error.to_string()))?;
        LocalSet::new().block_on(&runtime, measure(&args, &target))
    });
    measured
        .await
        .map_err(|error| Failure::Local(error.to_string()))?
}

async fn measure(args: &Args, target: &Target) -> Result<LatencyReport, Failure> {
    let trips = Trips::new();
    let ping = target.get(&args.path);
    paced(args, target, &trips, |_| (ping.clone(), Vec::new())).await?;
    let round_trip_us = Percentiles::of(&trips.answered.borrow());
    let trips = Trips::new();
    let mut by_kind = [None, None];
    for (index, kind) in [Kind::LongPoll, Kind::Sse].into_iter().enumerate() {
        if args.only.is_none_or(|only| only == kind) {
            by_kind[index] = Some(arrivals(args, target, kind, &trips).await?);
        }
    }
    let [long_poll_us, sse_us] = by_kind;
    let acknowledged_us = Percentiles::of(&trips.answered.borrow());
    Ok(LatencyReport {
        name: "latency",
        requests_per_second_wanted: args.rate,
        requests: trips.answered.borrow().len(),
        errors: *trips.errors.borrow(),
        first_error: trips.first_error.take(),
        round_trip_us,
        acknowledged_us,
        long_poll_us,
        sse_us,
    })
}

/// What one series of requests found.
struct Trips {
    answered: RefCell<Histogram<u64>>,
    /// From when each measured request counts, by its number.
    sent: RefCell<Vec<Option<Instant>>>,
    errors: RefCell<u64>,
    first_error: RefCell<Option<String>>,
}

impl Trips {
    fn new() -> Rc<Trips> {
        Rc::new(Trips {
            answered: RefCell::new(histogram()),
            sent: RefCell::default(),
            errors: RefCell::default(),
            first_error: RefCell::default(),
        })
    }

    fn fail(&self, reason: String) {
        *self.errors.borrow_mut() += 1;
        self.first_error.borrow_mut().get_or_insert(reason);
    }
}

/// Sends requests at the rate; `make` gets each one's number.
async fn paced(
    args: &Args,
    target: &Target,
    trips: &Trips,
    make: impl Fn(usize) -> (Vec<u8>, Vec<u8>),
) -> Result<(), Failure> {
    let broken = |error| target.unreachable(error);
    let mut connection = Connection::open(&target.address).await.map_err(broken)?;
    let origin = Instant::now() + Duration::from_millis(5);
    let (from, to) = (origin + args.warmup, origin + args.warmup + args.duration);
    let every = Duration::from_secs_f64(1.0 / args.rate.max(1e-3));
    let mut free = origin;
    for turn in 0.. {
        let due = origin + every * turn;
        if due >= to {
            return Ok(());
        }
        let number = trips.sent.borrow().len();
        let (head, body) = make(number);
        tokio::time::sleep_until(due.into()).await;
        let start = counts_from(due, free, Instant::now());
        let counted = due >= from;
        trips.sent.borrow_mut().push(counted.then_some(start));
        let status = connection.call(&head, &body).await.map_err(broken)?;
        free = Instant::now();
        if status != 200 {
            trips.fail(excerpt(status, connection.body()));
        } else if counted {
            record(&mut trips.answered.borrow_mut(), free - start);
        }
    }
    Ok(())
}

/// Produces at the rate with one consumer listening; the times of arrival.
async fn arrivals(
    args: &Args,
    target: &Target,
    kind: Kind,
    trips: &Rc<Trips>,
) -> Result<Percentiles, Failure> {
    let arrived = Rc::new(RefCell::new(Arrivals {
        histogram: histogram(),
        next: trips.sent.borrow().len(),
    }));
    let partitions = target.partitions(&args.topic).await?;
    let offset = partitions
        .first()
        .map_or(0, |(_, high_watermark)| *high_watermark);
    let listener = tokio::task::spawn_local({
        let (args, target) = (args.clone(), target.clone());
        let (trips, arrived) = (Rc::clone(trips), Rc::clone(&arrived));
        async move {
            let outcome = match kind {
                Kind::LongPoll => long_poll(&args, &target, offset, &trips, &arrived).await,
                Kind::Sse => server_sent(&args, &target, &trips, &arrived).await,
            };
            if let Err(error) = outcome {
                trips.fail(format!("the consumer: {error}"));
            }
        }
    });
    // The consumer has to be there first.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let path = target.path(&format!("/topics/{}/records", args.topic));
    paced(args, target, trips, |number| {
        let mut body = b"{\"records\":[{\"partition\":0,\"value\":{".to_vec();
        body.extend_from_slice(MARK);
        body.extend_from_slice(format!("{number:>10},\"event\":").as_bytes());
        let used = MARK.len() + 10 + ",\"event\":".len() + 2;
        push_value(
            &mut body,
            number as u64,
            (args.record_bytes as usize).saturating_sub(used),
        );
        body.extend_from_slice(b"}}]}");
        (target.with_body("POST", &path, "", body.len()), body)
    })
    .await?;
    let until = Instant::now() + GRACE;
    while arrived.borrow().next < trips.sent.borrow().len() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    listener.abort();
    let missing = trips.sent.borrow().len() - arrived.borrow().next;
    if missing > 0 {
        trips.fail(format!("{missing} records never arrived"));
    }
    let percentiles = Percentiles::of(&arrived.borrow().histogram);
    Ok(percentiles)
}

struct Arrivals {
    histogram: Histogram<u64>,
    /// The number of the next record to come.
    next: usize,
}

impl Arrivals {
    /// Counts the records in `text`, which came at `now`.
    fn see(&mut self, text: &[u8], now: Instant, sent: &[Option<Instant>]) {
        let mut from = 0;
        while let Some(at) = find(&text[from..], MARK) {
            from += at + MARK.len();
            // A record of an earlier run has some other number.
            let number = digits(&text[from..]).map(|number| number as usize);
            if number != Some(self.next) || self.next >= sent.len() {
                continue;
            }
            if let Some(start) = sent[self.next] {
                record(&mut self.histogram, now.saturating_duration_since(start));
            }
            self.next += 1;
        }
    }
}

async fn long_poll(
    args: &Args,
    target: &Target,
    mut offset: u64,
    trips: &Trips,
    arrived: &RefCell<Arrivals>,
) -> io::Result<()> {
    let mut connection = Connection::open(&target.address).await?;
    let path = target.path(&format!("/topics/{}/partitions/0/records", args.topic));
    loop {
        let query = format!("{path}?offset={offset}&max_records=1000&wait_ms=20000");
        let status = connection.call(&target.get(&query), b"").await?;
        let now = Instant::now();
        let body = connection.body();
        let next = number_after(body, b"\"next_offset\":");
        let Some(next) = next.filter(|_| status == 200) else {
            return Err(io::Error::other(excerpt(status, body)));
        };
        arrived.borrow_mut().see(body, now, &trips.sent.borrow());
        offset = next;
    }
}

async fn server_sent(
    args: &Args,
    target: &Target,
    trips: &Trips,
    arrived: &RefCell<Arrivals>,
) -> io::Result<()> {
    let mut connection = Connection::open(&target.address).await?;
    let path = target.path(&format!("/topics/{}/tail?from=latest", args.topic));
    let head = connection.start(&target.get(&path), b"").await?;
    if head.status != 200 {
        return Err(io::Error::other(excerpt(head.status, connection.pieces())));
    }
    while !connection.next_piece().await? {
        let now = Instant::now();
        let pieces = connection.pieces();
        // Whole lines only: a number could be cut in two.
        let Some(end) = pieces.iter().rposition(|byte| *byte == b'\n') else {
            continue;
        };
        arrived
            .borrow_mut()
            .see(&pieces[..=end], now, &trips.sent.borrow());
        pieces.drain(..=end);
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}
