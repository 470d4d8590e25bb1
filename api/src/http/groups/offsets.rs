//! `/groups/{group}/offsets`

use std::fmt;

use axum::{Json, body::Body, extract::State};
use http::Request;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, Visitor},
};
use utoipa::ToSchema;

use crate::{
    auth::permissions::{ListGroupOffsets, ResetGroupOffsets},
    gateway::{GroupPosition, ResetAsk, ResetOffset, ResetPartition, ResetTo, TimePoint},
    http::{
        body::json_body,
        call::{InProject, May},
        openapi::{GroupLookProblems, GroupProblems},
        params::Params,
        router::App,
    },
    metadata::not_null,
    problem::Problem,
};

/// How far a group is.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "positions": [{"topic": "orders", "partition": 0, "committed": 42, "high_watermark": 43,
    "lag": 1, "lag_ms": 1500}]
}))]
pub struct GroupOffsets {
    /// By topic and partition.
    positions: Vec<GroupPosition>,
}

/// Where a group shall go on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"to": "earliest", "dry_run": true}))]
pub struct ResetRequest {
    /// Where to.
    #[schema(value_type = ResetToSchema)]
    to: To,
    /// Of which of its topics; of all by default.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    topics: Option<Vec<String>>,
    /// Only say what would be.
    #[serde(default)]
    dry_run: bool,
    /// Also while members are active: what they commit of records that they have already counts no more.
    #[serde(default)]
    force: bool,
}

/// Where to: to one of the ends, to the first record at a time or later, so many offsets on or back, or
/// to one offset of each partition that is named.
#[derive(ToSchema)]
#[serde(untagged)]
#[schema(as = ResetTo)]
#[allow(dead_code)] // the shape of what `To` reads
enum ResetToSchema {
    /// One of the ends.
    End(ResetEnd),
    /// A time.
    At(ResetAt),
    /// A distance.
    Shift(ResetShift),
    /// Offsets.
    Offsets(ResetOffsets),
}

/// One of the ends.
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code)]
enum ResetEnd {
    /// The oldest records.
    Earliest,
    /// Behind the newest.
    Latest,
}

/// A time.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct ResetAt {
    /// RFC 3339, or milliseconds since the epoch.
    #[schema(format = DateTime, example = "2026-01-01T00:00:00Z")]
    at: String,
}

/// A distance.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct ResetShift {
    /// So many offsets on, or back if it is negative.
    #[schema(example = -100, minimum = -9007199254740991i64, maximum = 9007199254740991i64)]
    shift: i64,
}

/// Offsets.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct ResetOffsets {
    /// Each partition once; those that are not named stay.
    offsets: Vec<TopicOffset>,
}

/// An offset of a partition.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TopicOffset {
    /// The topic's name.
    #[schema(example = "orders")]
    topic: String,
    /// The partition.
    #[schema(minimum = 0)]
    partition: u32,
    /// The offset to go on at.
    #[schema(minimum = 0, maximum = 9007199254740991i64)]
    offset: u64,
}

/// Where the group goes on.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "partitions": [{"topic": "orders", "partition": 0, "before": 42, "after": 0}]
}))]
pub struct ResetResponse {
    /// By topic and partition.
    partitions: Vec<ResetPartition>,
}

/// How far a group is.
///
/// Of every partition that it reads: what is committed, where the partition ends, and what lies
/// between, in offsets and in time.
#[utoipa::path(
    get, path = "/groups/{group}/offsets", operation_id = "listGroupOffsets", tag = "groups",
    params(("group" = String, Path, description = "Group name", example = "billing")),
    responses((status = 200, description = "A position for each partition", body = GroupOffsets), GroupLookProblems),
)]
pub async fn list_group_offsets(
    State(app): State<App>,
    May { call, .. }: May<ListGroupOffsets, InProject>,
    request: Request<Body>,
) -> Result<Json<GroupOffsets>, Problem> {
    Params::parse(request.uri(), &[])?;
    let positions = app.gateway.group_positions(&call.access, call.group());
    let positions = positions.await?;
    Ok(Json(GroupOffsets { positions }))
}

/// Move a group.
///
/// To records that it is to read again, or that it is to skip; never out of what can be read. 409 while
/// members are active, unless forced.
#[utoipa::path(
    post, path = "/groups/{group}/offsets", operation_id = "resetGroupOffsets", tag = "groups",
    params(("group" = String, Path, description = "Group name", example = "billing")),
    request_body(content = ResetRequest, description = "Where to"),
    responses((status = 200, description = "Before and after, of each partition", body = ResetResponse), GroupProblems),
)]
pub async fn reset_group_offsets(
    State(app): State<App>,
    May { call, .. }: May<ResetGroupOffsets, InProject>,
    request: Request<Body>,
) -> Result<Json<ResetResponse>, Problem> {
    Params::parse(request.uri(), &[])?;
    let wanted: ResetRequest = json_body(&app, request).await?;
    call.check_group(&app)?;
    let To(to) = wanted.to;
    let ask = ResetAsk {
        to,
        topics: wanted.topics,
        dry_run: wanted.dry_run,
        force: wanted.force,
    };
    let reset = app.gateway.reset_group(&call.access, call.group(), &ask);
    let partitions = reset.await?;
    Ok(Json(ResetResponse { partitions }))
}

/// `"earliest"`, `"latest"`, or an object of one field. Derived code would say of none that is wrong what
/// is wrong with it.
#[derive(Debug)]
struct To(ResetTo);

impl<'de> Deserialize<'de> for To {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ReadTo).map(Self)
    }
}

const FIELDS: &[&str] = &["at", "shift", "offsets"];

struct ReadTo;

impl<'de> Visitor<'de> for ReadTo {
    type Value = ResetTo;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("earliest, latest, or an object with at, shift or offsets")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<ResetTo, E> {
        match word {
            "earliest" => Ok(ResetTo::Earliest),
            "latest" => Ok(ResetTo::Latest),
            _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ResetTo, A::Error> {
        let Some(field) = map.next_key::<String>()? else {
            return Err(de::Error::invalid_length(0, &self));
        };
        let to = match field.as_str() {
            "at" => ResetTo::At(map.next_value::<At>()?.0),
            "shift" => ResetTo::Shift(map.next_value()?),
            "offsets" => {
                let offsets: Vec<TopicOffset> = map.next_value()?;
                let offset = |wanted: TopicOffset| ResetOffset {
                    topic: wanted.topic,
                    partition: wanted.partition,
                    offset: wanted.offset,
                };
                ResetTo::Offsets(offsets.into_iter().map(offset).collect())
            }
            other => return Err(de::Error::unknown_field(other, FIELDS)),
        };
        match map.next_key::<String>()? {
            None => Ok(to),
            Some(_) => Err(de::Error::invalid_length(2, &self)),
        }
    }
}

/// A point in time, as text or as a number.
#[derive(Debug)]
pub struct At(pub TimePoint);

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ReadAt;
        impl Visitor<'_> for ReadAt {
            type Value = At;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("RFC 3339, or milliseconds since the epoch")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<At, E> {
                text.parse().map(At).map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, ms: u64) -> Result<At, E> {
                let ms = i64::try_from(ms).map_err(E::custom)?;
                Ok(At(TimePoint(ms)))
            }
        }
        from.deserialize_any(ReadAt)
    }
}
