//! `headwater.v1.RecordService`

use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, stream};
use tonic::{Request, Response, Status, Streaming};

use super::{
    call::{Answer, Call, too_late},
    page::{Page, keeping},
    pb::headwater::v1 as pb,
    produce::ProduceAsk,
    read::{at, gaps_of, limits_of, newest, out_of_range_of, position_of, positions_of},
    services::headwater::record_service_server::RecordService,
    status::to_message,
    stream::ProduceStream,
};
use crate::{
    auth::permissions::{FetchPartition, FetchTopic, GetLastOfKey, ProduceRecords, TailTopic},
    gateway::{Form, Position, ReadLimits, Start, Tail, TailStep, Written, partition_not_found},
    http::{
        fetch::{read_partition, read_topic},
        keys::look_up,
        observe::Counted,
        params::in_range,
        produce::append,
        tail::follow,
    },
    limits::OFFSET_MAX,
    problem::Outcome,
};

/// A message with records, which are read where they are used.
pub struct Raw(pub Bytes);

/// Answers one after the other.
pub type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The methods; what they need comes with each call.
pub struct RecordMethods;

#[tonic::async_trait]
impl RecordService for RecordMethods {
    type ProduceStreamStream = Answers<pb::ProduceStreamResponse>;
    type TailStream = Answers<Page<pb::TailResponse>>;

    async fn produce(&self, request: Request<Raw>) -> Answer<pb::ProduceResponse> {
        let (call, Raw(message)) = Call::of(request);
        let work = async {
            let ask = ProduceAsk::of(&message)?;
            let caller = call.in_topic::<ProduceRecords>(ask.topic)?;
            caller.check_ingress(&call.app).await?;
            let turn = caller.access.layers().turn(message.len()).await?;
            let written = async {
                let encoded = ask.records.encode(&call.app.gateway, &caller.topic)?;
                append(&call.app, &caller, encoded, ask.acks, &mut || {}).await
            };
            turn.work(written).await.map(|written| produced(&written))
        };
        call.change(work).await
    }

    async fn produce_stream(
        &self,
        request: Request<Streaming<Raw>>,
    ) -> Answer<Self::ProduceStreamStream> {
        let (call, messages) = Call::of(request);
        // At once, for clients that wait for it before they send anything.
        Ok(Response::new(ProduceStream::answers(call, messages)))
    }

    async fn fetch_partition(
        &self,
        request: Request<pb::FetchPartitionRequest>,
    ) -> Answer<Page<pb::FetchPartitionResponse>> {
        use pb::fetch_partition_request::Start as From;
        let (call, wanted) = Call::of(request);
        let work = async {
            let caller = call.in_topic::<FetchPartition>(&wanted.topic)?;
            let position = match wanted.start {
                None => Position::Start(Start::Earliest),
                Some(From::Offset(offset)) => {
                    Position::Offset(in_range("offset", offset, 0, OFFSET_MAX)?)
                }
                Some(From::AtMs(at_ms)) => at(at_ms),
                Some(From::From(end)) => position_of(end, Start::Earliest)?,
                Some(From::Newest(records)) => newest(records)?,
            };
            let limits = limits_of(&call, wanted.limits)?;
            if wanted.partition >= caller.topic.partitions() {
                return Err(partition_not_found(&caller.topic));
            }
            let partition = wanted.partition;
            let page = read_partition(&call.app, &caller, partition, position, &limits).await?;
            let ends = page.partitions.first();
            let answer = Page {
                rest: pb::FetchPartitionResponse {
                    records: Vec::new(),
                    next_offset: ends.map_or(0, |part| part.next_offset),
                    log_start: ends.map_or(0, |part| part.log_start),
                    high_watermark: ends.map_or(0, |part| part.high_watermark),
                    gaps: gaps_of(&page.gaps),
                },
                records: page.records,
            };
            Ok((answer, page.held))
        };
        keeping(call.read(work).await)
    }

    async fn fetch_topic(
        &self,
        request: Request<pb::FetchTopicRequest>,
    ) -> Answer<Page<pb::FetchTopicResponse>> {
        use pb::fetch_topic_request::Start as From;
        let (call, wanted) = Call::of(request);
        let work = async {
            let caller = call.in_topic::<FetchTopic>(&wanted.topic)?;
            let (mut cursor, mut position) = (None, Position::Start(Start::Earliest));
            match &wanted.start {
                None => {}
                Some(From::Cursor(text)) => cursor = Some(text.as_str()),
                Some(From::AtMs(at_ms)) => position = at(*at_ms),
                Some(From::From(end)) => position = position_of(*end, Start::Earliest)?,
                Some(From::Newest(records)) => position = newest(*records)?,
            }
            let limits = limits_of(&call, wanted.limits)?;
            let read = read_topic(&call.app, &caller, cursor, position, &limits);
            let (page, cursor) = read.await?;
            let answer = Page {
                rest: pb::FetchTopicResponse {
                    records: Vec::new(),
                    cursor,
                    gaps: gaps_of(&page.gaps),
                    partitions: positions_of(page.partitions),
                },
                records: page.records,
            };
            Ok((answer, page.held))
        };
        keeping(call.read(work).await)
    }

    async fn get_last_of_key(
        &self,
        request: Request<pb::GetLastOfKeyRequest>,
    ) -> Answer<Page<pb::GetLastOfKeyResponse>> {
        let (call, wanted) = Call::of(request);
        let work = async {
            let caller = call.in_topic::<GetLastOfKey>(&wanted.topic)?;
            let form = Form::Protobuf { with_topic: false };
            let record = look_up(&call.app, &caller, &wanted.key, &form).await?;
            let answer = Page {
                records: record.bytes,
                rest: pb::GetLastOfKeyResponse { record: None },
            };
            Ok((answer, Some(record.held)))
        };
        keeping(call.read(work).await)
    }

    async fn tail(&self, request: Request<pb::TailRequest>) -> Answer<Self::TailStream> {
        use pb::tail_request::Start as From;
        let (call, wanted) = Call::of(request);
        let opened = call.read(async {
            let caller = call.in_topic::<TailTopic>(&wanted.topic)?;
            let (mut cursor, mut position) = (None, Position::Start(Start::Latest));
            match &wanted.start {
                None => {}
                Some(From::Cursor(text)) => cursor = Some(text.as_str()),
                Some(From::AtMs(at_ms)) => position = at(*at_ms),
                Some(From::From(end)) => position = position_of(*end, Start::Latest)?,
                Some(From::Newest(records)) => position = newest(*records)?,
            }
            let limits = ReadLimits {
                on_out_of_range: out_of_range_of(wanted.on_out_of_range)?,
                ..limits_of(&call, None)?
            };
            follow(&call.app, caller, cursor, position, limits).await
        });
        let tail = opened.await?.into_inner();
        // The message is read: the tail lives on without it.
        drop(call.in_memory.take_first());
        Ok(Response::new(tailed(call, tail)))
    }
}

/// The steps of a tail, until the client goes away or its deadline passes.
fn tailed(call: Call, tail: Tail) -> Answers<Page<pb::TailResponse>> {
    let open = Counted::new(&call.app.metrics.tails);
    let steps = stream::unfold(Some((tail, open)), move |following| {
        let call = call.clone();
        async move {
            let (mut tail, open) = following?;
            let step = match call.deadline {
                None => tail.next().await,
                Some(at) => tokio::time::timeout_at(at, tail.next())
                    .await
                    .unwrap_or_else(|_| Some(TailStep::Failed(too_late(Outcome::NotApplied)))),
            };
            let (records, cursor, goaway) = match step? {
                TailStep::Records { records, cursor } => (records, cursor, false),
                TailStep::Heartbeat { cursor } => (Vec::new(), cursor, false),
                TailStep::Goaway { cursor } => (Vec::new(), cursor, true),
                TailStep::Failed(problem) => return Some((Err(call.status(&problem)), None)),
            };
            let page = Page {
                records,
                rest: pb::TailResponse {
                    records: Vec::new(),
                    cursor,
                    goaway,
                },
            };
            Some((Ok(page), Some((tail, open))))
        }
    });
    Box::pin(steps)
}

/// What became of a request's records, as clients are told.
pub fn produced(written: &Written) -> pb::ProduceResponse {
    let results = written.records().map(|record| match record.placed {
        Ok(placed) => pb::RecordResult {
            partition: record.partition,
            offset: placed.offset,
            timestamp_ms: placed.timestamp_ms,
            error: None,
        },
        Err(problem) => pb::RecordResult {
            partition: record.partition,
            error: Some(Box::new(to_message(problem))),
            ..pb::RecordResult::default()
        },
    });
    pb::ProduceResponse {
        results: results.collect(),
        duplicate: written.duplicate(),
    }
}
