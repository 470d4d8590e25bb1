//! From records in a message to batches, in one pass: nothing is made of a record on the way.

use headwater_broker::Acks;
use headwater_record::{Headers, JsonRecord, RecordHeader, ValueKind, check_json};

use super::{
    codec::malformed,
    pb::headwater::v1 as pb,
    topics::known,
    wire::{Fields, Malformed, Value},
};
use crate::{
    gateway::{Encoded, Gateway, IdempotencyKey},
    limits::{
        JSON_DEPTH_MAX, KEY_BYTES_MAX, PARTITION_NUMBER_MAX, RECORD_HEADERS_MAX, RECORDS_MAX,
        TIMESTAMP_MS_MAX,
    },
    metadata::Topic,
    problem::{Code, Problem},
};

impl From<Malformed> for Problem {
    fn from(Malformed: Malformed) -> Self {
        malformed("it is not what the method takes")
    }
}

/// A `ProduceRequest`, of which the records are yet to be read.
pub struct ProduceAsk<'a> {
    /// The topic.
    pub topic: &'a str,
    /// What the answer waits for.
    pub acks: Acks,
    /// The records.
    pub records: RecordsAsk<'a>,
}

/// Records in a message.
pub struct RecordsAsk<'a> {
    message: Fields<'a>,
    key: Option<IdempotencyKey>,
    bytes: usize,
}

/// In both messages.
const RECORDS: u64 = 2;

impl<'a> ProduceAsk<'a> {
    /// Reads all but the records.
    ///
    /// # Errors
    /// 400 for another message.
    pub fn of(message: &'a [u8]) -> Result<Self, Problem> {
        let (mut topic, mut acks, mut key) = ("", 0, "");
        for field in Fields::of(message) {
            match field? {
                (1, value) => topic = value.text()?,
                (3, value) => acks = value.number()? as i32,
                (4, value) => key = value.text()?,
                _ => {}
            }
        }
        Ok(Self {
            topic,
            acks: acks_of(acks)?,
            records: RecordsAsk::of(message, key)?,
        })
    }
}

/// The client's number of a `ProduceStreamBatch`, and its records, which are yet to be read. The number
/// is there also of a batch with something wrong in it.
///
/// # Errors
/// 400 for another message.
pub fn batch_of(message: &[u8]) -> Result<(u64, Result<RecordsAsk<'_>, Problem>), Problem> {
    let (mut sequence, mut key) = (0, "");
    for field in Fields::of(message) {
        match field? {
            (1, value) => sequence = value.number()?,
            (3, value) => key = value.text()?,
            _ => {}
        }
    }
    Ok((sequence, RecordsAsk::of(message, key)))
}

impl<'a> RecordsAsk<'a> {
    fn of(message: &'a [u8], key: &str) -> Result<Self, Problem> {
        let key = Some(key).filter(|key| !key.is_empty());
        let key = key.map(|key| IdempotencyKey::of("idempotency_key", key.as_bytes()));
        Ok(Self {
            message: Fields::of(message),
            key: key.transpose()?,
            bytes: message.len(),
        })
    }

    /// Encodes the records, as a body of JSON is.
    ///
    /// # Errors
    /// 400 or 413 with a pointer; nothing was applied.
    pub fn encode(self, gateway: &Gateway, topic: &Topic) -> Result<Encoded, Problem> {
        let mut encoder = gateway.encoder(topic, self.key, self.bytes);
        let limit = topic.settings.max_record_bytes as usize;
        let mut headers = Vec::new();
        for field in self.message {
            let (RECORDS, record) = field? else {
                continue;
            };
            let index = encoder.record_count();
            if index == RECORDS_MAX {
                let message = format!("a request has at most {RECORDS_MAX} records");
                let problem = Problem::new(Code::TooManyRecords, "");
                return Err(problem.at("/records", "too_many_records", message));
            }
            let pushed = RecordAsk::of(record.bytes()?, &mut headers)
                .and_then(|record| record.checked(&headers, limit))
                .and_then(|record| encoder.push(&record));
            pushed.map_err(|problem| problem.inside(&format!("/records/{index}/")))?;
        }
        if encoder.record_count() == 0 {
            let message = "send at least one record";
            return Err(Problem::invalid("/records", "out_of_range", message));
        }
        Ok(gateway.finish(encoder, self.key))
    }
}

/// What an answer waits for.
///
/// # Errors
/// 400 for a number that stands for nothing.
pub fn acks_of(number: i32) -> Result<Acks, Problem> {
    Ok(match known("acks", number)? {
        pb::Acks::Unspecified | pb::Acks::Quorum => Acks::Quorum,
        pb::Acks::Leader => Acks::Leader,
        pb::Acks::None => Acks::None,
    })
}

/// A `Record`, beside its headers.
#[derive(Default)]
struct RecordAsk<'a> {
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    json: bool,
    timestamp_ms: Option<u64>,
    partition: Option<u64>,
}

impl<'a> RecordAsk<'a> {
    fn of(message: &'a [u8], headers: &mut Vec<RecordHeader<'a>>) -> Result<Self, Problem> {
        headers.clear();
        let mut record = Self::default();
        for field in Fields::of(message) {
            match field? {
                (1, value) => record.key = Some(value.bytes()?),
                (2, value) => record.value = Some(value.bytes()?),
                (3, value) => record.json = value.number()? != 0,
                (4, header) => {
                    if headers.len() == RECORD_HEADERS_MAX {
                        let message = format!("must be at most {RECORD_HEADERS_MAX}");
                        return Err(Problem::invalid("headers", "too_many_headers", message));
                    }
                    headers.push(header_of(header)?);
                }
                (5, value) => record.timestamp_ms = Some(value.number()?),
                (6, value) => record.partition = Some(value.number()?),
                // Where it was read is not looked at, and what is not known neither.
                _ => {}
            }
        }
        Ok(record)
    }

    /// The record, if it keeps to the limits.
    fn checked<'b>(
        &self,
        headers: &'b [RecordHeader<'b>],
        limit: usize,
    ) -> Result<JsonRecord<'b>, Problem>
    where
        'a: 'b,
    {
        let within = |name: &str, number: Option<u64>, most: u64| match number {
            Some(number) if number > most => {
                let message = format!("must be 0 to {most}");
                Err(Problem::invalid(name, "out_of_range", message))
            }
            number => Ok(number),
        };
        if self.key.is_some_and(|key| key.len() > KEY_BYTES_MAX) {
            let message = format!("must be at most {KEY_BYTES_MAX} bytes");
            let problem = Problem::new(Code::PayloadTooLarge, "");
            return Err(problem.at("key", "key_too_large", message));
        }
        let timestamp_ms = within("timestamp_ms", self.timestamp_ms, TIMESTAMP_MS_MAX)?;
        let partition = within("partition", self.partition, PARTITION_NUMBER_MAX)?;
        let (value, kind) = match self.value {
            None => (None, ValueKind::Null),
            Some(value) if self.json => {
                check_json(value, JSON_DEPTH_MAX).map_err(|error| {
                    let pointer = format!("value{}", error.pointer);
                    let problem = Problem::new(Code::InvalidJson, "");
                    problem.at(pointer, error.kind.code(), error.message)
                })?;
                (Some(value.trim_ascii()), ValueKind::Json)
            }
            Some(value) => (Some(value), ValueKind::Binary),
        };
        let record = JsonRecord {
            key: self.key,
            value,
            kind,
            headers: Headers::new(headers),
            timestamp_ms: timestamp_ms.map(|ms| ms as i64),
            partition: partition.map(|partition| partition as u32),
        };
        if record.payload_bytes() > limit {
            return Err(crate::gateway::record_too_large(limit));
        }
        Ok(record)
    }
}

fn header_of(header: Value<'_>) -> Result<RecordHeader<'_>, Malformed> {
    let mut read = RecordHeader {
        name: b"",
        value: None,
    };
    for field in Fields::of(header.bytes()?) {
        match field? {
            (1, name) => read.name = name.text()?.as_bytes(),
            (2, value) => read.value = Some(value.bytes()?),
            _ => {}
        }
    }
    Ok(read)
}
