//! Servers and clients on loopback.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use headwater_broker::{
    BrokerDirectory, BrokerId, LeaderSession, PartitionBatch, Placement, TopicId, TopicPlacement,
    controller::{BrokerState, BrokerView},
    rpc::{Client, Deadlines, Identity, Secret, Service, serve_connection},
};
use headwater_record::{BatchBuilder, Compression, Headers, NewRecord, Producer};
use parking_lot::Mutex;
use tokio::{
    net::TcpListener,
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::memory::{Host, Memory};

pub const TOPIC: TopicId = TopicId([7; 16]);

pub fn secret(text: &str) -> Option<Secret> {
    Some(Secret::new(format!("{text}, sixteen bytes and more").as_bytes()).unwrap())
}

pub fn identity(broker: BrokerId, cluster: &str) -> Arc<OnceLock<Identity>> {
    Arc::new(OnceLock::from(Identity {
        broker,
        incarnation: 40 + i64::from(broker),
        cluster_id: cluster.into(),
    }))
}

/// A batch of one record of so many bytes.
pub fn batch(partition: u32, bytes: usize, seed: u64) -> PartitionBatch {
    // Not to be compressed, and told apart.
    let mut state = seed | 1;
    let value: Vec<u8> = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    })
    .take(bytes)
    .collect();
    let mut builder = BatchBuilder::new();
    builder.push(&NewRecord {
        key: None,
        value: Some(&value),
        json: false,
        timestamp_ms: 0,
        server_timestamp: false,
        headers: Headers::NONE,
    });
    PartitionBatch {
        partition,
        batch: builder.finish(Producer::NONE, Compression::None),
    }
}

#[derive(Default)]
pub struct Directory(Mutex<Arc<BrokerDirectory>>);

impl Directory {
    pub fn set(&self, broker: BrokerId, address: SocketAddr, incarnation: i64) {
        let mut current = self.0.lock();
        let mut new = BrokerDirectory::clone(&current);
        new.addresses.insert(broker, address.to_string());
        let view = BrokerView {
            incarnation,
            state: BrokerState::Live,
            rack: None,
        };
        new.views.insert(broker, view);
        *current = Arc::new(new);
    }
}

impl Placement for Directory {
    fn changes(&self) -> tokio::sync::watch::Receiver<()> {
        tokio::sync::watch::Sender::new(()).subscribe()
    }

    fn take_changed(
        &self,
    ) -> Vec<(
        headwater_broker::PartitionId,
        Arc<headwater_broker::replica::Assignment>,
    )> {
        Vec::new()
    }

    fn topic(&self, _: TopicId) -> Option<Arc<TopicPlacement>> {
        None
    }
    fn brokers(&self) -> Arc<BrokerDirectory> {
        self.0.lock().clone()
    }
    fn topics(&self) -> Vec<Arc<TopicPlacement>> {
        Vec::new()
    }

    fn describe(&self, _: TopicId) -> Option<headwater_broker::TopicDescription> {
        None
    }
}

pub struct Server {
    pub address: SocketAddr,
    pub broker: Arc<Memory>,
    pub sessions: mpsc::UnboundedReceiver<LeaderSession>,
    pub stop: CancellationToken,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Broker 1 of cluster `c` with the secret `s`.
    pub async fn start() -> Self {
        Self::with(
            SocketAddr::from(([127, 0, 0, 1], 0)),
            identity(1, "c"),
            secret("s"),
        )
        .await
    }

    pub async fn with(
        address: SocketAddr,
        identity: Arc<OnceLock<Identity>>,
        secret: Option<Secret>,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (host, sessions) = mpsc::unbounded_channel();
        let broker = Arc::new(Memory::default());
        let service = Service::new(broker.clone(), Arc::new(Host(host)), identity, secret);
        let (service, stop) = (Arc::new(service), CancellationToken::new());
        let stopped = stop.clone();
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let stop = stopped.clone().cancelled_owned();
                connections.spawn(serve_connection(stream, peer, service.clone(), stop));
            }
        });
        Self {
            address,
            broker,
            sessions,
            stop,
            accepting,
        }
    }

    /// As if the process were killed: every socket closes.
    pub async fn kill(self) -> SocketAddr {
        self.accepting.abort();
        let _ = self.accepting.await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        self.address
    }
}

/// Broker 2 of cluster `c`, which finds broker 1 at an address.
pub struct Caller {
    pub directory: Arc<Directory>,
    pub client: Client,
}

impl Caller {
    pub fn of(address: SocketAddr) -> Self {
        Self::with(address, identity(2, "c"), secret("s"), Deadlines::default())
    }

    pub fn with(
        address: SocketAddr,
        identity: Arc<OnceLock<Identity>>,
        secret: Option<Secret>,
        deadlines: Deadlines,
    ) -> Self {
        let directory = Arc::new(Directory::default());
        directory.set(1, address, 41);
        let client = Client::new(directory.clone(), identity, secret, deadlines);
        Self { directory, client }
    }
}
