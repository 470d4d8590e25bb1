//! Events as bytes: a tag, then fields. Numbers are LEB128, offsets of a list relative to the one
//! before, so that settling a thousand neighbours takes a few dozen bytes.

use std::ops::Range;

use super::event::{Changes, Event, Piece};
use super::progress::{State, Tried};
use super::{Cause, Partition, SharedEvent, WINDOW_RECORDS_MAX};

/// Bytes that are no event of this version.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct DecodeError;

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not an event of a shared group")
    }
}

impl std::error::Error for DecodeError {}

const MOVED: u8 = 1;
const LEASED: u8 = 2;
const CHANGED: u8 = 3;
const COUNTS: u8 = 4;
const STATE: u8 = 5;

impl SharedEvent {
    /// The event as bytes, for the log.
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Writer::default();
        match &self.0 {
            Event::Moved(positions) => {
                to.u8(MOVED);
                to.list(positions, |to, (partition, position)| {
                    to.partition(*partition);
                    // 0 is for those that leave; no offset is as high as the one that would overflow.
                    to.number(position.map_or(0, |offset| offset.saturating_add(1)));
                });
            }
            Event::Leased {
                lease,
                at_ms,
                lease_ms,
                runs,
            } => {
                to.u8(LEASED);
                to.number(*lease);
                to.time(*at_ms);
                to.number((*lease_ms).into());
                to.list(runs, |to, (partition, ranges)| {
                    to.partition(*partition);
                    to.ranges(ranges);
                });
            }
            Event::Changed {
                at_ms,
                dropped,
                partitions,
            } => {
                to.u8(CHANGED);
                to.time(*at_ms);
                to.number(*dropped);
                to.list(partitions, |to, (partition, changes)| {
                    to.partition(*partition);
                    to.ranges(&changes.settled);
                    to.offsets(&changes.nacked);
                    to.offsets(&changes.extended);
                    to.list(&changes.dead, |to, (offset, cause, reason)| {
                        to.number(*offset);
                        to.death(*cause, reason);
                    });
                });
            }
            Event::Counts {
                next_lease,
                dropped,
            } => {
                to.u8(COUNTS);
                to.number(*next_lease);
                to.number(*dropped);
            }
            Event::State(piece) => {
                to.u8(STATE);
                to.partition(piece.partition);
                to.number(piece.floor);
                to.ranges(&piece.settled);
                to.list(&piece.tried, |to, (offset, tried)| {
                    to.number(*offset);
                    to.tried(tried);
                });
            }
        }
        to.0
    }

    /// What [`SharedEvent::encode`] wrote.
    ///
    /// # Errors
    /// [`DecodeError`]; never a panic, whatever the bytes are.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Reader(bytes);
        let event = from.event().filter(|_| from.0.is_empty());
        event.map(Self).ok_or(DecodeError)
    }
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.u8(value as u8);
    }

    fn time(&mut self, time_ms: i64) {
        self.number(time_ms.cast_unsigned());
    }

    fn partition(&mut self, partition: Partition) {
        self.0.extend_from_slice(&partition.topic);
        self.number(partition.number.into());
    }

    fn list<T>(&mut self, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.number(items.len() as u64);
        items.iter().for_each(|item| write(self, item));
    }

    fn ranges(&mut self, ranges: &[Range<u64>]) {
        let mut end = 0;
        self.number(ranges.len() as u64);
        for range in ranges {
            self.number(range.start - end);
            self.number(range.end - range.start);
            end = range.end;
        }
    }

    fn offsets(&mut self, items: &[(u64, u32)]) {
        let mut before = 0;
        self.number(items.len() as u64);
        for (offset, value) in items {
            self.number(offset - before);
            self.number((*value).into());
            before = *offset;
        }
    }

    fn death(&mut self, cause: Cause, reason: &str) {
        self.u8(match cause {
            Cause::Expired => 0,
            Cause::Nacked => 1,
            Cause::Rejected => 2,
        });
        self.number(reason.len() as u64);
        self.0.extend_from_slice(reason.as_bytes());
    }

    fn tried(&mut self, tried: &Tried) {
        self.number(tried.lease);
        self.number(tried.attempts.into());
        match &tried.state {
            State::Leased { lease_ms } => {
                self.u8(0);
                self.number((*lease_ms).into());
            }
            State::Nacked { until_ms } => {
                self.u8(1);
                self.time(*until_ms);
            }
            State::Dead { cause, reason } => {
                self.u8(2);
                self.death(*cause, reason);
            }
        }
    }
}

/// Takes fields off a buffer; `None` when it does not hold them.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn event(&mut self) -> Option<Event> {
        Some(match self.u8()? {
            MOVED => Event::Moved(self.list(|from| {
                let (partition, position) = (from.partition()?, from.number()?);
                Some((partition, position.checked_sub(1)))
            })?),
            LEASED => Event::Leased {
                lease: self.number()?,
                at_ms: self.time()?,
                lease_ms: self.u32()?,
                runs: self.list(|from| Some((from.partition()?, from.leased()?)))?,
            },
            CHANGED => Event::Changed {
                at_ms: self.time()?,
                dropped: self.number()?,
                partitions: self.list(|from| Some((from.partition()?, from.changes()?)))?,
            },
            COUNTS => Event::Counts {
                next_lease: self.number()?,
                dropped: self.number()?,
            },
            STATE => Event::State(Piece {
                partition: self.partition()?,
                floor: self.number()?,
                settled: self.ranges()?,
                tried: self.list(|from| Some((from.number()?, from.tried()?)))?,
            }),
            _ => return None,
        })
    }

    fn changes(&mut self) -> Option<Changes> {
        Some(Changes {
            settled: self.ranges()?,
            nacked: self.offsets()?,
            extended: self.offsets()?,
            dead: self.list(|from| {
                let (offset, (cause, reason)) = (from.number()?, from.death()?);
                Some((offset, cause, reason))
            })?,
        })
    }

    fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if (bits << shift) >> shift != bits {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn u32(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    fn time(&mut self) -> Option<i64> {
        Some(self.number()?.cast_signed())
    }

    fn bytes(&mut self, count: u64) -> Option<&[u8]> {
        let (bytes, rest) = self.0.split_at_checked(count.try_into().ok()?)?;
        self.0 = rest;
        Some(bytes)
    }

    fn partition(&mut self) -> Option<Partition> {
        let (topic, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        let (topic, number) = (*topic, self.u32()?);
        Some(Partition { topic, number })
    }

    /// Nothing is reserved for a count: each item has to be there.
    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.number()?;
        (0..count).map(|_| read(self)).collect()
    }

    fn ranges(&mut self) -> Option<Vec<Range<u64>>> {
        let mut before = 0u64;
        self.list(|from| {
            let start = before.checked_add(from.number()?)?;
            before = start.checked_add(from.number()?)?;
            Some(start..before)
        })
    }

    /// Each offset of these becomes something in memory.
    fn leased(&mut self) -> Option<Vec<Range<u64>>> {
        let ranges = self.ranges()?;
        let count: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        (count <= WINDOW_RECORDS_MAX as u64).then_some(ranges)
    }

    fn offsets(&mut self) -> Option<Vec<(u64, u32)>> {
        let mut offset = 0u64;
        self.list(|from| {
            offset = offset.checked_add(from.number()?)?;
            Some((offset, from.u32()?))
        })
    }

    fn death(&mut self) -> Option<(Cause, Box<str>)> {
        let cause = match self.u8()? {
            0 => Cause::Expired,
            1 => Cause::Nacked,
            2 => Cause::Rejected,
            _ => return None,
        };
        let len = self.number()?;
        let reason = std::str::from_utf8(self.bytes(len)?).ok()?;
        Some((cause, reason.into()))
    }

    fn tried(&mut self) -> Option<Tried> {
        Some(Tried {
            lease: self.number()?,
            attempts: self.u32()?,
            state: match self.u8()? {
                0 => State::Leased {
                    lease_ms: self.u32()?,
                },
                1 => State::Nacked {
                    until_ms: self.time()?,
                },
                2 => {
                    let (cause, reason) = self.death()?;
                    State::Dead { cause, reason }
                }
                _ => return None,
            },
            due_ms: None,
        })
    }
}
