//! Following a topic: records as they are committed, over one long answer.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::Method;
use serde::Deserialize;

use super::consume::Consumer;
use super::failure::{Failure, Problem};
use super::page::Position;
use super::resources::not_understood;
use super::retry::Attempts;
use super::service::unreachable;

/// The service sends something each 15 seconds; a connection silent for longer is dead.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// A connection that lasted longer than this, or that made way, had been good: what ends it is a
/// new failure.
const LIFE_MIN: Duration = Duration::from_secs(5);

/// Prints records from the consumer's position on, over as many connections as it takes, until
/// the consumer is done or something final happens.
///
/// Lines are held back until the cursor that follows their batch, so that a connection cut in the
/// middle of a batch prints none of it twice.
pub async fn tail(consumer: &mut Consumer) -> Result<(), Failure> {
    let mut attempts = Attempts::new(consumer.retry_for);
    while !consumer.done() {
        let (before, started) = (consumer.position.clone(), Instant::now());
        let outcome = connection(consumer).await;
        if consumer.position != before || started.elapsed() > LIFE_MIN {
            attempts = Attempts::new(consumer.retry_for);
        }
        match outcome {
            Err(failure) => attempts.again(failure, &consumer.progress).await?,
            Ok(()) if consumer.done() => return Ok(()),
            // A gateway that drains ends its streams; another one goes on.
            Ok(()) => {
                let ended = Failure::Unreachable("the stream ended".to_owned());
                attempts.again(ended, &consumer.progress).await?;
            }
        }
    }
    Ok(())
}

async fn connection(consumer: &mut Consumer) -> Result<(), Failure> {
    let path = format!(
        "/topics/{}/tail.ndjson?{}{}",
        consumer.topic,
        consumer.position.query(),
        consumer.query
    );
    let answer = consumer
        .service
        .open(consumer.service.request(Method::GET, &path))
        .await?;
    let mut chunks = answer.bytes_stream();
    let mut lines = Lines::default();
    loop {
        let chunk = match tokio::time::timeout(SILENCE_MAX, chunks.next()).await {
            Ok(Some(chunk)) => chunk.map_err(unreachable)?,
            Ok(None) => return Ok(()),
            Err(_) => return Err(Failure::Unreachable("the stream fell silent".to_owned())),
        };
        for batch in lines.push(&chunk)? {
            let (text, records) = batch.first(consumer.remaining);
            consumer
                .print(text, records, Some(Position::Cursor(batch.cursor)))
                .await?;
            if consumer.done() {
                return Ok(());
            }
        }
        let held = lines.held.records;
        if consumer
            .remaining
            .is_some_and(|remaining| held >= remaining)
        {
            // Enough has come: no need to wait for the cursor.
            let (text, records) = lines.held.first(consumer.remaining);
            return consumer.print(text, records, None).await;
        }
    }
}

/// Lines of a stream on their way to being whole batches.
#[derive(Default)]
struct Lines {
    carry: Vec<u8>,
    held: Held,
}

/// Records whose cursor has come, or is still to come.
#[derive(Default, Debug, PartialEq, Eq)]
struct Held {
    text: Vec<u8>,
    records: u64,
    cursor: String,
}

#[derive(Deserialize)]
struct Mark {
    cursor: String,
}

#[derive(Deserialize)]
struct Trouble {
    error: Problem,
}

impl Held {
    /// The text of the first `limit` records, and how many that are.
    fn first(&self, limit: Option<u64>) -> (Vec<u8>, u64) {
        let records = self.records.min(limit.unwrap_or(u64::MAX));
        let lines = self.text.split_inclusive(|byte| *byte == b'\n');
        let length = lines.take(records as usize).map(<[u8]>::len).sum();
        (self.text[..length].to_vec(), records)
    }
}

impl Lines {
    /// Takes the next piece of the stream and gives the batches that became whole.
    fn push(&mut self, chunk: &[u8]) -> Result<Vec<Held>, Failure> {
        let mut whole = Vec::new();
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.carry.extend_from_slice(&rest[..=end]);
            rest = &rest[end + 1..];
            if self.carry.starts_with(b"{\"cursor\":") {
                let mark: Mark = serde_json::from_slice(&self.carry).map_err(not_understood)?;
                let mut held = std::mem::take(&mut self.held);
                held.cursor = mark.cursor;
                whole.push(held);
            } else if self.carry.starts_with(b"{\"error\":") {
                let trouble: Trouble =
                    serde_json::from_slice(&self.carry).map_err(not_understood)?;
                return Err(Failure::Refused(Box::new(trouble.error)));
            } else if !self.carry.trim_ascii().is_empty() {
                self.held.text.extend_from_slice(&self.carry);
                self.held.records += 1;
            }
            self.carry.clear();
        }
        self.carry.extend_from_slice(rest);
        Ok(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_whole_when_its_cursor_has_come() {
        let stream = "{\"cursor\":\"c0\"}\n{\"value\":1}\n{\"value\":\"cursor\"}\n\n\
                      {\"cursor\":\"c1\"}\n{\"value\":3}\n";
        for step in 1..stream.len() {
            let mut lines = Lines::default();
            let mut whole = Vec::new();
            for chunk in stream.as_bytes().chunks(step) {
                whole.extend(lines.push(chunk).unwrap());
            }
            let cursors: Vec<_> = whole.iter().map(|held| held.cursor.as_str()).collect();
            assert_eq!(cursors, ["c0", "c1"]);
            assert_eq!(whole[1].text, b"{\"value\":1}\n{\"value\":\"cursor\"}\n");
            assert_eq!(lines.held.records, 1);
            assert_eq!(whole[1].first(Some(1)), (b"{\"value\":1}\n".to_vec(), 1));
            assert_eq!(whole[1].first(None).1, 2);
        }
    }

    #[test]
    fn an_error_line_is_a_failure() {
        let line = b"{\"error\":{\"title\":\"Gone\",\"status\":410,\"retryable\":false}}\n";
        let Err(Failure::Refused(problem)) = Lines::default().push(line) else {
            panic!("no failure")
        };
        assert_eq!(problem.title, "Gone");
    }
}
