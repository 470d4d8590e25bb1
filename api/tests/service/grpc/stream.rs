//! `ProduceStream`: answers in order, batches that are refused in their place, a client that does not
//! read, and a service that goes away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{StreamExt, stream};
use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use tokio::sync::mpsc;
use tonic::{Code, Status, Streaming};

use super::client::{Grpc, error_info, refused};
use super::pb;
use super::pb::produce_stream_request::Request as Part;
use super::pb::produce_stream_response::Result as Told;
use super::records::record;
use crate::harness::{Server, eventually, shared, soon, unique};
use crate::tenants::people::{Engine, Tenant, make_key};

/// A stream that is open on both sides.
pub struct Open {
    send: mpsc::Sender<pb::ProduceStreamRequest>,
    answers: Streaming<pb::ProduceStreamResponse>,
}

fn message(part: Part) -> pb::ProduceStreamRequest {
    pb::ProduceStreamRequest {
        request: Some(part),
    }
}

fn open(topic: &str) -> pb::ProduceStreamRequest {
    message(Part::Open(pb::ProduceStreamOpen {
        topic: topic.to_owned(),
        acks: 0,
    }))
}

pub fn batch(sequence: u64, records: Vec<pb::Record>) -> pb::ProduceStreamRequest {
    message(Part::Batch(pb::ProduceStreamBatch {
        sequence,
        records,
        idempotency_key: String::new(),
    }))
}

/// One record whose value is the batch's number.
fn numbered(sequence: u64) -> pb::ProduceStreamRequest {
    batch(sequence, vec![record(sequence.to_string())])
}

impl Open {
    pub async fn at(grpc: &Grpc, topic: &str) -> Self {
        let (send, messages) = mpsc::channel(1_000);
        let messages = stream::unfold(messages, |mut messages| async move {
            let message = messages.recv().await?;
            Some((message, messages))
        });
        send.send(open(topic)).await.expect("room");
        let answers = grpc.records().produce_stream(messages).await;
        let answers = answers.expect("headers come at once").into_inner();
        Self { send, answers }
    }

    pub async fn send(&self, message: pb::ProduceStreamRequest) {
        self.send.send(message).await.expect("the stream is open");
    }

    pub async fn next(&mut self) -> Result<Option<pb::ProduceStreamResponse>, Status> {
        soon("an answer", self.answers.message()).await
    }

    async fn produced(&mut self) -> (u64, pb::ProduceResponse) {
        let answer = self.next().await.expect("no error").expect("an answer");
        match answer.result {
            Some(Told::Produced(produced)) => (answer.sequence, produced),
            other => panic!("{} was refused: {other:?}", answer.sequence),
        }
    }
}

#[tokio::test]
async fn answers_come_in_order_and_offsets_follow_it() {
    let api = shared().await;
    let topic = unique("grpc-stream");
    let path = api.topic(&topic, 1).await;
    let mut stream = Open::at(&Grpc::connect(&api).await, &topic).await;
    // More than may be under way, each number as the client likes it.
    for n in 0..500 {
        stream.send(numbered(1_000 - n)).await;
    }
    for n in 0..500 {
        let (sequence, produced) = stream.produced().await;
        assert_eq!((sequence, produced.results[0].offset), (1_000 - n, n));
    }
    let Open { send, mut answers } = stream;
    drop(send);
    let end = soon("the stream ends", answers.message()).await;
    assert_eq!(
        end.expect("no error"),
        None,
        "half-closed, it ends after the last answer"
    );
    let rows = api.read_partition(&path, 0).await;
    assert_eq!(rows.len(), 500);
    let page = api
        .get(&format!("{path}/partitions/0/records?max_records=3"))
        .await
        .expect(200)
        .json();
    assert_eq!(page["records"][2]["value_text"], "998");
}

#[tokio::test]
async fn a_refused_batch_is_told_in_its_place() {
    let api = shared().await;
    let topic = unique("grpc-refused");
    let path = api.topic(&topic, 2).await;
    let mut stream = Open::at(&Grpc::connect(&api).await, &topic).await;
    let elsewhere = pb::Record {
        partition: Some(2),
        ..record("x")
    };
    stream.send(numbered(1)).await;
    stream.send(batch(2, vec![record("y"), elsewhere])).await;
    stream.send(batch(3, Vec::new())).await;
    stream.send(numbered(4)).await;
    let mut keyed = pb::ProduceStreamBatch {
        sequence: 5,
        records: vec![record("once")],
        idempotency_key: "stream key".into(),
    };
    stream.send(message(Part::Batch(keyed.clone()))).await;
    keyed.sequence = 6;
    stream.send(message(Part::Batch(keyed.clone()))).await;
    keyed.sequence = 7;
    keyed.records.push(record("another"));
    stream.send(message(Part::Batch(keyed))).await;
    let mut told = Vec::new();
    for _ in 0..7 {
        let answer = stream.next().await.expect("no error").expect("an answer");
        told.push(match answer.result.expect("a result") {
            Told::Produced(produced) => (answer.sequence, produced.duplicate.to_string()),
            Told::Error(problem) => {
                assert_eq!(problem.outcome(), pb::Outcome::NotApplied);
                assert!(!problem.retryable);
                (answer.sequence, problem.code)
            }
        });
    }
    let expected = [
        "false",
        "invalid_request",
        "invalid_request",
        "false",
        "false",
        "true",
        "idempotency_key_reused",
    ];
    let expected: Vec<_> = (1..).zip(expected.map(str::to_owned)).collect();
    assert_eq!(told, expected);
    assert_eq!(api.high_watermarks(&path).await.iter().sum::<u64>(), 3);
}

#[tokio::test]
async fn a_stream_is_opened_first_and_once() {
    let api = shared().await;
    let grpc = Grpc::connect(&api).await;
    let topic = unique("grpc-open");
    api.topic(&topic, 1).await;
    let empty = pb::ProduceStreamRequest { request: None };
    let unknown = message(Part::Open(pb::ProduceStreamOpen {
        topic: topic.clone(),
        acks: 9,
    }));
    for (messages, code, reason) in [
        (vec![], Code::InvalidArgument, "invalid_request"),
        (vec![empty], Code::InvalidArgument, "invalid_request"),
        (vec![unknown], Code::InvalidArgument, "invalid_request"),
        (vec![numbered(1)], Code::InvalidArgument, "invalid_request"),
        (
            vec![open(&topic), open(&topic)],
            Code::InvalidArgument,
            "invalid_request",
        ),
        (vec![open("nowhere")], Code::NotFound, "topic_not_found"),
    ] {
        let answers = grpc.records().produce_stream(stream::iter(messages)).await;
        let mut answers = answers.expect("headers come at once").into_inner();
        let end = soon("the stream ends", answers.message()).await;
        refused(&end.unwrap_err(), code, reason);
    }
    // What came before what is wrong is answered.
    let messages = vec![open(&topic), numbered(1), numbered(2), open(&topic)];
    let answers = grpc.records().produce_stream(stream::iter(messages)).await;
    let mut answers = answers.expect("headers come at once").into_inner();
    for n in 1..=2 {
        assert_eq!(
            soon("an answer", answers.message())
                .await
                .unwrap()
                .unwrap()
                .sequence,
            n
        );
    }
    refused(
        &soon("the end", answers.message()).await.unwrap_err(),
        Code::InvalidArgument,
        "invalid_request",
    );
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_read() {
    let server = Server::start().await;
    let api = server.api();
    let path = api.topic("unread", 1).await;
    // Room for one answer, as they are large.
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(64 << 10);
    let grpc = Grpc::connect_with(&api, builder).await;
    const BATCHES: u64 = 300;
    let sent = Arc::new(AtomicU64::new(0));
    let counted = sent.clone();
    let batches = stream::iter(0..BATCHES).map(move |n| {
        counted.store(n + 1, Ordering::Relaxed);
        batch(n, vec![record([7; 20]); 10_000])
    });
    let messages = stream::iter([open("unread")]).chain(batches);
    let answers = grpc.records().produce_stream(messages).await;
    let mut answers = answers.expect("headers").into_inner();
    // It stands still once nothing has moved for a while.
    let (mut last, mut still) = ((0, 0), 0);
    eventually("the stream stands still", async || {
        let now = (
            sent.load(Ordering::Relaxed),
            api.high_watermarks(&path).await[0],
        );
        still = if now == last && now.1 > 0 {
            still + 1
        } else {
            0
        };
        last = now;
        still == 25
    })
    .await;
    assert!(last.0 < BATCHES, "all of it was read");
    assert!(server.peak_resident_bytes() < 256 << 20);
    // Whoever reads again misses nothing.
    for n in 0..BATCHES {
        let answer = soon("an answer", answers.message())
            .await
            .expect("no error");
        let answer = answer.expect("an answer");
        assert_eq!(answer.sequence, n);
        assert!(matches!(answer.result, Some(Told::Produced(_))));
    }
    assert_eq!(api.high_watermarks(&path).await, [BATCHES * 10_000]);
}

#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let mut server = Server::start().await;
    let path = server.api().topic("killed", 2).await;
    let mut first = 0;
    let mut acknowledged = Vec::new();
    for _ in 0..3 {
        let mut stream = Open::at(&Grpc::connect(&server.api()).await, "killed").await;
        let send = stream.send.clone();
        let sender = tokio::spawn(async move {
            let mut n = first;
            while send.send(numbered(n)).await.is_ok() {
                n += 1;
            }
            n
        });
        let mut answered = 0;
        // The kill comes with batches on their way.
        while let Ok(Some(answer)) = stream.next().await {
            assert!(matches!(answer.result, Some(Told::Produced(_))));
            acknowledged.push(answer.sequence);
            answered += 1;
            if answered == 300 {
                server.kill9();
            }
        }
        assert!(answered >= 300);
        drop(stream);
        first = soon("the sender ends", sender).await.expect("no panic");
        server.restart().await;
    }
    let mut stored = Vec::new();
    for partition in 0..2 {
        let mut offset = 0;
        let mut of_partition = Vec::new();
        loop {
            let url =
                format!("{path}/partitions/{partition}/records?offset={offset}&max_records=10000");
            let page = server.api().get(&url).await.expect(200).json();
            let records = page["records"].as_array().expect("records");
            if records.is_empty() {
                break;
            }
            let number = |record: &serde_json::Value| {
                record["value_text"]
                    .as_str()
                    .unwrap()
                    .parse::<u64>()
                    .unwrap()
            };
            of_partition.extend(records.iter().map(number));
            offset = page["next_offset"].as_u64().unwrap();
        }
        assert!(
            of_partition.is_sorted(),
            "batches stand in the order in which they were sent"
        );
        stored.extend(of_partition);
    }
    stored.sort_unstable();
    let count = stored.len();
    stored.dedup();
    assert_eq!(stored.len(), count, "nothing twice");
    for sequence in acknowledged {
        assert!(
            stored.binary_search(&sequence).is_ok(),
            "{sequence} was acknowledged and is lost"
        );
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_key_and_with_the_service() {
    let tenant = Tenant::new(Engine::Sqlite).await;
    tenant.key.topic("ends", 1).await;
    let path = tenant.in_project(&format!("/keys/{}", unique("short")));
    let scopes = serde_json::json!([{"operations": ["produce"], "topic": "*"}]);
    let key = make_key(&tenant.owner.api, &path, scopes).await;
    let mut stream = Open::at(&Grpc::connect(&key).await, "ends").await;
    stream.send(numbered(1)).await;
    stream.produced().await;
    tenant
        .owner
        .api
        .manage("DELETE", &path, serde_json::Value::Null)
        .await
        .expect(204);
    refused(
        &stream.next().await.unwrap_err(),
        Code::Unauthenticated,
        "unauthenticated",
    );

    let mut server = Server::start().await;
    server.api().topic("stops", 1).await;
    let mut stream = Open::at(&Grpc::connect(&server.api()).await, "stops").await;
    stream.send(numbered(1)).await;
    stream.produced().await;
    server.terminate();
    let status = stream.next().await.unwrap_err();
    refused(&status, Code::Unavailable, "unavailable");
    assert_eq!(error_info(&status)["retryable"], "true");
    soon("the server stops", server.exited()).await;
}
