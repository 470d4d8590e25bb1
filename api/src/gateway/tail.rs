//! Tails: records as they come, over all partitions of a topic, until the client goes away.

use std::{sync::Arc, time::Instant};

use http::HeaderValue;

use super::{Cursor, Gateway, Held, ReadLimits};
use crate::{
    auth::Access,
    limits::{KEY_CACHE, TAIL_HEARTBEAT},
    metadata::Topic,
    problem::{Code, Problem},
};

/// A reader that follows a topic. Its state is its cursor.
pub struct Tail {
    gateway: Arc<Gateway>,
    access: Access,
    /// Shown again every few seconds: a tail ends with its key.
    credential: Option<HeaderValue>,
    checked_at: Instant,
    topic: Arc<Topic>,
    cursor: Cursor,
    limits: ReadLimits,
    /// The memory of the step that was given out last.
    held: Option<Held>,
    ended: bool,
}

/// What a tail has to say next.
pub enum TailStep {
    /// Records, and the cursor behind them.
    Records {
        /// The records as JSON, separated as the tail was told.
        records: Vec<u8>,
        /// Where to resume.
        cursor: String,
    },
    /// Nothing for a while; the cursor is still good.
    Heartbeat {
        /// Where to resume.
        cursor: String,
    },
    /// The service stops: resume with the cursor, here or elsewhere.
    Goaway {
        /// Where to resume.
        cursor: String,
    },
    /// The tail ends with a problem.
    Failed(Problem),
}

impl Tail {
    /// A tail of `topic` from `cursor`.
    pub fn new(
        gateway: Arc<Gateway>,
        access: Access,
        credential: Option<HeaderValue>,
        topic: Arc<Topic>,
        cursor: Cursor,
        limits: ReadLimits,
    ) -> Self {
        let limits = ReadLimits {
            wait: TAIL_HEARTBEAT,
            ..limits
        };
        Self {
            gateway,
            access,
            credential,
            checked_at: Instant::now(),
            topic,
            cursor,
            limits,
            held: None,
            ended: false,
        }
    }

    /// Waits for the next step; `None` after the last.
    pub async fn next(&mut self) -> Option<TailStep> {
        if self.ended {
            return None;
        }
        self.held = None;
        let step = self.step().await;
        self.ended = matches!(step, TailStep::Goaway { .. } | TailStep::Failed(_));
        Some(step)
    }

    async fn step(&mut self) -> TailStep {
        if *self.gateway.draining.borrow() {
            return TailStep::Goaway {
                cursor: self.sealed(),
            };
        }
        if self.checked_at.elapsed() >= KEY_CACHE {
            let (keys, now_ms) = (&self.gateway.keys, self.gateway.clock.now_ms());
            let project = &self.access.project.id;
            if let Err(problem) = keys
                .authorize(project, self.credential.as_ref(), now_ms)
                .await
            {
                return TailStep::Failed(problem);
            }
            self.checked_at = Instant::now();
        }
        match self.gateway.topic(&self.access, &self.topic.name) {
            // Partitions may have been added; settings do not matter to a reader.
            Ok(topic) if topic.id == self.topic.id => {
                self.cursor.offsets.resize(topic.partitions() as usize, 0);
                self.topic = topic;
            }
            Ok(_) | Err(_) => {
                return TailStep::Failed(Problem::new(
                    Code::TopicNotFound,
                    "the topic was deleted",
                ));
            }
        }
        let gateway = self.gateway.clone();
        let page = gateway
            .fetch_topic(
                &self.topic,
                &self.access.project,
                &mut self.cursor,
                &self.limits,
            )
            .await;
        match page {
            Err(problem) => TailStep::Failed(problem),
            Ok(page) if page.record_count > 0 => {
                self.held = page.held;
                TailStep::Records {
                    records: page.records,
                    cursor: self.sealed(),
                }
            }
            Ok(_) if *self.gateway.draining.borrow() => TailStep::Goaway {
                cursor: self.sealed(),
            },
            Ok(_) => TailStep::Heartbeat {
                cursor: self.sealed(),
            },
        }
    }

    fn sealed(&self) -> String {
        self.cursor.seal(&self.access.project)
    }
}
