//! Spreading what the cluster holds evenly over its brokers.

use std::sync::Arc;

use headwater_broker::{
    PartitionId, Placement, Proposal,
    controller::{Spread, relocate},
    replica::Assignment,
};

use super::{
    Gateway, Intent,
    changes::unavailable,
    cluster::{PartitionMove, by_partition},
};
use crate::{auth::Caller, problem::Problem};

impl Gateway {
    /// Has copies and preferred leaders move to where they should be, and answers which; a dry run only
    /// answers. What moves already goes on.
    ///
    /// # Errors
    /// 503 if the database is away.
    pub async fn rebalance(
        &self,
        intent: &Intent,
        caller: &Caller,
    ) -> Result<Vec<PartitionMove>, Problem> {
        // A broker that has just come takes part.
        let dead_topics = self.catch_up().await.map_err(unavailable)?;
        self.catalog.leave_dead(dead_topics);
        let holdings = self.holdings(false).await;
        let held = by_partition(&holdings);
        let brokers = self.catalog.brokers();
        let mut rows: Vec<(PartitionId, Arc<Assignment>, u64)> = Vec::new();
        for topic in Placement::topics(&*self.catalog) {
            for (id, row) in topic.rows() {
                let bytes = held.get(&id).map_or(0, |held| held.bytes);
                rows.push((id, row.clone(), bytes));
            }
        }
        // Some seconds for a very large cluster: before the change, which others wait for.
        let planned = tokio::task::spawn_blocking(move || {
            let all = rows.iter().map(|(id, row, bytes)| (*id, &**row, *bytes));
            let spread = Spread::new(&brokers.views, all);
            let moves = spread.evacuated().levelled().moves();
            let mut moves: std::collections::HashMap<_, _> = moves.collect();
            let planned = rows.into_iter().filter_map(|(id, row, _)| {
                let target = moves.remove(&id)?;
                let new = relocate(&row, &target)?;
                Some((id, row, target, new))
            });
            planned.collect::<Vec<_>>()
        });
        let planned = planned
            .await
            .map_err(|error| Problem::internal("a plan was not made", error))?;
        let mut change = self.begin(intent).await?;
        let (mut proposals, mut moves) = (Vec::new(), Vec::new());
        for (id, row, target, new) in planned {
            proposals.push(Proposal {
                id,
                was: row.partition_epoch,
                row: new,
                added: Vec::new(),
            });
            moves.push(PartitionMove {
                id,
                replicas: row.replicas.clone(),
                target,
                held: held.get(&id).copied(),
            });
        }
        if intent.dry_run || moves.is_empty() {
            return Ok(moves);
        }
        let wanted: Vec<_> = proposals.iter().map(|p| p.row.replicas.clone()).collect();
        let proposed = change.propose(proposals).await.map_err(unavailable)?;
        // Those that changed since are left as they are.
        let mut written = proposed.rows.iter().zip(&wanted).map(|(row, wanted)| {
            let replicas = row.as_ref().map(|row| &row.replicas);
            replicas == Some(wanted)
        });
        moves.retain(|_| written.next() == Some(true));
        self.write_down_at_large(&mut change, intent, caller, "cluster")
            .await?;
        tracing::info!(
            partitions = moves.len(),
            actor = intent.actor,
            "the cluster is rebalanced"
        );
        self.commit(change).await?;
        Ok(moves)
    }
}
