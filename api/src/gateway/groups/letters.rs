//! Dead letters: records that a shared group gave up, written to its dead-letter topic.
//!
//! A letter is produced under an idempotency key made of its group and its last lease, which no other
//! death has. So gateways that write the same one append it once; it is settled when it is committed.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::{StreamExt, stream};
use headwater_broker::{Acks, FetchError, FetchPosition, LetterWriter};
use headwater_groups::{Action, Cause, DeadLetter, GroupId, Kind, Reply, Token};
use headwater_record::{Headers, JsonRecord, RecordHeader, RecordView, ValueKind};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{Gateway, expect_reply};
use crate::{
    gateway::{Encoded, IdempotencyKey, fetch::with_record_at, read_problem},
    limits::{DEAD_LETTER_GROUPS_AT_ONCE, DEAD_LETTERS_AT_ONCE, DEAD_LETTERS_MAX},
    metadata::Topic,
    problem::Problem,
};

/// Bytes that are read for one letter: its batch comes as a whole, however large it is.
const LETTER_BYTES: usize = 64 << 10;

/// The topic where the record died.
pub(super) const ORIGIN_TOPIC: &str = "headwater-origin-topic";
/// Its partition there.
pub(super) const ORIGIN_PARTITION: &str = "headwater-origin-partition";
/// Its offset there.
pub(super) const ORIGIN_OFFSET: &str = "headwater-origin-offset";
/// The group that gave it up.
pub(super) const GROUP: &str = "headwater-group";
/// How often it was tried.
pub(super) const ATTEMPTS: &str = "headwater-attempts";
/// Why it was given up.
pub(super) const REASON: &str = "headwater-reason";

/// Whose dead letters this gateway writes now.
#[derive(Debug, Default)]
pub struct Writing(Mutex<BTreeSet<(String, String)>>);

/// Where this process's broker tells of groups whose letters wait.
pub struct Letters(mpsc::Sender<GroupId>);

impl Letters {
    /// Has a gateway write what is told, for as long as this lives.
    pub fn written_by(gateway: Arc<Gateway>) -> Self {
        let (tell, told) = mpsc::channel(DEAD_LETTERS_MAX);
        let write = move |id: GroupId| {
            let gateway = gateway.clone();
            async move { while gateway.write_dead_letters(&id).await {} }
        };
        let told = stream::unfold(told, async |mut told| Some((told.recv().await?, told)));
        tokio::spawn(told.for_each_concurrent(DEAD_LETTER_GROUPS_AT_ONCE, write));
        Self(tell)
    }
}

impl LetterWriter for Letters {
    fn letters_wait(&self, groups: Vec<GroupId>) {
        for id in groups {
            // Where too many wait it is told again.
            let _ = self.0.try_send(id);
        }
    }
}

/// Ends with the writing.
struct Turn<'a> {
    writing: &'a Writing,
    of: (String, String),
}

impl Writing {
    fn begin(&self, id: &GroupId) -> Option<Turn<'_>> {
        let of = (id.project.clone(), id.name.clone());
        let is_first = self.0.lock().insert(of.clone());
        // Not made for whoever is not the first: its end would be the end of the other.
        is_first.then(|| Turn { writing: self, of })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.writing.0.lock().remove(&self.of);
    }
}

impl Gateway {
    /// Writes the first of the dead letters that there are, unless this gateway already does. What is left
    /// or fails is told again to whoever comes next. Answers whether more may be written now.
    pub(super) async fn write_dead_letters(&self, id: &GroupId) -> bool {
        let Some(_turn) = self.letters.begin(id) else {
            return false;
        };
        match self.try_write(id).await {
            Ok(count) => count == DEAD_LETTERS_MAX,
            Err(problem) => {
                let why = &problem.detail;
                tracing::warn!(group = id.name, why, "dead letters are written later");
                false
            }
        }
    }

    /// Answers how many were written.
    async fn try_write(&self, id: &GroupId) -> Result<usize, Problem> {
        let max = DEAD_LETTERS_MAX;
        let reply = self
            .ask_coordinator(id, Action::DeadLetters { max })
            .await?;
        let letters = expect_reply!(reply, Reply::DeadLetters(letters) => letters)?;
        if letters.is_empty() {
            return Ok(0);
        }
        let reply = self.ask_coordinator(id, Action::Describe).await?;
        let is = expect_reply!(reply, Reply::Described(is) => is)?;
        let Kind::Shared(rules) = is.config.kind else {
            return Ok(0);
        };
        // Without one the coordinator drops them itself; one that is deleted may be replaced.
        let to = rules.dead_letters;
        let Some(to) = to.and_then(|to| self.topic_in(&id.project, to)) else {
            return Ok(0);
        };
        let writes = letters.into_iter().map(async |letter| {
            let written = self.write(id, &letter, &to).await;
            written.map(|()| letter.token)
        });
        let mut writes = stream::iter(writes).buffered(DEAD_LETTERS_AT_ONCE);
        let (mut written, mut failure) = (Vec::new(), None);
        while let Some(done) = writes.next().await {
            match done {
                Ok(token) => written.push(token),
                Err(problem) => failure = Some(problem),
            }
        }
        drop(writes);
        let count = written.len();
        if count > 0 {
            let reply = self
                .ask_coordinator(id, Action::DeadLettered(written))
                .await?;
            expect_reply!(reply, Reply::DeadLettered => ())?;
        }
        failure.map_or(Ok(count), Err)
    }

    /// Writes one, if its record is still there.
    async fn write(&self, id: &GroupId, letter: &DeadLetter, to: &Topic) -> Result<(), Problem> {
        let Token {
            partition, offset, ..
        } = letter.token;
        let Some(from) = self.topic_in(&id.project, partition.topic) else {
            return Ok(());
        };
        let position = FetchPosition {
            partition: partition.partition,
            offset,
            records_max: 1,
            bytes_max: LETTER_BYTES,
        };
        let fetched = self.fetch_positions(&from, &[position], LETTER_BYTES).await;
        let fetched = match fetched.into_iter().next() {
            Some(Ok(fetched)) => fetched,
            Some(Err(FetchError::OutOfRange { .. })) | None => return Ok(()),
            Some(Err(error)) => return Err(read_problem(error)),
        };
        let encode = |record: &RecordView<'_>| self.encode_letter(id, letter, &from, to, record);
        if let Some(encoded) = with_record_at(&fetched.batches, offset, encode)? {
            let encoded = encoded?;
            let mut ignored = || {};
            let written = self.produce(to, encoded, Acks::Quorum, &mut ignored);
            written.await?;
        }
        Ok(())
    }

    fn encode_letter(
        &self,
        id: &GroupId,
        letter: &DeadLetter,
        from: &Topic,
        to: &Topic,
        record: &RecordView<'_>,
    ) -> Result<Encoded, Problem> {
        let Token {
            partition, offset, ..
        } = letter.token;
        let number = partition.partition.to_string();
        let (offset, attempts) = (offset.to_string(), letter.attempts.to_string());
        let told = [
            (ORIGIN_TOPIC, from.name.as_str()),
            (ORIGIN_PARTITION, number.as_str()),
            (ORIGIN_OFFSET, offset.as_str()),
            (GROUP, id.name.as_str()),
            (ATTEMPTS, attempts.as_str()),
            (REASON, reason(letter)),
        ];
        // One that died before tells of its last death.
        let is_told = |name: &[u8]| told.iter().any(|(told, _)| told.as_bytes() == name);
        let mut headers: Vec<_> = record
            .headers()
            .filter(|kept| !is_told(kept.name))
            .collect();
        headers.extend(told.iter().map(|(name, value)| RecordHeader {
            name: name.as_bytes(),
            value: Some(value.as_bytes()),
        }));
        let letter_record = JsonRecord {
            key: record.key,
            value: record.value,
            kind: value_kind(record),
            headers: Headers::new(&headers),
            timestamp_ms: Some(record.timestamp_ms),
            partition: None,
        };
        let key = Some(IdempotencyKey::of_dead_letter(id, &letter.token));
        let mut encoder = self.encoder(to, key, letter_record.payload_bytes());
        encoder.push(&letter_record)?;
        Ok(self.finish(encoder, key))
    }
}

/// What a stored record's value was given as.
pub(super) fn value_kind(record: &RecordView<'_>) -> ValueKind {
    match record.value {
        None => ValueKind::Null,
        Some(_) if record.is_json() => ValueKind::Json,
        Some(_) => ValueKind::Binary,
    }
}

/// What the worker said, or what happened.
fn reason(letter: &DeadLetter) -> &str {
    match (&*letter.reason, letter.cause) {
        ("", Cause::Expired) => "the last lease expired",
        ("", Cause::Nacked) => "the last attempt failed",
        ("", Cause::Rejected) => "rejected",
        (said, _) => said,
    }
}
