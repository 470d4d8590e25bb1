//! The cluster, as operators see it and change it.

use std::collections::{BTreeMap, HashMap};

use futures_util::future::join_all;
use headwater_broker::{BrokerId, Held, Holdings, PartitionId, Placement, replica::Assignment};
use tokio::time::timeout;

use super::{
    Gateway, Intent,
    changes::{unavailable, write_down},
    in_time,
};
use crate::{
    auth::Caller,
    limits::{DENIED_LOGS_MAX, HOLDINGS_WAIT},
    metadata::{
        Change, Kind, PartitionRow,
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
    pub moves: Vec<PartitionMove>,
}

/// A partition of which copies move, or are to.
pub struct PartitionMove {
    /// The partition.
    pub id: PartitionId,
    /// The brokers that have a copy, or are getting one.
    pub replicas: Vec<BrokerId>,
    /// The brokers that will have one.
    pub target: Vec<BrokerId>,
    /// What its leader says of it, as far as that answers.
    pub held: Option<Held>,
}

/// A broker, and what it carries.
pub struct BrokerLoad {
    /// The broker.
    pub row: BrokerRow,
    /// Partitions that it leads.
    pub leaders: u64,
    /// Copies on it.
    pub replicas: u64,
    /// Bytes of them, if it answers.
    pub hot_bytes: Option<u64>,
}

/// How the partitions of the cluster are.
pub struct PartitionHealth {
    /// Of which a copy is not in sync.
    pub under_replicated: u64,
    /// That nobody leads.
    pub offline: u64,
    /// Of which copies move.
    pub moving: u64,
}

/// What the snapshot says of all partitions.
#[derive(Default)]
struct Counts {
    leaders: BTreeMap<BrokerId, u64>,
    replicas: BTreeMap<BrokerId, u64>,
    under_replicated: u64,
    offline: u64,
    moves: Vec<PartitionMove>,
}

impl Gateway {
    /// Reads the state of the cluster.
    ///
    /// # Errors
    /// 503 if the database is away.
    pub async fn cluster(&self) -> Result<ClusterState, Problem> {
        let (read, holdings) = tokio::join!(self.read_cluster(), self.holdings(true));
        let (cluster_id, rows) = read?;
        let mut counts = self.count_partitions();
        let brokers = rows.into_iter().map(|row| counts.of(row, &holdings));
        let brokers = brokers.collect();
        let held = by_partition(&holdings);
        for moving in &mut counts.moves {
            moving.held = held.get(&moving.id).copied();
        }
        Ok(ClusterState {
            cluster_id,
            controller: self.catalog.brokers().controller,
            brokers,
            under_replicated: counts.under_replicated,
            offline: counts.offline,
            moves: counts.moves,
        })
    }

    /// What the live brokers hold, of those that answer in time.
    pub(super) async fn holdings(&self, moving_only: bool) -> BTreeMap<BrokerId, Holdings> {
        let brokers = self.catalog.brokers();
        let live = brokers
            .views
            .iter()
            .filter(|(_, view)| view.state.is_live());
        let asked = live.map(|(&id, _)| async move {
            let broker = self.cluster.broker(id)?;
            let held = timeout(HOLDINGS_WAIT, broker.holdings(moving_only)).await;
            let error = match held {
                Ok(Ok(holdings)) => return Some((id, holdings)),
                Ok(Err(error)) => error.to_string(),
                Err(late) => late.to_string(),
            };
            tracing::warn!(broker = id, error, "a broker does not say what it holds");
            None
        });
        join_all(asked).await.into_iter().flatten().collect()
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
        let holdings = self.holdings(true).await;
        let mut change = self.begin(intent).await?;
        let known = BrokerRow::set_draining(&mut change, broker, draining).await;
        if !known.map_err(unavailable)? {
            return Err(broker_not_found());
        }
        let row = broker_row(&mut change, broker).await?;
        let info = self.count_partitions().of(row, &holdings);
        if intent.dry_run {
            return Ok(info);
        }
        let touched = change.touch(Kind::Broker, &broker.to_string()).await;
        touched.map_err(unavailable)?;
        let target = format!("cluster/brokers/{broker}");
        self.write_down_at_large(&mut change, intent, caller, &target)
            .await?;
        tracing::info!(
            broker,
            draining,
            actor = intent.actor,
            "a broker was told to drain or not"
        );
        self.commit(change).await?;
        Ok(info)
    }

    /// Removes a broker for good, that is stopped and holds nothing.
    ///
    /// # Errors
    /// 404 if there is no such broker, 409 if it lives or has copies.
    pub async fn remove_broker(
        &self,
        intent: &Intent,
        caller: &Caller,
        broker: BrokerId,
    ) -> Result<(), Problem> {
        let mut change = self.begin(intent).await?;
        let row = broker_row(&mut change, broker).await?;
        let in_use = |why: String| Err(Problem::new(Code::BrokerInUse, why));
        if row.view().state.is_live() {
            return in_use(format!("broker {broker} is live: stop it first"));
        }
        let copies = self.count_partitions().of(row, &BTreeMap::new()).replicas;
        if copies > 0 {
            return in_use(format!(
                "broker {broker} has copies of {copies} partitions: drain it and wait until it has none"
            ));
        }
        let left = PartitionRow::leave_all(&mut change, broker).await;
        left.map_err(unavailable)?;
        let removed = BrokerRow::remove(&mut change, broker).await;
        removed.map_err(unavailable)?;
        let touched = change.touch(Kind::Broker, &broker.to_string()).await;
        touched.map_err(unavailable)?;
        if intent.dry_run {
            return Ok(());
        }
        let target = format!("cluster/brokers/{broker}");
        self.write_down_at_large(&mut change, intent, caller, &target)
            .await?;
        tracing::info!(broker, actor = intent.actor, "a broker was removed");
        self.commit(change).await
    }

    /// The cluster has no audit log of its own: what operators do stands in those of the organizations
    /// that they are in, as refusals do.
    pub(super) async fn write_down_at_large(
        &self,
        change: &mut Change,
        intent: &Intent,
        caller: &Caller,
        target: &str,
    ) -> Result<(), Problem> {
        let theirs = caller.organizations(&self.catalog);
        for (organization, _) in theirs.into_iter().take(DENIED_LOGS_MAX) {
            write_down(change, intent, &organization.id, target).await?;
        }
        Ok(())
    }

    /// How the partitions are, as this node's metadata says.
    pub fn partition_health(&self) -> PartitionHealth {
        let counts = self.count_partitions();
        PartitionHealth {
            under_replicated: counts.under_replicated,
            offline: counts.offline,
            moving: counts.moves.len() as u64,
        }
    }

    fn count_partitions(&self) -> Counts {
        let mut counts = Counts::default();
        for topic in Placement::topics(&*self.catalog) {
            for (id, place) in topic.rows() {
                match place.leader {
                    Some(leader) => *counts.leaders.entry(leader.broker).or_default() += 1,
                    None => counts.offline += 1,
                }
                for broker in &place.replicas {
                    *counts.replicas.entry(*broker).or_default() += 1;
                }
                counts.under_replicated += u64::from(is_under_replicated(place));
                if let Some(target) = &place.target {
                    counts.moves.push(PartitionMove {
                        id,
                        replicas: place.replicas.clone(),
                        target: target.clone(),
                        held: None,
                    });
                }
            }
        }
        counts
    }
}

impl Counts {
    fn of(&self, row: BrokerRow, holdings: &BTreeMap<BrokerId, Holdings>) -> BrokerLoad {
        let id = row.number().unwrap_or_default();
        let count = |counts: &BTreeMap<_, u64>| counts.get(&id).copied().unwrap_or(0);
        BrokerLoad {
            leaders: count(&self.leaders),
            replicas: count(&self.replicas),
            hot_bytes: holdings.get(&id).map(|holdings| holdings.bytes),
            row,
        }
    }
}

async fn broker_row(change: &mut Change, broker: BrokerId) -> Result<BrokerRow, Problem> {
    let rows = BrokerRow::all(change).await.map_err(unavailable)?;
    let row = rows.into_iter().find(|row| row.id == i64::from(broker));
    row.ok_or_else(broker_not_found)
}

/// What the leaders say of their partitions.
pub(super) fn by_partition(holdings: &BTreeMap<BrokerId, Holdings>) -> HashMap<PartitionId, Held> {
    let led = holdings.values().flat_map(|holdings| &holdings.led);
    led.map(|held| (held.id, *held)).collect()
}

/// Whether fewer copies are in sync than there are to be. One that is on its way beside those is no
/// lack.
fn is_under_replicated(place: &Assignment) -> bool {
    let wanted = place.target.as_ref().unwrap_or(&place.replicas);
    place.in_sync.len() < wanted.len()
}

/// The path names no broker that ever registered.
pub fn broker_not_found() -> Problem {
    Problem::new(Code::NotFound, "no such broker")
}
