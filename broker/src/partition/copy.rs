//! Copying: what a leader and its followers do for each other, in one partition.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use headwater_log::AppendError;

use super::{Outbox, Partition, role::Roles};
use crate::{
    placement::{BrokerId, Incarnation, Proposal},
    replica::{
        Answer, AnswerBody, Beginning, Due, FetchVerdict, FollowerFetch, InSyncChange,
        InSyncOutcome, Progress, Starts, Step, Watermark,
    },
};

/// What is left to do with an answer.
#[derive(Debug)]
#[must_use]
pub(crate) enum Next {
    /// Fetch again.
    Fetch,
    /// Fetch again, but not at once: there is no room, or no leader, now.
    FetchLater,
    /// Cut the log first, which blocks.
    Cut(Cut),
    /// Nothing more: the leader wants committed records removed.
    Halt,
}

/// What a copy is to a move that is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It is in sync, or nothing moves.
    Settled,
    /// It is on its way to being in sync.
    Comes,
    /// It is not in sync, and will be deleted when the move is done.
    Goes,
}

/// What a follower has to remove, by the word of the leader of a term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Everything from this offset on.
    From(u64),
    /// Everything, to begin here.
    All(Beginning),
}

impl Partition {
    /// Takes in a follower's fetch.
    pub fn on_fetch(
        &self,
        from: BrokerId,
        incarnation: Incarnation,
        fetch: FollowerFetch,
        session: &Arc<Outbox>,
    ) -> FetchVerdict {
        let verdict = {
            let mut roles = self.replica.lock();
            roles.replica.on_fetch(from, incarnation, fetch, &*self.log)
        };
        if verdict == FetchVerdict::Stands {
            // Before the look that follows: what is appended in between is seen by one of the two.
            self.tell(session);
        }
        self.advance();
        verdict
    }

    /// Takes in what became durable on a follower, or that it follows.
    pub fn on_progress(&self, from: BrokerId, incarnation: Incarnation, progress: Progress) {
        let mut roles = self.replica.lock();
        roles.replica.on_progress(from, incarnation, progress);
        drop(roles);
        self.advance();
    }

    /// A follower begins a new session: what stood in an old one is over.
    pub fn follower_left(&self, follower: BrokerId) {
        self.replica.lock().replica.follower_left(follower);
    }

    /// Whether a follower's fetch can be answered now.
    pub fn due(&self, follower: BrokerId) -> Option<Due> {
        self.replica.lock().replica.due(follower, &*self.log)
    }

    /// The answer made of what was read for a fetch.
    pub fn sending(
        &self,
        follower: BrokerId,
        fetch: FollowerFetch,
        batches: Vec<Bytes>,
        end: u64,
    ) -> Option<Answer> {
        let mut roles = self.replica.lock();
        let replica = &mut roles.replica;
        replica.sending(follower, fetch, batches, end, &*self.log)
    }

    /// The answer to a fetch whose offset the log has no more.
    pub fn out_of_range(&self, follower: BrokerId, fetch: FollowerFetch) -> Option<Answer> {
        let mut answer = self.sending(follower, fetch, Vec::new(), fetch.offset)?;
        answer.body = AnswerBody::OutOfRange(Beginning::of(&*self.log));
        Some(answer)
    }

    /// The high watermark and where the log starts, if a follower does not know them.
    pub fn watermark_for(&self, follower: BrokerId) -> Option<Watermark> {
        let mut roles = self.replica.lock();
        roles.replica.watermark_for(follower, &*self.log)
    }

    /// How far the copies have come that are to be in sync once a move is done: the last of them, as
    /// an offset. `None` if this broker does not lead, or nothing moves.
    pub fn copied(&self) -> Option<u64> {
        let Roles { replica, row, .. } = &*self.replica.lock();
        let row = row.as_ref().filter(|_| replica.leads_in().is_some())?;
        let coming = row.target.iter().flatten();
        let coming = coming.filter(|broker| !row.in_sync.contains(broker));
        let copied = coming.map(|broker| replica.durable_on(*broker).unwrap_or(0));
        row.target.as_ref()?;
        Some(copied.min().unwrap_or_else(|| replica.high_watermark()))
    }

    /// What this broker's copy is to a move that is not done.
    pub fn arrival(&self) -> Arrival {
        let Roles { replica, row, .. } = &*self.replica.lock();
        match row
            .as_ref()
            .and_then(|row| Some((row, row.target.as_ref()?)))
        {
            Some((row, target)) if !row.in_sync.contains(&replica.me()) => {
                match target.contains(&replica.me()) {
                    true => Arrival::Comes,
                    false => Arrival::Goes,
                }
            }
            _ => Arrival::Settled,
        }
    }

    /// What a follower has to tell its leader. It fetches only if it `may`.
    pub fn to_leader(&self, may_fetch: bool) -> (Option<FollowerFetch>, Option<Progress>) {
        let Roles { replica, .. } = &mut *self.replica.lock();
        let fetch = match may_fetch {
            true => replica.fetch(&*self.log),
            false => None,
        };
        // After the fetch, which says what is durable too.
        let progress = replica.progress(&*self.log);
        (fetch, progress)
    }

    /// The session with the leader broke.
    pub fn disconnected(&self) {
        self.replica.lock().replica.disconnected();
    }

    /// The leader's high watermark moved, or where its log starts. Answers as [`Partition::trim_to`].
    pub fn on_watermark(&self, watermark: Watermark) -> Option<Starts> {
        self.replica.lock().replica.on_watermark(watermark);
        self.advance();
        self.trim_to()
    }

    /// A follower is to let go of what is below, because its leader has. Answered once.
    pub fn trim_to(&self) -> Option<Starts> {
        self.replica.lock().replica.trim_to(&*self.log)
    }

    /// Does what the leader answered, as far as that does not block.
    pub fn on_answer(&self, answer: Answer, segment_bytes: u64) -> Next {
        // Held to the end of the append: what this replica becomes meanwhile waits for it.
        let writer = self.writer.lock();
        let step = {
            let mut roles = self.replica.lock();
            roles.replica.on_answer(answer, &*self.log)
        };
        let next = match step {
            Step::Nothing => Next::Fetch,
            Step::Wait => Next::FetchLater,
            Step::Append(batches) => self.append_copies(batches, segment_bytes),
            Step::Truncate(to) => Next::Cut(Cut::From(to)),
            Step::Restart(beginning) => Next::Cut(Cut::All(beginning)),
            Step::Halt { to } => {
                tracing::error!(
                    partition = %self.id,
                    to,
                    high_watermark = self.high_watermark(),
                    "the leader would have committed records removed; this copy stops and keeps them"
                );
                Next::Halt
            }
        };
        drop(writer);
        self.advance();
        next
    }

    fn append_copies(&self, batches: Vec<Bytes>, segment_bytes: u64) -> Next {
        let Some(batches) = joined(&batches) else {
            return Next::Fetch;
        };
        match self.log.append_sequenced(batches, segment_bytes) {
            Ok(_) => Next::Fetch,
            Err(error @ (AppendError::StorageFull | AppendError::Failed)) => {
                tracing::warn!(partition = %self.id, %error, "a copy waits");
                Next::FetchLater
            }
            Err(AppendError::Dropped) => Next::Halt,
            Err(error) => {
                tracing::error!(partition = %self.id, %error, "the leader sent what does not fit");
                Next::FetchLater
            }
        }
    }

    /// Cuts the log, if the leader of `term` is still the one to say so. Blocks.
    pub fn cut(&self, cut: Cut, term: i32) -> Result<(), AppendError> {
        let _writer = self.writer.lock();
        let follows = {
            let roles = self.replica.lock();
            roles.replica.follows().is_some() && roles.replica.seen_epoch() == term
        };
        if !follows {
            return Ok(());
        }
        match cut {
            Cut::From(to) => {
                let end = self.log.truncate(to)?;
                tracing::info!(partition = %self.id, to, end, term, "a copy was cut where it parts from its leader's");
            }
            Cut::All(Beginning { starts, epochs }) => {
                self.log
                    .reset_with_history(starts.log, starts.local, &epochs)?;
                tracing::info!(partition = %self.id, ?starts, term, "a copy begins anew");
            }
        }
        Ok(())
    }

    /// Begins the empty log of a partition that was made from the bucket, before anybody leads it. Answers
    /// whether it begins there now: a log with records is somebody's, and stays as it is. Blocks.
    pub fn begin(&self, beginning: &Beginning) -> Result<bool, AppendError> {
        // Held to the end of the reset: no role is taken, and nothing appended, meanwhile.
        let _writer = self.writer.lock();
        {
            let roles = self.replica.lock();
            if roles.replica.leads_in().is_some() || roles.replica.follows().is_some() {
                return Ok(false);
            }
        }
        let Beginning { starts, epochs } = beginning;
        let (local_start, end) = (self.log.local_start(), self.log.next_offset());
        if end > local_start || end > starts.local {
            tracing::error!(
                partition = %self.id,
                local_start,
                end,
                "this disk has a log of a partition that was made anew from the bucket: it is kept, and \
                 the partition waits for a broker with an empty data directory"
            );
            return Ok(false);
        }
        self.log
            .reset_with_history(starts.log, starts.local, epochs)?;
        tracing::info!(partition = %self.id, ?starts, "a partition begins where its objects end");
        Ok(true)
    }

    /// Looks after the in-sync set; answers another row to ask for, and what it is for.
    pub fn review(
        &self,
        now: Duration,
        silent_for: impl Fn(BrokerId) -> Duration,
    ) -> Option<(InSyncChange, Proposal)> {
        let mut roles = self.replica.lock();
        let change = roles.replica.review(now, silent_for, &*self.log)?;
        let mut row = roles.row.as_deref()?.clone();
        row.in_sync.clone_from(&change.in_sync);
        row.partition_epoch = change.partition_epoch + 1;
        let proposal = Proposal {
            id: self.id,
            was: change.partition_epoch,
            row,
            added: change.added.clone(),
        };
        Some((change, proposal))
    }

    /// Whether appends have waited so long for a member of the in-sync set that `is_mute`.
    pub fn is_deserted(
        &self,
        now: Duration,
        patience: Duration,
        is_mute: impl Fn(BrokerId) -> bool,
    ) -> bool {
        let roles = self.replica.lock();
        roles
            .replica
            .is_deserted(now, patience, is_mute, &*self.log)
    }

    /// What became of a change that the last review asked for.
    pub fn on_in_sync(&self, change: &InSyncChange, outcome: InSyncOutcome) {
        let mut writer = self.writer.lock();
        let mut roles = self.replica.lock();
        if let InSyncOutcome::Row(row) = &outcome
            && roles.row.as_ref().is_some_and(|known| {
                known.epoch == row.epoch && known.partition_epoch < row.partition_epoch
            })
        {
            roles.row = Some(Arc::new(row.clone()));
        }
        roles.replica.on_in_sync(change, outcome);
        self.publish_role(&mut writer, &roles);
        drop((roles, writer));
        self.advance();
    }

    /// Whether there is nothing to look after.
    pub fn is_settled(&self) -> bool {
        self.replica.lock().replica.is_settled(&*self.log)
    }

    /// Whether everything that was appended is committed.
    pub fn is_committed(&self) -> bool {
        self.high_watermark() == self.log.next_offset()
    }

    /// Takes no more appends, because another broker is about to lead; or does again.
    pub fn hand_over(&self, handing_over: bool) {
        let mut writer = self.writer.lock();
        writer.handing_over = handing_over;
        let roles = self.replica.lock();
        self.publish_role(&mut writer, &roles);
    }
}

/// Batches as one piece of their own, `None` if there are none: what came over the network is part of
/// a larger message, which would be kept with it.
fn joined(batches: &[Bytes]) -> Option<Bytes> {
    if batches.is_empty() {
        return None;
    }
    let mut joined = BytesMut::with_capacity(batches.iter().map(Bytes::len).sum());
    batches
        .iter()
        .for_each(|batch| joined.extend_from_slice(batch));
    Some(joined.freeze())
}
