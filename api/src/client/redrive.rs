//! `headwater groups redrive`: moving dead letters back.

use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::output::Output;
use super::progress::Progress;
use super::resources::{not_understood, push_line};
use super::service::Service;
use super::{group_name, topic_name};

/// A call is tried again for this long: what it moved before is not moved again.
const RETRY_FOR: Duration = Duration::from_secs(60);

/// Which letters, and how fast.
#[derive(Debug, clap::Args)]
pub struct Redrive {
    /// The group's name
    #[arg(value_parser = group_name)]
    name: String,
    /// Only letters of this key
    #[arg(long = "record-key", value_name = "KEY")]
    record_key: Option<String>,
    /// Only letters whose reason has this text in it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only letters with this header; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// Only letters from this topic
    #[arg(long, value_name = "TOPIC", value_parser = topic_name)]
    topic: Option<String>,
    /// Only letters of records of this time or later: RFC 3339, or milliseconds since the epoch
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only letters of records of before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only these offsets of the dead-letter topic, as 3:100-200 (200 is not in it); may be repeated
    #[arg(long, value_name = "PARTITION:FROM-TO", value_parser = offsets)]
    offsets: Vec<Value>,
    /// At most so many letters a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// Stop after so many letters
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,
    /// Only print what would be moved
    #[arg(long)]
    dry_run: bool,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

/// Letters that one call comes to at most.
const CALL_RECORDS: u64 = 1_000;

#[derive(Deserialize)]
struct Redriven<'a> {
    moved: u64,
    skipped: u64,
    refused: u64,
    left: u64,
    #[serde(borrow)]
    letters: Vec<&'a RawValue>,
    cursor: Option<String>,
}

/// Reads `name=value`.
fn header(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let pair = pair.map(|(name, value)| (name.to_owned(), value.to_owned()));
    pair.ok_or_else(|| "a header is NAME=VALUE".to_owned())
}

/// Reads `partition:from-to`.
fn offsets(text: &str) -> Result<Value, String> {
    let read = || {
        let (partition, range) = text.split_once(':')?;
        let (from, to) = range.split_once('-')?;
        let partition: u32 = partition.parse().ok()?;
        let (from, to): (u64, u64) = (from.parse().ok()?, to.parse().ok()?);
        Some(json!({"partition": partition, "from": from, "to": to}))
    };
    read().ok_or_else(|| "offsets are PARTITION:FROM-TO, as 3:100-200".to_owned())
}

impl Redrive {
    /// Moves letters, call by call.
    pub async fn run(&self, service: &Service, output: &Output) -> Result<(), Failure> {
        let progress = Progress::new(None, self.quiet);
        let path = format!("/groups/{}/redrive", self.name);
        let (mut moved, mut skipped, mut refused) = (0, 0, 0);
        let mut cursor = None;
        loop {
            let left_to_do = self.max.map(|max| max.saturating_sub(moved + refused));
            let records = left_to_do.map_or(CALL_RECORDS, |left| left.min(CALL_RECORDS));
            let body = self.body(records, cursor.as_deref());
            let request = || service.request(Method::POST, &path).json(&body);
            let sent = service.exchange_retrying(RETRY_FOR, &progress, request);
            let (_, answer) = sent.await?;
            let done: Redriven<'_> = serde_json::from_slice(&answer).map_err(not_understood)?;
            let mut lines = Vec::new();
            for letter in &done.letters {
                push_line(&mut lines, letter.get().as_bytes());
            }
            progress.add(done.moved, lines.len() as u64);
            output.write(lines).await?;
            moved += done.moved;
            skipped += done.skipped;
            refused += done.refused;
            cursor = done.cursor;
            if cursor.is_none() || self.max.is_some_and(|max| moved + refused >= max) {
                progress.clear();
                let what = match self.dry_run {
                    true => "a dry run: would move",
                    false => "moved",
                };
                progress.note(&format!(
                    "{what} {moved} letters, left {skipped}, cannot move {refused}; {} offsets were not \
                     looked at",
                    done.left
                ));
                return Ok(());
            }
        }
    }

    /// The body of a call.
    fn body(&self, records: u64, cursor: Option<&str>) -> Value {
        let mut filter = Map::new();
        let texts = [
            ("key", &self.record_key),
            ("reason", &self.reason),
            ("topic", &self.topic),
            ("since", &self.since),
            ("until", &self.until),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                filter.insert(name.to_owned(), json!(text));
            }
        }
        let headers: Map<_, _> = self
            .header
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        filter.insert("headers".to_owned(), Value::Object(headers));
        filter.insert("offsets".to_owned(), json!(self.offsets));
        let mut body = json!({"filter": filter, "max_records": records, "dry_run": self.dry_run});
        if let Some(rate) = self.rate {
            body["records_per_second"] = json!(rate);
        }
        if let Some(cursor) = cursor {
            body["cursor"] = json!(cursor);
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_name_offsets_and_headers() {
        let expected = json!({"partition": 3, "from": 100, "to": 200});
        assert_eq!(offsets("3:100-200"), Ok(expected));
        for bad in ["3", "3:100", "3:100-x", "x:1-2", "3:-1-2"] {
            assert!(offsets(bad).is_err(), "{bad}");
        }
        assert_eq!(header("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(header("=b").is_err() && header("a").is_err());
    }
}
