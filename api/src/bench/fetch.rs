//! `headwater bench fetch`.

use std::io::{self, Write};

use crate::client::Failure;

use super::body::{Body, Shape};
use super::groups::{self, GroupType};
use super::load::{self, Job, LoadArgs};
use super::report::LoadReport;
use super::target::{Target, excerpt, refused};
use super::wire::{Connection, find};

/// The service's ceiling.
const FETCH_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What to read.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    load: LoadArgs,
    /// Records asked for in one request
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    records_per_request: u16,
    /// Bytes of each record's value, where the topic has to be filled
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    record_bytes: u32,
    /// How many different keys the records have, where the topic has to be filled; 0: they have none
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(..=10_000_000))]
    keys: u32,
    /// The topic, made and filled as far as needed
    #[arg(long, default_value = "bench-fetch")]
    topic: String,
    /// Partitions of the topic; each connection reads one of them
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    partitions: u32,
    /// Fill the topic until it holds so many MiB of values
    #[arg(long, default_value_t = 128, value_name = "MIB")]
    fill: u64,
    /// Read by a consumer group that is made for the run
    #[arg(long, value_enum, value_name = "TYPE")]
    group: Option<GroupType>,
}

/// Fills the topic and measures.
pub async fn run(args: Args, target: Target) -> Result<LoadReport, Failure> {
    target.ensure_topic(&args.topic, args.partitions).await?;
    let per_request = u64::from(args.records_per_request);
    let wanted = args.fill * 1024 * 1024 / u64::from(args.record_bytes);
    let wanted = wanted / u64::from(args.partitions);
    let wanted = wanted.max(2 * per_request);
    for partition in 0..args.partitions {
        fill(&args, &target, partition, wanted).await?;
    }
    let ranges = ranges(&target, &args).await?;
    if ranges.iter().any(|(start, end)| *end < start + per_request) {
        return Err(Failure::Local(
            "the topic lost what was written to it".to_owned(),
        ));
    }
    if let Some(group_type) = args.group {
        let wanted = groups::Wanted {
            topic: args.topic,
            group_type,
            records: args.records_per_request,
            record_bytes: args.record_bytes,
            log_starts: ranges.iter().map(|(start, _)| *start).collect(),
        };
        return groups::run(args.load, wanted, target).await;
    }
    let readers: Vec<_> = (0..args.load.connections)
        .map(|number| Reader::new(&args, &target, &ranges, number))
        .collect();
    let (address, load) = (target.address.clone(), args.load.clone());
    let measured = tokio::task::spawn_blocking(move || {
        load::measure(&load, &address, |number| readers[number as usize].clone())
    });
    let tally = measured
        .await
        .map_err(|error| Failure::Local(error.to_string()))?
        .map_err(|error| target.unreachable(error))?;
    Ok(LoadReport::new("fetch", &args.load, tally))
}

/// Log start and high watermark of each partition that is read.
async fn ranges(target: &Target, args: &Args) -> Result<Vec<(u64, u64)>, Failure> {
    let mut ranges = target.partitions(&args.topic).await?;
    ranges.truncate(args.partitions as usize);
    Ok(ranges)
}

async fn fill(args: &Args, target: &Target, partition: u32, wanted: u64) -> Result<(), Failure> {
    let ranges = ranges(target, args).await?;
    let range = ranges.get(partition as usize);
    let (log_start, high_watermark) =
        range.ok_or_else(|| Failure::Local(format!("no partition {partition}")))?;
    let mut missing = wanted.saturating_sub(high_watermark - log_start);
    if missing == 0 {
        return Ok(());
    }
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(
        io::stderr(),
        "filling partition {partition} of topic {} with {missing} records",
        args.topic
    );
    let value_bytes = args.record_bytes as usize;
    let shape = Shape {
        records: (1024 * 1024 / value_bytes).clamp(1, 1000),
        value_bytes,
        keys: args.keys,
        partition: true,
        acks: None,
    };
    let path = target.path(&format!("/topics/{}/records", args.topic));
    let mut connection = Connection::open(&target.address)
        .await
        .map_err(|error| target.unreachable(error))?;
    let mut text = Vec::new();
    for number in 0.. {
        Body::new(&shape, number % 64).write_to(&mut text, partition);
        let head = target.with_body("POST", &path, "", text.len());
        let status = connection
            .call(&head, &text)
            .await
            .map_err(|error| target.unreachable(error))?;
        if status != 200 {
            return Err(refused("filling the topic", status, connection.body()));
        }
        missing = missing.saturating_sub(shape.records as u64);
        if missing == 0 {
            break;
        }
    }
    Ok(())
}

/// One connection's requests: pages all over a partition, each at another place.
#[derive(Debug, Clone)]
struct Reader {
    before: Vec<u8>,
    after: Vec<u8>,
    request: Vec<u8>,
    log_start: u64,
    span: u64,
    per_request: u64,
    record_bytes: u64,
    offset: u64,
    turn: u64,
}

impl Reader {
    fn new(args: &Args, target: &Target, ranges: &[(u64, u64)], number: u32) -> Self {
        let partition = number % args.partitions;
        let (log_start, high_watermark) = ranges[partition as usize];
        let per_request = u64::from(args.records_per_request);
        let path = format!("/topics/{}/partitions/{partition}/records", args.topic);
        let path = target.path(&path);
        let template = target.get(&format!(
            "{path}?max_records={per_request}&max_bytes={FETCH_BYTES_MAX}&offset=@"
        ));
        let at = find(&template, b"offset=@").unwrap_or(0) + "offset=".len();
        let span = high_watermark - log_start - per_request + 1;
        // Those of one partition begin at different places.
        let others = args.load.connections.div_ceil(args.partitions);
        Self {
            before: template[..at].to_vec(),
            after: template[at + 1..].to_vec(),
            request: Vec::new(),
            log_start,
            span,
            per_request,
            record_bytes: u64::from(args.record_bytes),
            offset: log_start,
            turn: span / u64::from(others) * u64::from(number / args.partitions),
        }
    }
}

impl Job for Reader {
    fn next(&mut self) -> (&[u8], &[u8]) {
        self.offset = self.log_start + self.turn % self.span;
        self.turn += self.per_request;
        self.request.clear();
        self.request.extend_from_slice(&self.before);
        self.request
            .extend_from_slice(itoa::Buffer::new().format(self.offset).as_bytes());
        self.request.extend_from_slice(&self.after);
        (&self.request, b"")
    }

    fn judge(&mut self, status: u16, body: &[u8]) -> Result<(u64, u64), String> {
        load::succeeded(status, body)?;
        // Offsets in a partition that nothing was compacted in have no holes.
        let next = number_after(body, b"\"next_offset\":").ok_or_else(|| excerpt(status, body))?;
        let records = next.saturating_sub(self.offset);
        let bytes = records * self.record_bytes;
        if records == 0 || (body.len() as u64) < bytes {
            return Err(format!("{records} records in {} bytes", body.len()));
        }
        Ok((records, bytes))
    }
}

/// The number after the last `name` near the end of `body`, or near its beginning.
pub fn number_after(body: &[u8], name: &[u8]) -> Option<u64> {
    const NEAR: usize = 512;
    let near_end = &body[body.len().saturating_sub(NEAR)..];
    let near_start = &body[..body.len().min(NEAR)];
    [near_end, near_start].into_iter().find_map(|text| {
        let mut found = None;
        let mut from = 0;
        while let Some(at) = find(&text[from..], name) {
            from += at + name.len();
            found = digits(&text[from..]);
        }
        found
    })
}

/// The number at the beginning of `text`, after spaces.
pub fn digits(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_start();
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&text[..length]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_at_either_end() {
        let long = "x".repeat(2000);
        let name = b"\"next_offset\":";
        let end = format!("{{\"records\":[\"{long}\"],\"next_offset\": 42,\"gaps\":[]}}");
        assert_eq!(number_after(end.as_bytes(), name), Some(42));
        let start = format!("{{\"next_offset\":7,\"records\":[\"{long}\"]}}");
        assert_eq!(number_after(start.as_bytes(), name), Some(7));
        assert_eq!(number_after(b"{\"records\":[]}", name), None);
    }
}
