//! The engine: connections that send one request after the other, closed or open loop.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use crate::client::duration;

use super::process::{self, MemoryWatch};
use super::tally::{Tally, Within, record};
use super::target::excerpt;
use super::wire::Connection;

/// What every measurement may set.
#[derive(Debug, Clone, clap::Args)]
pub struct LoadArgs {
    /// Connections, each with one request in flight
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub connections: u32,
    /// How long to measure
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub duration: Duration,
    /// How long to run before that
    #[arg(long, default_value = "2s", value_parser = duration)]
    pub warmup: Duration,
    /// Requests a second over all connections, sent when they are due whatever the answers do;
    /// latency counts from that moment. Without it each connection sends as soon as it can
    #[arg(long, value_name = "R")]
    pub rate: Option<f64>,
    /// Threads of the generator
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: u32,
    /// Also measure CPU and memory of the server process with this id, on this machine
    #[arg(long)]
    pub pid: Option<u32>,
}

/// What one connection sends.
pub trait Job {
    /// The next request: its head and its body.
    fn next(&mut self) -> (&[u8], &[u8]);
    /// Looks at the answer: records and bytes of values that moved, or what is wrong.
    fn judge(&mut self, status: u16, body: &[u8]) -> Result<(u64, u64), String>;
}

/// When requests of one connection are due.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    first: Instant,
    every: Duration,
    sent: u32,
}

/// Timers fire up to so much late on their own account.
const TIMER_SLACK: Duration = Duration::from_millis(2);

/// From when a request's latency counts. It is due at `due`; the connection was `free` since then,
/// and it was sent at `now`. A connection that was still busy when the request fell due is the
/// server's fault, so waiting counts: leaving it out would hide every stall behind the one request
/// that met it. A free connection whose timer fired a little late is the generator's own.
pub fn counts_from(due: Instant, free: Instant, now: Instant) -> Instant {
    if free <= due && now.saturating_duration_since(due) <= TIMER_SLACK {
        now
    } else {
        due
    }
}

/// The times of one run.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// When connections begin to send.
    pub origin: Instant,
    /// When what is measured begins.
    pub from: Instant,
    /// When it ends.
    pub to: Instant,
}

/// What all connections do.
pub trait Load: Sync {
    /// A connection.
    type Opened;

    /// Opens connection `number`.
    fn open(&self, number: u32) -> impl Future<Output = io::Result<Self::Opened>>;

    /// Uses it until the window's end, and counts.
    fn run(
        &self,
        opened: Self::Opened,
        window: Window,
        tally: Rc<RefCell<Tally>>,
    ) -> impl Future<Output = ()>;
}

/// One request after the other on each connection.
struct Requests<'a, F> {
    args: &'a LoadArgs,
    address: &'a str,
    job: F,
}

impl<J: Job, F: Fn(u32) -> J + Sync> Load for Requests<'_, F> {
    type Opened = (u32, Connection);

    async fn open(&self, number: u32) -> io::Result<(u32, Connection)> {
        Ok((number, Connection::open(self.address).await?))
    }

    async fn run(
        &self,
        (number, connection): (u32, Connection),
        window: Window,
        tally: Rc<RefCell<Tally>>,
    ) {
        let connections = f64::from(self.args.connections);
        let schedule = self.args.rate.map(|rate| {
            let every = Duration::from_secs_f64(connections / rate.max(1e-6));
            let first = window.origin + every.mul_f64(f64::from(number) / connections);
            Schedule {
                first,
                every,
                sent: 0,
            }
        });
        let job = (self.job)(number);
        run_connection(self.address, connection, job, schedule, window, tally).await;
    }
}

/// Runs requests. Blocks; `job` makes what connection `n` sends.
pub fn measure<J, F>(args: &LoadArgs, address: &str, job: F) -> io::Result<Tally>
where
    J: Job,
    F: Fn(u32) -> J + Sync,
{
    measure_load(args, &Requests { args, address, job })
}

/// Runs any load. Blocks.
pub fn measure_load<L: Load>(args: &LoadArgs, load: &L) -> io::Result<Tally> {
    let threads = args.threads.min(args.connections);
    let connected = Arc::new(Barrier::new(threads as usize + 1));
    let window = OnceLock::new();
    let started = Barrier::new(threads as usize + 1);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let (connected, window, started) = (&connected, &window, &started);
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()?;
                    let mine = (thread..args.connections).step_by(threads as usize);
                    let opened = runtime.block_on(open_all(mine, load));
                    connected.wait();
                    started.wait();
                    let window: Window = *window.get().expect("it is set before the start");
                    Ok(LocalSet::new().block_on(&runtime, drive(opened?, load, window)))
                })
            })
            .collect();
        connected.wait();
        let origin = Instant::now() + Duration::from_millis(5);
        let from = origin + args.warmup;
        let to = from + args.duration;
        window.get_or_init(|| Window { origin, from, to });
        started.wait();
        let mut tally = observe(args, from, to);
        for worker in workers {
            let part: io::Result<Tally> = worker.join().expect("a generator thread panicked");
            tally.merge(part?);
        }
        Ok(tally)
    })
}

/// Watches the processes during the window.
fn observe(args: &LoadArgs, from: Instant, to: Instant) -> Tally {
    let mut tally = Tally::new();
    let server = args.pid.map(|pid| pid.to_string());
    let cpu = |pid: &Option<String>| pid.as_deref().and_then(process::cpu_seconds);
    thread::sleep(from.saturating_duration_since(Instant::now()));
    let watch = args.pid.map(MemoryWatch::start);
    let before = (process::cpu_seconds("self"), cpu(&server));
    thread::sleep(to.saturating_duration_since(Instant::now()));
    let after = (process::cpu_seconds("self"), cpu(&server));
    tally.seconds = args.duration.as_secs_f64();
    tally.client_cpu_seconds = after
        .0
        .zip(before.0)
        .map_or(0.0, |(after, before)| after - before);
    tally.server_cpu_seconds = after.1.zip(before.1).map(|(after, before)| after - before);
    tally.server_rss_max_bytes = watch.map(|watch| watch.max()).filter(|bytes| *bytes > 0);
    tally
}

async fn open_all<L: Load>(
    numbers: impl Iterator<Item = u32>,
    load: &L,
) -> io::Result<Vec<L::Opened>> {
    let mut opened = Vec::new();
    for number in numbers {
        opened.push(load.open(number).await?);
    }
    Ok(opened)
}

async fn drive<L: Load>(opened: Vec<L::Opened>, load: &L, window: Window) -> Tally {
    let tally = Rc::new(RefCell::new(Tally::new()));
    let runs = opened
        .into_iter()
        .map(|opened| load.run(opened, window, Rc::clone(&tally)));
    futures_util::future::join_all(runs).await;
    Rc::into_inner(tally)
        .expect("every connection has ended")
        .into_inner()
}

async fn run_connection<J: Job>(
    address: &str,
    mut connection: Connection,
    mut job: J,
    mut schedule: Option<Schedule>,
    window: Window,
    tally: Rc<RefCell<Tally>>,
) {
    let mut free = window.origin;
    tokio::time::sleep_until(window.origin.into()).await;
    loop {
        let mut start = Instant::now();
        let mut due = start;
        if let Some(schedule) = &mut schedule {
            due = schedule.first + schedule.every * schedule.sent;
            if due >= window.to {
                return;
            }
            if start >= window.to {
                return give_up(schedule, window, &mut tally.borrow_mut());
            }
            schedule.sent += 1;
            if start < due {
                tokio::time::sleep_until(due.into()).await;
            }
            let now = Instant::now();
            start = counts_from(due, free, now);
            if due >= window.from {
                let mut tally = tally.borrow_mut();
                tally.behind_max = tally.behind_max.max(now.saturating_duration_since(due));
            }
        } else if start >= window.to {
            return;
        }
        let (head, body) = job.next();
        let outcome = connection.call(head, body).await;
        let end = Instant::now();
        free = end;
        let judged = match &outcome {
            Ok(status) => job.judge(*status, connection.body()),
            Err(error) => Err(error.to_string()),
        };
        // An open loop answers for the latency of what was due within the window, a closed one of
        // what ended within it; throughput is what ended within it for both.
        let ended_within = end >= window.from && end < window.to;
        let due_within = if schedule.is_some() {
            due >= window.from
        } else {
            ended_within
        };
        let within = Within {
            ended: ended_within,
            due: due_within,
        };
        tally.borrow_mut().count(judged, within, end - start);
        if outcome.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            match Connection::open(address).await {
                Ok(opened) => connection = opened,
                Err(error) if Instant::now() >= window.to => {
                    return tally.borrow_mut().fail(error.to_string());
                }
                Err(_) => {}
            }
        }
    }
}

/// The time is over: what was due and never sent has waited at least until now.
fn give_up(schedule: &Schedule, window: Window, tally: &mut Tally) {
    for number in schedule.sent.. {
        let due = schedule.first + schedule.every * number;
        if due >= window.to {
            return;
        }
        if due >= window.from {
            tally.unsent += 1;
            tally.behind_max = tally.behind_max.max(window.to - due);
            record(&mut tally.latency, window.to - due);
        }
    }
}

/// The usual judgement: anything but 200 is an error.
pub fn succeeded(status: u16, body: &[u8]) -> Result<(), String> {
    if status == 200 {
        Ok(())
    } else {
        Err(excerpt(status, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_counts_for_every_request_that_was_due_in_it() {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        // Free in time, the timer a millisecond late: its own fault.
        assert_eq!(counts_from(ms(10), ms(5), ms(11)), ms(11));
        // Free in time, but sent far too late: the generator could not keep up; do not hide it.
        assert_eq!(counts_from(ms(10), ms(5), ms(30)), ms(10));
        // Busy with a stalled request: waiting counts.
        assert_eq!(counts_from(ms(10), ms(11), ms(11)), ms(10));
        assert_eq!(counts_from(ms(10), ms(500), ms(500)), ms(10));
    }

    #[test]
    fn what_was_never_sent_is_recorded_as_a_lower_bound() {
        let origin = Instant::now();
        let second = Duration::from_secs(1);
        let window = Window {
            origin,
            from: origin + second,
            to: origin + 3 * second,
        };
        let schedule = Schedule {
            first: origin,
            every: Duration::from_millis(500),
            sent: 1,
        };
        let mut tally = Tally::new();
        give_up(&schedule, window, &mut tally);
        assert_eq!(tally.unsent, 4);
        assert_eq!(tally.behind_max, 2 * second);
        assert!(tally.latency.max() >= 2_000_000_000);
    }
}
