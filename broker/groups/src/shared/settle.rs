//! What workers say of their leases, and the end of dead letters.

use headwater_log::PartitionId;

use super::Shared;
use super::draft::{Change, Draft};
use super::progress::State;
use super::step::Step;
use super::types::{Cause, DeadLetter, Outcome, Settlement, Token};
use crate::limits::{DELAY_MS_MAX, LEASE_MS};

/// What a token is worth.
enum Standing {
    /// The group never gave it, or was moved since.
    Unknown,
    /// The record was leased again since.
    Outdated,
    /// The record is settled, whoever did it.
    Settled,
    /// It decides: the last lease of a record that nobody else has.
    Good { attempts: u32 },
    /// Its lease gave the record back.
    Nacked,
    /// The record is dead, by a worker's word or by expiry.
    Dead { by_worker: bool },
}

impl Shared {
    /// Takes what workers say, and tells what came of each token, in the order ack, nack, extend,
    /// reject, release. The first word on a record counts. All of it may be repeated: what is so already is
    /// [`Outcome::Ok`] and changes nothing; only a nack of what was settled meanwhile is
    /// [`Outcome::Expired`], as it cannot be had any more.
    pub(super) fn settle(
        &self,
        now_ms: i64,
        settlement: &Settlement,
    ) -> (Vec<Outcome>, Option<Step>) {
        let mut draft = Draft::default();
        let mut outcomes = Vec::with_capacity(settlement.len());
        for token in &settlement.ack {
            outcomes.push(match self.standing(*token, &draft) {
                Standing::Good { .. } => draft.change(*token, Change::Settle),
                Standing::Settled => Outcome::Ok,
                other => other.refused(),
            });
        }
        for nack in &settlement.nack {
            outcomes.push(match self.standing(nack.token, &draft) {
                Standing::Good { attempts } if attempts >= self.rules.max_attempts => {
                    draft.change(nack.token, self.give_up(Cause::Nacked, &nack.reason))
                }
                Standing::Good { .. } => {
                    let delay_ms = nack.delay_ms.min(DELAY_MS_MAX);
                    draft.change(nack.token, Change::Nack { delay_ms })
                }
                Standing::Nacked | Standing::Dead { by_worker: true } => Outcome::Ok,
                other => other.refused(),
            });
        }
        for (token, lease_ms) in &settlement.extend {
            outcomes.push(match self.standing(*token, &draft) {
                Standing::Good { .. } => {
                    let lease_ms = (*lease_ms).clamp(LEASE_MS.0, LEASE_MS.1);
                    draft.change(*token, Change::Extend { lease_ms })
                }
                other => other.refused(),
            });
        }
        for reject in &settlement.reject {
            outcomes.push(match self.standing(reject.token, &draft) {
                Standing::Good { .. } => {
                    draft.change(reject.token, self.give_up(Cause::Rejected, &reject.reason))
                }
                Standing::Settled | Standing::Dead { by_worker: true } => Outcome::Ok,
                other => other.refused(),
            });
        }
        for token in &settlement.release {
            outcomes.push(match self.standing(*token, &draft) {
                Standing::Good { .. } => draft.change(*token, Change::Release),
                Standing::Nacked => Outcome::Ok,
                other => other.refused(),
            });
        }
        (outcomes, draft.into_step(now_ms, self))
    }

    fn standing(&self, token: Token, draft: &Draft) -> Standing {
        let Some(share) = self.partitions.get(&token.partition) else {
            return Standing::Unknown;
        };
        if token.lease <= share.fence || token.lease > self.epoch {
            return Standing::Unknown;
        }
        let progress = &share.progress;
        let change = draft.get(token.partition, token.offset);
        let is_settled = matches!(change, Some(Change::Settle | Change::Drop))
            || progress.settled_until(token.offset).is_some();
        if is_settled {
            return Standing::Settled;
        }
        let Some(tried) = progress.tried.get(&token.offset) else {
            return Standing::Unknown;
        };
        if tried.lease != token.lease {
            return match token.lease < tried.lease {
                true => Standing::Outdated,
                false => Standing::Unknown,
            };
        }
        match (change, &tried.state) {
            (Some(Change::Nack { .. } | Change::Release), _) => Standing::Nacked,
            (Some(Change::Bury { .. }), _) => Standing::Dead { by_worker: true },
            (_, State::Leased { .. }) => Standing::Good {
                attempts: tried.attempts,
            },
            (_, State::Nacked { .. }) => Standing::Nacked,
            (_, State::Dead { cause, .. }) => Standing::Dead {
                by_worker: *cause != Cause::Expired,
            },
        }
    }

    /// Whether there are some to be written.
    pub(crate) fn has_dead_letters(&self) -> bool {
        !self.dead.is_empty()
    }

    /// The first so many records that are to be written to the dead-letter topic, and then
    /// [confirmed](Shared::dead_lettered); until that they are told again, and their keys wait.
    pub(super) fn dead_letters(&self, count_max: usize) -> Vec<DeadLetter> {
        let letter = |(partition, offset): &(PartitionId, u64)| {
            let tried = self.partitions.get(partition)?.progress.tried.get(offset)?;
            let State::Dead { cause, reason } = &tried.state else {
                return None;
            };
            Some(DeadLetter {
                token: Token {
                    partition: *partition,
                    offset: *offset,
                    lease: tried.lease,
                },
                attempts: tried.attempts,
                cause: *cause,
                reason: reason.clone(),
            })
        };
        let letters = self.dead.iter().filter_map(letter);
        letters.take(count_max).collect()
    }

    /// Settles dead letters that are written. What is no dead letter, or no longer this one, is left
    /// as it is.
    pub(super) fn dead_lettered(&self, written: &[Token]) -> Option<Step> {
        let mut draft = Draft::default();
        for token in written {
            if matches!(self.standing(*token, &draft), Standing::Dead { .. }) {
                draft.set(token.partition, token.offset, Change::Settle);
            }
        }
        draft.into_step(0, self)
    }
}

impl Standing {
    fn refused(self) -> Outcome {
        match self {
            Self::Unknown => Outcome::Unknown,
            _ => Outcome::Expired,
        }
    }
}

impl Draft {
    fn change(&mut self, token: Token, change: Change) -> Outcome {
        self.set(token.partition, token.offset, change);
        Outcome::Ok
    }
}
