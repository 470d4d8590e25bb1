//! `headwater consume`: the records of a topic, one a line, as the service sent them.

use std::io::{self, IsTerminal};
use std::time::Duration;

use reqwest::Method;

use super::failure::Failure;
use super::follow;
use super::group_name;
use super::member::Member;
use super::output::Output;
use super::page::{self, Page, Position};
use super::progress::Progress;
use super::retry::duration;
use super::service::{Service, ServiceArgs};
use super::topic_name;

/// How long one request of a follower of a single partition waits for records.
const LONG_POLL_MS: u64 = 20_000;

/// The consume verb.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "As a member of a group, several processes share a topic's partitions, and \
    each run goes on where the\nlast one stopped:\n  headwater consume orders --group billing --follow \
    | while read -r record; do …; done\nThe group is made if there is none. Records are committed once \
    they were written out, so a run that is killed\nprints some of them again, and none is lost."
)]
pub struct Args {
    #[command(flatten)]
    service: ServiceArgs,
    /// The topic to read
    #[arg(value_parser = topic_name)]
    topic: String,
    /// Where to start: earliest, latest or tail-N (the last N records of each partition); earliest
    /// if nothing else says
    #[arg(long, value_name = "POSITION", value_parser = from, conflicts_with_all = ["at", "cursor", "offset"])]
    from: Option<String>,
    /// Start at this time: RFC 3339, or milliseconds since the epoch
    #[arg(long, value_name = "TIME", conflicts_with_all = ["cursor", "offset"])]
    at: Option<String>,
    /// Go on where an earlier run stopped
    #[arg(long, conflicts_with_all = ["partition", "offset"])]
    cursor: Option<String>,
    /// Read as a member of this group: only what others have not read, and go on there next time
    #[arg(long, value_name = "NAME", value_parser = group_name,
          conflicts_with_all = ["at", "cursor", "partition", "offset"])]
    group: Option<String>,
    /// The member's name; whoever has it already is fenced
    #[arg(long, value_name = "NAME", requires = "group", value_parser = group_name)]
    member: Option<String>,
    /// Read this partition only
    #[arg(long)]
    partition: Option<u32>,
    /// Start at this offset of the partition
    #[arg(long, requires = "partition")]
    offset: Option<u64>,
    /// Go on with new records as they come, for ever
    #[arg(long, short)]
    follow: bool,
    /// Stop after so many records
    #[arg(long, value_name = "N")]
    max: Option<u64>,
    /// Print key, value and headers as base64
    #[arg(long, value_enum)]
    encoding: Option<Encoding>,
    /// How long to repeat a request that fails for a passing reason
    #[arg(long, default_value = "60s", value_parser = duration)]
    retry_for: Duration,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Encoding {
    Base64,
}

fn from(text: &str) -> Result<String, String> {
    let tail = text
        .strip_prefix("tail-")
        .is_some_and(|n| n.parse::<u64>().is_ok());
    if tail || text == "earliest" || text == "latest" {
        return Ok(text.to_owned());
    }
    Err("it is earliest, latest or tail-N".to_owned())
}

/// Prints records up to the end of the topic, or for ever.
pub async fn run(args: Args) -> Result<(), Failure> {
    if args.group.is_some() {
        return run_as_member(args).await;
    }
    let start = match (&args.cursor, &args.at, args.offset) {
        (Some(cursor), _, _) => Position::Cursor(cursor.clone()),
        (_, Some(at), _) => Position::At(at.clone()),
        (_, _, Some(offset)) => Position::Offset(offset),
        _ => Position::From(args.from.clone().unwrap_or_else(|| "earliest".to_owned())),
    };
    let quiet = args.quiet || io::stdout().is_terminal();
    let mut consumer = Consumer {
        service: Service::new(&args.service)?,
        output: Output::start(),
        progress: Progress::new(None, quiet),
        topic: args.topic,
        partition: args.partition,
        query: match args.encoding {
            Some(Encoding::Base64) => "&encoding=base64",
            None => "",
        },
        remaining: args.max,
        retry_for: args.retry_for,
        position: start,
    };
    let outcome = tokio::select! {
        outcome = consumer.read(args.follow) => outcome,
        _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
    };
    consumer.progress.clear();
    if matches!(
        outcome,
        Err(Failure::Interrupted | Failure::Refused(_) | Failure::Unreachable(_))
    ) {
        consumer.say_where_to_resume();
    }
    outcome
}

/// Prints what a group's member reads, and commits what was printed.
async fn run_as_member(args: Args) -> Result<(), Failure> {
    let start = match args.from.as_deref() {
        Some(from) if from.starts_with("tail-") => {
            let text = "a group starts at --from earliest or --from latest";
            return Err(Failure::Usage(text.to_owned()));
        }
        from => from,
    };
    let name = || format!("cli-{:012x}", rand::random::<u64>() >> 16);
    let quiet = args.quiet || io::stdout().is_terminal();
    let mut member = Member {
        service: Service::new(&args.service)?,
        output: Output::start(),
        progress: Progress::new(None, quiet),
        group: args.group.unwrap_or_default(),
        name: args.member.unwrap_or_else(name),
        retry_for: args.retry_for,
        encoding: args.encoding.map(|Encoding::Base64| "base64"),
        remaining: args.max,
        epoch: None,
        printed: None,
    };
    let outcome = tokio::select! {
        outcome = async {
            member.ensure(&args.topic, start).await?;
            member.read(args.follow).await
        } => outcome,
        _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
    };
    member.progress.clear();
    match outcome {
        Ok(()) => member.leave().await,
        Err(failure @ (Failure::Interrupted | Failure::OutputClosed)) => {
            if let Err(failed) = member.leave().await {
                member.progress.note(&failed.summary());
            }
            Err(failure)
        }
        Err(failure) => Err(failure),
    }
}

/// A reader of one topic or one partition, and how far it has printed.
pub struct Consumer {
    /// The project read from.
    pub service: Service,
    /// Where records go.
    pub output: Output,
    /// What is shown meanwhile.
    pub progress: Progress,
    /// The topic's name.
    pub topic: String,
    /// How long a passing failure may last.
    pub retry_for: Duration,
    /// Everything before this was printed.
    pub position: Position,
    /// Added to every request.
    pub query: &'static str,
    /// How many more records to print, if there is a limit.
    pub remaining: Option<u64>,
    partition: Option<u32>,
}

impl Consumer {
    async fn read(&mut self, follow: bool) -> Result<(), Failure> {
        if self.done() || !self.catch_up(0).await? {
            return Ok(());
        }
        while follow && !self.done() {
            match self.partition {
                Some(_) => drop(self.catch_up(LONG_POLL_MS).await?),
                None => follow::tail(self).await?,
            }
        }
        Ok(())
    }

    /// True once as many records were printed as were asked for.
    pub fn done(&self) -> bool {
        self.remaining == Some(0)
    }

    /// Reads pages until one is empty; false if it cannot go on after that.
    async fn catch_up(&mut self, wait_ms: u64) -> Result<bool, Failure> {
        loop {
            let asked = page::path(
                &self.topic,
                self.partition,
                &self.position,
                self.remaining,
                wait_ms,
            );
            let request = || {
                self.service
                    .request(Method::GET, &format!("{asked}{}", self.query))
            };
            let (_, body) = self
                .service
                .exchange_retrying(self.retry_for, &self.progress, request)
                .await?;
            let page = Page::parse(&body, self.partition.is_some(), &self.position)?;
            for gap in &page.gaps {
                self.progress.note(&format!("records are missing: {gap}"));
            }
            self.print(page.lines, page.records, page.next.clone())
                .await?;
            if page.at_end || self.done() {
                return Ok(page.next.is_some());
            }
            if page.next.is_none() {
                return Err(Failure::Local(
                    "the service does not say how to go on".to_owned(),
                ));
            }
        }
    }

    /// Prints `records` whole lines, after which reading goes on at `next`.
    pub async fn print(
        &mut self,
        lines: Vec<u8>,
        records: u64,
        next: Option<Position>,
    ) -> Result<(), Failure> {
        let bytes = lines.len() as u64;
        self.output.write(lines).await?;
        if let Some(next) = next {
            self.position = next;
        }
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(records);
        }
        self.progress.add(records, bytes);
        Ok(())
    }

    fn say_where_to_resume(&self) {
        let how = match (&self.position, self.partition) {
            (Position::Cursor(cursor), _) => format!("--cursor {cursor}"),
            (Position::Offset(offset), Some(partition)) => {
                format!("--partition {partition} --offset {offset}")
            }
            _ => return,
        };
        self.progress.note(&format!("resume with {how}"));
    }
}

#[cfg(test)]
mod tests {
    use super::from;

    #[test]
    fn positions_are_checked() {
        for good in ["earliest", "latest", "tail-0", "tail-100"] {
            assert_eq!(from(good).as_deref(), Ok(good));
        }
        for bad in ["", "tail", "tail-", "tail-x", "tail--1", "first", "5"] {
            assert!(from(bad).is_err(), "{bad}");
        }
    }
}
