//! What is open at the same time: connections and tails.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use parking_lot::Mutex;

use super::{Allowance, Layers, Resource, layers::refusal};
use crate::problem::Problem;

/// Something that is open for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    Connection,
    Tail,
}

impl Open {
    fn resource(self) -> Resource {
        match self {
            Self::Connection => Resource::Connections,
            Self::Tail => Resource::Tails,
        }
    }
}

/// A place among what may be open at the same time, free again when dropped.
#[derive(Debug)]
#[must_use = "dropping it frees the place"]
pub struct Slot {
    allowance: Arc<Allowance>,
    what: Open,
}

impl Slot {
    /// Takes a place.
    ///
    /// # Errors
    /// 429 if all are taken.
    pub(super) fn take(allowance: &Arc<Allowance>, what: Open) -> Result<Self, Problem> {
        let limit = allowance.limit(what.resource()).unwrap_or(u64::MAX);
        let taken = allowance
            .open(what)
            .fetch_update(Relaxed, Relaxed, |open| (open < limit).then(|| open + 1));
        if taken.is_err() {
            return Err(refusal(allowance, what.resource(), None));
        }
        Ok(Self {
            allowance: allowance.clone(),
            what,
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.allowance.open(self.what).fetch_sub(1, Relaxed);
    }
}

/// A connection, as far as it counts: it holds a place of each project and organization that was
/// called over it, until it closes.
#[derive(Debug, Default)]
pub struct Connection(Mutex<Vec<Slot>>);

impl Connection {
    /// Takes the places that it does not hold yet.
    ///
    /// # Errors
    /// 429 if all are taken; then it takes none.
    pub fn enter(&self, layers: Layers<'_>) -> Result<(), Problem> {
        let mut held = self.0.lock();
        let mut more = Vec::new();
        for allowance in layers.tenants() {
            let is_held = |slot: &Slot| Arc::ptr_eq(&slot.allowance, allowance);
            if !held.iter().any(is_held) {
                more.push(Slot::take(allowance, Open::Connection)?);
            }
        }
        held.append(&mut more);
        Ok(())
    }
}
