//! Driving the coordinator of one partition of the group log, for one term of its leader.
//!
//! Every call is handled at once, its events are appended as one batch, and only the answer waits: for all
//! that was appended before it to be committed. The journal makes one group of what many calls append.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Weak},
};

use futures_util::{StreamExt, stream::FuturesOrdered};
use headwater_groups::{Coordinator, Event, Reply};
use tokio::{sync::mpsc, time::Instant};

use super::{
    answer::Ask,
    burials::Burials,
    events,
    known::KnownTopics,
    leases::{LettersWait, until},
    snapshots::{Snapshots, room},
    stats::Figures,
};
use crate::{
    error::{CoordinateError, ProduceError},
    node::Node,
    partition::Partition,
};

/// Answers that wait for the log to be committed; calls wait in the mailbox beyond.
const WAITING_MAX: usize = 4_096;
/// Partitions that these answers tell of: some tens of megabytes. One answer always fits.
const WAITING_ROWS_MAX: usize = 1_000_000;

/// Ends the coordinator: its term is over, or what became of an append is not known.
pub(super) struct Over;

/// Answers how many rows wait no more.
type Settled = Pin<Box<dyn Future<Output = Result<usize, ProduceError>> + Send>>;

/// What a coordinator coordinates, and where.
pub(super) struct Home {
    pub node: Weak<Node>,
    pub partition: Arc<Partition>,
    pub term: i32,
    pub figures: Arc<Figures>,
}

pub(super) struct Driver {
    pub(super) home: Home,
    pub(super) coordinator: Coordinator,
    pub(super) topics: KnownTopics,
    /// Where the log ends that the coordinator's state is made of.
    pub(super) end: u64,
    /// What is done once the log is committed so far, in its order.
    pub(super) waiting: FuturesOrdered<Settled>,
    /// Partitions that are told of in there.
    pub(super) waiting_rows: usize,
    pub(super) snapshots: Snapshots,
    /// Leases that are over are looked at again then.
    pub(super) no_expiry_before: Option<Instant>,
    pub(super) letters: LettersWait,
    pub(super) burials: Burials,
}

impl Driver {
    /// Runs until the term is over. Whoever is not answered by then is told what is known.
    pub async fn run(home: Home, mut mailbox: mpsc::Receiver<Ask>) {
        let id = home.partition.id;
        let error = match Self::start(home).await {
            Ok(mut driver) => {
                let (term, end) = (driver.home.term, driver.end);
                tracing::info!(partition = %id, term, end, "coordinating groups");
                // Those who wait are told by who is dropped with it.
                let Err(Over) = driver.serve(&mut mailbox).await;
                CoordinateError::NotLeader
            }
            Err(error) => error,
        };
        if let CoordinateError::Unavailable(why) = &error {
            tracing::error!(partition = %id, why, "the group log cannot be read");
        }
        mailbox.close();
        while let Ok(ask) = mailbox.try_recv() {
            ask.answer.give(Err(error.clone()));
        }
    }

    async fn serve(&mut self, mailbox: &mut mpsc::Receiver<Ask>) -> Result<Infallible, Over> {
        let partition = self.home.partition.clone();
        let term_over = partition.term_over(self.home.term);
        tokio::pin!(term_over);
        loop {
            let due = self.due();
            let letters_due = self.letters_due();
            let burials_due = self.burials.due;
            let is_writing = self.snapshots.is_writing();
            let has_room = self.waiting.len() < WAITING_MAX && self.waiting_rows < WAITING_ROWS_MAX;
            tokio::select! {
                () = &mut term_over => return Err(Over),
                Some(settled) = self.waiting.next(), if !self.waiting.is_empty() => {
                    self.waiting_rows -= settled.map_err(|_| Over)?;
                }
                ask = mailbox.recv(), if has_room => {
                    self.handle(ask.ok_or(Over)?)?;
                }
                () = until(due), if due.is_some() => self.expire()?,
                () = until(letters_due), if letters_due.is_some() => self.tell_of_letters()?,
                () = until(burials_due), if burials_due.is_some() => self.bury()?,
                () = self.burials.changed(), if burials_due.is_none() => self.burials.again(),
                () = room(&self.home.node), if is_writing => self.write_snapshot()?,
            }
        }
    }

    fn handle(&mut self, Ask { call, mut answer }: Ask) -> Result<(), Over> {
        let now_ms = self.node()?.clock.now_ms();
        let handled = self.coordinator.handle(now_ms, call, &self.topics);
        let reply = match handled {
            Ok((events, reply)) => {
                if !events.is_empty() {
                    match self.make_so(events) {
                        Ok(()) => answer.appended(),
                        Err(error) => {
                            let is_unknown = error == ProduceError::Unknown;
                            answer.give(Err(error.into()));
                            return if is_unknown { Err(Over) } else { Ok(()) };
                        }
                    }
                }
                Ok(reply)
            }
            Err(refused) => Err(CoordinateError::Refused(refused)),
        };
        let rows = reply.as_ref().map_or(0, rows);
        self.when_committed(rows, move || answer.give(reply));
        Ok(())
    }

    /// Makes events so: appends them as one batch, and applies them. If the log refuses them nothing has
    /// happened.
    pub(super) fn make_so(&mut self, events: Vec<Event>) -> Result<(), ProduceError> {
        self.append(&events)?;
        for event in events {
            self.coordinator.apply(event);
        }
        self.home.figures.note(self.coordinator.counts());
        Ok(())
    }

    /// Appends events as one batch. Answers where they are, and how many bytes they take.
    pub(super) fn append(&mut self, events: &[Event]) -> Result<(u64, usize), ProduceError> {
        let Home {
            partition, term, ..
        } = &self.home;
        let node = self.home.node.upgrade().ok_or(ProduceError::NotLeader)?;
        let topic = node.placement.topic(partition.id.topic);
        let topic = topic.ok_or(ProduceError::UnknownPartition)?;
        let batch = events::batch(events, node.clock.now_ms());
        let bytes = batch.len();
        let pending = partition.append_in(*term, batch, topic.settings.segment_bytes)?;
        node.appended(partition);
        self.end = pending.end;
        self.snapshots.appended(bytes);
        Ok((pending.base_offset, bytes))
    }

    /// Does something once everything is committed that was appended so far. It holds so many rows.
    pub(super) fn when_committed(&mut self, rows: usize, then: impl FnOnce() + Send + 'static) {
        let (partition, term) = (self.home.partition.clone(), self.home.term);
        let end = self.end;
        self.waiting_rows += rows;
        self.waiting.push_back(Box::pin(async move {
            partition.committed(end, term).await?;
            then();
            Ok(rows)
        }));
    }

    pub(super) fn node(&self) -> Result<Arc<Node>, Over> {
        self.home.node.upgrade().ok_or(Over)
    }
}

/// How many partitions or records an answer tells of, if it may be many.
fn rows(reply: &Reply) -> usize {
    match reply {
        Reply::Ensured(_, description) | Reply::Described(description) => {
            description.positions.len() + description.members.len()
        }
        Reply::Joined { assignment, .. } => assignment.len(),
        Reply::Polled(polled) => polled.owned.len() + polled.assigned.len(),
        Reply::Positions(positions) => positions.len(),
        Reply::Reset(moved) => moved.len(),
        Reply::Leased(leases) => leases.leased.len() + leases.wants.len(),
        Reply::Settled(outcomes) => outcomes.len(),
        Reply::DeadLetters(letters) => letters.len(),
        Reply::Redrives(letters) => letters.iter().map(|(_, ranges)| ranges.len()).sum(),
        _ => 0,
    }
}
