//! What a poll reads: the partitions of several topics, which take turns.

use std::{collections::BTreeMap, sync::Arc};

use headwater_groups::{Mark, Owned, PartitionId};

use super::{Gateway, GroupGap, Lag, cursor::Reached};
use crate::{
    auth::Access,
    gateway::{
        FetchPage, Gap, ReadLimits,
        fetch::{Damaged, Reading, rotation},
    },
    limits::GROUP_AGES_AT_ONCE,
    metadata::Topic,
    problem::Problem,
    quota::Resource,
};

/// What a member reads of one topic.
pub(super) struct Share {
    pub(super) topic: Arc<Topic>,
    /// In the order in which partitions have their turns.
    pub(super) readings: Vec<Reading>,
    /// In the same order.
    places: Vec<Place>,
    /// What was read of it, as it is counted: records, and bytes of their keys, values and headers.
    records: usize,
    payload_bytes: usize,
    /// What was missing.
    gaps: Vec<Gap>,
}

/// A partition that is read.
struct Place {
    stint: u64,
    committed: Option<u64>,
    /// Where this poll begins.
    start: u64,
    /// The ends that were seen last, log start and high watermark.
    ends: Option<(u64, u64)>,
}

/// Whether both are readings of the same partitions in the same stints from the same offsets.
pub(super) fn is_same(guessed: &[Share], shares: &[Share]) -> bool {
    let starts = |shares: &[Share]| {
        let starts = shares.iter().flat_map(|share| {
            let topic = share.topic.id;
            let places = share.places.iter().zip(&share.readings);
            places.map(move |(place, reading)| (topic, reading.partition, place.stint, place.start))
        });
        starts.collect::<Vec<_>>()
    };
    starts(guessed) == starts(shares)
}

impl Gateway {
    /// What is to be read of each topic, which takes turns in being first, as its partitions do.
    /// Topics that are deleted, or not heard of here yet, are not read.
    pub(super) fn shares(&self, access: &Access, owned: &[Owned], after: &[Reached]) -> Vec<Share> {
        let after: BTreeMap<_, _> = after
            .iter()
            .map(|Reached { mark, .. }| ((mark.partition, mark.stint), mark.next_offset))
            .collect();
        let mut shares = Vec::new();
        for of_topic in owned.chunk_by(|a, b| a.partition.topic == b.partition.topic) {
            let Some(topic) = self.topic_read(access, of_topic[0].partition.topic) else {
                continue;
            };
            let mut share = Share {
                topic,
                readings: Vec::with_capacity(of_topic.len()),
                places: Vec::with_capacity(of_topic.len()),
                records: 0,
                payload_bytes: 0,
                gaps: Vec::new(),
            };
            for owned in of_topic {
                let after = after.get(&(owned.partition, owned.stint)).copied();
                let start = after.max(owned.committed).unwrap_or(0);
                let partition = owned.partition.partition;
                share.readings.push(Reading::at(partition, start));
                share.places.push(Place {
                    stint: owned.stint,
                    committed: owned.committed,
                    start,
                    ends: None,
                });
            }
            let starts = share.places.iter().map(|place| place.start);
            let first = rotation(starts, of_topic.len() as u32) as usize;
            share.readings.rotate_left(first);
            share.places.rotate_left(first);
            shares.push(share);
        }
        let places = shares.iter().flat_map(|share| &share.places);
        let first = rotation(places.map(|place| place.start), shares.len() as u32);
        shares.rotate_left(first as usize);
        shares
    }

    /// Reads a fair part of each topic, then what room is left. A topic that cannot be read hides no
    /// other.
    pub(super) async fn read_shares(
        &self,
        shares: &mut [Share],
        limits: &ReadLimits,
    ) -> Result<FetchPage, Problem> {
        let mut page = self.begin_page(limits).await?;
        let mut failure = None;
        let count = shares.len();
        for fair in [true, false] {
            if fair && count < 2 {
                continue;
            }
            for share in shares.iter_mut().filter(|share| share.has_more()) {
                let limits = match fair {
                    true => page.plus_part(limits, count),
                    false => *limits,
                };
                if page.is_full(&limits) {
                    continue;
                }
                let (records, payload_bytes) = (page.record_count, page.payload_bytes);
                let read = self.read_share(&mut page, share, &limits).await;
                if let Err((problem, _)) = read
                    && self.catalog.topic_of(share.topic.id).is_some()
                {
                    failure.get_or_insert(problem);
                }
                share.records += page.record_count - records;
                share.payload_bytes += page.payload_bytes - payload_bytes;
                share.gaps.append(&mut page.gaps);
            }
        }
        page.finish(limits);
        match failure {
            Some(problem) if page.record_count == 0 => Err(problem),
            _ => Ok(page),
        }
    }

    async fn read_share(
        &self,
        page: &mut FetchPage,
        share: &mut Share,
        limits: &ReadLimits,
    ) -> Result<(), Damaged> {
        let readings = &mut share.readings;
        let parts = self.fill_page(page, &share.topic, readings, limits);
        for (place, part) in share.places.iter_mut().zip(parts.await?) {
            place.ends = Some((part.log_start, part.high_watermark));
        }
        Ok(())
    }

    /// Counts what is sent, as usage and against quotas.
    pub(super) fn count_read(&self, access: &Access, shares: &[Share], page: &FetchPage) {
        for share in shares {
            share.topic.meter.sent(share.records, share.payload_bytes);
        }
        let layers = access.layers();
        layers.charge(Resource::EgressBytesPerSecond, page.payload_bytes as u64);
    }

    /// How far behind the member is: what was read says it, but for a few looks at records that were not.
    pub(super) async fn lag(&self, shares: &[Share]) -> Lag {
        let mut lag = Lag::default();
        for share in shares {
            let mut unknown = Vec::new();
            for (place, reading) in share.places.iter().zip(&share.readings) {
                let Some((log_start, high_watermark)) = place.ends else {
                    continue;
                };
                let from = place.committed.unwrap_or(0).max(log_start);
                let behind = high_watermark.saturating_sub(from);
                lag.records += behind;
                match reading.first_timestamp_ms {
                    Some(first_ms) if place.start <= from => {
                        lag.ms = lag.ms.max(self.age_ms(first_ms));
                    }
                    _ if behind > 0 => unknown.push((reading.partition, from)),
                    _ => {}
                }
            }
            unknown.truncate(GROUP_AGES_AT_ONCE);
            let ages = self.ages(&share.topic, &unknown).await;
            lag.ms = ages.into_values().fold(lag.ms, u64::max);
        }
        lag
    }
}

impl Share {
    /// Whether there is more than was read, or nothing was yet.
    fn has_more(&self) -> bool {
        let mut places = self.places.iter().zip(&self.readings);
        places.any(|(place, reading)| place.ends.is_none_or(|(_, end)| reading.offset < end))
    }

    /// Takes up what was read of the [same](is_same) share while it was a guess: what is committed of it
    /// is not what was guessed where both say to begin at the oldest record.
    pub(super) fn take_up(&mut self, guessed: Self) {
        for (place, guessed) in self.places.iter_mut().zip(guessed.places) {
            place.ends = guessed.ends;
        }
        self.readings = guessed.readings;
        self.records = guessed.records;
        self.payload_bytes = guessed.payload_bytes;
        self.gaps = guessed.gaps;
    }

    /// What was missing, as clients are told. Where nothing was committed nothing was promised: the
    /// group begins at the oldest record.
    pub(super) fn gaps(&self) -> impl Iterator<Item = GroupGap> {
        let begins = |gap: &&Gap| {
            let mut places = self.places.iter().zip(&self.readings);
            places.any(|(place, reading)| {
                reading.partition == gap.partition && place.start == 0 && place.committed.is_none()
            })
        };
        let gaps = self.gaps.iter().filter(move |gap| !begins(gap));
        gaps.map(|gap| GroupGap {
            topic: self.topic.name.clone(),
            partition: gap.partition,
            from: gap.from,
            to: gap.to,
            reason: gap.reason,
        })
    }

    /// Where each partition goes on behind this poll.
    pub(super) fn reached(&self) -> impl Iterator<Item = Reached> {
        let places = self.places.iter().zip(&self.readings);
        places.map(|(place, reading)| Reached {
            mark: Mark {
                partition: PartitionId {
                    topic: self.topic.id,
                    partition: reading.partition,
                },
                stint: place.stint,
                next_offset: reading.offset,
            },
            is_ahead: reading.offset > place.committed.unwrap_or(0),
        })
    }
}
