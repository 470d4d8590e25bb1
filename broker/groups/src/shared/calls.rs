//! What workers and gateways ask.

use super::Shared;
use super::step::Step;
use super::types::{Leases, Offer, Settlement};
use crate::call::{Action, Reply};
use crate::config::check_lease;
use crate::error::GroupError;
use crate::group::Surroundings;
use crate::limits::{CALL_RECORDS_MAX, OFFER_RECORDS_MAX};

/// The steps of a call, and its answer.
pub(crate) type Attempt = Result<(Vec<Step>, Reply), GroupError>;

impl Shared {
    pub(crate) fn handle(&mut self, around: &Surroundings, action: Action) -> Attempt {
        match action {
            Action::Lease {
                records_max,
                lease_ms,
            } => self.ask_lease(around, records_max, lease_ms),
            Action::Offer(offers) => self.take_offers(around.now_ms, &offers),
            Action::Settle(settlement) => self.ask_settle(around.now_ms, &settlement),
            Action::DeadLetters { max } => {
                let letters = self.dead_letters(max.min(CALL_RECORDS_MAX));
                Ok((Vec::new(), Reply::DeadLetters(letters)))
            }
            Action::DeadLettered(written) => {
                let step = self.dead_lettered(&written);
                Ok((step.into_iter().collect(), Reply::DeadLettered))
            }
            Action::Redrives => Ok((Vec::new(), Reply::Redrives(self.redriven.letters()))),
            Action::Redriven(letters) => {
                let step = self.redriven.noting(&letters, self.rules.dead_letters)?;
                Ok((step.into_iter().collect(), Reply::Redriven))
            }
            _ => Err(GroupError::OtherKind),
        }
    }

    /// Leases what there is, after what became of the topics.
    fn ask_lease(
        &mut self,
        around: &Surroundings,
        records_max: usize,
        lease_ms: Option<u32>,
    ) -> Attempt {
        let lease_ms = lease_ms.unwrap_or(around.config.lease_ms);
        check_lease(lease_ms)?;
        let mut steps = self.sync(around);
        let (leased, step) = self.lease(around.now_ms, records_max, lease_ms);
        steps.extend(step);
        let leases = Leases {
            leased,
            wants: self.wants(around.now_ms),
            has_dead_letters: self.has_dead_letters(),
        };
        Ok((steps, Reply::Leased(leases)))
    }

    fn take_offers(&mut self, now_ms: i64, offers: &[Offer]) -> Attempt {
        let records: usize = offers.iter().map(|offer| offer.records.len()).sum();
        if records > OFFER_RECORDS_MAX {
            return Err(GroupError::invalid("offers", "are of too many records"));
        }
        let steps = offers.iter().filter_map(|offer| self.offer(now_ms, offer));
        Ok((steps.collect(), Reply::Offered))
    }

    fn ask_settle(&self, now_ms: i64, settlement: &Settlement) -> Attempt {
        if settlement.len() > CALL_RECORDS_MAX {
            return Err(GroupError::invalid("leases", "must be at most 1000"));
        }
        let (outcomes, step) = self.settle(now_ms, settlement);
        Ok((step.into_iter().collect(), Reply::Settled(outcomes)))
    }
}
