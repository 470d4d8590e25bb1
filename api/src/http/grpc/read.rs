//! Where a read begins, and how much it takes.

use std::time::Duration;

use super::{call::Call, pb::headwater::v1 as pb, topics::known};
use crate::{
    gateway::{Form, Gap, OnOutOfRange, PartitionPage, Position, ReadLimits, Start, TimePoint},
    http::params::in_range,
    limits::{FETCH_BYTES, FETCH_RECORDS, FETCH_WAIT_MAX, OFFSET_MAX},
    problem::Problem,
};

/// The position that one of two calls names, without its cursor.
pub fn position_of(from: i32, default: Start) -> Result<Position, Problem> {
    Ok(Position::Start(match known("from", from)? {
        pb::End::Unspecified => default,
        pb::End::Earliest => Start::Earliest,
        pb::End::Latest => Start::Latest,
    }))
}

/// The newest so many records.
pub fn newest(records: u64) -> Result<Position, Problem> {
    let records = in_range("newest", records, 0, OFFSET_MAX)?;
    Ok(Position::Start(Start::Tail(records)))
}

/// A point in time.
pub fn at(at_ms: i64) -> Position {
    Position::At(TimePoint(at_ms))
}

/// What to do at an offset that is not there.
pub fn out_of_range_of(number: i32) -> Result<OnOutOfRange, Problem> {
    Ok(match known("on_out_of_range", number)? {
        pb::OnOutOfRange::Unspecified | pb::OnOutOfRange::Error => OnOutOfRange::Error,
        pb::OnOutOfRange::Earliest => OnOutOfRange::Earliest,
        pb::OnOutOfRange::Latest => OnOutOfRange::Latest,
    })
}

/// How much a call wants to read.
pub fn limits_of(call: &Call, limits: Option<pb::ReadLimits>) -> Result<ReadLimits, Problem> {
    let limits = limits.unwrap_or_default();
    let within = |name, number: Option<u32>, (default, most): (usize, usize)| match number {
        Some(number) => in_range(name, number.into(), 1, most as u64).map(|n| n as usize),
        None => Ok(default),
    };
    let wait_max_ms = FETCH_WAIT_MAX.as_millis() as u64;
    let wait_ms = in_range("wait_ms", limits.wait_ms.into(), 0, wait_max_ms)?;
    Ok(ReadLimits {
        records_max: within("max_records", limits.max_records, FETCH_RECORDS)?,
        bytes_max: within("max_bytes", limits.max_bytes, FETCH_BYTES)?,
        wait: call.patience(Duration::from_millis(wait_ms)),
        on_out_of_range: out_of_range_of(limits.on_out_of_range)?,
        form: Form::Protobuf { with_topic: false },
    })
}

/// What is missing, as clients are told.
pub fn gaps_of(gaps: &[Gap]) -> Vec<pb::Gap> {
    let gaps = gaps.iter().map(|gap| pb::Gap {
        partition: gap.partition,
        from: gap.from,
        to: gap.to,
        reason: gap.reason.to_owned(),
    });
    gaps.collect()
}

/// Where partitions stand, as clients are told.
pub fn positions_of(mut parts: Vec<PartitionPage>) -> Vec<pb::PartitionPosition> {
    parts.sort_unstable_by_key(|part| part.partition);
    let parts = parts.iter().map(|part| pb::PartitionPosition {
        partition: part.partition,
        next_offset: part.next_offset,
        log_start: part.log_start,
        high_watermark: part.high_watermark,
    });
    parts.collect()
}
