//! What is written down off the path of requests: refusals, and when API keys were used. It waits in
//! memory for about a second; more than fits is dropped and counted, never waited for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::mpsc;

use super::{Gateway, Intent};
use crate::{
    auth::{Guesses, UsedKey},
    limits::{DENIED, METADATA_TIMEOUT, NOTE_TRIES, NOTES_MAX},
    metadata::store::{AuditFilter, AuditRow, KeyRow, Store, StoreError},
    problem::Problem,
};

/// How long notes are gathered before they are written.
const GATHERED: Duration = Duration::from_millis(500);

/// Something to write down.
#[derive(Debug)]
pub enum Note {
    /// A call that was refused.
    Denied(AuditRow),
    /// A key that was used.
    Used(UsedKey),
    /// There will be no more.
    Last,
}

/// Where notes are left.
#[derive(Clone)]
pub struct Notes {
    sender: mpsc::Sender<Note>,
    dropped: Arc<AtomicU64>,
    /// Refusals of each organization lately: one that is refused very often takes no room from others.
    refused: Arc<Guesses<String>>,
}

/// Notes that wait to be written.
pub struct Unwritten {
    receiver: mpsc::Receiver<Note>,
    dropped: Arc<AtomicU64>,
}

impl Notes {
    /// The place, and its other end.
    pub fn new() -> (Self, Unwritten) {
        let (sender, receiver) = mpsc::channel(NOTES_MAX);
        let dropped = Arc::<AtomicU64>::default();
        let unwritten = Unwritten {
            receiver,
            dropped: dropped.clone(),
        };
        let refused = Arc::new(Guesses::new(DENIED));
        let notes = Self {
            sender,
            dropped,
            refused,
        };
        (notes, unwritten)
    }

    /// Leaves a note; `false` if there is no room.
    pub fn leave(&self, note: Note) -> bool {
        let left = self.sender.try_send(note).is_ok();
        if !left {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        left
    }
}

impl Gateway {
    /// Has a refusal written into an organization's audit log.
    pub fn note_denied(&self, intent: &Intent, organization: &str, target: &str) {
        let at_ms = self.clock.now_ms();
        let organization_id = organization.to_owned();
        if self.notes.refused.attempt(&organization_id, at_ms).is_err() {
            self.notes.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // After the changes of the same millisecond, which it was not one of.
        let event = intent.event(organization, target, "denied", at_ms, i64::MAX);
        self.notes.leave(Note::Denied(event));
    }

    /// A page of an organization's audit log.
    ///
    /// # Errors
    /// 503 if the database is away.
    pub async fn list_audit_events(
        &self,
        filter: &AuditFilter<'_>,
    ) -> Result<Vec<AuditRow>, Problem> {
        let mut connection = self.connection().await?;
        let page = filter.page(&mut connection).await;
        page.map_err(super::changes::unavailable)
    }
}

impl Unwritten {
    /// Writes notes down until the last.
    pub async fn write(mut self, store: Store) {
        let mut batch = Vec::new();
        let mut last = false;
        while !last && self.receiver.recv_many(&mut batch, NOTES_MAX).await > 0 {
            let is_last = |batch: &[Note]| batch.iter().any(|note| matches!(note, Note::Last));
            if !is_last(&batch) {
                tokio::time::sleep(GATHERED).await;
            }
            while batch.len() < NOTES_MAX
                && let Ok(note) = self.receiver.try_recv()
            {
                batch.push(note);
            }
            last = is_last(&batch);
            write_all(&store, &mut batch).await;
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            if dropped > 0 {
                tracing::error!(dropped, "too many refused calls to write all down");
            }
            batch.clear();
        }
    }
}

/// Writes notes, again and again while the database is away. One that it will not take keeps no others
/// out.
async fn write_all(store: &Store, batch: &mut Vec<Note>) {
    for _ in 0..NOTE_TRIES {
        let written = tokio::time::timeout(METADATA_TIMEOUT, write(store, batch)).await;
        let written = written.unwrap_or_else(|_| Err(StoreError("no answer in time".into())));
        let Err(error) = written else {
            return;
        };
        tracing::warn!(%error, "refused calls and used keys are not written down yet");
        if store.ping().await.is_err() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        }
        for note in batch.drain(..) {
            if let Err(error) = write(store, std::slice::from_ref(&note)).await {
                tracing::error!(%error, "a refused call or a used key is not written down");
            }
        }
        return;
    }
    let count = batch.len();
    tracing::error!(count, "refused calls and used keys are not written down");
}

async fn write(store: &Store, batch: &[Note]) -> Result<(), StoreError> {
    let mut transaction = store.transaction().await?;
    for note in batch {
        match note {
            Note::Denied(event) => event.insert(&mut transaction).await?,
            Note::Used(UsedKey { id, at_ms }) => {
                KeyRow::used(&mut transaction, id, *at_ms).await?;
            }
            Note::Last => {}
        }
    }
    transaction.commit().await?;
    Ok(())
}
