//! `headwater produce`: lines in, records appended, none lost and none twice.
//!
//! Every request carries an idempotency key and is repeated with it until the service has
//! answered, so a connection or a server that dies in the middle changes nothing. One request is
//! in flight at a time, because two could overtake each other.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::ValueEnum;
use futures_util::future::OptionFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;

use super::failure::{Failure, Problem};
use super::input::{BadLine, Batch, Cutter, Shape, read_chunks};
use super::progress::Progress;
use super::resources::not_understood;
use super::retry::{Attempts, duration};
use super::service::{Service, ServiceArgs};
use super::topic_name;

/// A line that waits longer than this is sent even if its batch is not full.
const LINGER: Duration = Duration::from_millis(20);
const SLOTS_SHOWN: usize = 10;

/// The produce verb.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    service: ServiceArgs,
    /// The topic to append to
    #[arg(value_parser = topic_name)]
    topic: String,
    /// Read this file instead of standard input
    #[arg(long)]
    file: Option<PathBuf>,
    /// Each line is a bare JSON value, not a record
    #[arg(long)]
    values: bool,
    /// Each line is a JSON object, and this top-level field of it is the record's key; implies
    /// --values
    #[arg(long, value_name = "FIELD")]
    key_field: Option<String>,
    /// How many records go in one request, at most; a request is also cut at 1 MiB
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    batch_records: u16,
    /// Makes the idempotency keys P-0, P-1, …, so that a second run over the same input with the
    /// same --batch-records appends nothing twice (within the service's window, 15 minutes)
    #[arg(long, value_name = "P", value_parser = prefix)]
    idempotency_prefix: Option<String>,
    /// What an answer waits for
    #[arg(long, value_enum)]
    acks: Option<Acks>,
    /// Requests in flight at once; with more than one, records may be stored in another order
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    in_flight: u16,
    /// How long to repeat a request that fails for a passing reason
    #[arg(long, default_value = "60s", value_parser = duration)]
    retry_for: Duration,
    /// Show no progress and no summary
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Acks {
    /// Stored durably on every in-sync replica
    Quorum,
    /// Stored durably on the leader
    Leader,
    /// Received
    None,
}

impl Acks {
    fn name(self) -> &'static str {
        match self {
            Acks::Quorum => "quorum",
            Acks::Leader => "leader",
            Acks::None => "none",
        }
    }
}

fn prefix(text: &str) -> Result<String, String> {
    let good = !text.is_empty() && text.len() <= 200 && text.bytes().all(|b| b.is_ascii_graphic());
    if good {
        Ok(text.to_owned())
    } else {
        Err("1 to 200 visible ASCII characters".to_owned())
    }
}

/// Appends every line of the input.
pub async fn run(args: Args) -> Result<(), Failure> {
    let service = Service::new(&args.service)?;
    let (source, length) = open(&args)?;
    let shape = match (&args.key_field, args.values) {
        (Some(_), _) | (None, true) => Shape::Value {
            key_field: args.key_field.clone(),
        },
        (None, false) => Shape::Record,
    };
    let acks = args.acks.map(Acks::name);
    let progress = Progress::new(length, args.quiet);
    let mut cutter = Cutter::new(shape, usize::from(args.batch_records), acks);
    let session = match &args.idempotency_prefix {
        Some(prefix) => prefix.clone(),
        None => format!("{:032x}", rand::random::<u128>()),
    };
    let sender = Sender {
        service,
        path: format!("/topics/{}/records", args.topic),
        session,
        retry_for: args.retry_for,
    };
    let mut duplicates = 0;
    let outcome = pump(
        &args,
        source,
        &mut cutter,
        &sender,
        &progress,
        &mut duplicates,
    )
    .await;
    progress.clear();
    let records = progress.records();
    if !args.quiet || outcome.is_err() {
        progress.note(&format!("{}, {duplicates} duplicates", progress.summary()));
    }
    outcome.map_err(|stop| stop.into_failure(records))
}

fn open(args: &Args) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
    let Some(path) = &args.file else {
        let stdin = io::stdin();
        if stdin.is_terminal() && !args.quiet {
            let hint = "reading records from the terminal, one JSON object a line; end with ^D";
            Progress::new(None, true).note(hint);
        }
        return Ok((Box::new(stdin), None));
    };
    let cannot = |error| Failure::Local(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(cannot)?;
    let metadata = file.metadata().map_err(cannot)?;
    Ok((Box::new(file), metadata.is_file().then_some(metadata.len())))
}

/// Why producing stopped.
enum Stop {
    Input(BadLine),
    Batch(Box<Batch>, Failure),
    Slots(Box<Batch>, Vec<(usize, Problem)>),
    Reading(io::Error),
}

impl Stop {
    fn into_failure(self, accepted: u64) -> Failure {
        let before = format!("{accepted} records were accepted before it");
        match self {
            Stop::Input(bad) => {
                Failure::Local(format!("line {}: {}; {before}", bad.line, bad.reason))
            }
            Stop::Batch(batch, Failure::Refused(mut problem)) => {
                for error in &mut problem.errors {
                    if let Some(line) = line_of(&error.pointer, &batch.lines) {
                        error.message.push_str(&format!(" (line {line})"));
                    }
                }
                let detail = problem
                    .detail
                    .take()
                    .map(|text| text + "\n  ")
                    .unwrap_or_default();
                problem.detail = Some(format!("{detail}{}; {before}", span(&batch)));
                Failure::Refused(problem)
            }
            Stop::Batch(batch, Failure::Unreachable(text)) => Failure::Unreachable(format!(
                "{text}\n  {} may or may not have been stored; {before}",
                span(&batch)
            )),
            Stop::Batch(_, failure) => failure,
            Stop::Reading(error) => Failure::Local(format!("cannot read the input: {error}")),
            Stop::Slots(batch, slots) => {
                let mut text = format!(
                    "{} of {} records of {} were refused; {before}",
                    slots.len(),
                    batch.lines.len(),
                    span(&batch)
                );
                for (slot, problem) in slots.iter().take(SLOTS_SHOWN) {
                    let line = batch.lines.get(*slot).copied().unwrap_or_default();
                    text.push_str(&format!("\n  line {line}: {}", problem.summary()));
                }
                if slots.len() > SLOTS_SHOWN {
                    text.push_str(&format!("\n  and {} more", slots.len() - SLOTS_SHOWN));
                }
                Failure::Local(text)
            }
        }
    }
}

fn span(batch: &Batch) -> String {
    let first = batch.lines.first().copied().unwrap_or_default();
    let last = batch.lines.last().copied().unwrap_or_default();
    format!("the request with lines {first} to {last}")
}

/// The input line that a pointer such as `/records/3/value` is about.
fn line_of(pointer: &str, lines: &[u64]) -> Option<u64> {
    let index = pointer.strip_prefix("/records/")?.split('/').next()?;
    lines.get(index.parse::<usize>().ok()?).copied()
}

/// Reads, cuts and sends until the input ends or something stops it.
async fn pump(
    args: &Args,
    source: Box<dyn Read + Send>,
    cutter: &mut Cutter,
    sender: &Sender,
    progress: &Progress,
    duplicates: &mut u64,
) -> Result<(), Stop> {
    let mut chunks = read_chunks(source);
    let mut in_flight = FuturesUnordered::new();
    let in_flight_max = usize::from(args.in_flight);
    // With a prefix, cuts must not depend on timing.
    let may_linger = args.idempotency_prefix.is_none();
    let mut ended = false;
    // After a bad line the whole batches before it are still sent; after a refusal nothing is, but
    // what is in flight is waited for.
    let mut bad_input = None;
    let mut refused = None;
    loop {
        while refused.is_none() && in_flight.len() < in_flight_max {
            let Some(batch) = cutter.ready().pop_front() else {
                break;
            };
            in_flight.push(sender.deliver(batch, progress));
        }
        if in_flight.is_empty() && (ended || refused.is_some()) {
            return refused.or(bad_input).map_or(Ok(()), Err);
        }
        let read_on = !ended && refused.is_none() && cutter.ready().len() < 2;
        let idle = may_linger && read_on && in_flight.len() < in_flight_max;
        let due = cutter
            .started()
            .filter(|_| idle)
            .map(|at| (at + LINGER).into());
        tokio::select! {
            Some(outcome) = in_flight.next() => match outcome {
                Ok(delivered) => {
                    *duplicates += delivered.duplicates;
                    progress.add(delivered.records, delivered.input_bytes);
                }
                Err(stop) => refused = Some(stop),
            },
            chunk = chunks.recv(), if read_on => {
                let taken = match chunk {
                    Some(Ok(chunk)) => cutter.push(&chunk).map_err(Stop::Input),
                    Some(Err(error)) => Err(Stop::Reading(error)),
                    None => {
                        ended = true;
                        cutter.finish().map_err(Stop::Input)
                    }
                };
                if let Err(stop) = taken {
                    bad_input = Some(stop);
                    ended = true;
                }
            }
            Some(()) = OptionFuture::from(due.map(tokio::time::sleep_until)) => cutter.cut(),
        }
    }
}

/// What one request came to.
struct Delivered {
    records: u64,
    input_bytes: u64,
    duplicates: u64,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    results: Vec<Slot>,
    #[serde(default)]
    duplicate: bool,
}

#[derive(Deserialize)]
struct Slot {
    error: Option<Problem>,
}

/// Sends batches.
struct Sender {
    service: Service,
    path: String,
    session: String,
    retry_for: Duration,
}

impl Sender {
    /// Sends one batch until the service has answered for good.
    async fn deliver(&self, mut batch: Batch, progress: &Progress) -> Result<Delivered, Stop> {
        let request = self
            .service
            .request(Method::POST, &self.path)
            .header(CONTENT_TYPE, "application/json")
            .header(
                "idempotency-key",
                format!("{}-{}", self.session, batch.number),
            )
            .body(Bytes::from(std::mem::take(&mut batch.body)));
        let mut attempts = Attempts::new(self.retry_for);
        loop {
            let request = request.try_clone().expect("a body of bytes can be cloned");
            let failure = match self.service.exchange(request).await {
                Ok((_, body)) => match judge(&body, batch.lines.len()) {
                    Ok(duplicates) => {
                        return Ok(Delivered {
                            records: batch.lines.len() as u64,
                            input_bytes: batch.input_bytes,
                            duplicates,
                        });
                    }
                    Err(Judgement::NotUnderstood(failure)) => {
                        return Err(Stop::Batch(Box::new(batch), failure));
                    }
                    Err(Judgement::Slots(slots)) => {
                        // Partitions that took their part answer it again as duplicates.
                        let Some(passing) = all_retryable(&slots) else {
                            return Err(Stop::Slots(Box::new(batch), slots));
                        };
                        let failure = Failure::Refused(Box::new(passing));
                        if attempts.again(failure, progress).await.is_err() {
                            return Err(Stop::Slots(Box::new(batch), slots));
                        }
                        continue;
                    }
                },
                Err(failure) => failure,
            };
            if let Err(failure) = attempts.again(failure, progress).await {
                return Err(Stop::Batch(Box::new(batch), failure));
            }
        }
    }
}

enum Judgement {
    NotUnderstood(Failure),
    Slots(Vec<(usize, Problem)>),
}

/// How many of `records` an answer calls duplicates, or which of them it refuses.
fn judge(body: &[u8], records: usize) -> Result<u64, Judgement> {
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|error| Judgement::NotUnderstood(not_understood(error)))?;
    let slots: Vec<_> = answer
        .results
        .into_iter()
        .enumerate()
        .filter_map(|(slot, result)| Some((slot, result.error?)))
        .collect();
    if !slots.is_empty() {
        return Err(Judgement::Slots(slots));
    }
    Ok(if answer.duplicate { records as u64 } else { 0 })
}

/// The first problem, if every slot's problem may pass.
fn all_retryable(slots: &[(usize, Problem)]) -> Option<Problem> {
    let all = slots.iter().all(|(_, problem)| problem.retryable);
    slots
        .first()
        .filter(|_| all)
        .map(|(_, problem)| problem.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_name_lines_of_the_input() {
        assert_eq!(line_of("/records/1/value", &[4, 7]), Some(7));
        assert_eq!(line_of("/records/0", &[4, 7]), Some(4));
        for pointer in ["/records/2", "/records/x", "/acks", ""] {
            assert_eq!(line_of(pointer, &[4, 7]), None);
        }
    }

    #[test]
    fn answers_are_judged_by_their_slots() {
        let good = br#"{"results":[{"partition":0,"offset":1}],"duplicate":true}"#;
        assert!(matches!(judge(good, 1), Ok(1)));
        let refused = br#"{"results":[{"partition":0,"offset":1},
            {"error":{"title":"Not now","retryable":true}}],"duplicate":false}"#;
        let Err(Judgement::Slots(slots)) = judge(refused, 2) else {
            panic!("not refused")
        };
        assert_eq!(slots[0].0, 1);
        assert!(all_retryable(&slots).is_some());
        assert!(matches!(
            judge(b"<html>", 1),
            Err(Judgement::NotUnderstood(_))
        ));
    }
}
