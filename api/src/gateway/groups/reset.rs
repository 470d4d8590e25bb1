//! Moving a group's positions.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{StreamExt, TryStreamExt, stream};
use headwater_groups::{Action, PartitionId, Reply};
use serde::Serialize;

use super::{Gateway, expect_reply, group_id, unknown_topic};
use crate::{
    auth::Access,
    gateway::{Position, TimePoint, partition_out_of_range},
    limits::{GROUPS_AT_ONCE, OFFSET_MAX},
    metadata::Topic,
    problem::Problem,
};

/// Where positions are to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResetTo {
    /// To the oldest records.
    Earliest,
    /// To the ends.
    Latest,
    /// To the first records at that time or later.
    At(TimePoint),
    /// By so many offsets, back if negative.
    Shift(i64),
    /// To these, and no others.
    Offsets(Vec<ResetOffset>),
}

/// Where one position is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetOffset {
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The offset to go on at.
    pub offset: u64,
}

/// What a reset asks for.
#[derive(Debug, Clone)]
pub struct ResetAsk {
    /// Where to.
    pub to: ResetTo,
    /// Of which topics; nothing is all.
    pub topics: Option<Vec<String>>,
    /// Only says what would be.
    pub dry_run: bool,
    /// Also while members are active.
    pub force: bool,
}

/// A position that was moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ResetPartition {
    /// The topic's name.
    #[schema(example = "orders")]
    pub topic: String,
    /// The partition.
    #[schema(example = 0)]
    pub partition: u32,
    /// Where the group would have gone on.
    #[schema(example = 42)]
    pub before: u64,
    /// Where it goes on.
    #[schema(example = 0)]
    pub after: u64,
}

/// A partition of the group, with its ends.
struct Row {
    topic: Arc<Topic>,
    partition: u32,
    committed: Option<u64>,
    log_start: u64,
    high_watermark: u64,
}

impl Row {
    fn before(&self) -> u64 {
        self.committed.unwrap_or(self.log_start)
    }
}

impl Gateway {
    /// Moves a group's positions, never out of what can be read.
    ///
    /// # Errors
    /// 409 while members are active, unless forced; 422 for a topic or partition that the group does
    /// not read.
    pub async fn reset_group(
        &self,
        access: &Access,
        group: &str,
        ask: &ResetAsk,
    ) -> Result<Vec<ResetPartition>, Problem> {
        let id = group_id(access, group)?;
        check(&ask.to)?;
        let reply = self.ask_coordinator(&id, Action::Positions).await?;
        let positions = expect_reply!(reply, Reply::Positions(positions) => positions)?;
        let mut rows = self.rows(access, &positions).await?;
        if let Some(topics) = &ask.topics {
            let reads = |name: &String| rows.iter().any(|row| row.topic.name == *name);
            if let Some(place) = topics.iter().position(|name| !reads(name)) {
                return Err(unknown_topic(format!("/topics/{place}"), &topics[place]));
            }
            rows.retain(|row| topics.contains(&row.topic.name));
        }
        let moves = self.moves(rows, &ask.to).await?;
        let offsets = moves.iter().map(|(row, after)| {
            let id = PartitionId {
                topic: row.topic.id,
                partition: row.partition,
            };
            (id, *after)
        });
        let action = Action::Reset {
            offsets: offsets.collect(),
            force: ask.force,
            dry_run: ask.dry_run,
        };
        let reply = self.ask_coordinator(&id, action).await?;
        let moved = expect_reply!(reply, Reply::Reset(moved) => moved)?;
        let before: BTreeMap<_, _> = moved
            .into_iter()
            .map(|moved| (moved.partition, moved.before))
            .collect();
        let mut told: Vec<_> = moves
            .into_iter()
            .map(|(row, after)| {
                let id = PartitionId {
                    topic: row.topic.id,
                    partition: row.partition,
                };
                let before = before.get(&id).copied().flatten();
                ResetPartition {
                    topic: row.topic.name.clone(),
                    partition: row.partition,
                    before: before.unwrap_or(row.before()),
                    after,
                }
            })
            .collect();
        told.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        Ok(told)
    }

    /// The group's partitions, with their ends.
    async fn rows(
        &self,
        access: &Access,
        positions: &[headwater_groups::Position],
    ) -> Result<Vec<Row>, Problem> {
        let mut rows = Vec::with_capacity(positions.len());
        for of_topic in positions.chunk_by(|a, b| a.partition.topic == b.partition.topic) {
            let Some(topic) = self.topic_read(access, of_topic[0].partition.topic) else {
                continue;
            };
            let states = self.partition_states(&topic).await?;
            rows.extend(of_topic.iter().filter_map(|position| {
                let partition = position.partition.partition;
                // This node may not have heard yet that the topic grew.
                let state = states.get(partition as usize)?;
                Some(Row {
                    topic: topic.clone(),
                    partition,
                    committed: position.committed,
                    log_start: state.log_start,
                    high_watermark: state.high_watermark,
                })
            }));
        }
        Ok(rows)
    }

    /// Where each partition is to go.
    async fn moves(&self, rows: Vec<Row>, to: &ResetTo) -> Result<Vec<(Row, u64)>, Problem> {
        let wanted = match to {
            ResetTo::Offsets(offsets) => return named(rows, offsets),
            ResetTo::At(at) => {
                let find = |row: &'_ Row| (row.topic.clone(), row.partition);
                let finds = rows.iter().map(find).map(async |(topic, partition)| {
                    let position = Position::At(*at);
                    self.offset_of(&topic, partition, position).await
                });
                let finds = stream::iter(finds).buffered(GROUPS_AT_ONCE);
                finds.try_collect().await?
            }
            ResetTo::Earliest => rows.iter().map(|row| row.log_start).collect(),
            ResetTo::Latest => rows.iter().map(|row| row.high_watermark).collect(),
            ResetTo::Shift(by) => rows
                .iter()
                .map(|row| row.before().saturating_add_signed(*by))
                .collect::<Vec<_>>(),
        };
        let moves = rows.into_iter().zip(wanted);
        Ok(moves.map(|(row, offset)| clamped(row, offset)).collect())
    }
}

/// Whether numbers are such that JSON carries them.
fn check(to: &ResetTo) -> Result<(), Problem> {
    let within = |pointer: String, offset: u64| {
        let message = format!("must be at most {OFFSET_MAX}");
        match offset <= OFFSET_MAX {
            true => Ok(()),
            false => Err(Problem::invalid(pointer, "out_of_range", message)),
        }
    };
    match to {
        ResetTo::Shift(by) => within("/to/shift".to_owned(), by.unsigned_abs()),
        ResetTo::Offsets(offsets) => {
            let mut places = offsets.iter().enumerate();
            places.try_for_each(|(place, wanted)| {
                within(format!("/to/offsets/{place}/offset"), wanted.offset)
            })
        }
        ResetTo::Earliest | ResetTo::Latest | ResetTo::At(_) => Ok(()),
    }
}

fn clamped(row: Row, offset: u64) -> (Row, u64) {
    let after = offset.min(row.high_watermark).max(row.log_start);
    (row, after)
}

/// The partitions that are named, each once.
fn named(rows: Vec<Row>, offsets: &[ResetOffset]) -> Result<Vec<(Row, u64)>, Problem> {
    let mut left: BTreeMap<_, _> = rows
        .into_iter()
        .map(|row| ((row.topic.name.clone(), row.partition), row))
        .collect();
    let mut moves = Vec::with_capacity(offsets.len());
    for (place, wanted) in offsets.iter().enumerate() {
        let pointer = |field: &str| format!("/to/offsets/{place}/{field}");
        let key = (wanted.topic.clone(), wanted.partition);
        let Some(row) = left.remove(&key) else {
            let repeats = offsets[..place]
                .iter()
                .any(|other| (&other.topic, other.partition) == (&key.0, key.1));
            if repeats {
                let message = "name each partition once";
                return Err(Problem::invalid(pointer("partition"), "duplicate", message));
            }
            let of_topic = |(topic, _): &&(String, u32)| *topic == wanted.topic;
            let moved = moves.iter().map(|(row, _): &(Row, u64)| row);
            let count = left.keys().filter(of_topic).count()
                + moved.filter(|row| row.topic.name == wanted.topic).count();
            return Err(match count {
                0 => unknown_topic(pointer("topic"), &wanted.topic),
                count => partition_out_of_range(&pointer("partition"), count as u32),
            });
        };
        moves.push(clamped(row, wanted.offset));
    }
    Ok(moves)
}
