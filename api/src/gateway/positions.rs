//! Where a read begins, in the words that clients use, and as offsets.

use std::str::FromStr;

use headwater_broker::{FetchError, FetchPosition, PartitionId};
use headwater_record::BatchView;

use super::{Gateway, fetch::INFLATED_BYTES_MAX, read_problem};
use crate::{limits::OFFSET_MAX, metadata::Topic, problem::Problem};

/// `from=`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The oldest record there is.
    Earliest,
    /// What comes from now on.
    Latest,
    /// The newest so many records.
    Tail(u64),
}

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            _ => text
                .strip_prefix("tail-")
                .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
                .and_then(|digits| digits.parse().ok())
                .filter(|&records| records <= OFFSET_MAX)
                .map(Self::Tail)
                .ok_or_else(|| "must be earliest, latest or tail-N, such as tail-10".to_owned()),
        }
    }
}

/// A point in time: RFC 3339, or milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimePoint(pub i64);

impl FromStr for TimePoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "must be a time such as 2026-01-31T12:00:00Z or milliseconds since the epoch".to_owned()
        };
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().map(Self).map_err(|_| wrong());
        }
        // A `+` of the zone that was not escaped in the query arrives as a space.
        let text = text.replace(' ', "+");
        let time: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
        Ok(Self(time.as_millisecond()))
    }
}

/// Where a read begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// By words.
    Start(Start),
    /// At the first record of that time or later.
    At(TimePoint),
    /// At an offset of one partition.
    Offset(u64),
}

impl Gateway {
    /// The offset in one partition at which `position` begins.
    ///
    /// # Errors
    /// The partition cannot be read.
    pub async fn offset_of(
        &self,
        topic: &Topic,
        partition: u32,
        position: Position,
    ) -> Result<u64, Problem> {
        let id = PartitionId {
            topic: topic.id,
            partition,
        };
        self.ask_leader(topic, partition, |leader| async move {
            if let Position::At(TimePoint(at)) = position {
                return leader.offset_for_time(id, at).await;
            }
            let mut states = leader.partition_states(id.topic, vec![partition]).await;
            let state = states.pop().unwrap_or(Err(FetchError::NotLeader))?;
            Ok(match position {
                Position::Offset(offset) => offset,
                Position::Start(Start::Earliest) => state.log_start,
                Position::Start(Start::Tail(records)) => state
                    .high_watermark
                    .saturating_sub(records)
                    .max(state.log_start),
                Position::Start(Start::Latest) | Position::At(_) => state.high_watermark,
            })
        })
        .await
    }

    /// The offset in every partition at which `position` begins. `tail-N` means the newest N of the
    /// whole topic, by their timestamps.
    ///
    /// # Errors
    /// A partition cannot be read.
    pub async fn offsets_of(&self, topic: &Topic, position: Position) -> Result<Vec<u64>, Problem> {
        let partitions = topic.partitions();
        if let Position::Start(Start::Tail(records)) = position
            && partitions > 1
        {
            return self.newest(topic, records).await;
        }
        let mut offsets = Vec::with_capacity(partitions as usize);
        for partition in 0..partitions {
            offsets.push(self.offset_of(topic, partition, position).await?);
        }
        Ok(offsets)
    }

    /// Goes back from the ends of all partitions, record by record, always in the partition whose
    /// next older record is the newest.
    async fn newest(&self, topic: &Topic, records: u64) -> Result<Vec<u64>, Problem> {
        let partitions = topic.partitions();
        let mut tails = Vec::with_capacity(partitions as usize);
        for partition in 0..partitions {
            let end = self
                .offset_of(topic, partition, Position::Start(Start::Latest))
                .await?;
            let start = self
                .offset_of(topic, partition, Position::Start(Start::Earliest))
                .await?;
            tails.push(Look {
                offset: end,
                start,
                times: Vec::new(),
            });
        }
        if tails
            .iter()
            .map(|tail| tail.offset - tail.start)
            .sum::<u64>()
            <= records
        {
            return Ok(tails.iter().map(|tail| tail.start).collect());
        }
        if records > NEWEST_MAX {
            return Err(Problem::invalid(
                "from",
                "out_of_range",
                format!("tail-N takes at most {NEWEST_MAX} over several partitions"),
            ));
        }
        let mut look = (records / u64::from(partitions)).max(16);
        for _ in 0..records {
            for (partition, tail) in (0..).zip(&mut tails) {
                if tail.times.is_empty() && tail.offset > tail.start {
                    let from = tail.offset.saturating_sub(look).max(tail.start);
                    tail.times = self.timestamps(topic, partition, from, tail.offset).await?;
                    look = (look + look / 2).min(records.max(16));
                }
            }
            let newest = tails.iter_mut().filter(|tail| !tail.times.is_empty());
            let Some(newest) = newest.max_by_key(|tail| tail.times.last().copied()) else {
                break;
            };
            newest.times.pop();
            newest.offset -= 1;
        }
        Ok(tails.into_iter().map(|tail| tail.offset).collect())
    }

    /// The timestamps of the records in `from..end` of a partition, oldest first.
    async fn timestamps(
        &self,
        topic: &Topic,
        partition: u32,
        from: u64,
        end: u64,
    ) -> Result<Vec<i64>, Problem> {
        let mut times = Vec::with_capacity((end - from) as usize);
        while from + (times.len() as u64) < end {
            let offset = from + times.len() as u64;
            let position = FetchPosition {
                partition,
                offset,
                records_max: (end - offset) as usize,
                bytes_max: 1 << 20,
            };
            let positions = [position];
            let fetched = self.fetch_positions(topic, &positions, 1 << 20);
            let before = times.len();
            for result in fetched.await {
                let mut scratch = Vec::new();
                for batch in result.map_err(read_problem)?.batches {
                    let Ok((view, _)) = BatchView::parse(&batch) else {
                        continue;
                    };
                    let Ok(records) = view.records(&mut scratch, INFLATED_BYTES_MAX) else {
                        continue;
                    };
                    let records = records.filter_map(Result::ok);
                    let wanted = records.filter(|r| r.offset >= offset && r.offset < end);
                    times.extend(wanted.map(|record| record.timestamp_ms));
                    scratch.clear();
                }
            }
            if times.len() == before {
                // Nothing there that can be judged: it counts as newest, so that it is not skipped.
                times.resize((end - from) as usize, i64::MAX);
            }
        }
        Ok(times)
    }
}

/// Records that `tail-N` goes back over several partitions, at most.
const NEWEST_MAX: u64 = 10_000;

/// How far one partition was gone back.
struct Look {
    /// The oldest record that was taken.
    offset: u64,
    /// The oldest record that there is.
    start: u64,
    /// Timestamps before `offset`, oldest first, as far as they were read.
    times: Vec<i64>,
}
