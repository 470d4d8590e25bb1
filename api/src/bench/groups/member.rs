//! A member of a partitioned group: it commits each page with the poll for the next one, and begins
//! anew where it has read everything.

use std::sync::Arc;

use memchr::memmem;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Draft, Run};
use crate::bench::load::{self, Job};
use crate::bench::target::excerpt;
use crate::client::Failure;

const PAGE_BYTES_MAX: u64 = 16 << 20;
/// How long a member waits that owns nothing.
const IDLE_WAIT_MS: u64 = 1_000;

/// One of the members.
#[derive(Clone)]
pub(super) struct Member {
    run: Arc<Run>,
    path: String,
    epoch: u64,
    cursor: Option<String>,
    owned: Vec<u32>,
    /// Records that were not committed when it polled last, while it owned the same.
    behind: Option<u64>,
    rewinds: bool,
    draft: Draft,
}

/// What stands behind the records of a poll.
#[derive(Deserialize)]
struct Told {
    cursor: String,
    epoch: u64,
    assigned: Vec<Place>,
    revoked: Vec<Place>,
    lag: Lag,
}

#[derive(Deserialize)]
struct Place {
    partition: u32,
}

#[derive(Deserialize)]
struct Lag {
    records: u64,
}

/// What the member of a connection is called.
pub(super) fn name(number: u32) -> String {
    format!("connection-{number}")
}

impl Member {
    /// Joins.
    pub(super) async fn join(run: &Arc<Run>, number: u32) -> Result<Self, Failure> {
        let path = format!("/groups/{}/members/{}", run.group, name(number));
        let joined = run.call("PUT", &path, &json!({})).await?;
        Ok(Self {
            run: run.clone(),
            path,
            epoch: joined["epoch"].as_u64().unwrap_or_default(),
            cursor: None,
            owned: Vec::new(),
            behind: None,
            rewinds: false,
            draft: Draft::default(),
        })
    }

    fn poll(&self) -> (String, Value) {
        let mut body = json!({
            "epoch": self.epoch,
            "max_records": self.run.wanted.records,
            "max_bytes": PAGE_BYTES_MAX,
        });
        if let Some(cursor) = &self.cursor {
            body["commit"] = json!(cursor);
        }
        if self.owned.is_empty() {
            body["wait_ms"] = json!(IDLE_WAIT_MS);
        }
        (format!("{}/poll", self.path), body)
    }

    fn rewind(&self) -> (String, Value) {
        let wanted = &self.run.wanted;
        let offset = |partition: &u32| {
            let at = wanted.log_starts.get(*partition as usize);
            json!({"topic": wanted.topic, "partition": partition, "offset": at})
        };
        let offsets: Vec<_> = self.owned.iter().map(offset).collect();
        let body = json!({"to": {"offsets": offsets}, "force": true});
        (format!("/groups/{}/offsets", self.run.group), body)
    }

    /// How many records were committed.
    fn take_up(&mut self, told: Told) -> u64 {
        let same = told.assigned.is_empty() && told.revoked.is_empty();
        let is_revoked = |partition: &u32| told.revoked.iter().any(|p| p.partition == *partition);
        self.owned.retain(|partition| !is_revoked(partition));
        let assigned = told.assigned.iter().map(|place| place.partition);
        self.owned.extend(assigned);
        self.owned.sort_unstable();
        self.owned.dedup();
        let behind = told.lag.records;
        let committed = self
            .behind
            .filter(|_| same)
            .map(|before| before - behind.min(before));
        self.behind = Some(behind);
        self.rewinds = behind == 0 && !self.owned.is_empty();
        self.epoch = told.epoch;
        self.cursor = Some(told.cursor);
        committed.unwrap_or(0)
    }
}

impl Job for Member {
    fn next(&mut self) -> (&[u8], &[u8]) {
        let (path, body) = match self.rewinds {
            true => self.rewind(),
            false => self.poll(),
        };
        let target = &self.run.target;
        self.draft.write(target, "POST", &path, &body.to_string());
        (&self.draft.head, &self.draft.body)
    }

    fn judge(&mut self, status: u16, body: &[u8]) -> Result<(u64, u64), String> {
        load::succeeded(status, body)?;
        if std::mem::take(&mut self.rewinds) {
            (self.cursor, self.behind) = (None, None);
            return Ok((0, 0));
        }
        let told = told(body).ok_or_else(|| excerpt(status, body))?;
        let records = self.take_up(told);
        Ok((records, records * u64::from(self.run.wanted.record_bytes)))
    }
}

/// What stands behind the records, which are not looked at.
fn told(body: &[u8]) -> Option<Told> {
    let at = memmem::rfind(body, b"],\"cursor\":")?;
    let mut tail = body[at + 1..].to_vec();
    tail[0] = b'{';
    serde_json::from_slice(&tail).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_the_records_is_found() {
        let body = br#"{"records":[{"value":"],\"cursor\":"}],"cursor":"AQ","epoch":7,
            "assigned":[{"topic":"t","partition":3}],"revoked":[],"ignored":[],
            "lag":{"records":12,"ms":5},"gaps":[],"expires_at":"2026-01-31T12:00:45.000Z"}"#;
        let told = told(body).unwrap();
        assert_eq!((told.cursor.as_str(), told.epoch), ("AQ", 7));
        assert_eq!(told.assigned[0].partition, 3);
        assert_eq!(told.lag.records, 12);
    }
}
