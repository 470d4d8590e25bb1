//! Producers, which send a batch until they know what became of it.

use std::collections::VecDeque;

use crate::{broker::Attempt, content::Batch, store::Micros};

/// The batches that a producer has under way at most.
const UNDER_WAY_MAX: usize = 3;

/// One producer of one partition.
#[derive(Debug)]
pub struct Client {
    /// Its partition.
    pub partition: usize,
    /// Its session; one that gives up what it does not know begins another.
    pub session: u64,
    /// The number of its next record.
    pub next: u64,
    /// What is not decided, in order.
    pub ops: VecDeque<Op>,
    /// Counts tries.
    pub tries: u64,
}

/// One batch, from its first try to its end.
#[derive(Debug, Clone, Copy)]
pub struct Op {
    /// The number of its first record.
    pub sequence: u64,
    /// How many records.
    pub count: u64,
    /// What is in it.
    pub value: u64,
    /// Everything below was acknowledged, to anybody, before this was sent first.
    pub floor: u64,
    /// The try that has no answer yet.
    pub trying: Option<u64>,
    /// No try before then.
    pub patience: Micros,
    /// Some try may have been appended.
    pub unknown: bool,
}

/// What a producer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Produced {
    /// Safe, from this offset on.
    Safe(u64),
    /// Not appended.
    Refused,
    /// Nobody knows.
    Unknown,
}

impl Client {
    /// A producer that has sent nothing.
    pub fn new(partition: usize, session: u64) -> Self {
        Self {
            partition,
            session,
            next: 0,
            ops: VecDeque::new(),
            tries: 0,
        }
    }

    /// Whether another batch may be under way.
    pub fn may_send(&self) -> bool {
        self.ops.len() < UNDER_WAY_MAX
    }

    /// The batch of a try that is still waited for.
    pub fn op(&mut self, attempt: &Attempt) -> Option<&mut Op> {
        if attempt.session != self.session {
            return None;
        }
        self.ops
            .iter_mut()
            .find(|op| op.sequence == attempt.sequence && op.trying == Some(attempt.number))
    }

    /// The first batch that is to be tried now. Later ones wait their turn: they would be refused.
    pub fn due(&mut self, now: Micros) -> Option<(Attempt, Op)> {
        let (session, number) = (self.session, self.tries + 1);
        let op = self
            .ops
            .iter_mut()
            .find(|op| op.trying.is_none() && op.patience <= now)?;
        self.tries = number;
        op.trying = Some(number);
        let attempt = Attempt {
            client: 0,
            session,
            sequence: op.sequence,
            number,
        };
        Some((attempt, *op))
    }

    /// Whether a batch is the last one: its number may be given to another.
    pub fn is_last(&self, sequence: u64) -> bool {
        self.ops.back().is_some_and(|op| op.sequence == sequence)
    }

    /// Begins a session anew: whatever is not decided never will be.
    pub fn begin(&mut self, session: u64) {
        *self = Self {
            tries: self.tries,
            ..Self::new(self.partition, session)
        };
    }
}

impl Op {
    /// As it is in the log, at an offset.
    pub fn batch(&self, session: u64, base: u64) -> Batch {
        Batch {
            base,
            count: self.count,
            epoch: 0,
            producer: session,
            sequence: self.sequence,
            value: self.value,
        }
    }
}
