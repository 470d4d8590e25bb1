//! Reading records from one partition or all of a topic.

use std::time::Duration;

use bytes::Bytes;
use headwater_broker::{FetchError, FetchPosition, Fetched};
use headwater_record::BatchView;
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

/// A problem, and the partition and offset at which reading can go on if records are damaged.
type Damaged = (Problem, Option<(u32, u64)>);

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
        let mut offsets = [(partition, offset)];
        self.fetch_page(topic, &mut offsets, limits)
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
        let mix = cursor
            .offsets
            .iter()
            .sum::<u64>()
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            >> 33;
        let first = (mix % u64::from(count)) as u32;
        let mut offsets: Vec<(u32, u64)> = (0..count)
            .map(|nth| (first + nth) % count)
            .map(|partition| (partition, cursor.offsets[partition as usize]))
            .collect();
        match self.fetch_page(topic, &mut offsets, limits).await {
            Ok(page) => {
                for (partition, offset) in offsets {
                    cursor.offsets[partition as usize] = offset;
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
        offsets: &mut [(u32, u64)],
        limits: &ReadLimits,
    ) -> Result<FetchPage, Damaged> {
        let mut page = FetchPage {
            records: limits.form.prefix().to_vec(),
            ..FetchPage::default()
        };
        let mut moves = 0;
        let mut left = *limits;
        if !limits.wait.is_zero() {
            // Whoever only waits holds no memory.
            let positions = positions(offsets, limits);
            self.wait_for_records(topic, &positions, limits.wait).await;
        }
        let held = self.pages.take(limits.bytes_max).await;
        page.held = Some(held.map_err(|problem| (problem, None))?);
        loop {
            let fetched = self.fetch_offsets(topic, offsets, &left).await;
            if move_into_range(&fetched, offsets, limits, &mut page.gaps) {
                // Once a partition is enough, unless retention runs faster than the reader.
                moves += 1;
                if moves > offsets.len() + 2 {
                    let problem =
                        Problem::new(Code::Unavailable, "retention overtakes this reader");
                    return Err((problem, None));
                }
                continue;
            }
            let (parts, damaged) = readable(fetched, offsets);
            let Converted { is_full, has_moved } =
                convert(&mut page, offsets, &parts, limits).map_err(|problem| (problem, None))?;
            // The good partitions are read to their ends first, then the damage is told.
            if page.record_count == 0
                && let Some(damaged) = damaged
            {
                return Err(damaged);
            }
            let mut ends = parts.iter().zip(offsets.iter());
            let more = ends.any(|(part, (_, offset))| *offset < part.high_watermark);
            if is_full || !more || damaged.is_some() || !has_moved {
                page.finish(offsets, &parts, limits);
                return Ok(page);
            }
            left.records_max = limits.records_max - page.record_count;
            left.bytes_max = limits.bytes_max - page.records.len();
        }
    }

    async fn fetch_offsets(
        &self,
        topic: &Topic,
        offsets: &[(u32, u64)],
        limits: &ReadLimits,
    ) -> Vec<Result<Fetched, FetchError>> {
        let positions = positions(offsets, limits);
        self.fetch_positions(topic, &positions, limits.bytes_max)
            .await
    }
}

/// A fair share of what may be read, at each offset.
fn positions(offsets: &[(u32, u64)], limits: &ReadLimits) -> Vec<FetchPosition> {
    let share = (limits.bytes_max / offsets.len().max(1)).max(64 << 10);
    let position = |&(partition, offset)| FetchPosition {
        partition,
        offset,
        records_max: limits.records_max,
        bytes_max: share.min(limits.bytes_max),
    };
    offsets.iter().map(position).collect()
}

/// Moves offsets that are not there to where the caller wants to go on.
fn move_into_range(
    fetched: &[Result<Fetched, FetchError>],
    offsets: &mut [(u32, u64)],
    limits: &ReadLimits,
    gaps: &mut Vec<Gap>,
) -> bool {
    let mut moved = false;
    for (result, (partition, offset)) in fetched.iter().zip(offsets) {
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
        };
        if *offset < *log_start {
            let (partition, from) = (*partition, *offset);
            gaps.push(Gap {
                partition,
                from,
                to: to.min(*log_start),
                reason: "deleted",
            });
        }
        *offset = to;
        moved = true;
    }
    moved
}

/// The parts that can be read, and the first problem of those that cannot.
fn readable(
    fetched: Vec<Result<Fetched, FetchError>>,
    offsets: &[(u32, u64)],
) -> (Vec<Fetched>, Option<Damaged>) {
    let mut damaged = None;
    let parts = fetched
        .into_iter()
        .zip(offsets)
        .map(|(result, &(partition, _))| {
            result.unwrap_or_else(|error| {
                let behind = match error {
                    FetchError::Corrupt { to, .. } => Some((partition, to)),
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
    offsets: &mut [(u32, u64)],
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
        for (part, (partition, offset)) in parts.iter().zip(offsets.iter_mut()) {
            let share = if fair {
                (limits.records_max / with_records).max(1)
            } else {
                usize::MAX
            };
            let room = limits
                .records_max
                .saturating_sub(page.record_count)
                .min(share);
            let before = *offset;
            is_full = room > 0 && !write_batches(page, part, *partition, offset, room, limits)?;
            has_moved |= *offset != before;
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

/// Writes at most `room` records from `offset` on and moves it; `false` once the page is full.
fn write_batches(
    page: &mut FetchPage,
    part: &Fetched,
    partition: u32,
    offset: &mut u64,
    room: usize,
    limits: &ReadLimits,
) -> Result<bool, Problem> {
    let undecodable = |error| Problem::internal("a stored batch cannot be decoded", error);
    let mut scratch = Vec::new();
    let mut written = 0;
    for batch in &part.batches {
        let (view, _) = BatchView::parse(batch).map_err(undecodable)?;
        if view.next_offset() <= *offset {
            continue;
        }
        for record in view
            .records(&mut scratch, INFLATED_BYTES_MAX)
            .map_err(undecodable)?
        {
            let record = record.map_err(undecodable)?;
            if record.offset < *offset {
                continue;
            }
            if written == room {
                return Ok(true);
            }
            let before = page.records.len();
            limits.form.write(&mut page.records, &record, partition);
            if page.records.len() > limits.bytes_max && page.record_count > 0 {
                page.records.truncate(before);
                return Ok(false);
            }
            page.record_count += 1;
            page.payload_bytes += record.payload_bytes();
            written += 1;
            *offset = record.offset + 1;
        }
        *offset = (*offset).max(view.next_offset());
        scratch.clear();
    }
    Ok(true)
}

impl FetchPage {
    /// Ends the page where `offsets` now stand.
    fn finish(&mut self, offsets: &[(u32, u64)], parts: &[Fetched], limits: &ReadLimits) {
        limits.form.finish(&mut self.records);
        if let Some(held) = &mut self.held {
            held.shrink(self.records.len());
        }
        let ends = parts.iter().zip(offsets);
        self.partitions = ends
            .map(|(part, &(partition, next_offset))| PartitionPage {
                partition,
                next_offset,
                log_start: part.log_start,
                high_watermark: part.high_watermark,
            })
            .collect();
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
