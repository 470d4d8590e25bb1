//! A session's messages as frames and back.

use bytes::Bytes;
use headwater_log::{PartitionId, TopicId};

use super::{calls::topic_bytes, proto, sessions::Malformed};
use crate::{
    replica::{Answer, AnswerBody, Beginning, FollowerFetch, Progress, Refusal, Starts, Watermark},
    session::{FollowerMessage, LeaderMessage},
};

fn partition_id(topic: &Bytes, partition: u32) -> Result<PartitionId, Malformed> {
    let topic = TopicId(topic.as_ref().try_into().map_err(|_| Malformed)?);
    Ok(PartitionId { topic, partition })
}

impl From<FollowerMessage> for proto::FollowerFrame {
    fn from(message: FollowerMessage) -> Self {
        let fetches = message.fetches.into_iter();
        let progress = message.progress.into_iter();
        Self {
            hello: None,
            fetches: fetches
                .map(|(id, fetch)| proto::ReplicaFetch {
                    topic: topic_bytes(id.topic),
                    partition: id.partition,
                    epoch: fetch.epoch,
                    request: fetch.request,
                    offset: fetch.offset,
                    last_epoch: fetch.last_epoch,
                    durable: fetch.durable,
                })
                .collect(),
            progress: progress
                .map(|(id, progress)| proto::ReplicaProgress {
                    topic: topic_bytes(id.topic),
                    partition: id.partition,
                    epoch: progress.epoch,
                    durable: progress.durable,
                    confirms: progress.confirms,
                })
                .collect(),
        }
    }
}

impl TryFrom<proto::FollowerFrame> for FollowerMessage {
    type Error = Malformed;

    fn try_from(frame: proto::FollowerFrame) -> Result<Self, Malformed> {
        let fetches = frame.fetches.into_iter().map(|fetch| {
            let id = partition_id(&fetch.topic, fetch.partition)?;
            let fetch = FollowerFetch {
                epoch: fetch.epoch,
                request: fetch.request,
                offset: fetch.offset,
                last_epoch: fetch.last_epoch,
                durable: fetch.durable,
            };
            Ok((id, fetch))
        });
        let progress = frame.progress.into_iter().map(|progress| {
            let id = partition_id(&progress.topic, progress.partition)?;
            let progress = Progress {
                epoch: progress.epoch,
                durable: progress.durable,
                confirms: progress.confirms,
            };
            Ok((id, progress))
        });
        Ok(Self {
            fetches: fetches.collect::<Result<_, _>>()?,
            progress: progress.collect::<Result<_, _>>()?,
        })
    }
}

impl From<LeaderMessage> for proto::LeaderFrame {
    fn from(message: LeaderMessage) -> Self {
        let answers = message.answers.into_iter();
        let watermarks = message.watermarks.into_iter();
        Self {
            answers: answers
                .map(|(id, answer)| proto::ReplicaAnswer {
                    topic: topic_bytes(id.topic),
                    partition: id.partition,
                    epoch: answer.epoch,
                    request: answer.request,
                    offset: answer.offset,
                    last_epoch: answer.last_epoch,
                    body: Some(answer.body.into()),
                })
                .collect(),
            watermarks: watermarks
                .map(|(id, watermark)| proto::ReplicaWatermark {
                    topic: topic_bytes(id.topic),
                    partition: id.partition,
                    epoch: watermark.epoch,
                    high_watermark: watermark.high_watermark,
                    log_start: watermark.starts.log,
                    local_start: watermark.starts.local,
                    asks: watermark.asks,
                })
                .collect(),
        }
    }
}

impl TryFrom<proto::LeaderFrame> for LeaderMessage {
    type Error = Malformed;

    fn try_from(frame: proto::LeaderFrame) -> Result<Self, Malformed> {
        let answers = frame.answers.into_iter().map(|answer| {
            let id = partition_id(&answer.topic, answer.partition)?;
            let answer = Answer {
                epoch: answer.epoch,
                request: answer.request,
                offset: answer.offset,
                last_epoch: answer.last_epoch,
                body: answer.body.ok_or(Malformed)?.try_into()?,
            };
            Ok((id, answer))
        });
        let watermarks = frame.watermarks.into_iter().map(|watermark| {
            let id = partition_id(&watermark.topic, watermark.partition)?;
            let watermark = Watermark {
                epoch: watermark.epoch,
                high_watermark: watermark.high_watermark,
                starts: starts(watermark.log_start, watermark.local_start),
                asks: watermark.asks,
            };
            Ok((id, watermark))
        });
        Ok(Self {
            answers: answers.collect::<Result<_, _>>()?,
            watermarks: watermarks.collect::<Result<_, _>>()?,
        })
    }
}

/// A leader that does not know of an object store does not say a local start.
fn starts(log: u64, local: u64) -> Starts {
    let local = local.max(log);
    Starts { log, local }
}

pub(super) fn epoch_starts(epochs: Vec<(i32, u64)>) -> Vec<proto::EpochStart> {
    let epochs = epochs.into_iter();
    epochs
        .map(|(epoch, start)| proto::EpochStart { epoch, start })
        .collect()
}

pub(super) fn epochs(starts: &[proto::EpochStart]) -> Vec<(i32, u64)> {
    let starts = starts.iter();
    starts.map(|entry| (entry.epoch, entry.start)).collect()
}

type Body = proto::replica_answer::Body;

impl From<AnswerBody> for Body {
    fn from(body: AnswerBody) -> Self {
        match body {
            AnswerBody::Records {
                batches,
                high_watermark,
                starts,
            } => Self::Records(proto::Records {
                batches,
                high_watermark,
                log_start: starts.log,
                local_start: starts.local,
            }),
            AnswerBody::Diverging { epoch, end } => {
                Self::Diverging(proto::Diverging { epoch, end })
            }
            AnswerBody::OutOfRange(Beginning { starts, epochs }) => {
                Self::OutOfRange(proto::OutOfRange {
                    log_start: starts.log,
                    local_start: starts.local,
                    epochs: epoch_starts(epochs),
                })
            }
            AnswerBody::Refused(refusal) => Self::Refused(refused(refusal).into()),
        }
    }
}

impl TryFrom<Body> for AnswerBody {
    type Error = Malformed;

    fn try_from(body: Body) -> Result<Self, Malformed> {
        Ok(match body {
            Body::Records(records) => Self::Records {
                batches: records.batches,
                high_watermark: records.high_watermark,
                starts: starts(records.log_start, records.local_start),
            },
            Body::Diverging(proto::Diverging { epoch, end }) => Self::Diverging { epoch, end },
            Body::OutOfRange(beginning) => Self::OutOfRange(Beginning {
                starts: starts(beginning.log_start, beginning.local_start),
                epochs: epochs(&beginning.epochs),
            }),
            Body::Refused(number) => Self::Refused(refusal(number)?),
        })
    }
}

fn refused(refusal: Refusal) -> proto::Refusal {
    match refusal {
        Refusal::NotLeader => proto::Refusal::NotLeader,
        Refusal::OldEpoch => proto::Refusal::OldEpoch,
        Refusal::NewEpoch => proto::Refusal::NewEpoch,
        Refusal::NotReplica => proto::Refusal::NotReplica,
        Refusal::OldIncarnation => proto::Refusal::OldIncarnation,
    }
}

fn refusal(number: i32) -> Result<Refusal, Malformed> {
    match proto::Refusal::try_from(number) {
        Ok(proto::Refusal::NotLeader) => Ok(Refusal::NotLeader),
        Ok(proto::Refusal::OldEpoch) => Ok(Refusal::OldEpoch),
        Ok(proto::Refusal::NewEpoch) => Ok(Refusal::NewEpoch),
        Ok(proto::Refusal::NotReplica) => Ok(Refusal::NotReplica),
        Ok(proto::Refusal::OldIncarnation) => Ok(Refusal::OldIncarnation),
        Ok(proto::Refusal::Unspecified) | Err(_) => Err(Malformed),
    }
}
