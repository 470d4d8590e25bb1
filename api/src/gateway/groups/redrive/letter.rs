//! A dead letter, and the record that it becomes again.

use std::sync::Arc;

use headwater_record::{Headers, JsonRecord, RecordHeader, RecordView};
use serde::Serialize;

use crate::{
    gateway::{
        Encoded, Gateway, IdempotencyKey,
        groups::letters::{
            ATTEMPTS, GROUP, ORIGIN_OFFSET, ORIGIN_PARTITION, ORIGIN_TOPIC, REASON, value_kind,
        },
    },
    metadata::Topic,
    problem::Problem,
};

/// How often a record was moved back.
const REDRIVEN: &str = "headwater-redriven";
/// The letter that it was then, as `topic/partition/offset`: two records with one are the same.
const REDRIVEN_FROM: &str = "headwater-redriven-from";
/// The timestamp of the record that died first, in milliseconds since the epoch.
const ORIGIN_TIMESTAMP: &str = "headwater-origin-timestamp";

/// What the letter is told by that does not go back with it.
const OF_LETTERS: [&str; 8] = [
    ORIGIN_TOPIC,
    ORIGIN_PARTITION,
    ORIGIN_OFFSET,
    GROUP,
    ATTEMPTS,
    REASON,
    REDRIVEN,
    REDRIVEN_FROM,
];

/// A place of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RecordPlace {
    /// The topic's name.
    #[schema(example = "orders")]
    pub topic: String,
    /// The partition.
    #[schema(example = 3)]
    pub partition: u32,
    /// The offset.
    #[schema(example = 42)]
    pub offset: u64,
}

/// A letter that a redrive came to and that its filter names.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct RedrivenLetter {
    /// The letter's partition of the dead-letter topic.
    #[schema(example = 0)]
    pub partition: u32,
    /// Its offset there.
    #[schema(example = 7)]
    pub offset: u64,
    /// Where the record died.
    pub origin: RecordPlace,
    /// How often it was tried there.
    #[schema(example = 5)]
    pub attempts: u32,
    /// Why it died.
    #[schema(example = "no such customer")]
    pub reason: String,
    /// How often it had been moved back before.
    #[schema(example = 0)]
    pub redriven: u32,
    /// Where it is now; null in a dry run, and if it stays.
    pub moved_to: Option<RecordPlace>,
    /// Why it stays, if it cannot be moved.
    pub refusal: Option<String>,
}

/// What a letter's headers say of the record that died.
pub(super) struct Origin<'a> {
    pub topic: &'a str,
    partition: u32,
    offset: u64,
    attempts: u32,
    pub reason: &'a str,
    redriven: u32,
    timestamp: Option<&'a str>,
}

/// A letter on its way back.
pub(super) struct Letter {
    pub to: Arc<Topic>,
    pub key: Option<Vec<u8>>,
    pub encoded: Encoded,
    pub row: RedrivenLetter,
}

impl<'a> Origin<'a> {
    /// `None` if the record is no letter of the group.
    pub fn of(record: &RecordView<'a>, group: &str) -> Option<Self> {
        let text = |name: &str| {
            let named = record.headers().filter(|h| h.name == name.as_bytes());
            std::str::from_utf8(named.last()?.value?).ok()
        };
        if text(GROUP)? != group {
            return None;
        }
        Some(Self {
            topic: text(ORIGIN_TOPIC)?,
            partition: text(ORIGIN_PARTITION)?.parse().ok()?,
            offset: text(ORIGIN_OFFSET)?.parse().ok()?,
            attempts: text(ATTEMPTS)?.parse().ok()?,
            reason: text(REASON)?,
            redriven: text(REDRIVEN).map_or(Some(0), |count| count.parse().ok())?,
            timestamp: text(ORIGIN_TIMESTAMP),
        })
    }

    pub fn row(&self, partition: u32, offset: u64) -> RedrivenLetter {
        RedrivenLetter {
            partition,
            offset,
            origin: RecordPlace {
                topic: self.topic.to_owned(),
                partition: self.partition,
                offset: self.offset,
            },
            attempts: self.attempts,
            reason: self.reason.to_owned(),
            redriven: self.redriven,
            moved_to: None,
            refusal: None,
        }
    }
}

impl Gateway {
    /// The record that a letter in a partition of `from` becomes in the topic that it came from.
    ///
    /// # Errors
    /// The topic takes no such record.
    pub(super) fn encode_redriven(
        &self,
        from: &Topic,
        partition: u32,
        record: &RecordView<'_>,
        origin: &Origin<'_>,
        to: Arc<Topic>,
    ) -> Result<Letter, Problem> {
        let times = (origin.redriven.saturating_add(1)).to_string();
        let letter = format!("{}/{partition}/{}", from.name, record.offset);
        let timestamp = record.timestamp_ms.to_string();
        let mut told = vec![(REDRIVEN, times.as_str()), (REDRIVEN_FROM, letter.as_str())];
        if origin.timestamp.is_none() {
            told.push((ORIGIN_TIMESTAMP, timestamp.as_str()));
        }
        let is_of_letter = |name: &[u8]| OF_LETTERS.iter().any(|known| known.as_bytes() == name);
        let mut headers: Vec<_> = record
            .headers()
            .filter(|header| !is_of_letter(header.name))
            .collect();
        headers.extend(told.iter().map(|(name, value)| RecordHeader {
            name: name.as_bytes(),
            value: Some(value.as_bytes()),
        }));
        let again = JsonRecord {
            key: record.key,
            value: record.value,
            kind: value_kind(record),
            headers: Headers::new(&headers),
            // Not its own: retention would take an old record before a worker has it.
            timestamp_ms: None,
            partition: Some(origin.partition).filter(|wanted| *wanted < to.partitions()),
        };
        let key = Some(IdempotencyKey::of_redrive(
            from.id,
            partition,
            record.offset,
        ));
        let mut encoder = self.encoder(&to, key, again.payload_bytes());
        encoder.push(&again)?;
        let encoded = self.finish(encoder, key);
        Ok(Letter {
            key: record.key.map(<[u8]>::to_vec),
            row: origin.row(partition, record.offset),
            encoded,
            to,
        })
    }
}
