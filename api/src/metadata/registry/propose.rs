//! Writing partitions' rows, each if it is still what the proposer knew.

use std::collections::{BTreeSet, HashMap};

use headwater_broker::{PartitionId, Proposal, controller::Brokers, replica::Assignment};

use crate::metadata::{
    Change, Kind, Store, TopicConfig,
    store::{BrokerRow, PartitionRow, PlacedRow, Result, StoreError},
};

impl Store {
    pub(super) async fn write_proposals(
        &self,
        proposals: Vec<Proposal>,
    ) -> Result<Vec<Option<Assignment>>> {
        if proposals.is_empty() {
            return Ok(Vec::new());
        }
        let mut change = self.change_now().await?;
        let proposed = change.propose(proposals).await?;
        if proposed.any_written {
            change.commit().await?;
        }
        Ok(proposed.rows)
    }
}

/// What became of proposals.
pub struct Proposed {
    /// In their order, the rows as they are now; `None` for a topic that is gone.
    pub rows: Vec<Option<Assignment>>,
    /// Whether there is something to commit.
    pub any_written: bool,
}

impl Change {
    /// Writes partitions' rows, each if it is still what the proposer knew.
    ///
    /// All writers of these rows and of brokers' lives hold the same lock, so what is read here stays
    /// true until it is written: a read, a decision, and one statement for any number of rows.
    ///
    /// # Errors
    /// The database failed.
    pub async fn propose(&mut self, proposals: Vec<Proposal>) -> Result<Proposed> {
        let mut brokers = Brokers::new();
        for row in BrokerRow::all(self).await? {
            brokers.insert(row.number()?, row.view());
        }
        let ids: BTreeSet<_> = proposals.iter().map(|proposal| proposal.id).collect();
        let placed = PartitionRow::placed(self, ids.into_iter()).await?;
        let mut rows = read(&placed)?;
        let mut written: HashMap<PartitionId, PartitionRow> = HashMap::new();
        let mut answers = Vec::with_capacity(proposals.len());
        for proposal in proposals {
            let Some(row) = rows.get_mut(&proposal.id) else {
                answers.push(None);
                continue;
            };
            if row.partition_epoch == proposal.was && all_live(&proposal, &brokers) {
                *row = Assignment {
                    partition_epoch: proposal.was + 1,
                    min_insync_replicas: row.min_insync_replicas,
                    ..proposal.row
                };
                written.insert(proposal.id, PartitionRow::new(proposal.id, row));
            }
            answers.push(Some(row.clone()));
        }
        if !written.is_empty() {
            let written: Vec<_> = written.values().cloned().collect();
            PartitionRow::update(self, &written).await?;
            self.touch(Kind::Partitions, "").await?;
        }
        Ok(Proposed {
            rows: answers,
            any_written: !written.is_empty(),
        })
    }
}

/// Whether who is new in the in-sync set still lives the life in which it caught up.
fn all_live(proposal: &Proposal, brokers: &Brokers) -> bool {
    proposal.added.iter().all(|(broker, incarnation)| {
        brokers
            .get(broker)
            .is_some_and(|view| view.incarnation == *incarnation && view.state.is_live())
    })
}

fn read(placed: &[PlacedRow]) -> Result<HashMap<PartitionId, Assignment>> {
    // A topic's partitions have one text of settings.
    let mut min_in_sync: HashMap<&str, u32> = HashMap::new();
    let mut rows = HashMap::with_capacity(placed.len());
    for PlacedRow {
        row,
        config,
        replication_factor,
    } in placed
    {
        let min = match min_in_sync.get(row.topic_id.as_str()) {
            Some(min) => *min,
            None => {
                let config: TopicConfig = serde_json::from_str(config)
                    .map_err(|error| StoreError(format!("topic {}: {error}", row.topic_id)))?;
                let factor = u32::try_from(*replication_factor).unwrap_or(1);
                let min = config.effective(factor).min_insync_replicas;
                *min_in_sync.entry(&row.topic_id).or_insert(min)
            }
        };
        let (id, place) = row.read(min)?;
        rows.insert(id, place);
    }
    Ok(rows)
}
