//! The registry of a node that hears at once of what it wrote.

use std::{sync::Arc, time::Duration};

use headwater_broker::{
    Answer, BrokerId, Incarnation, Proposal, Registered, Registration, Registry, Renewal, Renewed,
    replica::Assignment,
};

use super::Answered;
use crate::metadata::{Catalog, Store};

/// The registry over a store, with the catalog that is to know of every change before it is answered.
pub struct ClusterRegistry {
    store: Store,
    catalog: Arc<Catalog>,
}

impl ClusterRegistry {
    /// The registry of this node.
    pub fn new(store: Store, catalog: Arc<Catalog>) -> Self {
        Self { store, catalog }
    }

    /// Others hear by the feed; this node would too, a little later.
    async fn hear(&self) {
        match self.catalog.catch_up(&self.store).await {
            Ok(dead_topics) => self.catalog.leave_dead(dead_topics),
            Err(error) => tracing::debug!(%error, "what was written is heard of later"),
        }
    }
}

impl Registry for ClusterRegistry {
    fn register(&self, broker: Registration) -> Answer<'_, Answered<Registered>> {
        self.store.register(broker)
    }

    fn renew(&self, renewal: Renewal) -> Answer<'_, Answered<Renewed>> {
        self.store.renew(renewal)
    }

    fn set_draining(&self, broker: BrokerId, draining: bool) -> Answer<'_, Answered<bool>> {
        self.store.set_draining(broker, draining)
    }

    fn control(
        &self,
        broker: BrokerId,
        incarnation: Incarnation,
        lease: Duration,
    ) -> Answer<'_, Answered<bool>> {
        self.store.control(broker, incarnation, lease)
    }

    fn fence_expired(&self) -> Answer<'_, Answered<Vec<BrokerId>>> {
        Box::pin(async move {
            let fenced = self.store.fence_expired().await?;
            if !fenced.is_empty() {
                self.hear().await;
            }
            Ok(fenced)
        })
    }

    fn propose(&self, proposals: Vec<Proposal>) -> Answer<'_, Answered<Vec<Option<Assignment>>>> {
        Box::pin(async move {
            let rows = self.store.propose(proposals).await;
            self.hear().await;
            rows
        })
    }
}
