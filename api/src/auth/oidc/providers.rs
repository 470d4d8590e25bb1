//! The providers of a node, and the way back from them.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Provider, SignIn};
use crate::limits::OIDC_AT_ONCE;

/// The providers that the operator configured.
pub struct Providers {
    by_name: BTreeMap<String, Provider>,
    public_url: String,
    under_way: Arc<Semaphore>,
    /// What people sign in through them with.
    pub sign_in: SignIn,
}

impl Providers {
    /// `public_url` is how browsers reach the service, without a slash at its end: providers send
    /// them back there, whatever a request says of its host.
    pub fn new(by_name: BTreeMap<String, Provider>, public_url: String, sign_in: SignIn) -> Self {
        Self {
            by_name,
            public_url,
            under_way: Arc::new(Semaphore::new(OIDC_AT_ONCE)),
            sign_in,
        }
    }

    /// The one of that name.
    pub fn get(&self, name: &str) -> Option<&Provider> {
        self.by_name.get(name)
    }

    /// Where `provider` sends browsers back to: what it must have registered for this service.
    pub fn redirect_uri(&self, provider: &Provider) -> String {
        format!(
            "{}/v1/sessions/oidc/{}/callback",
            self.public_url, provider.name
        )
    }

    /// Leave to ask a provider who somebody is; `None` while too many are being asked about.
    pub fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.under_way.clone().try_acquire_owned().ok()
    }
}
