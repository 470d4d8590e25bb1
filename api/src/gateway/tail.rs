//! Tails: records as they come, over all partitions of a topic, until the client goes away.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{Cursor, Gateway, Held, ReadLimits};
use crate::{
    auth::{Access, Permission},
    limits::{QUOTA_SLEEP_MAX, TAIL_HEARTBEAT},
    metadata::Topic,
    problem::Problem,
    quota::{Resource, Slot},
};

/// A reader that follows a topic. Its state is its cursor.
pub struct Tail {
    gateway: Arc<Gateway>,
    access: Access,
    /// Asked again whenever metadata changes: a tail ends with its key.
    permission: Permission,
    changes: watch::Receiver<()>,
    topic: Arc<Topic>,
    cursor: Cursor,
    limits: ReadLimits,
    /// When the step that is waited for becomes a heartbeat.
    waits_until: Instant,
    /// The memory of the step that was given out last.
    held: Option<Held>,
    /// The places that it has among the tails of its project and organization.
    _places: Vec<Slot>,
    ended: bool,
}

/// What a tail has to say next.
pub enum TailStep {
    /// Records, and the cursor behind them.
    Records {
        /// The records in the form that the tail was told.
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
        permission: Permission,
        topic: Arc<Topic>,
        cursor: Cursor,
        limits: ReadLimits,
        places: Vec<Slot>,
    ) -> Self {
        let changes = gateway.catalog.changes();
        Self {
            gateway,
            access,
            permission,
            changes,
            topic,
            cursor,
            limits,
            waits_until: Instant::now(),
            held: None,
            _places: places,
            ended: false,
        }
    }

    /// Waits for the next step; `None` after the last.
    pub async fn next(&mut self) -> Option<TailStep> {
        if self.ended {
            return None;
        }
        self.held = None;
        self.waits_until = Instant::now() + TAIL_HEARTBEAT;
        let step = loop {
            if let Some(step) = self.step().await {
                break step;
            }
        };
        self.ended = matches!(step, TailStep::Goaway { .. } | TailStep::Failed(_));
        Some(step)
    }

    /// `None` if who may read what has changed while it waited: then all is asked again.
    async fn step(&mut self) -> Option<TailStep> {
        if *self.gateway.draining.borrow() {
            return Some(TailStep::Goaway {
                cursor: self.sealed(),
            });
        }
        let now_ms = self.gateway.clock.now_ms();
        self.changes.mark_unchanged();
        let gateway = &self.gateway;
        match gateway.check(&self.access, &self.permission, &self.topic) {
            Ok(None) => {}
            // Partitions may have been added; settings do not matter to a reader.
            Ok(Some(topic)) => {
                self.cursor.offsets.resize(topic.partitions() as usize, 0);
                self.topic = topic;
            }
            Err(problem) => return Some(TailStep::Failed(problem)),
        }
        if let Some(debt) = self.access.layers().debt(Resource::EgressBytesPerSecond) {
            return self.wait_out(debt).await;
        }
        let gateway = self.gateway.clone();
        let limits = ReadLimits {
            wait: self.waits_until.saturating_duration_since(Instant::now()),
            ..self.limits
        };
        let project = &self.access.project;
        let page = gateway.fetch_topic(&self.topic, project, &mut self.cursor, &limits);
        let page = tokio::select! {
            page = page => page,
            _ = self.changes.changed() => return None,
            () = tokio::time::sleep(self.access.expires_in(now_ms)) => return None,
        };
        Some(match page {
            Err(problem) => TailStep::Failed(problem),
            Ok(page) if page.record_count > 0 => {
                let meter = &self.topic.meter;
                meter.sent(page.record_count, page.payload_bytes);
                let layers = self.access.layers();
                layers.charge(Resource::EgressBytesPerSecond, page.payload_bytes as u64);
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
        })
    }

    /// Waits for a part of the time that its readers are in debt: what was sent is paid for before
    /// more is read, and all is asked again meanwhile.
    async fn wait_out(&mut self, debt: Duration) -> Option<TailStep> {
        let silence = self.waits_until.saturating_duration_since(Instant::now());
        if silence.is_zero() {
            return Some(TailStep::Heartbeat {
                cursor: self.sealed(),
            });
        }
        let mut draining = self.gateway.draining.clone();
        tokio::select! {
            () = tokio::time::sleep(debt.min(silence).min(QUOTA_SLEEP_MAX)) => {}
            _ = self.changes.changed() => {}
            _ = draining.wait_for(|draining| *draining) => {}
        }
        None
    }

    fn sealed(&self) -> String {
        self.cursor.seal(&self.access.project)
    }
}
