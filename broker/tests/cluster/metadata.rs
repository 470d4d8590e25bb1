//! The cluster's metadata in memory: what Postgres is to real brokers, always up to date.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use headwater_broker::{
    Answer, BrokerDirectory, BrokerId, Incarnation, PartitionId, Placement, Proposal, Registered,
    Registration, Registry, RegistryError, Renewal, Renewed, TopicDescription, TopicId,
    TopicPlacement, TopicSettings,
    controller::{BrokerState, BrokerView, led_with_loss, relocate},
    replica::{Assignment, Leadership},
};
use parking_lot::Mutex;
use tokio::sync::watch;

/// The topic that is the log of groups.
pub const GROUP_LOG: TopicId = TopicId([9; 16]);

pub struct Metadata {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    directory: BrokerDirectory,
    rows: BTreeMap<PartitionId, Arc<Assignment>>,
    retention_bytes: Option<u64>,
}

/// The metadata as one broker sees it.
pub struct View {
    metadata: Arc<Metadata>,
    known: Mutex<BTreeMap<PartitionId, i64>>,
}

impl Metadata {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            changed: watch::Sender::new(()),
        })
    }

    pub fn view(self: &Arc<Self>) -> Arc<View> {
        Arc::new(View {
            metadata: self.clone(),
            known: Mutex::default(),
        })
    }

    /// Makes a partition on these brokers, led by the first.
    pub fn create(&self, id: PartitionId, replicas: &[BrokerId], min_insync_replicas: usize) {
        let mut state = self.state.lock();
        let broker = replicas[0];
        let incarnation = state.directory.views[&broker].incarnation;
        let row = Assignment {
            replicas: replicas.to_vec(),
            target: None,
            leader: Some(Leadership {
                broker,
                incarnation,
            }),
            epoch: 1,
            in_sync: replicas.to_vec(),
            partition_epoch: 1,
            min_insync_replicas,
            loss_epoch: None,
        };
        state.rows.insert(id, Arc::new(row));
        drop(state);
        self.changed.send_replace(());
    }

    pub fn row(&self, id: PartitionId) -> Arc<Assignment> {
        self.state.lock().rows[&id].clone()
    }

    /// From now on no topic keeps more than this, where it can be helped.
    pub fn retain(&self, bytes: u64) {
        self.state.lock().retention_bytes = Some(bytes);
    }

    /// What a controller does when a lease is over.
    pub fn fence(&self, broker: BrokerId) {
        self.set(broker, BrokerState::Fenced);
    }

    /// A broker that was taken for dead renews its lease.
    pub fn revive(&self, broker: BrokerId) {
        self.set(broker, BrokerState::Live);
    }

    /// What is done with a broker that has lost its disk.
    pub fn discount(&self, id: PartitionId, broker: BrokerId) {
        let mut state = self.state.lock();
        let mut row = (*state.rows[&id]).clone();
        row.in_sync.retain(|member| *member != broker);
        row.partition_epoch += 1;
        state.rows.insert(id, Arc::new(row));
        drop(state);
        self.changed.send_replace(());
    }

    /// What an operator does before a broker goes.
    pub fn drain(&self, broker: BrokerId) {
        self.set(broker, BrokerState::Draining);
    }

    fn set(&self, broker: BrokerId, to: BrokerState) {
        let mut state = self.state.lock();
        if let Some(view) = state.directory.views.get_mut(&broker) {
            view.state = to;
        }
        drop(state);
        self.changed.send_replace(());
    }

    /// A row that could not be read, as nodes see it: nobody has the partition.
    pub fn blank(&self, id: PartitionId) {
        let mut state = self.state.lock();
        let row = Assignment {
            replicas: Vec::new(),
            target: None,
            leader: None,
            epoch: state.rows[&id].epoch + 1,
            in_sync: Vec::new(),
            partition_epoch: state.rows[&id].partition_epoch + 1,
            min_insync_replicas: 1,
            loss_epoch: None,
        };
        state.rows.insert(id, Arc::new(row));
        drop(state);
        self.changed.send_replace(());
    }

    /// What an operator does when nobody who has everything will come back.
    pub fn accept_loss(&self, id: PartitionId, leader: BrokerId) {
        let mut state = self.state.lock();
        let brokers = &state.directory.views;
        let row = led_with_loss(&state.rows[&id], leader, brokers).expect("lost");
        state.rows.insert(id, Arc::new(row));
        drop(state);
        self.changed.send_replace(());
    }

    /// Has a partition's copies move.
    pub fn relocate(&self, id: PartitionId, target: &[BrokerId]) {
        let mut state = self.state.lock();
        let row = relocate(&state.rows[&id], target).expect("another row");
        state.rows.insert(id, Arc::new(row));
        drop(state);
        self.changed.send_replace(());
    }

    fn write(state: &mut State, proposal: &Proposal) {
        let views = &state.directory.views;
        let good = proposal.added.iter().all(|(broker, incarnation)| {
            views
                .get(broker)
                .is_some_and(|view| view.incarnation == *incarnation && view.state.is_live())
        });
        if let Some(row) = state.rows.get_mut(&proposal.id)
            && row.partition_epoch == proposal.was
            && good
        {
            *row = Arc::new(proposal.row.clone());
        }
    }
}

impl Placement for View {
    fn topic(&self, id: TopicId) -> Option<Arc<TopicPlacement>> {
        self.topics().into_iter().find(|topic| topic.id == id)
    }

    fn brokers(&self) -> Arc<BrokerDirectory> {
        Arc::new(self.metadata.state.lock().directory.clone())
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.metadata.changed.subscribe()
    }

    fn take_changed(&self) -> Vec<(PartitionId, Arc<Assignment>)> {
        let mut known = self.known.lock();
        let state = self.metadata.state.lock();
        let changed = state.rows.iter().filter(|(id, row)| {
            known.insert(**id, row.partition_epoch) != Some(row.partition_epoch)
        });
        changed.map(|(id, row)| (*id, row.clone())).collect()
    }

    fn topics(&self) -> Vec<Arc<TopicPlacement>> {
        let state = self.metadata.state.lock();
        let ids: BTreeSet<_> = state.rows.keys().map(|id| id.topic.0).collect();
        let topic = |id| {
            let id = TopicId(id);
            let rows = state.rows.iter().filter(|(row, _)| row.topic == id);
            Arc::new(TopicPlacement {
                id,
                partitions: rows.map(|(_, row)| row.clone()).collect(),
                settings: TopicSettings {
                    segment_bytes: 1 << 20,
                    retention_ms: None,
                    retention_bytes: state.retention_bytes,
                    local_retention_ms: None,
                    local_retention_bytes: None,
                    tombstones_kept_ms: None,
                },
            })
        };
        ids.into_iter().map(topic).collect()
    }

    fn group_log(&self) -> Option<TopicId> {
        Some(GROUP_LOG)
    }

    // These brokers have no object store.
    fn describe(&self, _: TopicId) -> Option<TopicDescription> {
        None
    }
}

impl Registry for Metadata {
    fn register(&self, broker: Registration) -> Answer<'_, Result<Registered, RegistryError>> {
        let mut state = self.state.lock();
        let views = &mut state.directory.views;
        let incarnation = views.get(&broker.id).map_or(0, |view| view.incarnation) + 1;
        let view = BrokerView {
            incarnation,
            state: BrokerState::Live,
            rack: broker.rack,
        };
        views.insert(broker.id, view);
        drop(state);
        self.changed.send_replace(());
        let registered = Registered {
            incarnation,
            cluster_id: "test".into(),
            disk_replaced: false,
            renewals: broker.renewals,
        };
        Box::pin(std::future::ready(Ok(registered)))
    }

    fn renew(&self, _: Renewal) -> Answer<'_, Result<Renewed, RegistryError>> {
        Box::pin(std::future::ready(Ok(Renewed::Renewed)))
    }

    fn set_draining(&self, _: BrokerId, _: bool) -> Answer<'_, Result<bool, RegistryError>> {
        Box::pin(std::future::ready(Ok(true)))
    }

    fn control(
        &self,
        broker: BrokerId,
        _: Incarnation,
        _: Duration,
    ) -> Answer<'_, Result<bool, RegistryError>> {
        // The first that is not fenced.
        let state = self.state.lock();
        let live = |(_, view): &(&BrokerId, &BrokerView)| view.state.is_live();
        let first = state.directory.views.iter().find(live);
        let controls = first.is_some_and(|(id, _)| *id == broker);
        Box::pin(std::future::ready(Ok(controls)))
    }

    fn fence_expired(&self) -> Answer<'_, Result<Vec<BrokerId>, RegistryError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn propose(
        &self,
        proposals: Vec<Proposal>,
    ) -> Answer<'_, Result<Vec<Option<Assignment>>, RegistryError>> {
        let mut state = self.state.lock();
        let mut rows = Vec::new();
        for proposal in &proposals {
            Self::write(&mut state, proposal);
            rows.push(state.rows.get(&proposal.id).map(|row| (**row).clone()));
        }
        drop(state);
        self.changed.send_replace(());
        Box::pin(std::future::ready(Ok(rows)))
    }
}
