//! Brokers in one process, with channels for a network.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use headwater_broker::{
    Acks, Answer, Broker, BrokerId, Fetch, FetchPosition, FollowerSession, LeaderSession, Network,
    Node, NodeOptions, PartitionBatch, PartitionId, PartitionState, ProduceError, SessionHost,
    SystemClock, TopicId, Unreachable, idempotent_producer,
    membership::{self, Member},
};
use headwater_log::{Disk, Failure, LogOptions, RealDisk};
use headwater_record::{Batch, BatchBuilder, BatchView, Compression, Headers, NewRecord, Producer};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc},
    task::AbortHandle,
};

use crate::metadata::Metadata;

pub struct Brokers {
    pub metadata: Arc<Metadata>,
    pub clock: Arc<Clock>,
    wires: Arc<Wires>,
    dir: tempfile::TempDir,
}

/// The machine's clock, and how far these brokers' is ahead of it.
#[derive(Default)]
pub struct Clock(AtomicI64);

impl Clock {
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_millis() as i64, Ordering::SeqCst);
    }
}

impl headwater_broker::Clock for Clock {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms() + self.0.load(Ordering::SeqCst)
    }
}

/// Who is there, and who cannot hear whom.
#[derive(Default)]
struct Wires {
    nodes: Mutex<BTreeMap<BrokerId, Arc<Node>>>,
    cut: Mutex<BTreeSet<(BrokerId, BrokerId)>>,
    sessions: Mutex<Vec<(BrokerId, BrokerId, [AbortHandle; 2])>>,
    /// Told to lose all sessions at their followers' ends.
    lose: Arc<Notify>,
}

/// The network as one broker sees it.
struct Wire {
    me: BrokerId,
    wires: Arc<Wires>,
}

impl Network for Wire {
    fn broker(&self, id: BrokerId) -> Option<Arc<dyn Broker>> {
        let node = self.wires.nodes.lock().get(&id).cloned()?;
        Some(node)
    }

    fn follow(&self, leader: BrokerId) -> Answer<'_, Result<FollowerSession, Unreachable>> {
        Box::pin(async move {
            let gone = || Unreachable("no way".into());
            if self.wires.cut.lock().contains(&(self.me, leader)) {
                return Err(gone());
            }
            let nodes = self.wires.nodes.lock();
            let (me, leader_node) = (nodes.get(&self.me), nodes.get(&leader).ok_or_else(gone)?);
            let incarnation = me.and_then(|node| node.incarnation()).ok_or_else(gone)?;
            let lose = &self.wires.lose;
            let (to_leader, from_follower, up) = wire(End::Sends, lose);
            let (to_follower, from_leader, down) = wire(End::Receives, lose);
            leader_node.serve_follower(LeaderSession {
                follower: self.me,
                incarnation,
                incoming: from_follower,
                outgoing: to_follower,
            });
            self.wires
                .sessions
                .lock()
                .push((self.me, leader, [up, down]));
            Ok(FollowerSession {
                outgoing: to_leader,
                incoming: from_leader,
            })
        })
    }
}

/// What a follower does at its end of a wire.
#[derive(PartialEq, Eq)]
enum End {
    Sends,
    Receives,
}

/// A channel that can be cut in the middle, or lost: then its follower knows that it is over, and its
/// leader does not.
fn wire<T: Send + 'static>(
    follower: End,
    lose: &Arc<Notify>,
) -> (mpsc::Sender<T>, mpsc::Receiver<T>, AbortHandle) {
    let (near, mut carried) = mpsc::channel(4);
    let (carry, far) = mpsc::channel(4);
    let lose = lose.clone();
    let task = tokio::spawn(async move {
        let lost = lose.notified();
        let carrying = async {
            while let Some(message) = carried.recv().await {
                if carry.send(message).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = carrying => return,
            () = lost => {}
        }
        match follower {
            End::Sends => {
                drop(carried);
                carry.closed().await;
            }
            End::Receives => {
                drop(carry);
                while carried.recv().await.is_some() {}
            }
        }
    });
    (near, far, task.abort_handle())
}

impl Brokers {
    pub async fn start(ids: &[BrokerId]) -> Self {
        let brokers = Self {
            metadata: Metadata::new(),
            clock: Arc::default(),
            wires: Arc::default(),
            dir: tempfile::tempdir().expect("a directory"),
        };
        for id in ids {
            brokers.add(*id).await;
        }
        brokers
    }

    pub fn dir(&self, id: BrokerId) -> PathBuf {
        self.dir.path().join(id.to_string())
    }

    pub async fn add(&self, id: BrokerId) -> Arc<Node> {
        let log = LogOptions::new(self.dir(id).join("log"));
        let on_failure = |failure: &Failure| panic!("{failure}");
        self.add_with(id, log, Arc::new(RealDisk), on_failure).await
    }

    /// The same with its log on another disk, which may fail.
    pub async fn add_with(
        &self,
        id: BrokerId,
        log: LogOptions,
        disk: Arc<dyn Disk>,
        on_failure: impl Fn(&Failure) + Send + Sync + 'static,
    ) -> Arc<Node> {
        let dir = self.dir(id);
        std::fs::create_dir_all(&dir).expect("made");
        let options = NodeOptions {
            move_bytes_per_second: 100 << 20,
            id,
            log,
            maintenance_interval: Duration::from_millis(50),
            lag_max: Duration::from_secs(1),
            on_failure: Box::new(on_failure),
        };
        let (node, _) =
            Node::open(options, disk, self.clock.clone(), self.metadata.view()).expect("opened");
        let network = Wire {
            me: id,
            wires: self.wires.clone(),
        };
        self.wires.nodes.lock().insert(id, node.clone());
        self.heal();
        let member = Member {
            address: format!("broker-{id}:1"),
            rack: None,
            renewals: dir.join("renewals"),
            damaged: Vec::new(),
            shared: true,
            on_replaced: Box::new(|| panic!("replaced")),
        };
        membership::join(&node, self.metadata.clone(), Arc::new(network), member)
            .await
            .expect("joined");
        node
    }

    pub fn node(&self, id: BrokerId) -> Arc<Node> {
        self.find(id).expect("there")
    }

    /// The broker, unless it was stopped.
    pub fn find(&self, id: BrokerId) -> Option<Arc<Node>> {
        self.wires.nodes.lock().get(&id).cloned()
    }

    /// Nobody hears of the broker any more, but it does not know.
    pub async fn cut_off(&self, id: BrokerId) {
        for other in self.wires.nodes.lock().keys() {
            self.wires.cut.lock().extend([(id, *other), (*other, id)]);
        }
        let cut: Vec<_> = {
            let mut sessions = self.wires.sessions.lock();
            let hit = sessions.extract_if(.., |(from, to, _)| *from == id || *to == id);
            hit.flat_map(|(_, _, wires)| wires).collect()
        };
        cut.iter().for_each(AbortHandle::abort);
        while !cut.iter().all(AbortHandle::is_finished) {
            tokio::task::yield_now().await;
        }
    }

    /// All connections break, and no leader notices.
    pub fn lose_sessions(&self) {
        self.wires.lose.notify_waiters();
    }

    pub fn heal(&self) {
        self.wires.cut.lock().clear();
    }

    /// A broker whose disk has failed, as if its process had ended.
    pub async fn lose(&self, id: BrokerId) {
        self.cut_off(id).await;
        let node = self.wires.nodes.lock().remove(&id).expect("there");
        let closing = move || node.close().is_err();
        let failed = tokio::task::spawn_blocking(closing).await;
        assert!(failed.expect("stopped"));
    }

    /// Stops a broker for good.
    pub async fn stop(&self, id: BrokerId) {
        self.cut_off(id).await;
        let node = self.wires.nodes.lock().remove(&id).expect("there");
        node.release_waiters();
        tokio::task::spawn_blocking(move || node.close().expect("closed"))
            .await
            .expect("stopped");
    }

    /// Produces, again and again while nothing is written, as gateways do.
    pub async fn produce(
        &self,
        at: BrokerId,
        id: PartitionId,
        batch: impl Fn() -> Batch,
    ) -> Result<u64, ProduceError> {
        let node = self.node(at);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        loop {
            let outcome = produce(&node, id, batch(), Acks::Quorum).await;
            let again = outcome == Err(ProduceError::NotLeader);
            if !again || tokio::time::Instant::now() > deadline {
                return outcome;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The same of one value.
    pub async fn write(&self, at: BrokerId, id: PartitionId, value: &str) {
        let written = self.produce(at, id, || batch(value, Producer::NONE)).await;
        written.expect("acknowledged");
    }

    /// The values of what is committed, as the broker tells readers.
    pub async fn values(&self, at: BrokerId, id: PartitionId) -> Vec<String> {
        let node = self.node(at);
        let mut values = Vec::new();
        loop {
            let fetched = node.fetch(Fetch {
                topic: id.topic,
                positions: vec![FetchPosition {
                    partition: id.partition,
                    offset: values.len() as u64,
                    records_max: 100_000,
                    bytes_max: 100 << 20,
                }],
                bytes_max: 100 << 20,
                wait: Duration::ZERO,
            });
            let fetched = fetched.await.remove(0).expect("readable");
            values.extend(fetched.batches.iter().flat_map(|batch| values_of(batch)));
            if values.len() as u64 >= fetched.high_watermark {
                return values;
            }
        }
    }

    /// What a leader tells of a partition.
    pub async fn state(&self, at: BrokerId, id: PartitionId) -> PartitionState {
        let node = self.node(at);
        let states = node.partition_states(id.topic, vec![id.partition]);
        states.await.remove(0).expect("led")
    }

    /// Waits until `done`, for at most ten seconds.
    pub async fn until(&self, what: &str, mut done: impl AsyncFnMut() -> bool) {
        let waiting = async {
            while !done().await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), waiting).await;
        assert!(waited.is_ok(), "in vain: {what}");
    }

    pub async fn until_in_sync(&self, id: PartitionId, count: usize) {
        let in_sync = async || self.metadata.row(id).in_sync.len() == count;
        self.until("in sync", in_sync).await;
    }
}

pub async fn produce(
    node: &Node,
    id: PartitionId,
    batch: Batch,
    acks: Acks,
) -> Result<u64, ProduceError> {
    let batch = PartitionBatch {
        partition: id.partition,
        batch,
    };
    let produced = node.produce(id.topic, vec![batch], acks).await;
    produced
        .into_iter()
        .next()
        .expect("an answer")
        .map(|produced| produced.base_offset)
}

pub fn batch(value: &str, producer: Producer) -> Batch {
    let mut builder = BatchBuilder::new();
    builder.push(&NewRecord {
        key: None,
        value: Some(value.as_bytes()),
        headers: Headers::NONE,
        timestamp_ms: 1_700_000_000_000,
        json: false,
        server_timestamp: false,
    });
    builder.finish(producer, Compression::None)
}

fn values_of(batch: &[u8]) -> Vec<String> {
    let (view, _) = BatchView::parse(batch).expect("a batch");
    let mut scratch = Vec::new();
    let records = view.records(&mut scratch, 1 << 20).expect("records");
    records
        .map(|record| {
            let value = record.expect("a record").value.expect("a value").to_vec();
            String::from_utf8(value).expect("text")
        })
        .collect()
}

pub fn keyed(key: u64) -> Producer {
    idempotent_producer(key << 2)
}

pub fn partition(topic: u8, partition: u32) -> PartitionId {
    PartitionId {
        topic: TopicId([topic; 16]),
        partition,
    }
}
