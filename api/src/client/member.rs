//! `headwater consume --group`: records as a member of a group, committed once they were written out.

use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::failure::Failure;
use super::output::Output;
use super::progress::Progress;
use super::resources::{not_understood, push_line};
use super::service::Service;

/// How long one poll of a follower waits for records.
const LONG_POLL_MS: u64 = 20_000;
/// The most that is asked for at once.
const PAGE_BYTES: u64 = 4 * 1024 * 1024;
const PAGE_RECORDS: u64 = 10_000;

/// A member of a group, and how far it has printed.
pub struct Member {
    /// The project read from.
    pub service: Service,
    /// Where records go.
    pub output: Output,
    /// What is shown meanwhile.
    pub progress: Progress,
    /// The group's name.
    pub group: String,
    /// Its own.
    pub name: String,
    /// How long a passing failure may last.
    pub retry_for: Duration,
    /// `base64` for bytes.
    pub encoding: Option<&'static str>,
    /// How many more records to print, if there is a limit.
    pub remaining: Option<u64>,
    /// What the next poll names; none: to join first.
    pub epoch: Option<u64>,
    /// The cursor of what was printed and not committed.
    pub printed: Option<String>,
}

#[derive(Deserialize)]
struct Joined {
    epoch: u64,
}

#[derive(Deserialize)]
struct Polled<'a> {
    #[serde(borrow)]
    records: Vec<&'a RawValue>,
    cursor: String,
    epoch: u64,
    #[serde(borrow)]
    gaps: Vec<&'a RawValue>,
    lag: Lag,
}

#[derive(Deserialize)]
struct Lag {
    records: u64,
}

impl Member {
    /// Makes sure that the group is there, to read this topic. One that is there already may read more.
    pub async fn ensure(&self, topic: &str, start: Option<&str>) -> Result<(), Failure> {
        let path = format!("/groups/{}", self.group);
        let read = || self.service.request(Method::GET, &path);
        let read = self
            .service
            .exchange_retrying(self.retry_for, &self.progress, read);
        match read.await {
            Ok((_, group)) => {
                let group: Value = serde_json::from_slice(&group).map_err(not_understood)?;
                let mut topics = group["topics"].as_array().into_iter().flatten();
                if topics.any(|reads| reads == topic) {
                    return Ok(());
                }
                let (group, reads) = (&self.group, &group["topics"]);
                return Err(Failure::Usage(format!(
                    "the group {group} reads {reads}, not {topic}"
                )));
            }
            Err(Failure::Refused(problem)) if problem.code == "group_not_found" => {}
            Err(failure) => return Err(failure),
        }
        let mut body = json!({"topics": [topic], "type": "partitioned"});
        if let Some(start) = start {
            body["start"] = json!(start);
        }
        self.put(&path, &body).await.map(drop)
    }

    /// Prints records to the end of the topic, or for ever.
    pub async fn read(&mut self, follow: bool) -> Result<(), Failure> {
        while self.remaining != Some(0) {
            if !self.step(follow).await? && !follow {
                break;
            }
        }
        Ok(())
    }

    /// One poll, which commits what was printed before it. False if nothing is left.
    async fn step(&mut self, follow: bool) -> Result<bool, Failure> {
        let wait_ms = if follow { LONG_POLL_MS } else { 0 };
        let Some(body) = self
            .poll(self.remaining.unwrap_or(PAGE_RECORDS), wait_ms)
            .await?
        else {
            // It joins again; what was not committed is read again, by whoever owns it.
            return Ok(true);
        };
        let polled: Polled<'_> = serde_json::from_slice(&body).map_err(not_understood)?;
        for gap in &polled.gaps {
            self.progress.note(&format!("records are missing: {gap}"));
        }
        let mut lines = Vec::with_capacity(body.len());
        for record in &polled.records {
            push_line(&mut lines, record.get().as_bytes());
        }
        let (records, bytes) = (polled.records.len() as u64, lines.len() as u64);
        self.output.write(lines).await?;
        self.progress.add(records, bytes);
        self.printed = Some(polled.cursor);
        self.epoch = Some(polled.epoch);
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(records);
        }
        Ok(records > 0 || polled.lag.records > 0)
    }

    /// Polls, after it has joined; nothing if it is to join again.
    async fn poll(&mut self, records: u64, wait_ms: u64) -> Result<Option<bytes::Bytes>, Failure> {
        let epoch = match self.epoch {
            Some(epoch) => epoch,
            None => self.join().await?,
        };
        let mut body = json!({
            "epoch": epoch,
            "max_records": records.min(PAGE_RECORDS),
            "max_bytes": PAGE_BYTES,
            "wait_ms": wait_ms,
        });
        for (field, value) in [
            ("commit", self.printed.as_deref()),
            ("encoding", self.encoding),
        ] {
            if let Some(value) = value {
                body[field] = json!(value);
            }
        }
        let path = format!("{}/poll", self.path());
        let request = || self.service.request(Method::POST, &path).json(&body);
        let polled = self
            .service
            .exchange_retrying(self.retry_for, &self.progress, request);
        match polled.await {
            Ok((_, body)) => Ok(Some(body)),
            Err(Failure::Refused(problem)) if problem.code == "member_expired" => {
                self.progress
                    .note("the member's lease ended: joining again");
                (self.epoch, self.printed) = (None, None);
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    async fn join(&mut self) -> Result<u64, Failure> {
        // Each process is another life of the member.
        let instance = format!("process-{}", std::process::id());
        let joined = self
            .put(&self.path(), &json!({ "instance": instance }))
            .await?;
        let joined: Joined = serde_json::from_slice(&joined).map_err(not_understood)?;
        self.epoch = Some(joined.epoch);
        Ok(joined.epoch)
    }

    /// Commits what was printed, and leaves the partitions to others.
    pub async fn leave(&mut self) -> Result<(), Failure> {
        let Some(epoch) = self.epoch else {
            return Ok(());
        };
        if self.printed.is_some() {
            self.poll(1, 0).await?;
        }
        let path = format!("{}?epoch={epoch}", self.path());
        let request = self.service.request(Method::DELETE, &path);
        self.service.exchange(request).await.map(drop)
    }

    fn path(&self) -> String {
        format!("/groups/{}/members/{}", self.group, self.name)
    }

    async fn put(&self, path: &str, body: &Value) -> Result<bytes::Bytes, Failure> {
        let request = || self.service.request(Method::PUT, path).json(body);
        let sent = self
            .service
            .exchange_retrying(self.retry_for, &self.progress, request);
        let (_, answer) = sent.await?;
        Ok(answer)
    }
}
