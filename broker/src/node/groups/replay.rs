//! Taking over: what the log says the groups are.

use futures_util::stream::FuturesOrdered;
use headwater_groups::Coordinator;
use headwater_log::ReadError;

use super::{
    burials::Burials,
    driver::{Driver, Home},
    events,
    known::KnownTopics,
    leases::LettersWait,
    snapshots::Snapshots,
};
use crate::{error::CoordinateError, node::ROLE_WAIT};

/// Read at once.
const READ_BYTES: usize = 1 << 20;

impl Driver {
    /// Waits until the log is what this term leads with, then makes of it what the groups are.
    pub(super) async fn start(home: Home) -> Result<Self, CoordinateError> {
        let (clock, placement) = match home.node.upgrade() {
            Some(node) => (node.clock.clone(), node.placement.clone()),
            None => return Err(CoordinateError::NotLeader),
        };
        let partition = &home.partition;
        // With what a coordinator of this term has appended before this one.
        let end = partition.log.next_offset();
        let committed = partition.committed(end, home.term);
        let established = tokio::time::timeout(ROLE_WAIT, committed).await;
        if !matches!(established, Ok(Ok(()))) {
            return Err(CoordinateError::NotLeader);
        }
        let mut coordinator = Coordinator::new();
        let (mut from, mut log_bytes) = (partition.log.log_start(), 0);
        while from < end {
            let read = partition.read(from, end, READ_BYTES).await;
            for batch in read.map_err(unreadable)? {
                log_bytes += batch.len() as u64;
                from = events::replay(&mut coordinator, &batch).map_err(unreadable)?;
            }
            tokio::task::yield_now().await;
        }
        coordinator.resume(clock.now_ms());
        let burials = Burials::new(placement.changes());
        let snapshots = Snapshots::of(log_bytes, &coordinator);
        home.figures.note(coordinator.counts());
        Ok(Self {
            home,
            coordinator,
            topics: KnownTopics::new(placement),
            end,
            waiting: FuturesOrdered::new(),
            waiting_rows: 0,
            snapshots,
            no_expiry_before: None,
            letters: LettersWait::default(),
            burials,
        })
    }
}

fn unreadable(error: ReadError) -> CoordinateError {
    CoordinateError::Unavailable(error.to_string())
}
