//! Calls as messages and back.

use std::time::Duration;

use bytes::Bytes;
use headwater_log::{PartitionId, TopicId};
use headwater_record::Batch;
use tonic::Status;

use super::{FETCH_WAIT_MAX, frames, hello, proto};
use crate::{
    broker::{
        Acks, Fetch, FetchPosition, Fetched, Held, Holdings, PartitionBatch, PartitionState,
        Produced,
    },
    copy_state::CopyState,
    error::{FetchError, ProduceError},
};

pub(super) fn topic_bytes(topic: TopicId) -> Bytes {
    Bytes::copy_from_slice(&topic.0)
}

/// A request that says what is not in this version of the protocol. Nothing was done of it.
pub(super) fn malformed(what: &str) -> Status {
    hello::refusal("malformed", format!("the request is malformed: {what}"))
}

pub(super) fn topic(bytes: &[u8]) -> Result<TopicId, Status> {
    let id = bytes.try_into().map_err(|_| malformed("topic"))?;
    Ok(TopicId(id))
}

pub(super) fn produce_request(
    topic: TopicId,
    batches: Vec<PartitionBatch>,
    acks: Acks,
) -> proto::ProduceRequest {
    let acks = match acks {
        Acks::Quorum => proto::Acks::Quorum,
        Acks::Leader => proto::Acks::Leader,
        Acks::None => proto::Acks::None,
    };
    let batches = batches.into_iter().map(|batch| proto::PartitionBatch {
        partition: batch.partition,
        batch: batch.batch.freeze(),
    });
    proto::ProduceRequest {
        topic: topic_bytes(topic),
        batches: batches.collect(),
        acks: acks.into(),
    }
}

/// The request's batches, checked, and its acks.
pub(super) fn produce(
    request: proto::ProduceRequest,
) -> Result<(TopicId, Vec<PartitionBatch>, Acks), Status> {
    let acks = match request.acks() {
        proto::Acks::Quorum => Acks::Quorum,
        proto::Acks::Leader => Acks::Leader,
        proto::Acks::None => Acks::None,
        proto::Acks::Unspecified => return Err(malformed("acks")),
    };
    let batches = request.batches.into_iter().map(|batch| {
        let checked = Batch::from_bytes(batch.batch).map_err(|_| malformed("a batch"))?;
        Ok(PartitionBatch {
            partition: batch.partition,
            batch: checked,
        })
    });
    let batches = batches.collect::<Result<_, Status>>()?;
    Ok((topic(&request.topic)?, batches, acks))
}

pub(super) fn produce_response(
    answers: Vec<Result<Produced, ProduceError>>,
) -> proto::ProduceResponse {
    let partitions = answers.into_iter().map(|answer| match answer {
        Ok(produced) => proto::PartitionProduced {
            error: proto::ProduceError::None.into(),
            base_offset: produced.base_offset,
            duplicate: produced.duplicate,
            original: produced.original,
        },
        Err(error) => proto::PartitionProduced {
            error: produce_error(&error).into(),
            ..proto::PartitionProduced::default()
        },
    });
    proto::ProduceResponse {
        partitions: partitions.collect(),
    }
}

fn produce_error(error: &ProduceError) -> proto::ProduceError {
    match error {
        ProduceError::UnknownPartition => proto::ProduceError::UnknownPartition,
        ProduceError::NotLeader => proto::ProduceError::NotLeader,
        ProduceError::TooFewInSync => proto::ProduceError::TooFewInSync,
        ProduceError::ProducerReused => proto::ProduceError::ProducerReused,
        ProduceError::StorageFull => proto::ProduceError::StorageFull,
        ProduceError::Overloaded => proto::ProduceError::Overloaded,
        ProduceError::Unreachable => proto::ProduceError::Unreachable,
        ProduceError::Unknown => proto::ProduceError::Unknown,
    }
}

pub(super) fn produced(
    response: proto::ProduceResponse,
) -> impl Iterator<Item = Result<Produced, ProduceError>> {
    response.partitions.into_iter().map(|answer| {
        // An error of a later version: only its own broker knows whether something was written.
        let error = proto::ProduceError::try_from(answer.error);
        match error.unwrap_or(proto::ProduceError::Unknown) {
            proto::ProduceError::None => Ok(Produced {
                base_offset: answer.base_offset,
                duplicate: answer.duplicate,
                original: answer.original,
            }),
            proto::ProduceError::UnknownPartition => Err(ProduceError::UnknownPartition),
            proto::ProduceError::NotLeader => Err(ProduceError::NotLeader),
            proto::ProduceError::TooFewInSync => Err(ProduceError::TooFewInSync),
            proto::ProduceError::ProducerReused => Err(ProduceError::ProducerReused),
            proto::ProduceError::StorageFull => Err(ProduceError::StorageFull),
            proto::ProduceError::Overloaded => Err(ProduceError::Overloaded),
            proto::ProduceError::Unreachable => Err(ProduceError::Unreachable),
            proto::ProduceError::Unknown => Err(ProduceError::Unknown),
        }
    })
}

pub(super) fn fetch_request(fetch: Fetch) -> proto::FetchRequest {
    let positions = fetch.positions.iter().map(|position| proto::FetchPosition {
        partition: position.partition,
        offset: position.offset,
        records_max: position.records_max as u64,
        bytes_max: position.bytes_max as u64,
    });
    proto::FetchRequest {
        topic: topic_bytes(fetch.topic),
        positions: positions.collect(),
        bytes_max: fetch.bytes_max as u64,
        wait_ms: fetch.wait.min(FETCH_WAIT_MAX).as_millis() as u32,
    }
}

pub(super) fn fetch(request: proto::FetchRequest) -> Result<Fetch, Status> {
    let positions = request.positions.iter().map(|position| FetchPosition {
        partition: position.partition,
        offset: position.offset,
        records_max: bound(position.records_max),
        bytes_max: bound(position.bytes_max),
    });
    Ok(Fetch {
        topic: topic(&request.topic)?,
        positions: positions.collect(),
        bytes_max: bound(request.bytes_max),
        wait: Duration::from_millis(request.wait_ms.into()).min(FETCH_WAIT_MAX),
    })
}

pub(super) fn bound(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

pub(super) fn fetch_response(answers: Vec<Result<Fetched, FetchError>>) -> proto::FetchResponse {
    let partitions = answers.into_iter().map(|answer| match answer {
        Ok(fetched) => proto::PartitionFetched {
            error: None,
            batches: fetched.batches,
            log_start: fetched.log_start,
            high_watermark: fetched.high_watermark,
        },
        Err(error) => proto::PartitionFetched {
            error: Some(fetch_error(error)),
            ..proto::PartitionFetched::default()
        },
    });
    proto::FetchResponse {
        partitions: partitions.collect(),
    }
}

pub(super) fn fetched(answer: proto::PartitionFetched) -> Result<Fetched, FetchError> {
    read(answer.error)?;
    Ok(Fetched {
        batches: answer.batches,
        log_start: answer.log_start,
        high_watermark: answer.high_watermark,
    })
}

pub(super) fn states_response(
    answers: Vec<Result<PartitionState, FetchError>>,
) -> proto::PartitionStatesResponse {
    let partitions = answers.into_iter().map(|answer| match answer {
        Ok(state) => proto::PartitionState {
            error: None,
            log_start: state.log_start,
            high_watermark: state.high_watermark,
            hot_bytes: state.hot_bytes,
            cold_bytes: state.cold_bytes,
            hot_start: state.hot_start,
            cold_start: state.cold_start,
            backlog_bytes: state.backlog_bytes,
        },
        Err(error) => proto::PartitionState {
            error: Some(fetch_error(error)),
            ..proto::PartitionState::default()
        },
    });
    proto::PartitionStatesResponse {
        partitions: partitions.collect(),
    }
}

pub(super) fn state(answer: proto::PartitionState) -> Result<PartitionState, FetchError> {
    read(answer.error)?;
    Ok(PartitionState {
        log_start: answer.log_start,
        high_watermark: answer.high_watermark,
        hot_bytes: answer.hot_bytes,
        cold_bytes: answer.cold_bytes,
        hot_start: answer.hot_start,
        cold_start: answer.cold_start,
        backlog_bytes: answer.backlog_bytes,
    })
}

pub(super) fn confirm_response(answers: Vec<Result<(), FetchError>>) -> proto::ConfirmResponse {
    let partitions = answers.into_iter().map(|answer| proto::PartitionConfirmed {
        error: answer.err().map(fetch_error),
    });
    proto::ConfirmResponse {
        partitions: partitions.collect(),
    }
}

pub(super) fn confirmed(answer: proto::PartitionConfirmed) -> Result<(), FetchError> {
    read(answer.error)
}

pub(super) fn holdings_response(holdings: Holdings) -> proto::HoldingsResponse {
    let led = holdings.led.into_iter().map(|held| proto::Held {
        topic: topic_bytes(held.id.topic),
        partition: held.id.partition,
        bytes: held.bytes,
        high_watermark: held.high_watermark,
        copied: held.copied,
    });
    proto::HoldingsResponse {
        bytes: holdings.bytes,
        led: led.collect(),
    }
}

pub(super) fn holdings(response: proto::HoldingsResponse) -> Result<Holdings, FetchError> {
    let led = response.led.into_iter().map(|held| {
        let topic = topic(&held.topic).map_err(|bad| bad.message().to_owned());
        Ok(Held {
            id: PartitionId {
                topic: topic.map_err(FetchError::Unavailable)?,
                partition: held.partition,
            },
            bytes: held.bytes,
            high_watermark: held.high_watermark,
            copied: held.copied,
        })
    });
    Ok(Holdings {
        bytes: response.bytes,
        led: led.collect::<Result<_, FetchError>>()?,
    })
}

pub(super) fn copy_response(answer: Result<CopyState, FetchError>) -> proto::CopyResponse {
    match answer {
        Ok(copy) => proto::CopyResponse {
            error: None,
            log_start: copy.log_start,
            end: copy.end,
            epochs: frames::epoch_starts(copy.epochs),
        },
        Err(error) => proto::CopyResponse {
            error: Some(fetch_error(error)),
            ..proto::CopyResponse::default()
        },
    }
}

pub(super) fn copy(answer: proto::CopyResponse) -> Result<CopyState, FetchError> {
    read(answer.error)?;
    Ok(CopyState {
        log_start: answer.log_start,
        end: answer.end,
        epochs: frames::epochs(&answer.epochs),
    })
}

pub(super) fn offset_response(answer: Result<u64, FetchError>) -> proto::OffsetResponse {
    match answer {
        Ok(offset) => proto::OffsetResponse {
            error: None,
            offset,
        },
        Err(error) => proto::OffsetResponse {
            error: Some(fetch_error(error)),
            offset: 0,
        },
    }
}

pub(super) fn offset(answer: proto::OffsetResponse) -> Result<u64, FetchError> {
    read(answer.error)?;
    Ok(answer.offset)
}

pub(super) fn key_response(answer: Result<Option<u64>, FetchError>) -> proto::FindKeyResponse {
    match answer {
        Ok(offset) => proto::FindKeyResponse {
            error: None,
            offset,
        },
        Err(error) => proto::FindKeyResponse {
            error: Some(fetch_error(error)),
            offset: None,
        },
    }
}

pub(super) fn key(answer: proto::FindKeyResponse) -> Result<Option<u64>, FetchError> {
    read(answer.error)?;
    Ok(answer.offset)
}

fn fetch_error(error: FetchError) -> proto::FetchError {
    use proto::FetchErrorKind as Kind;
    let of = |kind: Kind, why: String| proto::FetchError {
        kind: kind.into(),
        why,
        ..proto::FetchError::default()
    };
    match error {
        FetchError::UnknownPartition => of(Kind::UnknownPartition, String::new()),
        FetchError::NotLeader => of(Kind::NotLeader, String::new()),
        FetchError::OutOfRange {
            log_start,
            high_watermark,
        } => proto::FetchError {
            log_start,
            high_watermark,
            ..of(Kind::OutOfRange, String::new())
        },
        FetchError::Corrupt { from, to } => proto::FetchError {
            from,
            to,
            ..of(Kind::Corrupt, String::new())
        },
        FetchError::Unavailable(why) => of(Kind::Unavailable, why),
        FetchError::Unreachable(why) => of(Kind::Unreachable, why),
        FetchError::NotConfirmed => of(Kind::NotConfirmed, String::new()),
    }
}

fn read(error: Option<proto::FetchError>) -> Result<(), FetchError> {
    use proto::FetchErrorKind as Kind;
    let Some(error) = error else {
        return Ok(());
    };
    Err(match error.kind() {
        Kind::Unavailable => FetchError::Unavailable(error.why),
        Kind::UnknownPartition => FetchError::UnknownPartition,
        Kind::NotLeader => FetchError::NotLeader,
        Kind::OutOfRange => FetchError::OutOfRange {
            log_start: error.log_start,
            high_watermark: error.high_watermark,
        },
        Kind::Corrupt => FetchError::Corrupt {
            from: error.from,
            to: error.to,
        },
        Kind::Unreachable => FetchError::Unreachable(error.why),
        Kind::NotConfirmed => FetchError::NotConfirmed,
    })
}
