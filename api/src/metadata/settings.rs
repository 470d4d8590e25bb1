//! A topic's settings: what may be asked for, what is in force, and where each value comes from.

use headwater_record as record;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    limits::{RECORD_BYTES, SEGMENT_BYTES},
    problem::{Code, FieldError, Problem},
};

/// How a topic's old records go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CleanupPolicy {
    /// By age and size.
    Delete,
    /// All but the newest of each key, in the object store. Every record needs a key.
    Compact,
}

/// How the gateway compresses a topic's batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all: the fastest.
    None,
    /// lz4: fast, about half the size.
    Lz4,
    /// zstd: slower, about a third of the size.
    Zstd,
}

impl From<Compression> for record::Compression {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::None => Self::None,
            Compression::Lz4 => Self::Lz4,
            Compression::Zstd => Self::Zstd,
        }
    }
}

/// The settings that a request names; what it leaves out keeps its value or has its default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TopicConfig {
    /// Age in milliseconds after which records go; null keeps them for ever. Default 7 days.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 9007199254740991i64, example = 604800000)]
    pub retention_ms: Option<Option<u64>>,
    /// Bytes of a partition above which its oldest records go; null keeps them. Default null.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 9007199254740991i64)]
    pub retention_bytes: Option<Option<u64>>,
    /// Age after which records that are in the object store leave the broker's disk; null keeps them
    /// there. Default null.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 9007199254740991i64)]
    pub local_retention_ms: Option<Option<u64>>,
    /// Bytes of a partition kept on the broker's disk once they are in the object store; null keeps
    /// all. Default null.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 9007199254740991i64)]
    pub local_retention_bytes: Option<Option<u64>>,
    /// How old records go. Default `delete`. In a topic that is compacted `retention_ms` and
    /// `retention_bytes` mean nothing.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "not_null"
    )]
    #[schema(nullable = false, value_type = CleanupPolicy)]
    pub cleanup_policy: Option<CleanupPolicy>,
    /// How long tombstones stay once they are compacted, in milliseconds: whoever reads from the start
    /// within that time learns of every deletion. Default 1 day.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "not_null"
    )]
    #[schema(value_type = u64, minimum = 0, maximum = 9007199254740991i64, example = 86400000)]
    pub delete_retention_ms: Option<u64>,
    /// Size at which a segment is sealed, in bytes. Retention removes whole sealed segments.
    /// Default 256 MiB.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "not_null"
    )]
    #[schema(value_type = u64, minimum = 65536, maximum = 1073741824, example = 268435456)]
    pub segment_bytes: Option<u64>,
    /// Replicas that must have a record before it is acknowledged. Default: more than half of the
    /// topic's replicas.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "not_null"
    )]
    #[schema(value_type = u32, minimum = 1, maximum = 9)]
    pub min_insync_replicas: Option<u32>,
    /// Compression of stored batches. Default `none`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "not_null"
    )]
    #[schema(nullable = false, value_type = Compression)]
    pub compression: Option<Compression>,
    /// Largest record (key, value and headers) in bytes. Default 1 MiB.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "not_null"
    )]
    #[schema(value_type = u64, minimum = 1, maximum = 8388608, example = 1048576)]
    pub max_record_bytes: Option<u64>,
}

/// Tells a field that is null from one that is absent.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::<u64>::deserialize(from).map(Some)
}

/// A field that may be absent but not null.
pub fn not_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// The settings in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct TopicSettings {
    /// Age in milliseconds after which records go; null keeps them.
    #[schema(example = 604800000)]
    pub retention_ms: Option<u64>,
    /// Bytes of a partition above which its oldest records go; null keeps them.
    pub retention_bytes: Option<u64>,
    /// Age after which records leave the broker's disk; null keeps them there.
    pub local_retention_ms: Option<u64>,
    /// Bytes of a partition kept on the broker's disk; null keeps all.
    pub local_retention_bytes: Option<u64>,
    /// How old records go.
    pub cleanup_policy: CleanupPolicy,
    /// How long tombstones stay once they are compacted, in milliseconds.
    #[schema(example = 86400000)]
    pub delete_retention_ms: u64,
    /// Size at which a segment is sealed, in bytes.
    #[schema(example = 268435456)]
    pub segment_bytes: u64,
    /// Replicas that must have a record before it is acknowledged.
    pub min_insync_replicas: u32,
    /// Compression of stored batches.
    pub compression: Compression,
    /// Largest record in bytes.
    #[schema(example = 1048576)]
    pub max_record_bytes: u64,
}

impl TopicSettings {
    /// Whether only the newest record of each key is kept.
    pub fn is_compacted(&self) -> bool {
        self.cleanup_policy == CleanupPolicy::Compact
    }
}

const RETENTION_MS_DEFAULT: u64 = 7 * DAY_MS;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

impl TopicConfig {
    /// These settings over `base`.
    pub fn over(self, base: &Self) -> Self {
        let base = base.clone();
        Self {
            retention_ms: self.retention_ms.or(base.retention_ms),
            retention_bytes: self.retention_bytes.or(base.retention_bytes),
            local_retention_ms: self.local_retention_ms.or(base.local_retention_ms),
            local_retention_bytes: self.local_retention_bytes.or(base.local_retention_bytes),
            cleanup_policy: self.cleanup_policy.or(base.cleanup_policy),
            delete_retention_ms: self.delete_retention_ms.or(base.delete_retention_ms),
            segment_bytes: self.segment_bytes.or(base.segment_bytes),
            min_insync_replicas: self.min_insync_replicas.or(base.min_insync_replicas),
            compression: self.compression.or(base.compression),
            max_record_bytes: self.max_record_bytes.or(base.max_record_bytes),
        }
    }

    /// The settings in force in a topic of so many replicas: these, and the defaults.
    pub fn effective(&self, replication_factor: u32) -> TopicSettings {
        TopicSettings {
            retention_ms: self.retention_ms.unwrap_or(Some(RETENTION_MS_DEFAULT)),
            retention_bytes: self.retention_bytes.unwrap_or_default(),
            local_retention_ms: self.local_retention_ms.unwrap_or_default(),
            local_retention_bytes: self.local_retention_bytes.unwrap_or_default(),
            cleanup_policy: self.cleanup_policy.unwrap_or(CleanupPolicy::Delete),
            delete_retention_ms: self.delete_retention_ms.unwrap_or(DAY_MS),
            segment_bytes: self.segment_bytes.unwrap_or(SEGMENT_BYTES.1),
            min_insync_replicas: self
                .min_insync_replicas
                .unwrap_or(replication_factor / 2 + 1),
            compression: self.compression.unwrap_or(Compression::None),
            max_record_bytes: self.max_record_bytes.unwrap_or(RECORD_BYTES.0),
        }
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// 400 with a pointer for each value out of range.
    pub fn check(&self) -> Result<(), Problem> {
        let mut errors = Vec::new();
        let mut range = |name: &str, value: Option<u64>, least: u64, most: u64| {
            if value.is_some_and(|value| !(least..=most).contains(&value)) {
                errors.push(FieldError {
                    pointer: format!("/config/{name}"),
                    code: "out_of_range".into(),
                    message: format!("must be {least} to {most}"),
                });
            }
        };
        let most = crate::limits::OFFSET_MAX;
        range("retention_ms", self.retention_ms.flatten(), 1, most);
        range("retention_bytes", self.retention_bytes.flatten(), 1, most);
        range(
            "local_retention_ms",
            self.local_retention_ms.flatten(),
            1,
            most,
        );
        range(
            "local_retention_bytes",
            self.local_retention_bytes.flatten(),
            1,
            most,
        );
        range("delete_retention_ms", self.delete_retention_ms, 0, most);
        range(
            "segment_bytes",
            self.segment_bytes,
            SEGMENT_BYTES.0,
            SEGMENT_BYTES.2,
        );
        range(
            "min_insync_replicas",
            self.min_insync_replicas.map(u64::from),
            1,
            9,
        );
        range("max_record_bytes", self.max_record_bytes, 1, RECORD_BYTES.1);
        if let Some(first) = errors.first() {
            let detail = format!("{}: {}", first.pointer, first.message);
            let mut problem = Problem::new(Code::InvalidRequest, detail);
            problem.errors = errors;
            return Err(problem);
        }
        Ok(())
    }

    /// `topic` or `default` for each setting.
    pub fn sources(&self) -> serde_json::Map<String, serde_json::Value> {
        let given = serde_json::to_value(self).unwrap_or_default();
        let all = serde_json::to_value(self.effective(1)).unwrap_or_default();
        let names = all.as_object().into_iter().flatten().map(|(name, _)| name);
        names
            .map(|name| {
                let source = if given.get(name).is_some() {
                    "topic"
                } else {
                    "default"
                };
                (name.clone(), source.into())
            })
            .collect()
    }
}
