//! What is said of leases of shared groups.

use headwater_groups::{
    Cause, DeadLetter, Leased, Leases, Letters, Nack, Offer, Outcome, Reject, Settlement, Token,
    Want, Work,
};

use super::{Unread, all, partition};
use crate::rpc::{calls, proto};

fn token_message(token: Token) -> proto::GroupLease {
    proto::GroupLease {
        topic: calls::topic_bytes(token.partition.topic),
        partition: token.partition.partition,
        offset: token.offset,
        lease: token.lease,
    }
}

pub(super) fn token(message: proto::GroupLease) -> Unread<Token> {
    Some(Token {
        partition: partition(&message.topic, message.partition)?,
        offset: message.offset,
        lease: message.lease,
    })
}

pub(super) fn tokens_message(tokens: Vec<Token>) -> proto::GroupLeases {
    proto::GroupLeases {
        leases: tokens.into_iter().map(token_message).collect(),
    }
}

pub(super) fn offers_message(offers: Vec<Offer>) -> proto::OfferRecords {
    let offers = offers.into_iter().map(|offer| {
        let mut before = 0;
        let offsets = offer.records.iter().map(|(offset, _)| {
            let distance = offset.wrapping_sub(before);
            before = *offset;
            distance
        });
        let offsets = offsets.collect();
        // That a hash is 0 is not told from 1: two keys are kept in one order.
        let keys = offer.records.iter();
        let keys = keys.map(|(_, key)| key.map_or(0, |key| key.max(1)));
        proto::RecordOffer {
            topic: calls::topic_bytes(offer.partition.topic),
            partition: offer.partition.partition,
            log_start: offer.log_start,
            from: offer.from,
            end: offer.end,
            offsets,
            keys: keys.collect(),
        }
    });
    proto::OfferRecords {
        offers: offers.collect(),
    }
}

pub(super) fn offer(message: proto::RecordOffer) -> Unread<Offer> {
    if message.offsets.len() != message.keys.len() {
        return None;
    }
    let mut offset = 0u64;
    let records = message.offsets.iter().zip(message.keys);
    let records = records.map(|(distance, key)| {
        offset = offset.checked_add(*distance)?;
        Some((offset, (key != 0).then_some(key)))
    });
    Some(Offer {
        partition: partition(&message.topic, message.partition)?,
        log_start: message.log_start,
        from: message.from,
        records: records.collect::<Option<_>>()?,
        end: message.end,
    })
}

pub(super) fn settlement_message(settlement: Settlement) -> proto::SettleRecords {
    let word = |token, ms, reason| proto::LeaseWord {
        lease: Some(token_message(token)),
        ms,
        reason,
    };
    let nack = settlement.nack.into_iter();
    let extend = settlement.extend.into_iter();
    let reject = settlement.reject.into_iter();
    proto::SettleRecords {
        ack: settlement.ack.into_iter().map(token_message).collect(),
        nack: nack
            .map(|nack| word(nack.token, nack.delay_ms, nack.reason))
            .collect(),
        extend: extend
            .map(|(token, lease_ms)| word(token, lease_ms, String::new()))
            .collect(),
        reject: reject
            .map(|reject| word(reject.token, 0, reject.reason))
            .collect(),
        release: settlement.release.into_iter().map(token_message).collect(),
    }
}

pub(super) fn settlement(message: proto::SettleRecords) -> Unread<Settlement> {
    Some(Settlement {
        ack: all(message.ack, token)?,
        nack: all(message.nack, |word| {
            Some(Nack {
                token: token(word.lease?)?,
                delay_ms: word.ms,
                reason: word.reason,
            })
        })?,
        extend: all(message.extend, |word| Some((token(word.lease?)?, word.ms)))?,
        reject: all(message.reject, |word| {
            Some(Reject {
                token: token(word.lease?)?,
                reason: word.reason,
            })
        })?,
        release: all(message.release, token)?,
    })
}

pub(super) fn leases_message(leases: Leases) -> proto::RecordsLeased {
    let leased = leases.leased.into_iter().map(|leased| proto::LeasedRecord {
        lease: Some(token_message(leased.token)),
        attempt: leased.attempt,
        deadline_ms: leased.deadline_ms,
    });
    let wants = leases.wants.into_iter().map(|want| proto::RecordWant {
        topic: calls::topic_bytes(want.partition.topic),
        partition: want.partition.partition,
        from: want.from,
        records_max: want.records_max as u64,
    });
    proto::RecordsLeased {
        leased: leased.collect(),
        wants: wants.collect(),
        has_dead_letters: leases.has_dead_letters,
    }
}

pub(super) fn leases(message: proto::RecordsLeased) -> Unread<Leases> {
    Some(Leases {
        leased: all(message.leased, |leased| {
            Some(Leased {
                token: token(leased.lease?)?,
                attempt: leased.attempt,
                deadline_ms: leased.deadline_ms,
            })
        })?,
        wants: all(message.wants, |want| {
            Some(Want {
                partition: partition(&want.topic, want.partition)?,
                from: want.from,
                records_max: calls::bound(want.records_max),
            })
        })?,
        has_dead_letters: message.has_dead_letters,
    })
}

pub(super) fn outcomes_message(outcomes: &[Outcome]) -> proto::RecordsSettled {
    let outcomes = outcomes.iter().map(|outcome| match outcome {
        Outcome::Ok => 1,
        Outcome::Expired => 2,
        Outcome::Unknown => 3,
    });
    proto::RecordsSettled {
        outcomes: outcomes.collect(),
    }
}

pub(super) fn outcome(number: u32) -> Unread<Outcome> {
    match number {
        1 => Some(Outcome::Ok),
        2 => Some(Outcome::Expired),
        3 => Some(Outcome::Unknown),
        _ => None,
    }
}

pub(super) fn letters_message(letters: Vec<DeadLetter>) -> proto::DeadLetters {
    let letters = letters.into_iter().map(|letter| proto::DeadLetter {
        lease: Some(token_message(letter.token)),
        attempts: letter.attempts,
        cause: match letter.cause {
            Cause::Expired => 1,
            Cause::Nacked => 2,
            Cause::Rejected => 3,
        },
        reason: letter.reason.into(),
    });
    proto::DeadLetters {
        letters: letters.collect(),
    }
}

pub(super) fn letter(message: proto::DeadLetter) -> Unread<DeadLetter> {
    Some(DeadLetter {
        token: token(message.lease?)?,
        attempts: message.attempts,
        cause: match message.cause {
            1 => Cause::Expired,
            2 => Cause::Nacked,
            3 => Cause::Rejected,
            _ => return None,
        },
        reason: message.reason.into(),
    })
}

pub(super) fn redriven_message(letters: Vec<Letters>) -> proto::RedrivenLetters {
    let partitions = letters.into_iter().map(|(id, ranges)| proto::LetterRanges {
        topic: calls::topic_bytes(id.topic),
        partition: id.partition,
        bounds: ranges
            .into_iter()
            .flat_map(|range| [range.start, range.end])
            .collect(),
    });
    proto::RedrivenLetters {
        partitions: partitions.collect(),
    }
}

pub(super) fn redriven(message: proto::RedrivenLetters) -> Unread<Vec<Letters>> {
    all(message.partitions, |letters| {
        let ranges = letters.bounds.chunks(2).map(|pair| match pair {
            [start, end] => Some(*start..*end),
            _ => None,
        });
        let id = partition(&letters.topic, letters.partition)?;
        Some((id, ranges.collect::<Option<_>>()?))
    })
}

pub(super) fn work_message(work: Work) -> proto::SharedWork {
    proto::SharedWork {
        leased: work.leased as u64,
        waiting: work.waiting as u64,
        dead: work.dead as u64,
        dropped: work.dropped,
    }
}

pub(super) fn work(message: proto::SharedWork) -> Work {
    Work {
        leased: calls::bound(message.leased),
        waiting: calls::bound(message.waiting),
        dead: calls::bound(message.dead),
        dropped: message.dropped,
    }
}
