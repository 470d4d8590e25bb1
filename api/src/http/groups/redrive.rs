//! `/groups/{group}/redrive`

use std::collections::BTreeMap;

use axum::{Json, body::Body, extract::State};
use http::Request;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::offsets::At;
use crate::{
    auth::permissions::RedriveGroup,
    gateway::{LetterOffsets, RedriveAsk, RedriveFilter, RedrivePage, RedrivenLetter},
    http::{
        body::json_body,
        call::{InProject, May, check_ingress},
        fetch::while_allowed,
        openapi::GroupProblems,
        params::{Params, in_range},
        router::App,
    },
    limits::{
        OFFSET_MAX, PARTITION_NUMBER_MAX, REDRIVE_PLACES_MAX, REDRIVE_RATE_MAX, REDRIVE_RECORDS,
    },
    metadata::not_null,
    problem::Problem,
};

/// Which letters to move, and how fast. Of nothing it moves all.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "filter": {"reason": "no such customer"}, "records_per_second": 50, "dry_run": true
}))]
pub struct RedriveRequest {
    /// Only letters that are all of this.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    pub filter: Option<RedriveFilterInput>,
    /// How fast at most; as fast as they go by default.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, minimum = 1, maximum = 100000, example = 50)]
    pub records_per_second: Option<u64>,
    /// How many letters this call comes to at most, moved or refused; 500 by default.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, minimum = 1, maximum = 1000, example = 500)]
    pub max_records: Option<u64>,
    /// Only say what would be moved.
    #[serde(default)]
    pub dry_run: bool,
    /// The cursor of the call before, to go on; send everything else again along with it.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    pub cursor: Option<String>,
}

/// What letters must be to be moved: all that is named.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RedriveFilter, example = json!({"topic": "orders", "reason": "no such customer"}))]
pub struct RedriveFilterInput {
    /// Of this key.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, example = "c1")]
    pub key: Option<String>,
    /// Of this key, as bytes.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, content_encoding = "base64")]
    pub key_base64: Option<String>,
    /// Whose reason has this text in it.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, example = "no such customer")]
    pub reason: Option<String>,
    /// With all of these headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// From this topic.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, example = "orders")]
    pub topic: Option<String>,
    /// Of records of this time or later, by their timestamps: RFC 3339, or milliseconds since the epoch.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = Option<String>, nullable = false, format = DateTime, example = "2026-01-01T00:00:00Z")]
    pub since: Option<At>,
    /// Of records of before this time.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = Option<String>, nullable = false, format = DateTime, example = "2026-02-01T00:00:00Z")]
    pub until: Option<At>,
    /// In one of these places of the dead-letter topic.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub offsets: Vec<LetterOffsetsInput>,
}

/// Offsets of a partition of the dead-letter topic.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LetterOffsets)]
pub struct LetterOffsetsInput {
    /// The partition.
    #[schema(minimum = 0, maximum = 2147483647)]
    pub partition: u64,
    /// The first offset.
    #[schema(minimum = 0, maximum = 9007199254740991i64)]
    pub from: u64,
    /// The offset after the last one.
    #[schema(minimum = 0, maximum = 9007199254740991i64)]
    pub to: u64,
}

/// What this call did.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "moved": 1, "skipped": 2, "refused": 0, "left": 0, "letters": [{
        "partition": 0, "offset": 7, "origin": {"topic": "orders", "partition": 3, "offset": 41},
        "attempts": 5, "reason": "no such customer", "redriven": 0,
        "moved_to": {"topic": "orders", "partition": 3, "offset": 977}, "refusal": null
    }], "cursor": null
}))]
pub struct RedriveResponse {
    /// How many letters were moved; of a dry run, would be.
    moved: u64,
    /// How many letters of the group the filter leaves.
    skipped: u64,
    /// How many letters cannot be moved; `refusal` says why.
    refused: u64,
    /// Offsets of the dead-letter topic that are still to be looked at. Not all need be letters of this
    /// group.
    left: u64,
    /// Those that were moved or refused, by partition and offset.
    letters: Vec<RedrivenLetter>,
    /// Where to go on; null once all letters were looked at that were there when the redrive began.
    cursor: Option<String>,
}

/// Move dead letters back.
///
/// Each letter of the group in its dead-letter topic that the filter names is appended again to the topic
/// and partition that it came from, those of one key in their order, and counts as moved: no later redrive
/// of the group moves it again. The letter itself stays in the topic for as long as that keeps it. A call
/// moves as many as it can in some seconds and answers where to go on; calls may be repeated.
///
/// A redrive moves a letter at least once. If a call or its gateway ends between the append and the
/// group's note of it, the next call appends it a second time only after the time in which an
/// `Idempotency-Key` is remembered. `headwater-redriven` counts how often a record was moved back, and
/// `headwater-redriven-from` names its letter: two records with the same one are the same. The record's
/// timestamp is that of the move; `headwater-origin-timestamp` has its own.
///
/// An API key must be able to read the dead-letter topic and to produce to the topics that the group reads.
#[utoipa::path(
    post, path = "/groups/{group}/redrive", operation_id = "redriveGroup", tag = "groups",
    params(("group" = String, Path, description = "Group name", example = "billing")),
    request_body(content = Option<RedriveRequest>, description = "Which letters, and how fast"),
    responses((status = 200, description = "What was moved, and where to go on", body = RedriveResponse), GroupProblems),
)]
pub async fn redrive_group(
    State(app): State<App>,
    May { call, .. }: May<RedriveGroup, InProject>,
    request: Request<Body>,
) -> Result<Json<RedriveResponse>, Problem> {
    Params::parse(request.uri(), &[])?;
    let wanted: RedriveRequest = json_body(&app, request).await?;
    let page = redrive(&app, &call, &wanted.checked()?).await?;
    Ok(Json(RedriveResponse {
        moved: page.moved(),
        skipped: page.skipped,
        refused: page.refused(),
        left: page.left,
        letters: page.letters,
        cursor: page.cursor,
    }))
}

/// Redrives for a caller, and counts what is appended.
///
/// # Errors
/// As [`Gateway::redrive_group`](crate::gateway::Gateway::redrive_group), and 429 and 403 over a quota.
pub async fn redrive(
    app: &App,
    call: &InProject,
    ask: &RedriveAsk,
) -> Result<RedrivePage, Problem> {
    if !ask.dry_run {
        check_ingress(app, &call.access).await?;
    }
    call.check_group(app)?;
    let redriven = app.gateway.redrive_group(&call.access, call.group(), ask);
    let page = while_allowed(app, || call.check_group(app), redriven).await?;
    if !ask.dry_run {
        app.metrics.records_in.inc_by(page.moved());
        app.metrics.bytes_in.inc_by(page.payload_bytes as u64);
    }
    Ok(page)
}

impl RedriveRequest {
    /// # Errors
    /// 400 for what is out of range.
    pub fn checked(self) -> Result<RedriveAsk, Problem> {
        let (records, records_most) = REDRIVE_RECORDS;
        let wanted = self.max_records.unwrap_or(records as u64);
        let records_max = in_range("/max_records", wanted, 1, records_most as u64)?;
        let rate = self.records_per_second.map(|rate| {
            let most = REDRIVE_RATE_MAX.into();
            in_range("/records_per_second", rate, 1, most).map(|rate| rate as u32)
        });
        Ok(RedriveAsk {
            filter: self.filter.unwrap_or_default().checked()?,
            records_per_second: rate.transpose()?,
            records_max: records_max as usize,
            dry_run: self.dry_run,
            cursor: self.cursor,
        })
    }
}

impl RedriveFilterInput {
    fn checked(self) -> Result<RedriveFilter, Problem> {
        let key = match (self.key, self.key_base64) {
            (Some(_), Some(_)) => {
                let message = "give one of key and key_base64";
                return Err(Problem::invalid("/filter/key_base64", "conflict", message));
            }
            (Some(text), None) => Some(text.into_bytes()),
            (None, Some(text)) => {
                let bytes = base64_simd::STANDARD.decode_to_vec(text);
                Some(bytes.map_err(|_| {
                    Problem::invalid("/filter/key_base64", "invalid_base64", "must be base64")
                })?)
            }
            (None, None) => None,
        };
        if self.offsets.len() > REDRIVE_PLACES_MAX {
            let message = format!("name at most {REDRIVE_PLACES_MAX}");
            return Err(Problem::invalid("/filter/offsets", "out_of_range", message));
        }
        let offsets = (0..).zip(self.offsets).map(|(nth, place): (usize, _)| {
            let at = |field: &str| format!("/filter/offsets/{nth}/{field}");
            let partition = in_range(&at("partition"), place.partition, 0, PARTITION_NUMBER_MAX)?;
            Ok(LetterOffsets {
                partition: partition as u32,
                from: in_range(&at("from"), place.from, 0, OFFSET_MAX)?,
                to: in_range(&at("to"), place.to, 0, OFFSET_MAX)?,
            })
        });
        Ok(RedriveFilter {
            key,
            reason: self.reason,
            headers: self.headers,
            topic: self.topic,
            since: self.since.map(|At(at)| at),
            until: self.until.map(|At(at)| at),
            offsets: offsets.collect::<Result<_, Problem>>()?,
        })
    }
}
