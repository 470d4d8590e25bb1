//! A worker of a shared group: it leases records and acknowledges them, and goes on with another group
//! when nothing is left.

use std::sync::{Arc, atomic::Ordering};

use memchr::memmem;
use serde_json::json;

use super::{Draft, Run};
use crate::bench::load::{self, Job};

/// How long a lease waits for the first record. Then all are with workers, or settled.
const LEASE_WAIT_MS: u64 = 1_000;

/// One of the workers.
pub(super) struct Worker {
    run: Arc<Run>,
    pass: u64,
    step: Step,
    /// Leases that are to be acknowledged: the inside of a JSON array.
    leases: String,
    draft: Draft,
}

#[derive(Clone, Copy)]
enum Step {
    /// Makes the group of the next pass, or finds it.
    Ensure,
    Lease,
    Settle,
}

impl Worker {
    pub(super) fn new(run: &Arc<Run>) -> Self {
        Self {
            run: run.clone(),
            pass: 0,
            step: Step::Lease,
            leases: String::new(),
            draft: Draft::default(),
        }
    }
}

impl Job for Worker {
    fn next(&mut self) -> (&[u8], &[u8]) {
        let Run { target, wanted, .. } = &*self.run;
        let group = format!("/groups/{}", self.run.name_of(self.pass));
        let (method, path, body) = match self.step {
            Step::Ensure => ("PUT", group, self.run.spec().to_string()),
            Step::Lease => {
                let ask = json!({"max_records": wanted.records, "wait_ms": LEASE_WAIT_MS});
                ("POST", format!("{group}/lease"), ask.to_string())
            }
            Step::Settle => {
                let body = format!("{{\"ack\":[{}]}}", self.leases);
                ("POST", format!("{group}/settle"), body)
            }
        };
        self.draft.write(target, method, &path, &body);
        (&self.draft.head, &self.draft.body)
    }

    fn judge(&mut self, status: u16, body: &[u8]) -> Result<(u64, u64), String> {
        if status != 201 {
            load::succeeded(status, body)?;
        }
        let mut settled = 0;
        self.step = match self.step {
            Step::Ensure => {
                self.run.passes.fetch_max(self.pass, Ordering::Relaxed);
                Step::Lease
            }
            Step::Lease => {
                self.leases.clear();
                push_leases(&mut self.leases, body);
                if self.leases.is_empty() {
                    self.pass += 1;
                    Step::Ensure
                } else {
                    Step::Settle
                }
            }
            Step::Settle => {
                settled = memmem::find_iter(body, b"\"status\":\"ok\"").count() as u64;
                Step::Lease
            }
        };
        Ok((settled, settled * u64::from(self.run.wanted.record_bytes)))
    }
}

/// Appends the leases of an answer, quoted and with commas between them.
fn push_leases(leases: &mut String, body: &[u8]) {
    const NAME: &[u8] = b"{\"lease\":";
    for at in memmem::find_iter(body, NAME) {
        let quoted = &body[at + NAME.len()..];
        // No lease has a character that is escaped.
        let end = memchr::memchr_iter(b'"', quoted).nth(1);
        let lease = end.and_then(|end| std::str::from_utf8(&quoted[..=end]).ok());
        if let Some(lease) = lease {
            if !leases.is_empty() {
                leases.push(',');
            }
            leases.push_str(lease);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_of_an_answer_are_put_into_an_array() {
        let body = br#"{"records":[{"lease":"AQ-1","attempt":1,"value":1},{"lease":"B_2","attempt":2,"value":"lease"}],"expires_at":null}"#;
        let mut leases = String::new();
        push_leases(&mut leases, body);
        assert_eq!(leases, r#""AQ-1","B_2""#);
        leases.clear();
        push_leases(&mut leases, br#"{"records":[],"expires_at":null}"#);
        assert!(leases.is_empty());
    }
}
