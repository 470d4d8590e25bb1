//! Telling a shared group's coordinator which records there are.

use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesUnordered};
use headwater_broker::{FetchError, FetchPosition, Fetched};
use headwater_groups::limits::OFFER_RECORDS_MAX;
use headwater_groups::{Action, GroupId, Offer, Want};
use headwater_record::{BatchView, DecodeError};

use super::Gateway;
use crate::{
    auth::Access, gateway::fetch::INFLATED_BYTES_MAX, limits::OFFER_BYTES, metadata::Topic,
    problem::Problem,
};

/// A partition gets at least so many of the bytes that are read.
const SHARE_BYTES_MIN: usize = 64 << 10;

impl Gateway {
    /// Offers what the coordinator wants to know, as soon as there is something of it. That it cannot be
    /// read, or told, is for the next call to find out: it asks for the same again.
    pub(super) async fn offer_wanted(
        &self,
        access: &Access,
        id: &GroupId,
        wants: &[Want],
        wait: Duration,
    ) {
        if wants.is_empty() {
            return;
        }
        if !wait.is_zero() {
            self.wait_for_wanted(access, wants, wait).await;
        }
        if let Err(problem) = self.try_offer(access, id, wants).await {
            tracing::debug!(group = id.name, why = problem.detail, "nothing is offered");
        }
    }

    async fn wait_for_wanted(&self, access: &Access, wants: &[Want], wait: Duration) {
        let waits = by_topic(wants).filter_map(|wants| {
            let topic = self.topic_read(access, wants[0].partition.topic)?;
            Some(async move {
                let positions = positions(wants);
                self.wait_for_records(&topic, &positions, wait).await
            })
        });
        let mut waits: FuturesUnordered<_> = waits.collect();
        if waits.is_empty() {
            tokio::time::sleep(wait).await;
        }
        while let Some(news) = waits.next().await {
            if news {
                return;
            }
        }
    }

    async fn try_offer(
        &self,
        access: &Access,
        id: &GroupId,
        wants: &[Want],
    ) -> Result<(), Problem> {
        let mut offers = Vec::new();
        for wants in by_topic(wants) {
            let Some(topic) = self.topic_read(access, wants[0].partition.topic) else {
                continue;
            };
            offers.extend(self.offers_of(&topic, wants).await?);
        }
        let mut call = Vec::new();
        let mut records = 0;
        for offer in offers {
            if records + offer.records.len() > OFFER_RECORDS_MAX {
                let full = std::mem::take(&mut call);
                self.ask_coordinator(id, Action::Offer(full)).await?;
                records = 0;
            }
            records += offer.records.len();
            call.push(offer);
        }
        if !call.is_empty() {
            self.ask_coordinator(id, Action::Offer(call)).await?;
        }
        Ok(())
    }

    async fn offers_of(&self, topic: &Topic, wants: &[Want]) -> Result<Vec<Offer>, Problem> {
        let _held = self.pages.take(OFFER_BYTES).await?;
        let positions = positions(wants);
        let fetched = self.fetch_positions(topic, &positions, OFFER_BYTES).await;
        let offers = fetched.into_iter().zip(wants).filter_map(|(fetched, want)| {
            let read = match fetched {
                Ok(fetched) => offer(want, &fetched),
                Err(FetchError::OutOfRange { log_start, .. }) if want.from < log_start => {
                    Ok(trimmed(want, log_start))
                }
                // Damaged records stop their partition: they are not passed over without a word.
                Err(error) => {
                    tracing::warn!(partition = %want.partition, %error, "nothing is leased of it");
                    return None;
                }
            };
            match read {
                Ok(offer) => Some(offer),
                Err(error) => {
                    tracing::warn!(partition = %want.partition, %error, "nothing is leased of it");
                    None
                }
            }
        });
        Ok(offers.collect())
    }
}

fn by_topic(wants: &[Want]) -> impl Iterator<Item = &[Want]> {
    wants.chunk_by(|a, b| a.partition.topic == b.partition.topic)
}

fn positions(wants: &[Want]) -> Vec<FetchPosition> {
    let share = (OFFER_BYTES / wants.len().max(1)).max(SHARE_BYTES_MIN);
    let position = |want: &Want| FetchPosition {
        partition: want.partition.partition,
        offset: want.from,
        records_max: want.records_max,
        bytes_max: share,
    };
    wants.iter().map(position).collect()
}

/// All below is gone.
fn trimmed(want: &Want, log_start: u64) -> Offer {
    Offer {
        partition: want.partition,
        log_start,
        from: want.from,
        records: Vec::new(),
        end: log_start,
    }
}

fn offer(want: &Want, fetched: &Fetched) -> Result<Offer, DecodeError> {
    let mut records = Vec::new();
    let mut end = want.from;
    let mut scratch = Vec::new();
    for batch in &fetched.batches {
        let (view, _) = BatchView::parse(batch)?;
        for record in view.records(&mut scratch, INFLATED_BYTES_MAX)? {
            let record = record?;
            if record.offset < want.from {
                continue;
            }
            if records.len() == want.records_max {
                return Ok(Offer {
                    end,
                    ..told(want, fetched, records)
                });
            }
            records.push((record.offset, record.key.map(key_hash)));
            end = record.offset + 1;
        }
        end = end.max(view.next_offset());
        scratch.clear();
    }
    Ok(Offer {
        end,
        ..told(want, fetched, records)
    })
}

fn told(want: &Want, fetched: &Fetched, records: Vec<(u64, Option<u64>)>) -> Offer {
    Offer {
        partition: want.partition,
        log_start: fetched.log_start,
        from: want.from,
        records,
        end: want.from,
    }
}

/// FNV-1a of 64 bits: the same in every version, as gateways of two versions may offer to one group.
fn key_hash(key: &[u8]) -> u64 {
    key.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
