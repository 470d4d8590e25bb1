//! How far a group is, and how far behind.

use headwater_groups::{Action, Position, Reply};
use serde::Serialize;

use super::{Gateway, expect_reply, group_id};
use crate::{auth::Access, metadata::Topic, problem::Problem};

/// How far a group is in a partition. What its leader does not tell now is null.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct GroupPosition {
    /// The topic's name.
    #[schema(example = "orders")]
    pub topic: String,
    /// The partition.
    #[schema(example = 0)]
    pub partition: u32,
    /// Everything below this offset is done with; null: nothing was committed, the group begins at the
    /// oldest record.
    pub committed: Option<u64>,
    /// The offset after the partition's newest record.
    pub high_watermark: Option<u64>,
    /// How many offsets there are from the one to the other, without those that a shared group has
    /// settled.
    pub lag: Option<u64>,
    /// The age of the oldest record that is not committed, by its timestamp; 0 if there is none.
    pub lag_ms: Option<u64>,
}

impl Gateway {
    /// How far a group is.
    ///
    /// # Errors
    /// 404 without such a group.
    pub async fn group_positions(
        &self,
        access: &Access,
        group: &str,
    ) -> Result<Vec<GroupPosition>, Problem> {
        let id = group_id(access, group)?;
        let reply = self.ask_coordinator(&id, Action::Positions).await?;
        let positions = expect_reply!(reply, Reply::Positions(positions) => positions)?;
        Ok(self.positions_told(access, &positions).await)
    }

    /// Positions as clients see them, which are in the order of partitions: with one call to each
    /// leader of each topic, and few more for the age of what is not committed.
    pub(super) async fn positions_told(
        &self,
        access: &Access,
        positions: &[Position],
    ) -> Vec<GroupPosition> {
        let mut told = Vec::with_capacity(positions.len());
        for of_topic in positions.chunk_by(|a, b| a.partition.topic == b.partition.topic) {
            if let Some(topic) = self.topic_read(access, of_topic[0].partition.topic) {
                told.extend(self.positions_in(&topic, of_topic).await);
            }
        }
        told.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        told
    }

    async fn positions_in(&self, topic: &Topic, positions: &[Position]) -> Vec<GroupPosition> {
        let states = self.states_of(topic).await;
        let mut behind = Vec::new();
        let mut told: Vec<_> = positions
            .iter()
            .map(|position| {
                let partition = position.partition.partition;
                // This node may not have heard yet that the topic grew.
                let state = states
                    .get(partition as usize)
                    .and_then(|state| state.as_ref().ok());
                let lag = state.map(|state| {
                    let from = position.committed.unwrap_or(0).max(state.log_start);
                    let behind = state.high_watermark.saturating_sub(from);
                    (from, behind.saturating_sub(position.settled_above))
                });
                if let Some((from, 1..)) = lag {
                    behind.push((partition, from));
                }
                GroupPosition {
                    topic: topic.name.clone(),
                    partition,
                    committed: position.committed,
                    high_watermark: state.map(|state| state.high_watermark),
                    lag: lag.map(|(_, lag)| lag),
                    lag_ms: lag.filter(|(_, lag)| *lag == 0).map(|_| 0),
                }
            })
            .collect();
        let ages = self.ages(topic, &behind).await;
        for position in &mut told {
            if let Some(age_ms) = ages.get(&position.partition) {
                position.lag_ms = Some(*age_ms);
            }
        }
        told
    }
}
