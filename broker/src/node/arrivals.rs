//! Copies that move to this broker: a few at a time, and no faster than they may, so that they do not
//! slow down those that have to keep up.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use headwater_log::PartitionId;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::partition::Outbox;

/// Copies that come at once.
const AT_ONCE_MAX: usize = 8;
/// What may come at once after a pause, in time at the full rate.
const BURST: Duration = Duration::from_millis(250);

/// Who may come now, and who waits.
#[derive(Debug)]
pub(super) struct Arrivals {
    bytes_per_second: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    coming: Vec<PartitionId>,
    /// With the session that is to look at it again.
    waiting: VecDeque<(PartitionId, Arc<Outbox>)>,
    /// When all that came would be paid for at the rate.
    paid_at: Instant,
}

impl Arrivals {
    pub fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second: bytes_per_second.max(1) as f64,
            state: Mutex::new(State {
                coming: Vec::new(),
                waiting: VecDeque::new(),
                paid_at: Instant::now(),
            }),
        }
    }

    /// Whether a copy may fetch now. If not its session looks at it again when it may.
    pub fn may_fetch(&self, id: PartitionId, outbox: &Arc<Outbox>) -> bool {
        let mut state = self.state.lock();
        if !state.coming.contains(&id) {
            if state.coming.len() >= AT_ONCE_MAX {
                if !state.waiting.iter().any(|(waiting, _)| *waiting == id) {
                    state.waiting.push_back((id, outbox.clone()));
                }
                return false;
            }
            state.coming.push(id);
        }
        let paid = state.paid_at <= Instant::now() + BURST;
        drop(state);
        if !paid {
            outbox.mark_later(id);
        }
        paid
    }

    /// So many bytes of copies that move came.
    pub fn came(&self, bytes: usize) {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
        let mut state = self.state.lock();
        state.paid_at = state.paid_at.max(Instant::now()) + takes;
    }

    /// A copy comes no more: it is in sync, or its session is over. The next one may.
    pub fn ended(&self, id: PartitionId) {
        let mut state = self.state.lock();
        state.waiting.retain(|(waiting, _)| *waiting != id);
        let before = state.coming.len();
        state.coming.retain(|coming| *coming != id);
        if state.coming.len() < before
            && let Some((next, outbox)) = state.waiting.pop_front()
        {
            state.coming.push(next);
            drop(state);
            outbox.mark(next);
        }
    }

    /// Whether nobody comes or waits: most of the time nothing moves, and nobody asks further.
    pub fn is_idle(&self) -> bool {
        let state = self.state.lock();
        state.coming.is_empty() && state.waiting.is_empty()
    }
}
