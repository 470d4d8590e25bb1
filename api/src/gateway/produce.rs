//! Appending records, and telling the client where each one is.

use std::sync::atomic::{AtomicU32, Ordering};

use headwater_broker::{Acks, ProduceError, Produced, idempotent_producer};
use headwater_groups::{GroupId, Token, TopicId};
use headwater_record::{BatchView, JsonRecord, JsonScratch, ParseError, Producer};
use sha2::{Digest, Sha256};

use super::{
    Encoded, Encoder, Gateway,
    encode::{BatchSize, json_limits},
    no_leader,
};
use crate::{
    limits::{BODY_BYTES_MAX, IDEMPOTENCY_KEY_BYTES_MAX},
    metadata::Topic,
    problem::{Code, Outcome, Problem},
};

thread_local! {
    static SCRATCH: std::cell::RefCell<JsonScratch> = std::cell::RefCell::default();
}

/// A checked `Idempotency-Key`, as a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyKey(u64);

impl IdempotencyKey {
    /// The key that a client gave in the header or field `name`.
    ///
    /// # Errors
    /// 400 if it is empty, too long or not visible ASCII.
    pub fn of(name: &str, key: &[u8]) -> Result<Self, Problem> {
        let good = (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len())
            && key.iter().all(|b| (0x20..0x7f).contains(b));
        if !good {
            return Err(Problem::invalid(
                name,
                "out_of_range",
                format!("must be 1 to {IDEMPOTENCY_KEY_BYTES_MAX} characters of visible ASCII"),
            ));
        }
        Ok(Self::hash(&[key]))
    }

    /// The key of the `run`th run of a bulk load that has this key.
    pub fn run(self, run: u64) -> Self {
        Self::hash(&[b"bulk", &self.0.to_be_bytes(), &run.to_be_bytes()])
    }

    /// The key of a record that a group gave up: of this death alone.
    pub(super) fn of_dead_letter(group: &GroupId, token: &Token) -> Self {
        let (partition, offset) = (token.partition.partition, token.offset);
        Self::hash(&[
            b"dead letter\0",
            group.project.as_bytes(),
            b"\0",
            group.name.as_bytes(),
            b"\0",
            &token.partition.topic.0,
            &partition.to_be_bytes(),
            &offset.to_be_bytes(),
            &token.lease.to_be_bytes(),
        ])
    }

    /// The key of a dead letter that is moved back: of this letter alone.
    pub(super) fn of_redrive(topic: TopicId, partition: u32, offset: u64) -> Self {
        Self::hash(&[
            b"redrive\0",
            &topic.0,
            &partition.to_be_bytes(),
            &offset.to_be_bytes(),
        ])
    }

    fn hash(parts: &[&[u8]]) -> Self {
        let mut sha = Sha256::new();
        parts.iter().for_each(|part| sha.update(part));
        let hash: [u8; 32] = sha.finalize().into();
        Self(u64::from_be_bytes(
            hash[..8].try_into().expect("8 of 32 bytes"),
        ))
    }

    fn producer(self) -> Producer {
        idempotent_producer(self.0)
    }
}

/// What became of a request's records.
pub struct Written {
    encoded_slots: Vec<super::encode::Slot>,
    partitions: Vec<u32>,
    outcomes: Vec<Result<Produced, Problem>>,
    acks: Acks,
}

/// What became of one record.
pub struct RecordOutcome<'a> {
    /// The partition's index in [`Written::partitions`].
    batch: usize,
    /// The partition.
    pub partition: u32,
    /// Where the record is.
    pub placed: Result<Placed, &'a Problem>,
}

/// Where a record is.
pub struct Placed {
    /// Its offset.
    pub offset: u64,
    /// Its timestamp in milliseconds.
    pub timestamp_ms: i64,
}

impl Gateway {
    /// Parses and encodes a `{"records":[…]}` body.
    ///
    /// # Errors
    /// 400 or 413 with a pointer; nothing was applied.
    pub fn encode_body(
        &self,
        topic: &Topic,
        body: &[u8],
        key: Option<IdempotencyKey>,
    ) -> Result<(Encoded, Acks), Problem> {
        let mut encoder = self.encoder(topic, key, body.len());
        let parsed = SCRATCH.with_borrow_mut(|scratch| {
            headwater_record::parse_produce(body, &json_limits(topic), scratch, |index, record| {
                encoder
                    .push(record)
                    .map_err(|problem| problem.inside(&format!("/records/{index}/")))
            })
        });
        let parsed = parsed.map_err(json_problem)?;
        let acks = match parsed.acks {
            headwater_record::Acks::Quorum => Acks::Quorum,
            headwater_record::Acks::Leader => Acks::Leader,
            headwater_record::Acks::None => Acks::None,
        };
        Ok((encoder.finish(producer(key)), acks))
    }

    /// Parses one record, as a line of NDJSON, into `encoder`.
    ///
    /// # Errors
    /// 400 or 413 with a pointer; the encoder is as before.
    pub fn encode_line(
        &self,
        topic: &Topic,
        line: &[u8],
        into: &mut Encoder<'_>,
    ) -> Result<(), Problem> {
        SCRATCH
            .with_borrow_mut(|scratch| {
                headwater_record::parse_record(line, &json_limits(topic), scratch, |record| {
                    into.push(record).map_err(|problem| problem.inside("/"))
                })
            })
            .map_err(json_problem)
    }

    /// Encodes one record that is not JSON.
    ///
    /// # Errors
    /// 400 or 413.
    pub fn encode_record(
        &self,
        topic: &Topic,
        record: &JsonRecord<'_>,
        key: Option<IdempotencyKey>,
    ) -> Result<Encoded, Problem> {
        let limit = topic.settings.max_record_bytes as usize;
        if record.payload_bytes() > limit {
            return Err(record_too_large(limit));
        }
        let mut encoder = self.encoder(topic, key, record.payload_bytes());
        encoder.push(record)?;
        Ok(encoder.finish(producer(key)))
    }

    /// An encoder for one request or one run of a bulk load.
    pub fn encoder<'a>(
        &self,
        topic: &'a Topic,
        key: Option<IdempotencyKey>,
        bytes_hint: usize,
    ) -> Encoder<'a> {
        // A retry has to land where the first try did.
        let keyless = match key {
            Some(IdempotencyKey(hash)) => (hash % u64::from(topic.partitions())) as u32,
            None => next_sticky() % topic.partitions(),
        };
        Encoder::new(
            topic,
            self.clock.now_ms(),
            keyless,
            bytes_hint.min(2 * BODY_BYTES_MAX),
        )
    }

    /// Finishes an encoder that lines were encoded into.
    pub fn finish(&self, encoder: Encoder<'_>, key: Option<IdempotencyKey>) -> Encoded {
        encoder.finish(producer(key))
    }

    /// Appends what was encoded and waits for the acknowledgement that was asked for. `placed` hears,
    /// before that, that all of it has its place: what is appended from then on stands behind it.
    ///
    /// # Errors
    /// The problem that all partitions have in common; with several outcomes, [`Written`] has them.
    pub async fn produce(
        &self,
        topic: &Topic,
        encoded: Encoded,
        acks: Acks,
        placed: &mut (dyn FnMut() + Send),
    ) -> Result<Written, Problem> {
        let Encoded {
            batches,
            slots,
            sizes,
            ..
        } = encoded;
        let partitions: Vec<u32> = batches.iter().map(|batch| batch.partition).collect();
        let produced = self.send_batches(topic, batches, acks, placed).await;
        let outcomes: Vec<_> = produced
            .into_iter()
            .map(|outcome| outcome.map_err(write_problem))
            .collect();
        count(topic, &outcomes, &sizes);
        if outcomes.iter().all(Result::is_err) {
            // One partition that may have its records makes the whole outcome unknown.
            let mut problems = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
            let first = problems.clone().next();
            let unknown = problems.find(|problem| problem.outcome == Outcome::Unknown);
            if let Some(problem) = unknown.or(first) {
                return Err(problem.clone());
            }
        }
        Ok(Written {
            encoded_slots: slots,
            partitions,
            outcomes,
            acks,
        })
    }
}

impl Written {
    /// Whether every partition took its records.
    pub fn complete(&self) -> bool {
        self.outcomes.iter().all(Result::is_ok)
    }

    /// The base offset and number of records of each partition, or its problem.
    pub fn partitions(&self) -> impl Iterator<Item = (u32, &Result<Produced, Problem>, usize)> {
        let mut counts = vec![0; self.partitions.len()];
        self.encoded_slots
            .iter()
            .for_each(|slot| counts[usize::from(slot.batch)] += 1);
        self.partitions
            .iter()
            .zip(&self.outcomes)
            .zip(counts)
            .map(|((p, o), n)| (*p, o, n))
    }

    /// The partition's index in [`Self::partitions`] of each record, in the request's order.
    pub fn record_partitions(&self) -> impl Iterator<Item = usize> {
        self.encoded_slots
            .iter()
            .map(|slot| usize::from(slot.batch))
    }

    /// What became of each record, in the request's order.
    pub fn records(&self) -> impl Iterator<Item = RecordOutcome<'_>> {
        let originals: Vec<_> = self.outcomes.iter().map(original_timestamps).collect();
        let mut taken = vec![0usize; self.partitions.len()];
        self.encoded_slots.iter().map(move |slot| {
            let batch = usize::from(slot.batch);
            let nth = taken[batch];
            taken[batch] += 1;
            let original = originals[batch].as_ref().and_then(|times| times.get(nth));
            let placed = self.outcomes[batch].as_ref().map(|produced| Placed {
                offset: produced.base_offset + nth as u64,
                timestamp_ms: original.copied().unwrap_or(slot.timestamp_ms),
            });
            RecordOutcome {
                batch,
                partition: self.partitions[batch],
                placed,
            }
        })
    }

    /// The answer's body.
    pub fn to_json(&self, request_id: &str) -> Vec<u8> {
        let errors: Vec<_> = self
            .outcomes
            .iter()
            .map(|outcome| {
                outcome
                    .as_ref()
                    .err()
                    .map(|problem| problem.to_json(request_id))
            })
            .collect();
        let mut out = Vec::with_capacity(128 + self.encoded_slots.len() * 64);
        let mut number = itoa::Buffer::new();
        out.extend_from_slice(b"{\"results\":[");
        for (index, record) in self.records().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(b"{\"partition\":");
            out.extend_from_slice(number.format(record.partition).as_bytes());
            match record.placed {
                Ok(placed) => {
                    out.extend_from_slice(b",\"offset\":");
                    out.extend_from_slice(number.format(placed.offset).as_bytes());
                    out.extend_from_slice(b",\"timestamp\":");
                    out.extend_from_slice(number.format(placed.timestamp_ms).as_bytes());
                }
                Err(_) => {
                    out.extend_from_slice(b",\"error\":");
                    out.extend_from_slice(errors[record.batch].as_deref().unwrap_or(b"null"));
                }
            }
            out.push(b'}');
        }
        out.extend_from_slice(b"],\"durability\":\"");
        out.extend_from_slice(match self.acks {
            Acks::Quorum => b"quorum_fsync".as_slice(),
            Acks::Leader => b"leader_fsync",
            Acks::None => b"none",
        });
        out.extend_from_slice(b"\",\"duplicate\":");
        out.extend_from_slice(if self.duplicate() { b"true" } else { b"false" });
        out.push(b'}');
        out
    }

    /// Whether nothing was appended because all of it was there.
    pub fn duplicate(&self) -> bool {
        self.outcomes
            .iter()
            .all(|o| o.as_ref().is_ok_and(|produced| produced.duplicate))
    }
}

/// Counts what was acknowledged and not there before.
fn count(topic: &Topic, outcomes: &[Result<Produced, Problem>], sizes: &[BatchSize]) {
    let new = outcomes.iter().zip(sizes).filter(|(outcome, _)| {
        let produced = outcome.as_ref();
        produced.is_ok_and(|produced| !produced.duplicate)
    });
    let (records, bytes) = new.fold((0, 0), |(records, bytes), (_, size)| {
        (records + size.records, bytes + size.payload_bytes)
    });
    topic.meter.received(records, bytes);
}

/// A duplicate is answered with the timestamps that the first request was answered with.
fn original_timestamps(outcome: &Result<Produced, Problem>) -> Option<Vec<i64>> {
    let original = outcome.as_ref().ok()?.original.as_ref()?;
    let (view, _) = BatchView::parse(original).ok()?;
    let mut scratch = Vec::new();
    let records = view
        .records(&mut scratch, super::fetch::INFLATED_BYTES_MAX)
        .ok()?;
    Some(
        records
            .filter_map(Result::ok)
            .map(|record| record.timestamp_ms)
            .collect(),
    )
}

fn producer(key: Option<IdempotencyKey>) -> Producer {
    key.map_or(Producer::NONE, IdempotencyKey::producer)
}

/// Requests without keys take the partitions in turn.
fn next_sticky() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn write_problem(error: ProduceError) -> Problem {
    match error {
        ProduceError::UnknownPartition => {
            Problem::new(Code::TopicNotFound, "the topic was deleted meanwhile")
        }
        ProduceError::NotLeader | ProduceError::Unreachable => no_leader(),
        ProduceError::TooFewInSync => Problem::new(
            Code::Unavailable,
            "fewer copies of the partition are in sync than min_insync_replicas asks for",
        ),
        ProduceError::ProducerReused => Problem::new(
            Code::IdempotencyKeyReused,
            "this Idempotency-Key was used with another body for this topic",
        ),
        ProduceError::StorageFull => Problem::new(
            Code::StorageFull,
            "the broker's disk is full up to its reserve",
        ),
        ProduceError::Overloaded => {
            Problem::new(Code::Overloaded, "the broker's disk does not keep up")
        }
        ProduceError::Unknown => Problem::new(
            Code::OutcomeUnknown,
            "the broker stopped before it could acknowledge; repeat with the same Idempotency-Key",
        ),
    }
}

/// A record over its topic's limit.
pub fn record_too_large(limit: usize) -> Problem {
    Problem::new(Code::PayloadTooLarge, "").at(
        "",
        "record_too_large",
        format!("the topic takes records of at most {limit} bytes of key, value and headers"),
    )
}

fn json_problem(error: ParseError<Problem>) -> Problem {
    use headwater_record::JsonErrorKind as Kind;
    let error = match error {
        ParseError::Sink(problem) => return problem,
        ParseError::Json(error) => error,
    };
    let code = match error.kind {
        Kind::Syntax | Kind::InvalidUtf8 => Code::InvalidJson,
        Kind::RecordTooLarge | Kind::KeyTooLarge => Code::PayloadTooLarge,
        Kind::TooManyRecords => Code::TooManyRecords,
        _ => Code::InvalidRequest,
    };
    Problem::new(code, "").at(error.pointer, error.kind.code(), error.message)
}

impl Problem {
    /// The same problem of a field inside `parent`, a pointer that ends in a slash.
    pub fn inside(mut self, parent: &str) -> Self {
        for error in &mut self.errors {
            error.pointer = format!("{parent}{}", error.pointer);
        }
        if let Some(first) = self.errors.first() {
            self.detail = format!("{}: {}", first.pointer, first.message);
        }
        debug_assert_eq!(self.outcome, Outcome::NotApplied);
        self
    }
}
