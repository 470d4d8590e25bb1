//! What a redrive is asked and answers.

use super::pb::headwater::v1 as pb;
use crate::{
    gateway::{RecordPlace, RedriveAsk, RedrivePage, TimePoint},
    http::groups::{
        offsets::At,
        redrive::{LetterOffsetsInput, RedriveFilterInput, RedriveRequest},
    },
    problem::Problem,
};

/// What it asks for.
///
/// # Errors
/// 400 for what is out of range.
pub fn ask_of(wanted: pb::RedriveRequest) -> Result<RedriveAsk, Problem> {
    let mut filter = wanted.filter.unwrap_or_default();
    let key = filter.key.take();
    let mut ask = RedriveRequest {
        filter: Some(filter_of(filter)),
        records_per_second: wanted.records_per_second.map(u64::from),
        max_records: wanted.max_records.map(u64::from),
        dry_run: wanted.dry_run,
        cursor: Some(wanted.cursor).filter(|cursor| !cursor.is_empty()),
    }
    .checked()?;
    ask.filter.key = key.map(Vec::from);
    Ok(ask)
}

fn filter_of(filter: pb::RedriveFilter) -> RedriveFilterInput {
    let offsets = filter.offsets.into_iter().map(|place| LetterOffsetsInput {
        partition: place.partition.into(),
        from: place.from,
        to: place.to,
    });
    RedriveFilterInput {
        reason: filter.reason,
        headers: filter.headers.into_iter().collect(),
        topic: filter.topic,
        since: filter.since_ms.map(|ms| At(TimePoint(ms))),
        until: filter.until_ms.map(|ms| At(TimePoint(ms))),
        offsets: offsets.collect(),
        ..RedriveFilterInput::default()
    }
}

/// What it did, as clients are told.
pub fn redriven(page: RedrivePage) -> pb::RedriveResponse {
    let (moved, refused) = (page.moved(), page.refused());
    let letters = page.letters.into_iter().map(|letter| pb::RedrivenLetter {
        partition: letter.partition,
        offset: letter.offset,
        origin: Some(place(letter.origin)),
        attempts: letter.attempts,
        reason: letter.reason,
        redriven: letter.redriven,
        moved_to: letter.moved_to.map(place),
        refusal: letter.refusal,
    });
    pb::RedriveResponse {
        moved,
        skipped: page.skipped,
        refused,
        left: page.left,
        letters: letters.collect(),
        cursor: page.cursor.unwrap_or_default(),
    }
}

fn place(place: RecordPlace) -> pb::RecordPlace {
    pb::RecordPlace {
        topic: place.topic,
        partition: place.partition,
        offset: place.offset,
    }
}
