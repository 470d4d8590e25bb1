//! What brokers write into the metadata: [`Registry`] over the store.
//!
//! Whatever other nodes act on is a [`Change`](super::Change), so that all hear of it in one order;
//! leases, which are renewed all the time, are rows of their own. Only the database's clock judges
//! them.

mod hearing;
mod propose;
mod register;
#[cfg(test)]
mod tests;

pub use hearing::ClusterRegistry;

use std::time::Duration;

use headwater_broker::{
    Answer, BrokerId, Clock, Incarnation, Proposal, Registered, Registration, Registry,
    RegistryError, Renewal, Renewed, SystemClock, replica::Assignment,
};

use super::{
    Change, Kind, Store, StoreError,
    store::{BrokerRow, ControllerRow, Result},
};
use crate::limits::METADATA_TIMEOUT;

impl From<StoreError> for RegistryError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.0)
    }
}

pub(super) type Answered<T> = std::result::Result<T, RegistryError>;

/// What the work comes to, or that it took too long.
pub(super) async fn bounded<T>(work: impl Future<Output = Answered<T>> + Send) -> Answered<T> {
    let late = |_| Err(RegistryError::Unavailable("no answer in time".into()));
    tokio::time::timeout(METADATA_TIMEOUT, work)
        .await
        .unwrap_or_else(late)
}

impl Registry for Store {
    fn register(&self, broker: Registration) -> Answer<'_, Answered<Registered>> {
        Box::pin(bounded(self.register_broker(broker)))
    }

    fn renew(&self, renewal: Renewal) -> Answer<'_, Answered<Renewed>> {
        Box::pin(bounded(
            async move { Ok(self.renew_lease(&renewal).await?) },
        ))
    }

    fn set_draining(&self, broker: BrokerId, draining: bool) -> Answer<'_, Answered<bool>> {
        Box::pin(bounded(async move {
            let mut change = self.change_now().await?;
            let known = BrokerRow::set_draining(&mut change, broker, draining).await?;
            if known {
                change.touch(Kind::Broker, &broker.to_string()).await?;
                change.commit().await?;
            }
            Ok(known)
        }))
    }

    fn control(
        &self,
        broker: BrokerId,
        incarnation: Incarnation,
        lease: Duration,
    ) -> Answer<'_, Answered<bool>> {
        Box::pin(bounded(async move {
            let mut connection = self.connection().await?;
            let lease_ms = lease.as_millis() as i64;
            let (engine, connection) = (self.engine, &mut *connection);
            Ok(ControllerRow::take(connection, engine, broker, incarnation, lease_ms).await?)
        }))
    }

    fn fence_expired(&self) -> Answer<'_, Answered<Vec<BrokerId>>> {
        Box::pin(bounded(async move { Ok(self.fence().await?) }))
    }

    fn propose(&self, proposals: Vec<Proposal>) -> Answer<'_, Answered<Vec<Option<Assignment>>>> {
        Box::pin(bounded(async move {
            Ok(self.write_proposals(proposals).await?)
        }))
    }
}

impl Store {
    async fn change_now(&self) -> Result<Change> {
        self.change(SystemClock.now_ms()).await
    }

    async fn renew_lease(&self, renewal: &Renewal) -> Result<Renewed> {
        {
            // All brokers do this all the time: it waits for no change.
            let mut connection = self.connection().await?;
            if BrokerRow::renew(&mut connection, self.engine, renewal, false).await? {
                return Ok(Renewed::Renewed);
            }
        }
        let mut change = self.change_now().await?;
        if BrokerRow::renew(&mut change, self.engine, renewal, true).await? {
            let id = renewal.id.to_string();
            change.touch(Kind::Broker, &id).await?;
            change.commit().await?;
            return Ok(Renewed::Renewed);
        }
        // It may have come back by another try, of which the answer was lost.
        match BrokerRow::renew(&mut change, self.engine, renewal, false).await? {
            true => change.commit().await.map(|()| Renewed::Renewed),
            false => Ok(Renewed::Replaced),
        }
    }

    async fn fence(&self) -> Result<Vec<BrokerId>> {
        {
            let mut connection = self.connection().await?;
            if !BrokerRow::any_expired(&mut connection, self.engine).await? {
                return Ok(Vec::new());
            }
        }
        let mut change = self.change_now().await?;
        let fenced = BrokerRow::fence_expired(&mut change, self.engine).await?;
        for broker in &fenced {
            change.touch(Kind::Broker, &broker.to_string()).await?;
        }
        if !fenced.is_empty() {
            change.commit().await?;
        }
        Ok(fenced)
    }
}
