//! The cluster, as operators see it and change it.

use std::{collections::BTreeMap, sync::Arc};

use headwater_broker::{BrokerId, PartitionId, Placement, replica::Assignment};

use super::{
    Gateway, Intent,
    changes::{unavailable, write_down},
    in_time,
};
use crate::{
    auth::Caller,
    limits::DENIED_LOGS_MAX,
    metadata::{
        Kind,
        store::{BrokerRow, ControllerRow},
    },
    problem::{Code, Problem},
};

/// The cluster as it is.
pub struct ClusterState {
    /// Its name, made with its metadata.
    pub cluster_id: String,
    /// The broker that elects leaders.
    pub controller: Option<BrokerId>,
    /// All brokers, by number.
    pub brokers: Vec<BrokerLoad>,
    /// Partitions of which a copy is not in sync.
    pub under_replicated: u64,
    /// Partitions that nobody leads.
    pub offline: u64,
    /// Partitions of which copies move.
    pub moves: Vec<(PartitionId, Arc<Assignment>)>,
}

/// A broker, and what it carries.
pub struct BrokerLoad {
    /// The broker.
    pub row: BrokerRow,
    /// Partitions that it leads.
    pub leaders: u64,
    /// Copies on it.
    pub replicas: u64,
}

/// What the snapshot says of all partitions.
#[derive(Default)]
struct Counts {
    leaders: BTreeMap<BrokerId, u64>,
    replicas: BTreeMap<BrokerId, u64>,
    under_replicated: u64,
    offline: u64,
    moves: Vec<(PartitionId, Arc<Assignment>)>,
}

impl Gateway {
    /// Reads the state of the cluster.
    ///
    /// # Errors
    /// 503 if the database is away.
    pub async fn cluster(&self) -> Result<ClusterState, Problem> {
        let (cluster_id, rows) = self.read_cluster().await?;
        let counts = self.count_partitions();
        let brokers = rows.into_iter().map(|row| counts.of(row));
        Ok(ClusterState {
            cluster_id,
            controller: self.catalog.brokers().controller,
            brokers: brokers.collect(),
            under_replicated: counts.under_replicated,
            offline: counts.offline,
            moves: counts.moves,
        })
    }

    async fn read_cluster(&self) -> Result<(String, Vec<BrokerRow>), Problem> {
        let read = in_time(async {
            let mut connection = self.store.connection().await?;
            let cluster_id = ControllerRow::cluster_id(&mut connection).await?;
            let rows = BrokerRow::all(&mut connection).await?;
            Ok((cluster_id.unwrap_or_default(), rows))
        });
        read.await.map_err(unavailable)
    }

    /// Has a broker drain, or take part again.
    ///
    /// # Errors
    /// 404 if there is no such broker.
    pub async fn drain_broker(
        &self,
        intent: &Intent,
        caller: &Caller,
        broker: BrokerId,
        draining: bool,
    ) -> Result<BrokerLoad, Problem> {
        let mut change = self.begin(intent).await?;
        let known = BrokerRow::set_draining(&mut change, broker, draining).await;
        if !known.map_err(unavailable)? {
            return Err(broker_not_found());
        }
        let rows = BrokerRow::all(&mut change).await.map_err(unavailable)?;
        let row = rows.into_iter().find(|row| row.id == i64::from(broker));
        let info = self
            .count_partitions()
            .of(row.ok_or_else(broker_not_found)?);
        if intent.dry_run {
            return Ok(info);
        }
        let touched = change.touch(Kind::Broker, &broker.to_string()).await;
        touched.map_err(unavailable)?;
        // The cluster has no log of its own: it stands in those of who did it, as refusals do.
        let theirs = caller.organizations(&self.catalog);
        for (organization, _) in theirs.into_iter().take(DENIED_LOGS_MAX) {
            let target = format!("cluster/brokers/{broker}");
            write_down(&mut change, intent, &organization.id, &target).await?;
        }
        tracing::info!(
            broker,
            draining,
            actor = intent.actor,
            "a broker was told to drain or not"
        );
        self.commit(change).await?;
        Ok(info)
    }

    fn count_partitions(&self) -> Counts {
        let mut counts = Counts::default();
        for topic in Placement::topics(&*self.catalog) {
            for (partition, place) in (0..).zip(&topic.partitions) {
                match place.leader {
                    Some(leader) => *counts.leaders.entry(leader.broker).or_default() += 1,
                    None => counts.offline += 1,
                }
                for broker in &place.replicas {
                    *counts.replicas.entry(*broker).or_default() += 1;
                }
                let lags = place
                    .replicas
                    .iter()
                    .any(|broker| !place.in_sync.contains(broker));
                counts.under_replicated += u64::from(lags);
                if place.target.is_some() {
                    let topic = topic.id;
                    counts
                        .moves
                        .push((PartitionId { topic, partition }, place.clone()));
                }
            }
        }
        counts
    }
}

impl Counts {
    fn of(&self, row: BrokerRow) -> BrokerLoad {
        let id = row.number().unwrap_or_default();
        let count = |counts: &BTreeMap<_, u64>| counts.get(&id).copied().unwrap_or(0);
        BrokerLoad {
            leaders: count(&self.leaders),
            replicas: count(&self.replicas),
            row,
        }
    }
}

/// The path names no broker that ever registered.
pub fn broker_not_found() -> Problem {
    Problem::new(Code::NotFound, "no such broker")
}
