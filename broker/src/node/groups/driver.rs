//! Driving the coordinator of one partition of the group log, for one term of its leader.
//!
//! Every call is handled at once, its events are appended as one batch, and only the answer waits: for all
//! that was appended before it to be committed. The journal makes one group of what many calls append.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesOrdered};
use headwater_groups::{Coordinator, Event};
use headwater_log::ReadError;
use tokio::{sync::mpsc, time::Instant};

use super::{super::Node, answer::Ask, events, known::KnownTopics, snapshots::Snapshots};
use crate::{
    error::{CoordinateError, ProduceError},
    partition::Partition,
};

/// Answers that wait for the log to be committed; calls wait in the mailbox beyond.
const WAITING_MAX: usize = 4_096;
/// How long a new term may take to be established, until whoever asked is told.
const START_WAIT: Duration = Duration::from_secs(10);
/// Read at once while the log is replayed.
const READ_BYTES: usize = 1 << 20;
/// How long leases wait to be ended again that could not be.
const EXPIRY_RETRY: Duration = Duration::from_secs(1);
/// How long a snapshot waits for a disk that is behind.
const CROWDED_WAIT: Duration = Duration::from_millis(10);
/// Events of a batch, in bytes, where they need not be in one.
const BATCH_BYTES: usize = 1 << 20;

/// Ends the coordinator: its term is over, or what became of an append is not known.
struct Over;

type Settled = Pin<Box<dyn Future<Output = Result<(), ProduceError>> + Send>>;

pub(super) struct Driver {
    node: Weak<Node>,
    partition: Arc<Partition>,
    term: i32,
    coordinator: Coordinator,
    topics: KnownTopics,
    /// Where the log ends that the coordinator's state is made of.
    end: u64,
    /// What is done once the log is committed so far, in its order.
    waiting: FuturesOrdered<Settled>,
    snapshots: Snapshots,
    /// Leases that are over are looked at again then.
    no_expiry_before: Option<Instant>,
}

impl Driver {
    /// Runs until the term is over. Whoever is not answered by then is told what is known.
    pub async fn run(
        node: Weak<Node>,
        partition: Arc<Partition>,
        term: i32,
        mut mailbox: mpsc::Receiver<Ask>,
    ) {
        let started = Self::start(node, partition.clone(), term);
        let error = match tokio::time::timeout(START_WAIT, started).await {
            Ok(Ok(mut driver)) => {
                tracing::info!(partition = %partition.id, term, "coordinating groups");
                // Why it ends is told to those who wait.
                let Err(Over) = driver.serve(&mut mailbox).await;
                CoordinateError::NotLeader
            }
            Ok(Err(error)) => error,
            Err(_) => CoordinateError::NotLeader,
        };
        if let CoordinateError::Unavailable(why) = &error {
            tracing::error!(partition = %partition.id, why, "the group log cannot be read");
        }
        mailbox.close();
        while let Ok(ask) = mailbox.try_recv() {
            ask.answer.give(Err(error.clone()));
        }
    }

    /// Waits until the log is what this term leads with, then makes of it what the groups are.
    async fn start(
        node: Weak<Node>,
        partition: Arc<Partition>,
        term: i32,
    ) -> Result<Self, CoordinateError> {
        let (clock, placement) = match node.upgrade() {
            Some(node) => (node.clock.clone(), node.placement.clone()),
            None => return Err(CoordinateError::NotLeader),
        };
        // With what a coordinator of this term has appended before this one.
        let end = partition.log.next_offset();
        let established = partition.committed(end, term).await;
        established.map_err(|_| CoordinateError::NotLeader)?;
        let mut coordinator = Coordinator::new();
        let mut snapshots = Snapshots::default();
        let mut from = partition.log.log_start();
        while from < end {
            let read = partition.read(from, end, READ_BYTES).await;
            for batch in read.map_err(unreadable)? {
                snapshots.appended(batch.len());
                from = events::replay(&mut coordinator, &batch).map_err(unreadable)?;
            }
            tokio::task::yield_now().await;
        }
        coordinator.resume(clock.now_ms());
        Ok(Self {
            node,
            partition,
            term,
            coordinator,
            topics: KnownTopics::new(placement),
            end,
            waiting: FuturesOrdered::new(),
            snapshots,
            no_expiry_before: None,
        })
    }

    async fn serve(&mut self, mailbox: &mut mpsc::Receiver<Ask>) -> Result<Infallible, Over> {
        let partition = self.partition.clone();
        let term_over = partition.term_over(self.term);
        tokio::pin!(term_over);
        loop {
            let due = self.due();
            let is_writing = self.snapshots.is_writing();
            tokio::select! {
                () = &mut term_over => return Err(Over),
                Some(settled) = self.waiting.next(), if !self.waiting.is_empty() => {
                    settled.map_err(|_| Over)?;
                }
                ask = mailbox.recv(), if self.waiting.len() < WAITING_MAX => {
                    self.handle(ask.ok_or(Over)?)?;
                }
                () = until(due), if due.is_some() => self.expire()?,
                () = room(&self.node), if is_writing => self.write_snapshot()?,
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
        self.when_committed(move || answer.give(reply));
        Ok(())
    }

    /// Makes events so: appends them as one batch, and applies them. If the log refuses them nothing has
    /// happened.
    fn make_so(&mut self, events: Vec<Event>) -> Result<(), ProduceError> {
        self.append(&events)?;
        for event in events {
            self.coordinator.apply(event);
        }
        Ok(())
    }

    /// Appends events as one batch. Answers where they are, and how many bytes they take.
    fn append(&mut self, events: &[Event]) -> Result<(u64, usize), ProduceError> {
        let node = self.node.upgrade().ok_or(ProduceError::NotLeader)?;
        let topic = node.placement.topic(self.partition.id.topic);
        let topic = topic.ok_or(ProduceError::UnknownPartition)?;
        let batch = events::batch(events, node.clock.now_ms());
        let bytes = batch.len();
        let segment_bytes = topic.settings.segment_bytes;
        let pending = self.partition.append_in(self.term, batch, segment_bytes)?;
        node.appended(&self.partition);
        self.end = pending.end;
        self.snapshots.appended(bytes);
        Ok((pending.base_offset, bytes))
    }

    /// Does something once everything is committed that was appended so far.
    fn when_committed(&mut self, then: impl FnOnce() + Send + 'static) {
        let (partition, end, term) = (self.partition.clone(), self.end, self.term);
        self.waiting.push_back(Box::pin(async move {
            partition.committed(end, term).await?;
            then();
            Ok(())
        }));
    }

    /// When leases are to be looked at.
    fn due(&self) -> Option<Instant> {
        let due_ms = self.coordinator.due_ms()?;
        let now_ms = self.node.upgrade()?.clock.now_ms();
        let left = Duration::from_millis(u64::try_from(due_ms - now_ms).unwrap_or(0));
        Some((Instant::now() + left).max(self.no_expiry_before.unwrap_or_else(Instant::now)))
    }

    /// Ends the leases that are over.
    fn expire(&mut self) -> Result<(), Over> {
        let now_ms = self.node()?.clock.now_ms();
        let mut expired = self.coordinator.expire(now_ms).into_iter().peekable();
        if expired.peek().is_none() {
            self.no_expiry_before = Some(Instant::now() + EXPIRY_RETRY);
            return Ok(());
        }
        // Each is of another group.
        while expired.peek().is_some() {
            let (mut events, mut bytes) = (Vec::new(), 0);
            while bytes < BATCH_BYTES
                && let Some(event) = expired.next()
            {
                bytes += event.value().map_or(0, |value| value.len());
                events.push(event);
            }
            match self.make_so(events) {
                Ok(()) => self.when_committed(|| {}),
                Err(ProduceError::Unknown) => return Err(Over),
                Err(error) => {
                    tracing::warn!(partition = %self.partition.id, %error, "leases end later");
                    self.no_expiry_before = Some(Instant::now() + EXPIRY_RETRY);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Appends the next part of a snapshot, and has the log trimmed after the last.
    fn write_snapshot(&mut self) -> Result<(), Over> {
        let events = self.snapshots.step(&self.coordinator);
        if events.is_empty() {
            if let Some(begin) = self.snapshots.complete() {
                let partition = self.partition.clone();
                self.when_committed(move || trim(partition, begin));
            }
            return Ok(());
        }
        match self.append(&events) {
            Ok((base_offset, bytes)) => {
                self.snapshots.wrote(base_offset, bytes);
                Ok(())
            }
            Err(ProduceError::Unknown) => Err(Over),
            Err(error) => {
                tracing::warn!(partition = %self.partition.id, %error, "a snapshot is given up");
                self.snapshots.abandon();
                Ok(())
            }
        }
    }

    fn node(&self) -> Result<Arc<Node>, Over> {
        self.node.upgrade().ok_or(Over)
    }
}

fn unreadable(error: ReadError) -> CoordinateError {
    CoordinateError::Unavailable(error.to_string())
}

async fn until(due: Option<Instant>) {
    if let Some(due) = due {
        tokio::time::sleep_until(due).await;
    }
}

/// Waits until a snapshot may go on.
async fn room(node: &Weak<Node>) {
    match node.upgrade().is_some_and(|node| node.log.crowded()) {
        true => tokio::time::sleep(CROWDED_WAIT).await,
        false => tokio::task::yield_now().await,
    }
}

/// Lets go of what a committed snapshot stands for, also if the term has ended by now.
fn trim(partition: Arc<Partition>, before_offset: u64) {
    tokio::task::spawn_blocking(move || match partition.log.trim(before_offset) {
        Ok(log_start) => {
            partition.tell_sessions();
            tracing::debug!(partition = %partition.id, log_start, "the group log was trimmed");
        }
        Err(error) => {
            tracing::warn!(partition = %partition.id, %error, "the group log is trimmed later");
        }
    });
}
