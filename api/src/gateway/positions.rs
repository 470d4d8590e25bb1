//! Where a read begins, in the words that clients use, and as offsets.

use std::str::FromStr;

use headwater_broker::{Fetch, FetchPosition, PartitionId};
use headwater_record::BatchView;

use super::{Gateway, fetch::INFLATED_BYTES_MAX, read_problem};
use crate::{
    limits::{FETCH_RECORDS, OFFSET_MAX},
    metadata::Topic,
    problem::Problem,
};

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
        let leader = self.leader(topic, partition)?;
        let id = PartitionId {
            topic: topic.id,
            partition,
        };
        let state = leader.partition_state(id).map_err(read_problem)?;
        match position {
            Position::Offset(offset) => Ok(offset),
            Position::Start(Start::Earliest) => Ok(state.log_start),
            Position::Start(Start::Latest) => Ok(state.high_watermark),
            Position::Start(Start::Tail(records)) => Ok(state
                .high_watermark
                .saturating_sub(records)
                .max(state.log_start)),
            Position::At(TimePoint(at)) => {
                leader.offset_for_time(id, at).await.map_err(read_problem)
            }
        }
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
        /// Records looked at over all partitions, at most.
        const LOOK_MAX: u64 = 100_000;
        let partitions = topic.partitions();
        let share = (LOOK_MAX / u64::from(partitions)).max(1);
        let mut tails = Vec::with_capacity(partitions as usize);
        for partition in 0..partitions {
            let look = records.min(share).min(FETCH_RECORDS.1 as u64);
            tails.push(self.timestamps_before_end(topic, partition, look).await?);
        }
        for _ in 0..records {
            let newest = tails
                .iter_mut()
                .filter_map(|(offset, times)| Some((*times.last()?, offset, times)))
                .max_by_key(|(time, ..)| *time);
            let Some((_, offset, times)) = newest else {
                break;
            };
            times.pop();
            *offset -= 1;
        }
        Ok(tails.into_iter().map(|(offset, _)| offset).collect())
    }

    /// A partition's end, and the timestamps of the `records` before it, oldest first.
    async fn timestamps_before_end(
        &self,
        topic: &Topic,
        partition: u32,
        records: u64,
    ) -> Result<(u64, Vec<i64>), Problem> {
        let from = self
            .offset_of(topic, partition, Position::Start(Start::Tail(records)))
            .await?;
        let position = FetchPosition {
            partition,
            offset: from,
            records_max: usize::MAX,
            bytes_max: 8 << 20,
        };
        let leader = self.leader(topic, partition)?;
        let fetched = leader.fetch(Fetch {
            topic: topic.id,
            positions: vec![position],
            bytes_max: position.bytes_max,
            wait: std::time::Duration::ZERO,
        });
        let mut times = Vec::new();
        let mut end = from;
        for result in fetched.await {
            let fetched = result.map_err(read_problem)?;
            end = fetched.high_watermark;
            let mut scratch = Vec::new();
            for batch in &fetched.batches {
                let Ok((view, _)) = BatchView::parse(batch) else {
                    break;
                };
                let Ok(records) = view.records(&mut scratch, INFLATED_BYTES_MAX) else {
                    break;
                };
                let records = records.filter_map(Result::ok).filter(|r| r.offset >= from);
                times.extend(records.map(|r| r.timestamp_ms));
            }
        }
        // What did not fit into the look is newer than all that did.
        times.resize((end - from) as usize, i64::MAX);
        Ok((end, times))
    }
}
