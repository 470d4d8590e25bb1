//! What the cluster should be, out of what it is: pure functions over the metadata. One broker at a
//! time runs them, the one that holds the controller's lease; as every change is a compare-and-set on
//! a partition's row, two that think they hold it do no harm.

mod begin;
mod elect;
mod level;
mod loss;
mod place;
mod relocate;

pub use begin::{Homes, is_homeless};
pub use elect::{away, home, next, onward};
pub use loss::{is_lost, led_with_loss};
pub use place::{BrokerLoad, TooFewBrokers, place};
pub use relocate::{Spread, relocate};

use std::collections::BTreeMap;

use crate::placement::{BrokerId, Incarnation};

/// What the metadata says about a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerView {
    /// Its life.
    pub incarnation: Incarnation,
    /// Whether it takes part.
    pub state: BrokerState,
    /// Where it stands: copies of a partition are kept apart.
    pub rack: Option<String>,
}

/// Whether a broker takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerState {
    /// It renews its lease.
    Live,
    /// It does, and is to be given nothing more: it is about to leave.
    Draining,
    /// It let its lease expire.
    Fenced,
    /// It did so after it was told to drain: nobody waits for it to come back.
    Retired,
}

impl BrokerState {
    /// Whether it renews its lease.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Live | Self::Draining)
    }

    /// Whether its copies are to be somewhere else.
    pub fn is_leaving(self) -> bool {
        matches!(self, Self::Draining | Self::Retired)
    }
}

/// The brokers by number.
pub type Brokers = BTreeMap<BrokerId, BrokerView>;

fn is_live(brokers: &Brokers, broker: BrokerId) -> bool {
    let view = brokers.get(&broker);
    view.is_some_and(|view| view.state.is_live())
}

fn is_staying(brokers: &Brokers, broker: BrokerId) -> bool {
    let view = brokers.get(&broker);
    view.is_some_and(|view| view.state == BrokerState::Live)
}
