//! Reading records from one partition or all of a topic.

use std::time::Duration;

use bytes::Bytes;
use headwater_broker::{FetchError, FetchPosition, Fetched};
use headwater_record::{BatchView, DecodeError, RecordView};
use serde::Serialize;

use super::{Cursor, Form, Gateway, Held, partition_not_found, read_problem};
use crate::{
    metadata::{Project, Topic},
    problem::{Code, Problem},
};

/// What one stored batch may inflate to, in bytes. The gateway makes no batch larger than a body.
pub(super) const INFLATED_BYTES_MAX: usize = 64 << 20;

/// How a page begins that becomes the body of an answer as it is.
pub const JSON_PREFIX: &[u8] = b"{\"records\":[";

/// What to do at an offset that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnOutOfRange {
    /// Answer 416.
    #[default]
    Error,
    /// Go on at the oldest record.
    Earliest,
    /// Go on at the end.
    Latest,
    /// Go on at the oldest record where those that are wanted were deleted; an offset behind the end
    /// is an error.
    Undeleted,
}

/// How much to read, and in which form.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimits {
    /// Records at most.
    pub records_max: usize,
    /// Bytes at most, as they are sent; the first record always fits.
    pub bytes_max: usize,
    /// How long to wait for the first.
    pub wait: Duration,
    /// What to do at an offset that is not there.
    pub on_out_of_range: OnOutOfRange,
    /// How the records are written.
    pub form: Form,
}

/// Offsets that were asked for and are not there.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Gap {
    /// The partition.
    pub partition: u32,
    /// First offset missing.
    pub from: u64,
    /// First offset after the gap.
    pub to: u64,
    /// Why: trim and retention both move the log's start, and which one did is not recorded.
    pub reason: &'static str,
}

/// One partition's part of a page.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PartitionPage {
    /// The partition.
    pub partition: u32,
    /// Where to read on.
    pub next_offset: u64,
    /// The oldest offset there is.
    pub log_start: u64,
    /// The offset after the newest committed record.
    pub high_watermark: u64,
}

/// Records, ready to be sent.
#[derive(Debug, Default)]
pub struct FetchPage {
    /// The records in the form that was asked for.
    pub records: Vec<u8>,
    /// How many.
    pub record_count: usize,
    /// Bytes of their keys, values and headers.
    pub payload_bytes: usize,
    /// Where each partition stands.
    pub partitions: Vec<PartitionPage>,
    /// What is missing.
    pub gaps: Vec<Gap>,
    /// The memory that the records hold of the budget.
    pub held: Option<Held>,
}

/// How far the reading of a partition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    /// The partition.
    pub(super) partition: u32,
    /// Where it goes on.
    pub(super) offset: u64,
    /// Of the first record that was given out.
    pub(super) first_timestamp_ms: Option<i64>,
}

impl Reading {
    /// Nothing is read yet.
    pub(super) fn at(partition: u32, offset: u64) -> Self {
        Self {
            partition,
            offset,
            first_timestamp_ms: None,
        }
    }
}

/// A problem, and the partition and offset at which reading can go on if records are damaged.
pub(super) type Damaged = (Problem, Option<(u32, u64)>);

impl Gateway {
    /// Reads one partition from `offset`.
    ///
    /// # Errors
    /// 416 unless told otherwise, 503 for damaged records or without a leader.
    pub async fn fetch_partition(
        &self,
        topic: &Topic,
        partition: u32,
        offset: u64,
        limits: &ReadLimits,
    ) -> Result<FetchPage, Problem> {
        if partition >= topic.partitions() {
            return Err(partition_not_found(topic));
        }
        let mut readings = [Reading::at(partition, offset)];
        self.fetch_page(topic, &mut readings, limits)
            .await
            .map_err(|(problem, _)| problem)
    }

    /// Reads all partitions from `cursor`, and moves it behind what was read.
    ///
    /// # Errors
    /// As for one partition; a problem of damaged records has a cursor that goes on behind them.
    pub async fn fetch_topic(
        &self,
        topic: &Topic,
        project: &Project,
        cursor: &mut Cursor,
        limits: &ReadLimits,
    ) -> Result<FetchPage, Problem> {
        let count = topic.partitions();
        // Another partition comes first each time: a busy one must not hide the others.
        let first = rotation(cursor.offsets.iter().copied(), count);
        let mut readings: Vec<_> = (0..count)
            .map(|nth| (first + nth) % count)
            .map(|partition| Reading::at(partition, cursor.offsets[partition as usize]))
            .collect();
        match self.fetch_page(topic, &mut readings, limits).await {
            Ok(page) => {
                for reading in readings {
                    cursor.offsets[reading.partition as usize] = reading.offset;
                }
                Ok(page)
            }
            Err((mut problem, damaged)) => {
                if let Some((partition, to)) = damaged {
                    let mut behind = cursor.clone();
                    behind.offsets[partition as usize] = to;
                    problem.cursor = Some(behind.seal(project));
                }
                Err(problem)
            }
        }
    }

    async fn fetch_page(
        &self,
        topic: &Topic,
        readings: &mut [Reading],
        limits: &ReadLimits,
    ) -> Result<FetchPage, Damaged> {
        if !limits.wait.is_zero() {
            // Whoever only waits holds no memory.
            let positions = positions(readings, limits);
            self.wait_for_records(topic, &positions, limits.wait).await;
        }
        let page = self.begin_page(limits).await;
        let mut page = page.map_err(|problem| (problem, None))?;
        let parts = self.fill_page(&mut page, topic, readings, limits).await?;
        page.finish(limits);
        page.partitions = ends(readings, &parts);
        Ok(page)
    }

    /// A page without records, and the memory for them.
    pub(super) async fn begin_page(&self, limits: &ReadLimits) -> Result<FetchPage, Problem> {
        Ok(FetchPage {
            records: limits.form.prefix().to_vec(),
            held: Some(self.pages.take(limits.bytes_max).await?),
            ..FetchPage::default()
        })
    }

    /// Adds records of a topic to a page, whose limits are those of all that is in it then. Answers
    /// what was read last of each partition.
    pub(super) async fn fill_page(
        &self,
        page: &mut FetchPage,
        topic: &Topic,
        readings: &mut [Reading],
        limits: &ReadLimits,
    ) -> Result<Vec<Fetched>, Damaged> {
        let mut moves = 0;
        loop {
            let fetched = self
                .fetch_readings(topic, readings, &page.left(limits))
                .await;
            if move_into_range(&fetched, readings, limits, &mut page.gaps) {
                // Once a partition is enough, unless retention runs faster than the reader.
                moves += 1;
                if moves > readings.len() + 2 {
                    let problem =
                        Problem::new(Code::Unavailable, "retention overtakes this reader");
                    return Err((problem, None));
                }
                continue;
            }
            let (parts, damaged) = readable(fetched, readings);
            let Converted { is_full, has_moved } =
                convert(page, &topic.name, readings, &parts, limits)
                    .map_err(|problem| (problem, None))?;
            // The good partitions are read to their ends first, then the damage is told.
            if page.record_count == 0
                && let Some(damaged) = damaged
            {
                return Err(damaged);
            }
            let mut ends = parts.iter().zip(readings.iter());
            let more = ends.any(|(part, reading)| reading.offset < part.high_watermark);
            if is_full || !more || damaged.is_some() || !has_moved {
                return Ok(parts);
            }
        }
    }

    async fn fetch_readings(
        &self,
        topic: &Topic,
        readings: &[Reading],
        limits: &ReadLimits,
    ) -> Vec<Result<Fetched, FetchError>> {
        let positions = positions(readings, limits);
        self.fetch_positions(topic, &positions, limits.bytes_max)
            .await
    }
}

/// Which of `count` comes first, of readers that stand at `offsets`: another one once they moved on.
pub(super) fn rotation(offsets: impl Iterator<Item = u64>, count: u32) -> u32 {
    let sum = offsets.fold(0, u64::wrapping_add);
    let mix = sum.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
    (mix % u64::from(count.max(1))) as u32
}

/// Where readers stand, behind what was read last.
fn ends(readings: &[Reading], parts: &[Fetched]) -> Vec<PartitionPage> {
    let ends = parts.iter().zip(readings);
    ends.map(|(part, reading)| PartitionPage {
        partition: reading.partition,
        next_offset: reading.offset,
        log_start: part.log_start,
        high_watermark: part.high_watermark,
    })
    .collect()
}

/// A fair share of what may be read, at each offset.
pub(super) fn positions(readings: &[Reading], limits: &ReadLimits) -> Vec<FetchPosition> {
    let share = (limits.bytes_max / readings.len().max(1)).max(64 << 10);
    let position = |reading: &Reading| FetchPosition {
        partition: reading.partition,
        offset: reading.offset,
        records_max: limits.records_max,
        bytes_max: share.min(limits.bytes_max),
    };
    readings.iter().map(position).collect()
}

/// Moves offsets that are not there to where the caller wants to go on.
fn move_into_range(
    fetched: &[Result<Fetched, FetchError>],
    readings: &mut [Reading],
    limits: &ReadLimits,
    gaps: &mut Vec<Gap>,
) -> bool {
    let mut moved = false;
    for (result, reading) in fetched.iter().zip(readings) {
        let Err(FetchError::OutOfRange {
            log_start,
            high_watermark,
        }) = result
        else {
            continue;
        };
        let to = match limits.on_out_of_range {
            OnOutOfRange::Error => continue,
            OnOutOfRange::Earliest => *log_start,
            OnOutOfRange::Latest => *high_watermark,
            OnOutOfRange::Undeleted if reading.offset < *log_start => *log_start,
            OnOutOfRange::Undeleted => continue,
        };
        if reading.offset < *log_start {
            gaps.push(Gap {
                partition: reading.partition,
                from: reading.offset,
                to: to.min(*log_start),
                reason: "deleted",
            });
        }
        reading.offset = to;
        moved = true;
    }
    moved
}

/// The parts that can be read, and the first problem of those that cannot.
fn readable(
    fetched: Vec<Result<Fetched, FetchError>>,
    readings: &[Reading],
) -> (Vec<Fetched>, Option<Damaged>) {
    let mut damaged = None;
    let parts = fetched.into_iter().zip(readings).map(|(result, reading)| {
        result.unwrap_or_else(|error| {
            let behind = match error {
                FetchError::Corrupt { to, .. } => Some((reading.partition, to)),
                _ => None,
            };
            damaged.get_or_insert((read_problem(error), behind));
            Fetched {
                batches: Vec::new(),
                log_start: 0,
                high_watermark: 0,
            }
        })
    });
    (parts.collect(), damaged)
}

/// What became of a page, and of the offsets.
struct Converted {
    is_full: bool,
    /// An offset goes on, if only over what compaction left no record of.
    has_moved: bool,
}

/// Writes the records of all parts, first a fair share of each, then what room is left.
fn convert(
    page: &mut FetchPage,
    topic: &str,
    readings: &mut [Reading],
    parts: &[Fetched],
    limits: &ReadLimits,
) -> Result<Converted, Problem> {
    let (mut is_full, mut has_moved) = (false, false);
    let bytes: usize = parts
        .iter()
        .flat_map(|part| &part.batches)
        .map(Bytes::len)
        .sum();
    // A fetch of everything is about as large as its batches; `max_records` may cut it short.
    let guess = bytes + bytes / 4 + 64 * limits.records_max.min(1_000);
    page.records
        .reserve(guess.min(limits.bytes_max + (64 << 10)));
    let with_records = parts.iter().filter(|part| !part.batches.is_empty()).count();
    for fair in [true, false] {
        if fair && with_records < 2 {
            continue;
        }
        for (part, reading) in parts.iter().zip(readings.iter_mut()) {
            let share = if fair {
                (limits.records_max / with_records).max(1)
            } else {
                usize::MAX
            };
            let room = limits
                .records_max
                .saturating_sub(page.record_count)
                .min(share);
            let before = reading.offset;
            is_full = room > 0 && !write_batches(page, topic, part, reading, room, limits)?;
            has_moved |= reading.offset != before;
            if is_full {
                break;
            }
        }
    }
    // A last look for the sixteenth of a page that is left would read more than it gives.
    is_full |=
        page.record_count >= limits.records_max || page.records.len() >= limits.bytes_max / 16 * 15;
    Ok(Converted { is_full, has_moved })
}

/// Does something with the record at an offset, if one of the batches has it.
///
/// # Errors
/// 500 if a batch cannot be decoded.
pub(super) fn with_record_at<T>(
    batches: &[Bytes],
    offset: u64,
    then: impl FnOnce(&RecordView<'_>) -> T,
) -> Result<Option<T>, Problem> {
    let mut scratch = Vec::new();
    for batch in batches {
        let (view, _) = BatchView::parse(batch).map_err(undecodable)?;
        let records = view.records(&mut scratch, INFLATED_BYTES_MAX);
        for record in records.map_err(undecodable)? {
            let record = record.map_err(undecodable)?;
            if record.offset == offset {
                return Ok(Some(then(&record)));
            }
        }
        scratch.clear();
    }
    Ok(None)
}

/// What a stored batch is answered as that cannot be read.
pub(super) fn undecodable(error: DecodeError) -> Problem {
    Problem::internal("a stored batch cannot be decoded", error)
}

/// Writes at most `room` records from where the reading is, and moves it; `false` once the page is full.
fn write_batches(
    page: &mut FetchPage,
    topic: &str,
    part: &Fetched,
    reading: &mut Reading,
    room: usize,
    limits: &ReadLimits,
) -> Result<bool, Problem> {
    let mut scratch = Vec::new();
    let mut written = 0;
    for batch in &part.batches {
        let (view, _) = BatchView::parse(batch).map_err(undecodable)?;
        if view.next_offset() <= reading.offset {
            continue;
        }
        for record in view
            .records(&mut scratch, INFLATED_BYTES_MAX)
            .map_err(undecodable)?
        {
            let record = record.map_err(undecodable)?;
            if record.offset < reading.offset {
                continue;
            }
            if written == room {
                return Ok(true);
            }
            let before = page.records.len();
            let form = &limits.form;
            form.write(&mut page.records, &record, topic, reading.partition);
            if page.records.len() > limits.bytes_max && page.record_count > 0 {
                page.records.truncate(before);
                return Ok(false);
            }
            page.record_count += 1;
            page.payload_bytes += record.payload_bytes();
            written += 1;
            reading.offset = record.offset + 1;
            reading
                .first_timestamp_ms
                .get_or_insert(record.timestamp_ms);
        }
        reading.offset = reading.offset.max(view.next_offset());
        scratch.clear();
    }
    Ok(true)
}

impl FetchPage {
    /// What `limits` leave for more records. The first always fits.
    fn left(&self, limits: &ReadLimits) -> ReadLimits {
        let bytes = match self.record_count {
            0 => 0,
            _ => self.records.len(),
        };
        ReadLimits {
            records_max: limits.records_max.saturating_sub(self.record_count),
            bytes_max: limits.bytes_max.saturating_sub(bytes),
            ..*limits
        }
    }

    /// Limits that leave room for one of so many parts of a page, at most.
    pub(super) fn plus_part(&self, limits: &ReadLimits, parts: usize) -> ReadLimits {
        let records_max = self.record_count + (limits.records_max / parts).max(1);
        let bytes_max = self.records.len() + limits.bytes_max / parts;
        ReadLimits {
            records_max: records_max.min(limits.records_max),
            bytes_max: bytes_max.min(limits.bytes_max),
            ..*limits
        }
    }

    /// Whether no record fits any more.
    pub(super) fn is_full(&self, limits: &ReadLimits) -> bool {
        let left = self.left(limits);
        left.records_max == 0 || left.bytes_max == 0
    }

    /// Ends the records, and gives back the memory that they do not need.
    pub(super) fn finish(&mut self, limits: &ReadLimits) {
        limits.form.finish(&mut self.records);
        if let Some(held) = &mut self.held {
            held.shrink(self.records.len());
        }
    }

    /// `{"records":[…],…}`, of a page that was read with [`JSON_PREFIX`]. One partition is told by
    /// fields, several by a list and the cursor.
    pub fn into_json(self, cursor: Option<&str>) -> (Vec<u8>, Option<Held>) {
        let mut out = self.records;
        out.extend_from_slice(b"],");
        let rest = match (cursor, self.partitions.first()) {
            (None, Some(part)) => serde_json::to_vec(&PartitionRest {
                next_offset: part.next_offset,
                log_start: part.log_start,
                high_watermark: part.high_watermark,
                gaps: &self.gaps,
            }),
            _ => {
                let mut parts = self.partitions;
                parts.sort_unstable_by_key(|part| part.partition);
                serde_json::to_vec(&TopicRest {
                    cursor,
                    partitions: &parts,
                    gaps: &self.gaps,
                })
            }
        };
        let rest = rest.expect("numbers and strings serialize");
        out.extend_from_slice(&rest[1..]);
        (out, self.held)
    }
}

/// What stands behind the records of one partition.
#[derive(Serialize)]
struct PartitionRest<'a> {
    next_offset: u64,
    log_start: u64,
    high_watermark: u64,
    gaps: &'a [Gap],
}

/// What stands behind the records of several.
#[derive(Serialize)]
struct TopicRest<'a> {
    cursor: Option<&'a str>,
    partitions: &'a [PartitionPage],
    gaps: &'a [Gap],
}
