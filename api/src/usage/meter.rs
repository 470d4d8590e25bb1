//! What is counted of one topic.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

/// Meters that counted something since they were last read.
pub(super) type Moved = Mutex<Vec<Arc<Meter>>>;

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Payload bytes acknowledged.
    pub ingress_bytes: u64,
    /// Payload bytes sent.
    pub egress_bytes: u64,
    /// Records acknowledged.
    pub records_in: u64,
    /// Records sent.
    pub records_out: u64,
    /// Requests.
    pub requests: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.ingress_bytes += more.ingress_bytes;
        self.egress_bytes += more.egress_bytes;
        self.records_in += more.records_in;
        self.records_out += more.records_out;
        self.requests += more.requests;
    }
}

/// Bytes that are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    /// On disks of brokers.
    pub hot: u64,
    /// In the object store.
    pub cold: u64,
}

/// Counts what one topic is used for; with an empty name, the calls of a project about no topic.
///
/// One short lock a count keeps a request's records and bytes together: whoever reads sees both or
/// neither. The first count after a reading puts the meter on the list of those to be read, so that
/// nobody looks at meters that stand still.
#[derive(Debug, Default)]
pub struct Meter {
    /// The organization.
    pub organization: String,
    /// The project.
    pub project: String,
    /// The topic's name.
    pub topic: String,
    state: Mutex<State>,
    /// Where to be put when something was counted. A meter that nobody reads has no such place.
    moved: Weak<Moved>,
}

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    /// Whether the stored bytes may have changed.
    resized: bool,
    /// Whether it is in the list of those to be read.
    listed: bool,
    /// The stored bytes that were written down last, if that is known.
    noted: Option<Stored>,
}

/// What a meter counted since it was last read. Whoever took it writes it down or puts it back.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// What was counted.
    pub counts: Counts,
    /// Whether the stored bytes may have changed.
    pub resized: bool,
    /// The stored bytes that were written down last, if that is known.
    pub noted: Option<Stored>,
}

impl Meter {
    pub(super) fn new(
        organization: &str,
        project: &str,
        topic: &str,
        moved: &Arc<Moved>,
    ) -> Arc<Self> {
        Arc::new(Self {
            organization: organization.to_owned(),
            project: project.to_owned(),
            topic: topic.to_owned(),
            state: Mutex::default(),
            moved: Arc::downgrade(moved),
        })
    }

    /// A request came.
    pub fn request(self: &Arc<Self>) {
        self.update(|state| state.counts.requests += 1);
    }

    /// Records were acknowledged.
    pub fn received(self: &Arc<Self>, records: u64, bytes: u64) {
        if records > 0 {
            self.update(|state| {
                state.counts.records_in += records;
                state.counts.ingress_bytes += bytes;
                state.resized = true;
            });
        }
    }

    /// Records were sent.
    pub fn sent(self: &Arc<Self>, records: usize, bytes: usize) {
        if records > 0 {
            self.update(|state| {
                state.counts.records_out += records as u64;
                state.counts.egress_bytes += bytes as u64;
            });
        }
    }

    /// The stored bytes may have changed.
    pub fn resized(self: &Arc<Self>) {
        self.update(|state| state.resized = true);
    }

    /// Somebody else wrote down what is stored: what was written last is not known any more.
    pub fn noted_elsewhere(self: &Arc<Self>) {
        self.update(|state| {
            state.noted = None;
            state.resized = true;
        });
    }

    /// What was counted since the last time.
    pub fn read(&self) -> Reading {
        let mut state = self.state.lock();
        state.listed = false;
        Reading {
            counts: std::mem::take(&mut state.counts),
            resized: std::mem::take(&mut state.resized),
            noted: state.noted,
        }
    }

    /// Takes back what could not be written down.
    pub fn put_back(self: &Arc<Self>, reading: Reading) {
        self.update(|state| {
            state.counts += reading.counts;
            state.resized |= reading.resized;
        });
    }

    /// The stored bytes that were written down last, if that is known.
    pub fn noted(&self) -> Option<Stored> {
        self.state.lock().noted
    }

    /// These stored bytes are written down.
    pub fn note(&self, stored: Stored) {
        self.state.lock().noted = Some(stored);
    }

    /// Whether nothing waits to be written down, and nothing is stored as far as is known.
    pub(super) fn at_rest(&self) -> bool {
        let state = self.state.lock();
        !state.listed && state.noted.unwrap_or_default() == Stored::default()
    }

    fn update(self: &Arc<Self>, count: impl FnOnce(&mut State)) {
        let first = {
            let mut state = self.state.lock();
            count(&mut state);
            !std::mem::replace(&mut state.listed, true)
        };
        if first && let Some(moved) = self.moved.upgrade() {
            moved.lock().push(self.clone());
        }
    }
}
