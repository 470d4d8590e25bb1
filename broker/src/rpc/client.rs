//! The brokers of a cluster by number.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::{
    Identity, RemoteBroker, Secret,
    encryption::{Access, Encryption},
};
use crate::{
    broker::{Answer, Broker},
    cluster::Network,
    placement::{BrokerDirectory, BrokerId, Placement},
    session::{FollowerSession, Unreachable},
};

/// How long calls may take before nobody knows how they ended.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// A produce.
    pub produce: Duration,
    /// A fetch, after its own wait.
    pub fetch: Duration,
    /// Everything else, and the opening of a session.
    pub other: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            produce: Duration::from_secs(30),
            fetch: Duration::from_secs(10),
            other: Duration::from_secs(10),
        }
    }
}

/// The network of a cluster: reaches each broker at the address that the placement has of it.
pub struct Client {
    placement: Arc<dyn Placement>,
    identity: Arc<OnceLock<Identity>>,
    access: Access,
    deadlines: Deadlines,
    runtime: Handle,
    peers: Mutex<Peers>,
}

#[derive(Default)]
struct Peers {
    /// What the connections were made by.
    directory: Option<Arc<BrokerDirectory>>,
    by_id: HashMap<BrokerId, Arc<RemoteBroker>>,
}

impl Client {
    /// A client on the current runtime. Until `identity` is set, nobody can be reached; without a
    /// secret nobody ever can.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(
        placement: Arc<dyn Placement>,
        identity: Arc<OnceLock<Identity>>,
        secret: Option<Secret>,
        deadlines: Deadlines,
    ) -> Self {
        Self {
            placement,
            identity,
            access: Access {
                secret,
                encryption: None,
            },
            deadlines,
            runtime: Handle::current(),
            peers: Mutex::default(),
        }
    }

    /// The same with encrypted connections.
    pub fn with_encryption(mut self, encryption: Option<Arc<dyn Encryption>>) -> Self {
        self.access.encryption = encryption;
        self
    }

    /// The broker of that number, if there is an address of it.
    pub fn peer(&self, id: BrokerId) -> Option<Arc<RemoteBroker>> {
        let directory = self.placement.brokers();
        let mut peers = self.peers.lock();
        let known = peers.directory.as_ref();
        if !known.is_some_and(|known| Arc::ptr_eq(known, &directory)) {
            // A broker that moved or began a new life gets new connections. What is under way on the
            // old ones ends by itself, or by their pings.
            peers.by_id.retain(|id, peer| {
                directory
                    .addresses
                    .get(id)
                    .is_some_and(|address| peer.is_at(address, incarnation_of(&directory, *id)))
            });
            peers.directory = Some(directory.clone());
        }
        if let Some(peer) = peers.by_id.get(&id) {
            return Some(peer.clone());
        }
        let peer = Arc::new(RemoteBroker::new(
            id,
            directory.addresses.get(&id)?.clone(),
            incarnation_of(&directory, id),
            self.identity.clone(),
            self.access.clone(),
            self.deadlines,
            self.runtime.clone(),
        ));
        peers.by_id.insert(id, peer.clone());
        Some(peer)
    }
}

fn incarnation_of(directory: &BrokerDirectory, id: BrokerId) -> i64 {
    directory.views.get(&id).map_or(0, |view| view.incarnation)
}

impl Network for Client {
    fn broker(&self, id: BrokerId) -> Option<Arc<dyn Broker>> {
        self.peer(id).map(|peer| peer as Arc<dyn Broker>)
    }

    fn follow(&self, leader: BrokerId) -> Answer<'_, Result<FollowerSession, Unreachable>> {
        Box::pin(async move {
            let peer = self
                .peer(leader)
                .ok_or_else(|| Unreachable(format!("no address of broker {leader} is known")))?;
            peer.follow().await
        })
    }
}
